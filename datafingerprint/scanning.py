"""The work of a scan: what it asks for, its run on an engine, and what its count comes to beside the running sums."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from datafingerprint.audit import EPOCHS_KEPT
from datafingerprint.config import EngineSettings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.fingerprint import ZERO, Fingerprint, of_words
from datafingerprint.ledger import LakeTableState
from datafingerprint.partitions import partitioning
from datafingerprint.scans import (
    LEASE_S,
    Begun,
    Cancelled,
    Scan,
    ScanEngine,
    ScanState,
    ScanStore,
    Snapshots,
    Sums,
)
from datafingerprint.schema import TableSchema
from datafingerprint.sql import lake
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.lake import LakeDialect, Place
from datafingerprint.verdict import Outcome, Verdict, judge_partition, judge_table

CANCELLED_LOOK_S = 2.0
"""Seconds between two looks whether somebody else has cancelled a scan."""

END_TRIES = 60
"""How often a scan's end is stored at most: two minutes, in which a store is started again."""

_AGAIN = "scan again"


@dataclass(frozen=True)
class Scanner:
    """Scans tables on the engines of the settings.

    Attributes:
        engines: Their settings by name.
        store: Where scans are kept.
        sums: The running sums.
        lake: The lake's snapshots.
        open_engine: Opens an engine for the length of a block.
        clock: Unix time in seconds.
        pause_s: Seconds between two tries to store a scan's end while the store is away.
    """

    engines: Mapping[str, EngineSettings]
    store: ScanStore
    sums: Sums
    lake: Snapshots
    open_engine: Callable[[str, EngineSettings], AbstractContextManager[ScanEngine]]
    clock: Callable[[], float]
    pause_s: float = 2.0

    def begin(self, engine: str, table: str, partition: str | None) -> Begun:
        """Stores a scan that begins; gives it with what it needs to go on.

        Raises:
            ConfigError: engine, table or partition are unknown, a column is refused, the table is larger than the
                engine's limit, or too many scans run on it already.
        """
        settings = self._settings(engine)
        number, definition = self._definition(table)
        dialect = LAKE_ENGINES[settings.kind or engine]
        state = self.sums.lake_tables().get(table)
        if state is None:
            raise ConfigError(f"the lake table of {table} was not counted yet", remedy="wait for its first verdict")
        self._require_whole(table, number, state.epoch)
        running = self._running(table, state)
        self._require_size(settings, engine, table, partition, running)
        statement = self._statement(dialect, definition, settings, state, partition)
        if partition is not None:
            self._require_partition(table, partition, running)
        scan = Scan(0, engine, table, partition, state.snapshot_id, state.epoch, self.clock())
        return Begun(self.store.begin(scan, settings.scans_max), statement, running)

    def run(self, begun: Begun, stop: threading.Event, tell: Callable[[str], None]) -> Scan:
        """Runs a scan that has begun, to its stored end; a failure is stored too, and raised.

        Raises:
            DataFingerprintError: what kept it from its end.
        """
        scan = begun.scan
        settings = self._settings(scan.engine)
        dialect = LAKE_ENGINES[settings.kind or scan.engine]

        stored, stored_at, looked_at = "", self.clock(), self.clock()

        def progress(text: str) -> None:
            nonlocal stored, stored_at, looked_at
            # A store that is busy for a while is no reason to throw the engine's work away.
            with contextlib.suppress(Unavailable):
                if self.clock() - looked_at >= CANCELLED_LOOK_S:
                    looked_at = self.clock()
                    if self.store.is_cancelled(scan.number):
                        stop.set()
                # Twice a second would be many writes beside the fingerprinter's; silence would look like death.
                if text != stored or self.clock() - stored_at > LEASE_S / 6:
                    stored, stored_at = text, self.clock()
                    self.store.tell(scan.number, text)
            tell(text)

        try:
            _require_wanted(stop)
            with self.open_engine(scan.engine, settings) as engine:
                _require_wanted(stop)
                found = counted(dialect, engine.run(dialect.session, begun.statement, stop, progress))
            self._require_still(dialect, scan)
            ended = replace(scan, state=ScanState.DONE, verdicts=_if_it_read_this(dialect, _judged(begun, found)))
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
        """Stores a scan's end: a store that is away for a while is no reason to throw hours of an engine's work away.

        Raises:
            Unavailable: the store stayed away, or the scan is not wanted any more.
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
            there = ", ".join(sorted(self.engines)) or "none"
            raise ConfigError(
                f"no engine {engine} is in the settings", remedy=f"[engines.{engine}]; there are: {there}"
            )
        settings = self.engines[engine]
        if (settings.kind or engine) not in LAKE_ENGINES:
            raise ConfigError(
                f"engine {engine} is of no known kind", remedy=f"set engines.{engine}.kind to {', '.join(LAKE_ENGINES)}"
            )
        return settings

    def _definition(self, table: str) -> tuple[int, TableSchema]:
        known = self.sums.definitions()
        if table not in known:
            there = ", ".join(sorted(known)[:10]) or "none yet"
            raise ConfigError(f"no table {table} is under watch", remedy=f"there are: {there}")
        return known[table]

    def _require_whole(self, table: str, number: int, epoch: int) -> None:
        """Demands that the lake's rows are of this definition at an epoch, and all there.

        The definition in force is that of the source, which is ahead of the lake: rows written under an older one
        would be rendered as what they are not.
        """
        stored = self.sums.epoch(epoch)
        if stored is None:
            raise ConfigError(f"epoch {epoch}, which the lake table of {table} stands at, is not kept", remedy=_AGAIN)
        if stored.epoch.versions.get(table) != number:
            raise ConfigError(f"{table} was redefined, and the lake has not come to that", remedy=_AGAIN)
        cursor = stored.epoch.snapshots.get(table)
        if cursor is not None and not cursor.complete:
            raise ConfigError(f"the first snapshot of {table} is at {cursor.percent} %", remedy="scan when it is done")

    def _running(self, table: str, state: LakeTableState) -> Mapping[str, Fingerprint]:
        """The running sums of the epoch that the lake's table is counted at."""
        sums = self.sums.source_sums(table, state.epoch)
        # Afterwards: what was folded meanwhile is found out.
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
        """Demands that what is to be read, on whichever side it is more, is not beyond the engine's limit."""
        counted = self.sums.lake_sums(table)
        names = running.keys() | counted.keys() if partition is None else {partition}
        rows = sum(max(running.get(name, ZERO).rows, counted.get(name, ZERO).rows) for name in names)
        if rows > settings.rows_max:
            what = table if partition is None else f"partition {partition} of {table}"
            fewer = "scan one --partition after another, or " if partition is None and len(names) > 1 else ""
            raise ConfigError(
                f"{what} has {rows} rows, and a scan on {engine} may read {settings.rows_max}",
                remedy=f"{fewer}raise engines.{engine}.rows_max",
            )

    def _require_partition(self, table: str, partition: str, running: Mapping[str, Fingerprint]) -> None:
        """Demands that a partition is there, or was: of one that never was, any engine finds no row."""
        known = sorted(running.keys() | self.sums.lake_sums(table).keys())
        if partition not in known:
            there = ", ".join(known[:10]) or "none yet"
            raise ConfigError(f"{table} has no partition {partition} on either side", remedy=f"there are: {there}")

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
            raise ConfigError(f"the lake table of {table.table} cannot be told: {state.unreadable}")
        if dialect.needs_files and state.snapshot_id is not None:
            view = self.lake.snapshot(table, state.snapshot_id)
            if view is None:
                raise ConfigError(f"snapshot {state.snapshot_id} of {table.table} has expired", remedy=_AGAIN)
            files = tuple(sorted(file.path for file in view.files))
        place = Place(settings.catalog, state.snapshot_id if dialect.travels else None, files)
        return lake.sums_by_partition(dialect, table, partitioning(table), place, partition)

    def _require_still(self, dialect: LakeDialect, scan: Scan) -> None:
        """An engine that was told no snapshot and no files must have read the present one, and that the one meant."""
        if dialect.needs_files or (dialect.travels and scan.snapshot_id is not None):
            return
        view = self.lake.current(self._definition(scan.table)[1])
        if (view.snapshot_id if view else None) != scan.snapshot_id:
            why = (
                "while it was empty it had no snapshot to name"
                if dialect.travels
                else f"{scan.engine} reads the present snapshot only"
            )
            raise ConfigError(
                f"{scan.table} was committed to while {scan.engine} read it, and {why}",
                remedy="scan again while the table is at rest" if not dialect.travels else _AGAIN,
            )


def _require_wanted(stop: threading.Event) -> None:
    """Ends a scan that was cancelled before its engine was asked anything."""
    if stop.is_set():
        raise Cancelled


def _judged(begun: Begun, found: Mapping[str, Fingerprint]) -> dict[str, Verdict]:
    wanted = begun.scan.partition
    if wanted is None:
        return judge_table(begun.running, found)
    known = begun.running.get(wanted, ZERO)
    nothing = judge_partition(known, found.get(wanted, ZERO), inconclusive="", unreadable="")
    return {wanted: nothing, **judge_table({wanted: known}, found)}


def _if_it_read_this(dialect: LakeDialect, verdicts: Mapping[str, Verdict]) -> Mapping[str, Verdict]:
    """The verdicts as far as they are known to be about the snapshot that was meant.

    An engine that reads what its own catalog or a manifest calls the present one may have read an older one; that
    its count is the running sum all the same is no accident.
    """
    if dialect.travels:
        return verdicts
    return {name: one if one.outcome is Outcome.MATCH else _untold(dialect, one) for name, one in verdicts.items()}


def _untold(dialect: LakeDialect, one: Verdict) -> Verdict:
    why = f"{one.reason}, unless {dialect.name}'s own catalog or manifest is of another snapshot"
    return replace(one, outcome=Outcome.INCONCLUSIVE, reason=why)


def counted(dialect: LakeDialect, rows: Iterable[Sequence[Any]]) -> dict[str, Fingerprint]:
    """What a statement's rows say, by partition."""
    if dialect.gives_halves:
        return {str(name): Fingerprint(int(count), int(hi), int(lo)) for name, count, hi, lo in rows}
    return {str(name): of_words(int(count), [int(word) for word in words]) for name, count, *words in rows}
