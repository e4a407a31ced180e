"""Sources of the API: the stored state, Kafka's offsets, the services' reports, and scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from datafingerprint.audits import Origin, Scope
from datafingerprint.differences import PartitionDiff
from datafingerprint.liveness import Services
from datafingerprint.ports.state import AuditReader, StateReader
from datafingerprint.resync import PendingRequest, ResyncRequest
from datafingerprint.scans import Scan


class StateView(StateReader, AuditReader, Protocol):
    """The stored state at one moment."""


class Store(Protocol):
    """The state store. The API writes only requests for audits and their cancellation."""

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        """Requests an audit, unless one of the same scope is queued already.

        Returns:
            The id of the queued audit.
        """

    def cancel_audit(self, number: int, now: float) -> bool:
        """Ends an audit that is not over.

        Returns:
            False when there is no such audit.
        """

    def reading(self) -> AbstractContextManager[StateView]:
        """A view of one moment, valid inside the block.

        Raises:
            Unavailable: The store is away.
            StateError: The store is damaged, forbidden, or of another version.
        """


class LagReader(Protocol):
    """Kafka's offsets."""

    def messages(self) -> Mapping[str, Mapping[str, int]]:
        """Unread messages by group and topic, at most a second old.

        Raises:
            Unavailable: The broker is away.
        """


class ServicesReader(Protocol):
    """The reports that every service publishes about itself."""

    def services(self) -> Services:
        """The services now, from memory. A broker that is away is a part of the answer."""


class NoServices:
    """Implements `ServicesReader` where no reports are read."""

    def services(self) -> Services:
        """See `ServicesReader.services`."""
        return Services()


class Scans(Protocol):
    """Runs scans and keeps their results."""

    def ask(self, engine: str, table: str, partition: str | None) -> Scan:
        """Begins a scan and returns at once.

        Raises:
            ConfigError: The scan cannot be run, or not now.
            Unavailable: The state store or the lake is away.
        """

    def cancel(self, number: int) -> None:
        """Requests the end of a scan, which may run in any process."""

    def scan(self, number: int) -> Scan | None:
        """One scan."""

    def scans(self, *, limit: int) -> list[Scan]:
        """The last scans, newest first."""

    def last_of(self, table: str) -> list[Scan]:
        """For each engine: the last scan of a table, and the last one of the whole table."""


class ResyncRequests(Protocol):
    """The requests topic: what operators request of capture, in the order of their offsets."""

    def ask(self, request: ResyncRequest) -> int:
        """Publishes a request. Returns: its offset.

        Raises:
            Unavailable: the broker is away. The request may have been published all the same.
        """

    def request(self, offset: int) -> ResyncRequest | None:
        """Returns: the request at an offset; None when there is no readable one.

        Raises:
            Unavailable: the broker is away.
        """

    def last(self, limit: int) -> Sequence[PendingRequest]:
        """Returns: the last readable requests, newest first.

        Raises:
            Unavailable: the broker is away.
        """


Diff = Callable[[str, str | None, int], Sequence[PartitionDiff]]
"""Names differing rows: of a table, in a partition or in all that do not match, so many at most.

Raises `ConfigError` for unknown names, `Unavailable` while a store is away or other rows are being read.
"""
