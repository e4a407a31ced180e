"""Stored audits: scope, progress, owner, and the store that keeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from datafingerprint.audit import Finding
from datafingerprint.verdict import Outcome

LEASE_S = 10.0
"""Seconds without a heartbeat after which the owner of an audit counts as dead; then another process may continue."""

HEARTBEAT_S = 2.0
"""Seconds between two heartbeats of an audit's owner."""


class AuditState(StrEnum):
    """The state of an audit."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether the audit has ended."""
        return self in (AuditState.DONE, AuditState.FAILED, AuditState.CANCELLED)


class Origin(StrEnum):
    """Who requested an audit. `SUSPICION`: rows may have changed without a binlog event."""

    COMMAND = "command"
    REQUEST = "request"
    SCHEDULE = "schedule"
    SUSPICION = "suspicion"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is audited: all captured tables, one table, or one partition of a table."""

    table: str | None = None
    partition: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.table, self.partition) if part is not None) or "every table"


@dataclass(frozen=True, slots=True)
class AuditProgress:
    """Progress: partitions with a finding, all partitions, and rows that the source summed up."""

    partitions_done: int = 0
    partitions: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class StoredAudit:
    """One audit.

    Attributes:
        number: Its id.
        scope: What is audited.
        origin: Who requested it.
        state: Its state.
        reason: Why it is paused, failed or cancelled; empty otherwise.
        owner: The process that runs it or ran it last; empty while it is queued.
        asked_at: When it was requested. This and all other times are Unix time in seconds.
        started_at: When it started; None while it is queued.
        seen_at: The last heartbeat of its owner; None while it is queued.
        ended_at: When it ended; None before.
        progress: Its progress.
        outcome: The worst of its findings so far; None before the first.
    """

    number: int
    scope: Scope
    origin: Origin
    state: AuditState
    reason: str
    owner: str
    asked_at: float
    started_at: float | None
    seen_at: float | None
    ended_at: float | None
    progress: AuditProgress
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class LastFinding:
    """The finding of the last audit of a partition, and the audit's id."""

    audit: int
    finding: Finding


class AuditStore(Protocol):
    """Stores audits, and passes them from those who request them to those who run them.

    Every method that changes something is one transaction, and durable when it returns. Only the owner of a running or
    paused audit may change it. Any other process gets a `ConflictError`: the audit was cancelled or taken over.
    """

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        """Requests an audit.

        Returns:
            Its id, or the id of a queued audit of the same scope.
        """

    def begin_audit(self, scope: Scope, origin: Origin, owner: str, now: float) -> StoredAudit:
        """Creates an audit that this owner runs at once."""

    def take_audit(self, owner: str, now: float, number: int | None = None) -> StoredAudit | None:
        """Gives the owner an audit that no process runs: the one of this number, else the oldest.

        That is a queued audit or an unfinished one. An audit is unfinished if its owner sent no heartbeat for `LEASE_S`
        or is known to have ended.
        """

    def hold_audit(self, number: int, owner: str, now: float) -> None:
        """Sends a heartbeat.

        Raises:
            ConflictError: another process owns it, or it was cancelled.
        """

    def advance_audit(
        self,
        number: int,
        owner: str,
        now: float,
        progress: AuditProgress,
        findings: Sequence[Finding] = (),
        paused: str = "",
    ) -> None:
        """Stores progress and findings; `paused` is the reason of a pause, or empty.

        Raises:
            ConflictError: another process owns it, or it was cancelled.
        """

    def end_audit(self, number: int, owner: str, now: float, state: AuditState, reason: str = "") -> None:
        """Ends it. Forgets partitions that an audit of the whole table did not find any more.

        Raises:
            ConflictError: another process owns it, or it was cancelled.
        """

    def release_audit(self, number: int, owner: str) -> None:
        """Releases an unfinished audit, so that the next process can continue it at once."""

    def cancel_audit(self, number: int, now: float) -> bool:
        """Cancels an audit.

        Returns:
            False if there is no such audit, or it has ended.
        """

    def audit(self, number: int) -> StoredAudit | None:
        """The audit of this number."""

    def audits(self, *, limit: int, before: int | None = None) -> Sequence[StoredAudit]:
        """Lists audits, newest first; with `before` only those with a lower id."""

    def findings(self, number: int) -> Sequence[Finding]:
        """The findings of an audit so far, by table and partition."""

    def last_findings(self, table: str | None = None) -> Sequence[LastFinding]:
        """The last finding of every partition, by table and partition."""

    def last_ended(self) -> Mapping[str, StoredAudit]:
        """The last ended audit of each table alone and as a whole."""

    def scheduled_since(self, tables: Collection[str], now: float) -> Mapping[str, float]:
        """Since when the schedule knows each of these tables: `now` for new ones, which is stored.

        Forgets tables that are neither named nor have a definition.
        """

    def oldest_findings(self) -> Mapping[str, float]:
        """The time of the oldest measurement of each captured table that has findings.

        0 for a table with a partition that could not be measured. The cost does not grow with partitions.
        """

    def unfinished_tables(self) -> set[str]:
        """Tables with an audit of the whole table alone that is queued, running or paused."""

    def audit_marks(self) -> tuple[object, ...]:
        """A value that differs after an audit was added or ended. Cheap enough for every second."""
