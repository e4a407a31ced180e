"""A scan: another engine counts a lake table, and its count must equal the running sums.

The statement reads one snapshot, whose epoch is known, and the running sums are of the same epoch. So other people's
code counts exactly the rows of the running sums.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import LakeTableState, Progress, StoredEpoch
from datafingerprint.ports.lake import SnapshotView
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, Verdict, overall

LEASE_S = 60.0
"""Seconds without a heartbeat after which a scan counts as failed."""


class ScanState(StrEnum):
    """The state of a scan."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan.

    Attributes:
        number: Its number in the store; 0 before it is stored.
        engine: The engine's name in the settings.
        table: `schema.table`.
        partition: The requested partition; None for the whole table.
        snapshot_id: The snapshot; None if the engine reads the present one of an empty table.
        epoch: The epoch of the snapshot.
        started_at: Unix time in seconds.
        ended_at: Unix time in seconds; None while it runs.
        state: Its state.
        progress: The engine's progress, such as `70 %`; empty if the engine reports none.
        error: Why it failed, or that the engine may continue after a cancel; empty otherwise.
        verdicts: Partition to the running sum as `source` and the engine's count as `lake`.
    """

    number: int
    engine: str
    table: str
    partition: str | None
    snapshot_id: int | None
    epoch: int
    started_at: float
    ended_at: float | None = None
    state: ScanState = ScanState.RUNNING
    progress: str = ""
    error: str = ""
    verdicts: Mapping[str, Verdict] | None = None

    @property
    def outcome(self) -> Outcome:
        """The outcome of the whole scan: inconclusive unless it is done."""
        if self.state is not ScanState.DONE:
            return Outcome.INCONCLUSIVE
        return overall(verdict.outcome for verdict in (self.verdicts or {}).values())


class Cancelled(Exception):  # noqa: N818 - it is what happened, and no error
    """The statement was cancelled.

    Its text is the reason why the engine may continue; empty if the engine has ended too.
    """


class ScanEngine(Protocol):
    """A query engine, as a scan uses it."""

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """Runs a statement. Calls `progress` now and then, in this thread.

        Raises:
            Unavailable: the engine is away.
            ConfigError: the engine refuses the login or the statement; the error has the first line of its message.
            Cancelled: `stop` was set, and the engine was asked to end the statement.
        """


@dataclass(frozen=True, slots=True)
class ScanStart:
    """A started scan.

    Attributes:
        scan: The scan in the store.
        statement: The engine's statement.
        running: Partition to the running sum at the epoch. They are read before the statement runs, because the store
            folds epochs far before the lake's, and a statement may take hours.
    """

    scan: Scan
    statement: str
    running: Mapping[str, Fingerprint]


class ScanStore(Protocol):
    """Stores scans."""

    def begin(self, scan: Scan, running_max: int) -> Scan:
        """Stores a new scan with a number.

        Raises:
            ConfigError: `running_max` scans run on this engine already.
        """

    def show_progress(self, number: int, progress: str) -> None:
        """Stores the progress, which is a heartbeat too."""

    def end(self, scan: Scan) -> None:
        """Stores a scan's end with its verdicts, in one transaction."""

    def cancel(self, number: int) -> None:
        """Requests the end of a scan; no effect after its end."""

    def is_cancelled(self, number: int) -> bool:
        """Whether its end was requested."""

    def scan(self, number: int) -> Scan | None:
        """The scan of this number."""


class Sums(Protocol):
    """The state store, as a scan reads it."""

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """Captured tables, with the numbers of their definitions."""

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """The counted state of every lake table."""

    def progress(self) -> Progress:
        """The fingerprinter's progress."""

    def epoch(self, number: int) -> StoredEpoch | None:
        """The epoch of this number; None if it is not kept."""

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """A table's sums at an epoch."""

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        """The sums read back from the files of a lake table."""


class Snapshots(Protocol):
    """The lake, as a scan reads it."""

    def current(self, table: TableSchema) -> SnapshotView | None:
        """The present snapshot."""

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        """A snapshot by its id."""
