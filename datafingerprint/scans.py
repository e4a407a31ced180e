"""A scan: another engine counts a table of the lake anew, and the running sums are held against what it says.

The statement reads one snapshot, whose epoch is known; the running sums are those of that very epoch. So the
engine's count is an independent one, by other people's code, of exactly the rows that the running sums are of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import LakeTableState, Progress, StoredEpoch
from datafingerprint.ports import SnapshotView
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, Verdict, overall

LEASE_S = 60.0
"""Seconds without a sign of life after which a scan counts as failed."""


class ScanState(StrEnum):
    """What has become of a scan."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan.

    Attributes:
        number: Its number in the store; 0 before it is there.
        engine: The engine's name in the settings.
        table: `schema.table`.
        partition: The only partition that was asked for.
        snapshot_id: The snapshot that was read; None where the engine reads the present one of an empty table.
        epoch: The epoch that the snapshot stands at.
        started_at: Unix time in seconds.
        ended_at: Likewise; None while it runs.
        state: What has become of it.
        progress: What the engine says of its work, such as `70 %`; empty when it says nothing.
        error: Why it failed, or that a cancelled one's engine may work on; empty when all is well.
        verdicts: By partition: the running sum as `source`, the engine's count as `lake`.
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
        """The whole scan's: inconclusive unless it is done; without any partition there is no row, and it matches."""
        if self.state is not ScanState.DONE:
            return Outcome.INCONCLUSIVE
        return overall({one.outcome for one in self.verdicts.values()}) if self.verdicts else Outcome.MATCH


class Cancelled(Exception):  # noqa: N818 - it is what happened, and no error
    """The statement was ended, because that was asked for.

    Its text says why the engine may work on all the same; it is empty when the engine has ended too.
    """


class ScanEngine(Protocol):
    """An engine, as a scan asks it."""

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """The rows of one statement; `progress` is called now and then, from this thread.

        Raises:
            Unavailable: the engine is away.
            ConfigError: it refuses the login or the statement; the first line of what it says is in the error.
            Cancelled: `stop` was set, and the statement was ended, or at least the engine told to.
        """


@dataclass(frozen=True, slots=True)
class Begun:
    """A scan that has begun.

    Attributes:
        scan: The scan as it is stored.
        statement: What the engine is to be asked.
        running: The running sums of its epoch, by partition. They are read before the engine is asked, because the
            store folds away what is far behind the lake, and a statement may take hours.
    """

    scan: Scan
    statement: str
    running: Mapping[str, Fingerprint]


class ScanStore(Protocol):
    """Where scans are kept."""

    def begin(self, scan: Scan, running_max: int) -> Scan:
        """Stores a scan that begins, with a number.

        Raises:
            ConfigError: as many as `running_max` run on this engine already.
        """

    def tell(self, number: int, progress: str) -> None:
        """Shows that a scan is alive, and how far it is."""

    def end(self, scan: Scan) -> None:
        """Stores a scan's end with all that it found, in one transaction."""

    def cancel(self, number: int) -> None:
        """Asks whoever runs a scan to end it; harmless when it has ended."""

    def is_cancelled(self, number: int) -> bool:
        """Whether somebody has asked for that."""

    def scan(self, number: int) -> Scan | None:
        """One scan."""


class Sums(Protocol):
    """The state store, as a scan reads it."""

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """Tables under watch."""

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """What is counted of every lake table."""

    def progress(self) -> Progress:
        """How far the fingerprinter has come."""

    def epoch(self, number: int) -> StoredEpoch | None:
        """One epoch; None when it is not kept."""

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """A table's sums at an epoch."""

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        """What was read back from the files of a lake table."""


class Snapshots(Protocol):
    """The lake, as a scan looks at it."""

    def current(self, table: TableSchema) -> SnapshotView | None:
        """The present snapshot."""

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        """A snapshot by its id."""
