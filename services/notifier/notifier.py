"""The loop of the notifier: hold the lease, observe, decide, store, send."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import structlog

from datafingerprint.alerts import backoff_s, content
from datafingerprint.config import Alerts, Settings
from datafingerprint.flow import FlowTroubles
from datafingerprint.incidents import Decision, EventKind, Incident, Rules, Subject
from datafingerprint.liveness import Services
from datafingerprint.ports.incidents import IncidentStore, Observed, ReceiverState
from services.notifier.delivery import Courier
from services.notifier.watch import ServiceTroubles, decisions, service_troubles, wake_at

POLL_S = 1.0
HEARTBEAT_S = 2.0
LOOK_S = 60.0
"""Seconds after which everything is looked at again, changed or not."""

FORGET_S = 3_600.0
DAY_S = 86_400.0

_LOGGED = (EventKind.OPENED, EventKind.ESCALATED, EventKind.RETURNED, EventKind.CLOSED)


class ServicesReader(Protocol):
    """The reports that every service publishes about itself."""

    def services(self) -> Services:
        """The services now, from memory."""


def rules_of(alerts: Alerts) -> Rules:
    """The rules of the settings."""
    return Rules(
        alerts.quiet_s,
        alerts.inconclusive_s,
        alerts.silent_s,
        alerts.reminder_s,
        alerts.lag_s,
        alerts.stale_s,
        alerts.stalled_s,
    )


def reachable_limits(settings: Settings) -> Alerts:
    """The settings of alerts, with limits that a flow in order keeps.

    The lake writer may wait `lake.flush_s` between two commits, and capture `cdc.heartbeat_s` between two epochs.
    """
    alerts = settings.alerts
    least = {"lag_s": 2 * settings.lake.flush_s, "stale_s": 2 * (settings.lake.flush_s + settings.cdc.heartbeat_s)}
    given = {name: float(getattr(alerts, name)) for name in least}
    return alerts.model_copy(update={name: max(given[name], least[name]) for name in least if given[name]})


class Notifier:
    """Opens and closes incidents, and sends alerts about them.

    Args:
        store: Incidents and the outbox.
        services: The reports of the services.
        couriers: By the receivers' keys.
        settings: The rules, and the interval between messages.
        public_url: The REST service as readers of alerts reach it.
        owner: The name of this process.
        log: The operators' log.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        store: IncidentStore,
        services: ServicesReader,
        couriers: Mapping[str, Courier],
        settings: Alerts,
        public_url: str,
        owner: str,
        log: structlog.stdlib.BoundLogger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._services = services
        self._couriers = couriers
        self._settings = settings
        self._rules = rules_of(settings)
        self._public_url = public_url
        self._owner = owner
        self._log = log
        self._clock = clock
        self._began_at = clock()
        self._is_holder: bool | None = None
        self._held_at = float("-inf")
        self._token: object = None
        self._wake_at = float("-inf")
        self._forgot_at = float("-inf")

    def serve(self, stop: threading.Event) -> None:
        """Works until `stop` is set, or waits while another notifier works.

        Raises:
            Unavailable: The state store is away, or another notifier has taken over. Run again.
        """
        while not stop.is_set():
            self.turn()
            stop.wait(POLL_S)
        if self._is_holder:
            for courier in self._couriers.values():
                courier.wait(POLL_S)
            self._deliver(self._clock(), begin=False)
            self._store.release(self._owner)

    def turn(self) -> None:
        """One turn of the loop."""
        now = self._clock()
        if not self._hold(now):
            return
        self._observe(now)
        self._deliver(now)
        if now - self._forgot_at >= FORGET_S:
            self._forgot_at = now
            self._store.forget(self._owner, now - self._settings.keep_days * DAY_S)

    def _hold(self, now: float) -> bool:
        if self._is_holder and now - self._held_at < HEARTBEAT_S:
            return True
        is_holder = self._store.hold(self._owner, now)
        self._held_at = now
        if is_holder != self._is_holder:
            self._is_holder = is_holder
            self._log.info("notifying" if is_holder else "another notifier works, waiting for it to end")
            if is_holder:
                self._token = None
                addresses = {key: courier.receiver.address for key, courier in self._couriers.items()}
                self._store.set_receivers(self._owner, addresses, now)
        return is_holder

    def _observe(self, now: float) -> None:
        """Applies the rules, where anything has changed or time alone changes something."""
        services = service_troubles(self._services.services(), self._began_at, now)
        flow = FlowTroubles(self._store.flow(), self._rules, self._began_at, now)
        token = self._store.token(), services.token, flow.token  # read first: what changes later gives another one
        if token == self._token and now < self._wake_at:
            return
        wake: list[float] = []

        def decide_all(observed: Observed) -> Iterator[tuple[Subject, Decision]]:
            decided = list(decisions(observed, services, flow, self._rules, now))
            wake.append(_wake_after(observed, decided, services, self._rules, now))
            return iter(decided)

        for incident, decision in self._store.apply(self._owner, now, decide_all):
            self._report(incident, decision)
        self._token, self._wake_at = token, min(wake[0], now + LOOK_S)

    def _report(self, incident: Incident, decision: Decision) -> None:
        for kind in decision.events:
            if kind in _LOGGED:
                self._log.warning(
                    kind.value.replace("_", " "),
                    incident=incident.number,
                    of=incident.subject.name,
                    incident_class=incident.incident_class.value,
                    partitions=incident.partition_count,
                    reason=incident.reason or None,
                )

    def _deliver(self, now: float, *, begin: bool = True) -> None:
        """Stores how attempts ended, and begins those that are due."""
        for state in self._store.receivers():
            courier = self._couriers.get(state.key)
            if courier is None:
                continue
            attempt = courier.ended()
            if attempt is not None:
                self._settle(state, attempt.error or "", now)
            elif begin and courier.is_free and now >= state.next_at:
                self._send(courier, state, now)

    def _send(self, courier: Courier, state: ReceiverState, now: float) -> None:
        """Begins to send the message of a receiver, or bundles what is new into one."""
        if state.message is not None:
            notices = self._store.notices(state.message.after, state.message.upto)
            courier.start(state.message, content(state.message.id, notices, self._public_url))
        elif state.notice < state.last_notice:
            # Stored before it is sent, so that an attempt after a crash has the same id and says the same.
            self._store.begin_message(self._owner, state.key, uuid.uuid4().hex, now)

    def _settle(self, state: ReceiverState, error: str, now: float) -> None:
        message = state.message
        if message is None:
            return
        attempts = message.attempts + 1
        pause_s = backoff_s(attempts) if error else self._settings.group_s
        self._store.end_attempt(self._owner, message, now, error=error, next_at=now + pause_s)
        if not error:
            self._log.info("alert sent", receiver=state.key, message=message.id, attempts=attempts)
        elif attempts == 1:
            self._log.warning("alert not taken", receiver=state.key, why=error, retry_in_s=pause_s)


def _wake_after(
    observed: Observed,
    decided: list[tuple[Subject, Decision]],
    services: ServiceTroubles,
    rules: Rules,
    now: float,
) -> float:
    """When to look again, after these decisions."""
    left = {subject: decision.incident for subject, decision in decided}
    after = {**observed.open, **{subject: incident for subject, incident in left.items() if incident is not None}}
    is_open = {subject: incident for subject, incident in after.items() if incident.is_open}
    return wake_at(Observed(is_open, observed.troubles), services, rules, now)
