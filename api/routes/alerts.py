"""The paths about alerts: the receivers, the last messages, and a test."""

from __future__ import annotations

from fastapi import APIRouter

from api.answers import moment
from api.dependencies import Clock, Incidents
from api.models import AlertMessage, AlertReceiver, AlertsAnswer, AlertTestAnswer
from datafingerprint.ports.incidents import Message, ReceiverState

MESSAGES_SHOWN = 100

router = APIRouter(prefix="/v1/alerts", tags=["incidents"])


@router.get("", summary="Receivers and messages")
def all_alerts(incidents: Incidents) -> AlertsAnswer:
    """The receivers of the notifier with their state, and the last 100 messages."""
    return AlertsAnswer(
        receivers=[_receiver(receiver) for receiver in incidents.receivers()],
        messages=[_message(message) for message in incidents.messages(limit=MESSAGES_SHOWN)],
    )


@router.post("/test", summary="Send a test to every receiver", status_code=202)
def send_test(incidents: Incidents, clock: Clock) -> AlertTestAnswer:
    """Writes a test for every receiver. `/v1/alerts` shows the result.

    The notifier sends it within `alerts.group_s`.
    """
    incidents.write_test(clock())
    return AlertTestAnswer(receivers=[receiver.key for receiver in incidents.receivers()])


def _receiver(receiver: ReceiverState) -> AlertReceiver:
    is_sending = "sending" if receiver.message else "idle"
    return AlertReceiver(
        receiver=receiver.key,
        address=receiver.address,
        state="failing" if receiver.failing_since is not None else is_sending,
        waiting=max(0, receiver.last_notice - receiver.notice),
        failing_since=None if receiver.failing_since is None else moment(receiver.failing_since),
        error=(receiver.message.error or None) if receiver.message else None,
    )


def _message(message: Message) -> AlertMessage:
    return AlertMessage(
        id=message.id,
        receiver=message.receiver,
        created_at=moment(message.created_at),
        sent_at=None if message.sent_at is None else moment(message.sent_at),
        attempts=message.attempts,
        error=message.error or None,
    )
