"""Runs scans: checks, the engine's statement, and its count compared with the running sums."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from datafingerprint.audit import EPOCHS_KEPT
from datafingerprint.captured import not_captured_error
from datafingerprint.config import EngineSettings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.fingerprint import ZERO, Fingerprint, of_words
from datafingerprint.ledger import LakeTableState
from datafingerprint.partitions import partitioning
from datafingerprint.recovery import repair_of_lake_table
from datafingerprint.scans import (
    LEASE_S,
    Cancelled,
    Scan,
    ScanEngine,
    ScanStart,
    ScanState,
    ScanStore,
    Snapshots,
    Sums,
)
from datafingerprint.schema import TableSchema
from datafingerprint.sql import lake
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.lake import LakeDialect, TableLocation
from datafingerprint.verdict import Outcome, Verdict, judge_partition, judge_table

CANCELLED_LOOK_S = 2.0
"""Seconds between two checks whether a scan was cancelled."""

END_TRIES = 60
"""Most attempts to store a scan's end: two minutes, in which a store can restart."""

_AGAIN = "scan again"


@dataclass(frozen=True)
class Scanner:
    """Scans tables on the engines of the settings.

    Attributes:
        engines: Their settings by name.
        store: The store of scans.
        sums: The running sums.
        lake: The lake's snapshots.
        open_engine: Opens an engine for a block.
        clock: Unix time in seconds.
        pause_s: Seconds between two attempts to store a scan's end.
    """

    engines: Mapping[str, EngineSettings]
    store: ScanStore
    sums: Sums
    lake: Snapshots
    open_engine: Callable[[str, EngineSettings], AbstractContextManager[ScanEngine]]
    clock: Callable[[], float]
    pause_s: float = 2.0

    def begin(self, engine: str, table: str, partition: str | None) -> ScanStart:
        """Stores a new scan.

        Raises:
            ConfigError: engine, table or partition are unknown, a column is refused, the table exceeds the engine's
                limit, or too many scans run on the engine.
        """
        settings = self._settings(engine)
        number, definition = self._definition(table)
        dialect = LAKE_ENGINES[settings.kind or engine]
        state = self.sums.lake_tables().get(table)
        if state is None:
            raise ConfigError(f"the lake table of {table} has not been counted", remedy="wait for its first verdict")
        self._require_whole(table, number, state.epoch)
        running = self._running(table, state)
        self._require_size(settings, engine, table, partition, running)
        statement = self._statement(dialect, definition, settings, state, partition)
        if partition is not None:
            self._require_partition(table, partition, running)
        scan = Scan(0, engine, table, partition, state.snapshot_id, state.epoch, self.clock())
        return ScanStart(self.store.begin(scan, settings.scans_max), statement, running)

    def run(self, start: ScanStart, stop: threading.Event, show: Callable[[str], None]) -> Scan:
        """Runs a scan until its end is stored. A failure is stored too, and raised.

        Raises:
            DataFingerprintError: the failure.
        """
        scan = start.scan
        settings = self._settings(scan.engine)
        dialect = LAKE_ENGINES[settings.kind or scan.engine]

        stored, stored_at, looked_at = "", self.clock(), self.clock()

        def progress(text: str) -> None:
            nonlocal stored, stored_at, looked_at
            # The engine's work goes on while the store is busy.
            with contextlib.suppress(Unavailable):
                if self.clock() - looked_at >= CANCELLED_LOOK_S:
                    looked_at = self.clock()
                    if self.store.is_cancelled(scan.number):
                        stop.set()
                # Writing twice a second would disturb the fingerprinter; no write at all would look like a dead scan.
                if text != stored or self.clock() - stored_at > LEASE_S / 6:
                    stored, stored_at = text, self.clock()
                    self.store.show_progress(scan.number, text)
            show(text)

        try:
            _require_wanted(stop)
            with self.open_engine(scan.engine, settings) as engine:
                _require_wanted(stop)
                sums = parse_sums(dialect, engine.run(dialect.session, start.statement, stop, progress))
            self._require_same_snapshot(dialect, scan)
            verdicts = _if_snapshot_is_certain(dialect, _judge(start, sums))
            ended = replace(scan, state=ScanState.DONE, verdicts=verdicts)
        except Cancelled as cancelled:
            ended = replace(scan, state=ScanState.CANCELLED, error=str(cancelled))
        except DataFingerprintError as error:
            self._end(replace(scan, state=ScanState.FAILED, error=str(error), ended_at=self.clock()), stop)
            raise
        except BaseException:
            failed = replace(scan, state=ScanState.FAILED, error="the scan ended unexpectedly", ended_at=self.clock())
            self._end(failed, stop)
            raise
        ended = replace(ended, ended_at=self.clock())
        self._end(ended, stop)
        return ended

    def _end(self, scan: Scan, stop: threading.Event) -> None:
        """Stores a scan's end, and retries while the store is away: hours of work may depend on it.

        Raises:
            Unavailable: the store stayed away, or the scan was stopped.
        """
        for left in reversed(range(END_TRIES)):
            try:
                self.store.end(scan)
            except Unavailable:
                if left == 0 or stop.wait(self.pause_s):
                    raise
            else:
                return

    def _settings(self, engine: str) -> EngineSettings:
        if engine not in self.engines:
            known = ", ".join(sorted(self.engines)) or "none"
            raise ConfigError(
                f"no engine {engine} is in the settings", remedy=f"add [engines.{engine}], or use one of: {known}"
            )
        settings = self.engines[engine]
        if (settings.kind or engine) not in LAKE_ENGINES:
            raise ConfigError(
                f"engine {engine} has an unknown kind", remedy=f"set engines.{engine}.kind to {', '.join(LAKE_ENGINES)}"
            )
        return settings

    def _definition(self, table: str) -> tuple[int, TableSchema]:
        definitions = self.sums.definitions()
        if table not in definitions:
            raise not_captured_error(table, definitions)
        return definitions[table]

    def _require_whole(self, table: str, number: int, epoch: int) -> None:
        """Refuses a table whose lake rows are of another definition at the epoch, or incomplete.

        The present definition is the source's, which is ahead of the lake. It would render rows of an older definition
        wrongly.
        """
        stored = self.sums.epoch(epoch)
        if stored is None:
            raise ConfigError(f"epoch {epoch}, which the lake table of {table} has, is not kept", remedy=_AGAIN)
        if stored.epoch.versions.get(table) != number:
            raise ConfigError(f"{table} was altered, and the lake has not reached that epoch", remedy=_AGAIN)
        cursor = stored.epoch.snapshots.get(table)
        if cursor is not None and not cursor.complete:
            raise ConfigError(f"the snapshot of {table} is at {cursor.percent} %", remedy="scan when it is complete")

    def _running(self, table: str, state: LakeTableState) -> Mapping[str, Fingerprint]:
        """The running sums at the epoch of the counted lake table."""
        sums = self.sums.source_sums(table, state.epoch)
        # Checked after the read, because the store may have folded these epochs in between.
        if state.epoch < self.sums.progress().lake_epoch - EPOCHS_KEPT:
            raise ConfigError(f"the running sums of {table} at epoch {state.epoch} are no longer kept", remedy=_AGAIN)
        return sums

    def _require_size(
        self,
        settings: EngineSettings,
        engine: str,
        table: str,
        partition: str | None,
        running: Mapping[str, Fingerprint],
    ) -> None:
        """Refuses a scan that exceeds the engine's limit, by the larger of the two sides."""
        in_lake = self.sums.lake_sums(table)
        names = running.keys() | in_lake.keys() if partition is None else {partition}
        rows = sum(max(running.get(name, ZERO).rows, in_lake.get(name, ZERO).rows) for name in names)
        if rows > settings.rows_max:
            what = table if partition is None else f"partition {partition} of {table}"
            fewer = "scan one --partition after another, or " if partition is None and len(names) > 1 else ""
            raise ConfigError(
                f"{what} has {rows} rows, and a scan on {engine} may read {settings.rows_max}",
                remedy=f"{fewer}raise engines.{engine}.rows_max",
            )

    def _require_partition(self, table: str, partition: str, running: Mapping[str, Fingerprint]) -> None:
        """Refuses a partition that neither side ever had: any engine would find no row in it."""
        known = sorted(running.keys() | self.sums.lake_sums(table).keys())
        if partition not in known:
            names = ", ".join(known[:10]) or "none yet"
            raise ConfigError(f"{table} has no partition {partition} on either side", remedy=f"there are: {names}")

    def _statement(
        self,
        dialect: LakeDialect,
        table: TableSchema,
        settings: EngineSettings,
        state: LakeTableState,
        partition: str | None,
    ) -> str:
        files: tuple[str, ...] = ()
        if state.unreadable:
            raise ConfigError(
                f"the lake table of {table.table} is unreadable: {state.unreadable}",
                remedy=repair_of_lake_table(table.table),
            )
        if dialect.needs_files and state.snapshot_id is not None:
            view = self.lake.snapshot(table, state.snapshot_id)
            if view is None:
                raise ConfigError(f"snapshot {state.snapshot_id} of {table.table} has expired", remedy=_AGAIN)
            files = tuple(sorted(file.path for file in view.files))
        place = TableLocation(settings.catalog, state.snapshot_id if dialect.travels else None, files)
        return lake.sums_by_partition(dialect, table, partitioning(table), place, partition)

    def _require_same_snapshot(self, dialect: LakeDialect, scan: Scan) -> None:
        """Refuses the result if an engine without snapshots or files may have read another snapshot."""
        if dialect.needs_files or (dialect.travels and scan.snapshot_id is not None):
            return
        view = self.lake.current(self._definition(scan.table)[1])
        if (view.snapshot_id if view else None) != scan.snapshot_id:
            why = (
                "the empty table had no snapshot to name"
                if dialect.travels
                else f"{scan.engine} reads the present snapshot only"
            )
            raise ConfigError(
                f"{scan.table} was changed while {scan.engine} read it, and {why}",
                remedy="scan again while the table is at rest" if not dialect.travels else _AGAIN,
            )


def _require_wanted(stop: threading.Event) -> None:
    """Ends a scan that was cancelled before its statement."""
    if stop.is_set():
        raise Cancelled


def _judge(start: ScanStart, sums: Mapping[str, Fingerprint]) -> dict[str, Verdict]:
    wanted = start.scan.partition
    if wanted is None:
        return judge_table(start.running, sums)
    known = start.running.get(wanted, ZERO)
    verdict = judge_partition(known, sums.get(wanted, ZERO), inconclusive="", unreadable="")
    return {wanted: verdict, **judge_table({wanted: known}, sums)}


def _if_snapshot_is_certain(dialect: LakeDialect, verdicts: Mapping[str, Verdict]) -> Mapping[str, Verdict]:
    """Makes a mismatch inconclusive if the engine may have read another snapshot.

    An engine that reads the present snapshot of its own catalog or manifest may have read an older one. A match counts
    all the same: equal sums are no accident.
    """
    if dialect.travels:
        return verdicts
    return {
        name: verdict if verdict.outcome is Outcome.MATCH else _doubt(dialect, verdict)
        for name, verdict in verdicts.items()
    }


def _doubt(dialect: LakeDialect, verdict: Verdict) -> Verdict:
    why = f"{verdict.reason}, unless {dialect.name}'s own catalog or manifest has another snapshot"
    return replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=why)


def parse_sums(dialect: LakeDialect, rows: Iterable[Sequence[Any]]) -> dict[str, Fingerprint]:
    """Parses the statement's rows: partition to sum."""
    if dialect.gives_halves:
        return {str(name): Fingerprint(int(count), int(hi), int(lo)) for name, count, hi, lo in rows}
    return {str(name): of_words(int(count), [int(word) for word in words]) for name, count, *words in rows}
