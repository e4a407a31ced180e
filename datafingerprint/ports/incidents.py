"""Incidents, events and the outbox of alerts, as notifier and REST service use them.

Every method may raise `Unavailable` (the caller retries) and `StateError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from datafingerprint.flow import FlowState
from datafingerprint.incidents import Decision, EventKind, Incident, IncidentClass, NoticeKind, Subject, Trouble


@dataclass(frozen=True, slots=True)
class Observed:
    """What the state store shows at one moment.

    Attributes:
        open: The open incidents.
        troubles: What is wrong with tables and audits.
    """

    open: Mapping[Subject, Incident]
    troubles: Mapping[Subject, Trouble]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        number: Its place among all events.
        at: Unix time in seconds.
        kind: What happened.
        subject: What it happened to: a table, a service, or the scope of an audit.
        incident: Id of the incident that it belongs to. None where it belongs to none.
        detail: More about it.
    """

    number: int
    at: float
    kind: EventKind
    subject: Subject
    incident: int | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to say about an incident.

    Attributes:
        number: Its place among all notices.
        at: Unix time in seconds.
        kind: Why it was written.
        incident: The incident as it was then. Empty for a test.
    """

    number: int
    at: float
    kind: NoticeKind
    incident: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver. It says all notices from `after` to `upto`.

    Attributes:
        id: The same in every attempt, for receivers that drop repetitions.
        receiver: Key of the receiver.
        after: The notice before the first one.
        upto: The last notice.
        created_at: Unix time in seconds.
        attempts: Attempts so far.
        sent_at: When the receiver took it. None before.
        error: Why the last attempt failed. Empty after a success.
    """

    id: str
    receiver: str
    after: int
    upto: int
    created_at: float
    attempts: int
    sent_at: float | None
    error: str


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """What is known of a receiver.

    Attributes:
        key: Its name, which holds no secret.
        address: Its URL without secrets.
        notice: The last notice that it was sent.
        last_notice: The last notice of all.
        message: The message that it has not taken yet. None when there is none.
        next_at: Unix time in seconds before which nothing is sent.
        failing_since: Since when it takes nothing. None while it does.
    """

    key: str
    address: str
    notice: int
    last_notice: int
    message: Message | None
    next_at: float
    failing_since: float | None


class IncidentReader(Protocol):
    """Reads incidents and events, and writes what operators decide."""

    def incidents(
        self, *, is_open: bool | None = None, limit: int = 100, before: int | None = None
    ) -> Sequence[Incident]:
        """Incidents, newest first, those with a lower id than `before` when it is given."""

    def incident(self, number: int) -> Incident | None:
        """One incident."""

    def open_counts(self) -> Mapping[IncidentClass, int]:
        """Number of open incidents by class. Classes without one are left out."""

    def events(
        self, *, after: int | None = None, before: int | None = None, incident: int | None = None, limit: int = 100
    ) -> Sequence[Event]:
        """Events: the oldest first after `after`, otherwise the newest first before `before`."""

    def acknowledge(self, number: int, note: str, now: float) -> Incident | None:
        """Stores that an operator knows of an open incident. None when no such incident is open."""

    def silence(self, number: int, until: float, now: float) -> Incident | None:
        """Stores until when an open incident is silent. None when no such incident is open."""

    def receivers(self) -> Sequence[ReceiverState]:
        """The receivers of the notifier that runs, or ran last."""

    def messages(self, *, limit: int = 100) -> Sequence[Message]:
        """The last messages, newest first."""

    def write_test(self, now: float) -> int:
        """Writes a test notice for every receiver. Returns its number."""


class IncidentStore(IncidentReader, Protocol):
    """What the notifier writes. Only the process that holds the lease writes anything."""

    def hold(self, owner: str, now: float) -> bool:
        """Takes or extends the lease.

        Returns:
            False while another process holds it.
        """

    def release(self, owner: str) -> None:
        """Ends the lease, so that another process takes it at once."""

    def token(self) -> tuple[object, ...]:
        """Differs after new verdicts, and after an audit began or ended.

        It costs the same for any number of partitions.
        """

    def flow(self) -> FlowState:
        """How far the flow is. It costs the same for any number of partitions."""

    def apply(
        self, owner: str, now: float, decide: Callable[[Observed], Iterable[tuple[Subject, Decision]]]
    ) -> Sequence[tuple[Incident, Decision]]:
        """Stores decisions on what is observed: incidents, events and notices in one transaction.

        Returns:
            The decisions with their stored incidents.

        Raises:
            ConflictError: another process holds the lease.
        """

    def set_receivers(self, owner: str, addresses: Mapping[str, str], now: float) -> None:
        """Stores the receivers by key, with their addresses. New ones get later notices only.

        Raises:
            ConflictError: another process holds the lease.
        """

    def begin_message(self, owner: str, receiver: str, message: str, now: float) -> None:
        """Bundles what a receiver was not sent, at most 100 notices, into one message.

        Raises:
            ConflictError: another process holds the lease.
        """

    def end_attempt(self, owner: str, message: Message, now: float, *, error: str, next_at: float) -> None:
        """Stores how an attempt ended. Without an error the receiver has the message.

        Raises:
            ConflictError: another process holds the lease.
        """

    def notices(self, after: int, upto: int) -> Sequence[Notice]:
        """The notices of a message, in their order."""

    def forget(self, owner: str, before: float) -> None:
        """Removes closed incidents, events, and messages that are older than a time."""
