"""What the API reads from: the stored state, and Kafka's offsets for the lag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from datafingerprint.adapters.state_values import Backlog, FileCounts, JudgedTable, Recorded
from datafingerprint.audit import Finding
from datafingerprint.audits import AuditState, LastFinding, Origin, Scope, StoredAudit
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import LakeTableState, Progress, StoredEpoch, StoredVerdict
from datafingerprint.schema import TableSchema


class StateView(Protocol):
    """The stored state at one moment."""

    def progress(self) -> Progress:
        """How far the fingerprinter has come."""

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """Tables under watch by name, with the number of the definition in force."""

    def verdicts(self, table: str | None = None) -> Sequence[StoredVerdict]:
        """The present verdicts, ordered by table and partition."""

    def judged_tables(self) -> Mapping[str, JudgedTable]:
        """Every table that was ever judged."""

    def epoch(self, number: int) -> StoredEpoch | None:
        """One epoch."""

    def epochs(self, *, limit: int, before: int | None = None) -> Sequence[StoredEpoch]:
        """The last epochs, newest first."""

    def transaction_counts(self, numbers: Sequence[int]) -> Mapping[int, int]:
        """How many source transactions these epochs had."""

    def recorded_since(self, moment: float) -> Recorded:
        """The epochs whose sums were stored since a Unix time in seconds."""

    def backlog(self, epoch: int) -> Backlog:
        """What the stored epochs after this one hold."""

    def source_rows(self) -> Mapping[str, int]:
        """Rows of every table at the last epoch stored."""

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """A table's sums by partition at an epoch."""

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        """A lake table's sums by partition over all its files."""

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """What is counted of every lake table."""

    def file_counts(self) -> Mapping[str, FileCounts]:
        """How many files every lake table has, and their bytes."""

    def audit(self, number: int) -> StoredAudit | None:
        """One audit."""

    def audits(self, *, limit: int, before: int | None = None) -> Sequence[StoredAudit]:
        """Audits, newest first."""

    def audit_counts(self) -> Mapping[AuditState, int]:
        """How many audits are in each state."""

    def findings(self, number: int) -> Sequence[Finding]:
        """What an audit has found so far."""

    def last_findings(self, table: str | None = None) -> Sequence[LastFinding]:
        """What the last audit of every partition found."""


class Store(Protocol):
    """The state store, as the API reads it; the only thing that it writes are audits asked for, and taken back."""

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        """Asks for an audit; one of the same scope that waits already stands for it. Returns its id."""

    def cancel_audit(self, number: int, now: float) -> bool:
        """Ends one that is not over; False when there is none."""

    def reading(self) -> AbstractContextManager[StateView]:
        """A view of one moment, good inside the block.

        Raises:
            Unavailable: the store is away.
            StateError: it is damaged, forbidden, or of another version.
        """


class LagReader(Protocol):
    """Kafka, as the API reads it."""

    def messages(self) -> Mapping[str, Mapping[str, int]]:
        """Messages that each group has not read yet: group to topic to their number; at most a second old.

        Raises:
            Unavailable: the broker is away.
        """
