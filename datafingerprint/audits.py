"""An audit as it is kept: what it is of, how far it has come, who runs it, and the store that keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from datafingerprint.audit import Finding
from datafingerprint.verdict import Outcome

LEASE_S = 10.0
"""Without a sign of life for so long, whoever runs an audit is taken for dead, and another may go on with it."""

HEARTBEAT_S = 2.0
"""Seconds between two signs of life."""


class AuditState(StrEnum):
    """Where an audit stands."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in (AuditState.DONE, AuditState.FAILED, AuditState.CANCELLED)


class Origin(StrEnum):
    """Who asked for it: a command, a caller of the REST service, or the schedule."""

    COMMAND = "command"
    REQUEST = "request"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is audited: every table under watch, one table, or one partition of it."""

    table: str | None = None
    partition: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.table, self.partition) if part is not None) or "every table"


@dataclass(frozen=True, slots=True)
class AuditProgress:
    """How far an audit has come: partitions that have a finding, of how many, and rows that the source summed up."""

    partitions_done: int = 0
    partitions: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class StoredAudit:
    """One audit.

    Attributes:
        number: Its id.
        scope: What it is of.
        origin: Who asked for it.
        state: Where it stands.
        reason: Why it is paused, failed or cancelled; empty otherwise.
        owner: Which process runs it, or ran it last; empty while it is queued.
        asked_at: When it was asked for; this and all other times are Unix time in seconds.
        started_at: When it was begun; None while it is queued.
        seen_at: The last sign of life of its owner; None while it is queued.
        ended_at: When it was over; None before.
        progress: How far it has come.
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
    """What the last audit of a partition found, and its id."""

    audit: int
    finding: Finding


class AuditStore(Protocol):
    """Where audits are kept, and handed from those who ask to those who run them.

    Every method that changes something is one transaction, and durable when it returns. Only the owner of an audit
    that is running or paused may change it: `ConflictError` says that it was cancelled or taken over.
    """

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        """Asks for an audit; one of the same scope that waits already stands for it. Returns its id."""

    def begin_audit(self, scope: Scope, origin: Origin, owner: str, now: float) -> StoredAudit:
        """Begins an audit that is the owner's from the first moment on."""

    def take_audit(self, owner: str, now: float, number: int | None = None) -> StoredAudit | None:
        """Makes an audit that nobody runs the owner's: the oldest that waits or was left unfinished, or that one."""

    def hold_audit(self, number: int, owner: str, now: float) -> None:
        """A sign of life.

        Raises:
            ConflictError: it is no longer the owner's.
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
        """Stores how far it has come, and findings; `paused` says why it waits, if it does.

        Raises:
            ConflictError: it is no longer the owner's.
        """

    def end_audit(self, number: int, owner: str, now: float, state: AuditState, reason: str = "") -> None:
        """Closes it. Partitions that a whole audit of a table no longer found are forgotten.

        Raises:
            ConflictError: it is no longer the owner's.
        """

    def release_audit(self, number: int, owner: str) -> None:
        """Lets go of it unfinished, so that the next one who asks goes on with it at once."""

    def cancel_audit(self, number: int, now: float) -> bool:
        """Ends one that is not over; False when there is none."""

    def audit(self, number: int) -> StoredAudit | None:
        """One audit."""

    def audits(self, *, limit: int, before: int | None = None) -> Sequence[StoredAudit]:
        """Audits, newest first, those with a lower id than `before` when it is given."""

    def findings(self, number: int) -> Sequence[Finding]:
        """What an audit has found so far, by table and partition."""

    def last_findings(self, table: str | None = None) -> Sequence[LastFinding]:
        """What the last audit of every partition found, by table and partition."""

    def last_ended(self) -> Mapping[str, StoredAudit]:
        """By table the last audit of all of it, alone, that is over."""
