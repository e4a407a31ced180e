"""The state store: what everyone may read of it, and what the fingerprinter writes.

Every method may raise `Unavailable` (the caller retries with backoff) and the `Stop` errors that it names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from datafingerprint.audit import Finding
from datafingerprint.audits import AuditState, LastFinding, StoredAudit
from datafingerprint.cascades import Suspicion
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.history import HistoryPoint
from datafingerprint.ledger import (
    Advance,
    FileSums,
    LakeCount,
    LakeTableState,
    Progress,
    StoredEpoch,
    StoredVerdict,
    SumKey,
    TableSums,
    TableVerdicts,
)
from datafingerprint.ports.state_values import AuditTotals, Backlog, FileCounts, JudgedTable, Recorded, StateTotals
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome


class StateReader(Protocol):
    """The stored state.

    A reader of one moment sees that moment in all its methods. The store itself sees one moment in each method.
    """

    def progress(self) -> Progress:
        """Reads how far the fingerprinter has come.

        Raises:
            StateError: the store is of another version, or damaged.
        """

    def running_sums(self) -> Mapping[SumKey, Fingerprint]:
        """Reads the source's sums at the last epoch stored."""

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """Reads a table's sums by partition at an epoch, all Kafka partitions together."""

    def source_rows(self) -> Mapping[str, int]:
        """Counts the rows of every table at the last epoch stored."""

    def epoch(self, number: int) -> StoredEpoch | None:
        """Reads one epoch, without its transactions."""

    def epochs(self, *, limit: int, before: int | None = None) -> Sequence[StoredEpoch]:
        """Reads the last epochs, newest first; only those before an epoch number if it is given."""

    def transaction_counts(self, numbers: Sequence[int]) -> Mapping[int, int]:
        """Counts the source transactions of these epochs."""

    def recorded_since(self, moment: float) -> Recorded:
        """Counts the epochs whose sums were stored since a Unix time in seconds."""

    def backlog(self, epoch: int) -> Backlog:
        """Counts what the stored epochs after this one hold."""

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """Reads the captured tables by name, each with the number of its present definition."""

    def defined_tables(self) -> set[str]:
        """Names the captured tables; unlike `definitions` this reads no definition."""

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """Reads what is counted of every lake table, with the last epoch at which that held."""

    def files(self, table: str) -> Mapping[str, FileSums]:
        """Reads the files that are counted for a table, by path."""

    def file_counts(self) -> Mapping[str, FileCounts]:
        """Counts the files of every lake table."""

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        """Adds up a lake table's sums by partition; a file that cannot be read adds nothing."""

    def table_sums(self, tables: Sequence[str], epoch: int) -> Mapping[str, TableSums]:
        """Reads both sides of some tables at an epoch, many tables in one query."""

    def changed_tables(self, after: int, upto: int) -> set[str]:
        """Names the tables whose source sums have new values in epochs `after + 1` to `upto`."""

    def damage(self, table: str) -> str:
        """Says which row of a table is not as it was stored, and how to recover, or nothing."""

    def verdicts(
        self, table: str | Collection[str] | None = None, partition: str | None = None, outcome: Outcome | None = None
    ) -> Sequence[StoredVerdict]:
        """Reads the present verdicts that the arguments select, ordered by table and partition."""

    def history(
        self, table: str, partition: str, *, limit: int, before_ms: int | None = None
    ) -> Sequence[HistoryPoint]:
        """Reads what was known of a partition, newest first.

        Args:
            table: `schema.table`.
            partition: Its name.
            limit: Most points.
            before_ms: Only points before this Unix time in milliseconds.
        """

    def judged_tables(self, table: str | None = None) -> Mapping[str, JudgedTable]:
        """Reads the summaries of judged tables, or of one, those without partitions as well."""

    def unproven_tables(self) -> Mapping[str, JudgedTable | None]:
        """Reads tables that no count of partitions shows; None for those that were never judged."""

    def totals(self) -> StateTotals:
        """Sums up all tables; the cost depends on the number of tables, not of partitions."""

    def suspicions(self) -> Mapping[str, Suspicion]:
        """Reads which tables may have changed without a binlog event, until an audit agrees."""


class AuditReader(Protocol):
    """The stored audits."""

    def audit(self, number: int) -> StoredAudit | None:
        """Reads one audit."""

    def audits(self, *, limit: int, before: int | None = None) -> Sequence[StoredAudit]:
        """Reads audits, newest first; only those with a lower number than `before` if it is given."""

    def audit_counts(self) -> Mapping[AuditState, int]:
        """Counts the audits that are kept by state, all states named."""

    def findings(self, number: int) -> Sequence[Finding]:
        """Reads what an audit has found so far, by table and partition."""

    def last_findings(
        self, table: str | Collection[str] | None = None, partition: str | None = None
    ) -> Sequence[LastFinding]:
        """Reads what the last audits found, of all tables or of some, or of one partition."""

    def audit_totals(self) -> AuditTotals:
        """Sums up what the last audits of all partitions found."""

    def audit_totals_by_table(self) -> Mapping[str, AuditTotals]:
        """Sums up the same by table; a table that was never audited is not named."""


class StateStore(StateReader, Protocol):
    """Where sums, files, verdicts and offsets are kept.

    Every method that changes something is one transaction.
    """

    def advance(self, before: Progress, step: Advance) -> None:
        """Stores a step of the source side: sums and the offsets that they include, together.

        Sums are kept as the value that holds from their epoch on; older values stay until `fold`.

        Raises:
            ConflictError: the progress is no longer `before`: another fingerprinter was first.
        """

    def save_counts(self, counts: Sequence[LakeCount]) -> None:
        """Stores which files some tables now count."""

    def forget(self, tables: Sequence[str], *, definitions: Sequence[str]) -> None:
        """Forgets verdicts and lake sides of tables that are no longer judged, and definitions."""

    def save_verdicts(
        self, progress: Progress, judged: Sequence[TableVerdicts], now: float, unchanged: Sequence[str] = ()
    ) -> None:
        """Stores verdicts, and how far the lake commits were judged.

        The partitions of a judged table that have no verdict any more are forgotten.

        Args:
            progress: How far the lake commits were judged.
            judged: Tables with their verdicts.
            now: Unix time in seconds.
            unchanged: Tables whose stored verdicts also hold at the epoch `lake_epoch`.
        """

    def suspect(self, suspicions: Sequence[Suspicion]) -> None:
        """Stores suspicions that do not come from epochs; storing one again does no harm."""

    def clear_suspicion(self, table: str, epoch: int) -> None:
        """Removes what was suspected up to an epoch at which an audit of a whole table agreed."""

    def fold(self, epoch: int) -> None:
        """Forgets values of sums that no epoch from this one on needs, and old epochs.

        The last 10,000 epochs are kept.
        """
