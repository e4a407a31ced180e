"""One run of the lake writer: collects whole epochs, and carries all tables to one target epoch at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import structlog

from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epochs import Epoch
from datafingerprint.errors import LakeError, TableDamageError
from datafingerprint.ports import EpochReader, EpochRows, Lake, LakeCommitLog, LakeTable, Stamp
from datafingerprint.remedies import OTHER_LAKE
from datafingerprint.schema import TableSchema
from datafingerprint.scratch import Scratch
from datafingerprint.wire import LakeCommit, lost_epochs
from services.lake_writer.bounded import BoundedCommit
from services.lake_writer.fold import NetChange
from services.lake_writer.held import HeldChanges
from services.lake_writer.rewrite import Applied, MergePolicy, apply, rows_read

COMMITS_AT_ONCE = 4
"""Tables that are committed in parallel; a commit is mostly waiting for the store."""

POLL_S = 0.2

Clock = Callable[[], float]


@dataclass(slots=True)
class _Pending:
    """Epochs that are read but not in the lake yet; their changes by table."""

    epochs: list[EpochRows] = field(default_factory=list)
    since: float = 0.0
    rows: int = 0
    tables: dict[str, HeldChanges] = field(default_factory=dict)

    @property
    def last(self) -> Epoch:
        return self.epochs[-1].epoch

    def close(self) -> None:
        for held in self.tables.values():
            held.close()


@dataclass(frozen=True, slots=True)
class _Work:
    """A table of the lake, the definition that it is to have, and the changes that were read of it."""

    definition: TableSchema
    table: LakeTable
    held: HeldChanges


class LakeWriter:
    """Implements the promise of the service: whole epochs, atomically per table, each exactly once.

    It calls `alive` with every table that is committed; with every piece of one, the scratch files' is called.

    It keeps no state of its own: a table's stamp says which epoch it has, and the last lake-commits record says
    where to read on.
    """

    def __init__(
        self,
        reader: EpochReader,
        lake: Lake,
        commits: LakeCommitLog,
        settings: LakeSettings,
        log: structlog.stdlib.BoundLogger,
        scratch: Scratch,
        *,
        clock: Clock = time.time,
        alive: Callable[[], object] = lambda: None,
    ) -> None:
        self._reader = reader
        self._lake = lake
        self._commits = commits
        self._settings = settings
        self._policy = MergePolicy(settings.merge_files, settings.file_rows_max)
        self._log = log
        self._scratch = scratch
        self._clock = clock
        self._alive = alive
        self._tables: dict[str, tuple[int, LakeTable]] = {}
        self._one_at_a_time = threading.Lock()
        self._committed: frozenset[str] = frozenset()

    def run(self, stop: threading.Event) -> None:
        """Writes until told to stop; what is read but not yet committed is read again by the next run.

        Raises:
            Unavailable: a part is away, or another writer was first; run again.
            Stop: the lake or the topics are not what this writer left.
        """
        last = self._commits.open()
        self._tables.clear()
        self._committed = frozenset(last.snapshots) if last else frozenset()
        self._reader.seek(last.epochs_offset if last else 0, (last.stream_id, last.epoch) if last else None)
        if last is None and self._reader.is_empty():
            self._require_empty()
        self._log.info("writing", epoch=last.epoch if last else 0)
        pending = _Pending()
        with ThreadPoolExecutor(COMMITS_AT_ONCE, thread_name_prefix="commit") as pool:
            try:
                while not stop.is_set():
                    if self._collect(pending, stop) and self._is_due(pending):
                        self._flush(pending, pool)
                        pending.close()
                        pending = _Pending()
            finally:
                pending.close()

    def _collect(self, pending: _Pending, stop: threading.Event) -> bool:
        """Takes the next epoch, if there is one; False when it was told to stop in the middle of it."""
        found = self._reader.read(POLL_S)
        if found is None:
            return True
        if not pending.epochs:
            pending.since = self._clock()
        number = found.epoch.number
        for name, parts in found.epoch.ranges.items():
            held = pending.tables.setdefault(name, HeldChanges(self._settings.spill_rows, self._scratch))
            held.expect(sum(part.rows for part in parts.values()))
        for partition, changes in found.changes:
            if stop.is_set():
                return False
            pending.tables[changes.table.table].add(number, partition, changes)
        pending.epochs.append(found)
        pending.rows += found.epoch.rows
        return True

    def _is_due(self, pending: _Pending) -> bool:
        """Epochs without rows are published at once: they cost nothing, and an idle lake shows no lag."""
        if not pending.epochs:
            return False
        full = pending.rows >= self._settings.flush_rows
        old = self._clock() - pending.since >= self._settings.flush_s
        return (full or old or not pending.rows) and pending.last.number >= self._reached(pending.last)

    def _reached(self, epoch: Epoch) -> int:
        """The furthest epoch that any table has: after a crash some are ahead, and the target may not be less."""
        tables = [self._table(name, version, epoch) for name, version in epoch.versions.items()]
        return max((table.stamp.epoch for table in tables if table.stamp), default=0)

    def _table(self, name: str, version: int, epoch: Epoch) -> LakeTable:
        known = self._tables.get(name)
        if known is None or known[0] != version:
            known = (version, self._lake.table(self._reader.definitions()[version]))
            self._require_same_stream(name, known[1], epoch)
            self._tables[name] = known
        return known[1]

    def _require_empty(self) -> None:
        """Where there are no epochs yet, the lake holds nothing of any stream; else these epochs were lost."""
        for name, stamp in sorted(self._lake.stamps().items()):
            raise lost_epochs(f"the lake table {name}", stamp.stream_id, stamp.epoch)

    def _require_same_stream(self, name: str, table: LakeTable, epoch: Epoch) -> None:
        stamp = table.stamp
        if stamp is not None and stamp.stream_id != epoch.stream_id:
            raise LakeError(
                f"lake table {name} belongs to stream {stamp.stream_id}, the epochs are of {epoch.stream_id}",
                where=name,
                remedy=f"restore the topics of the old stream, or give the new one another {OTHER_LAKE}",
            )

    def _flush(self, pending: _Pending, pool: ThreadPoolExecutor) -> None:
        """Carries all tables to the last pending epoch.

        1. Each table's changes after its own stamp are folded to their net effect.
        2. The tables that changed, or whose definition did, are committed, in parallel, each stamped with the target
           epoch; those with changes on disk one after another.
        3. Tables that left the stream are marked.
        4. When all have it, the lake-commits record is published.
        5. The group's offsets are committed, for those who watch the lag.
        """
        target = pending.last
        began = self._clock()
        stamp = Stamp(target.stream_id, target.number, target.position)
        work = self._work(pending)
        jobs = [pool.submit(self._apply, one, stamp) for one in work if one.held.parts == 1]
        for job in jobs:
            job.result()
            self._alive()
        for one in work:
            if one.held.parts > 1:
                self._apply(one, stamp)
                self._alive()
        self._leave(target, stamp)
        tables = {name: self._table(name, version, target) for name, version in target.versions.items()}
        self._commits.publish(
            LakeCommit(
                stream_id=target.stream_id,
                epoch=target.number,
                position=target.position,
                committed_at=target.committed_at,
                epochs_offset=pending.epochs[-1].epochs_offset,
                snapshots={name: table.snapshot_id for name, table in tables.items()},
                published_at=self._clock(),
            )
        )
        self._committed = frozenset(target.versions)
        for read in pending.epochs:
            self._reader.acknowledge(read)
        if pending.rows:
            self._log.info(
                "lake committed",
                epoch=target.number,
                epochs=len(pending.epochs),
                tables=len(work),
                rows=pending.rows,
                seconds=round(self._clock() - began, 3),
            )

    def _work(self, pending: _Pending) -> list[_Work]:
        """The tables to commit.

        A table has the last definition that any pending epoch has of it, also when it has left the stream since.
        """
        versions = {name: version for one in pending.epochs for name, version in one.epoch.versions.items()}
        definitions = self._reader.definitions()
        nothing = HeldChanges(self._settings.spill_rows, self._scratch)
        work = [
            _Work(
                definitions[version],
                self._table(name, version, pending.last),
                pending.tables.get(name, nothing),
            )
            for name, version in versions.items()
        ]
        return [one for one in work if one.held.rows or one.table.is_outdated]

    def _apply(self, work: _Work, stamp: Stamp) -> None:
        """Carries the changes that the table does not have yet into it; its stamp tells which it has."""
        definition, table, held = work.definition, work.table, work.held
        name = definition.table
        nets = held.folded(definition, table.stamp.epoch if table.stamp else 0)
        first = next(nets)
        if held.parts > 1:
            self._log.info("many rows are written in pieces", table=name, epoch=stamp.epoch, rows=held.rows)
            self._refresh(name, table, first)
            parts = chain([first], nets)
            del first  # else it is held until all parts are done
            commit = BoundedCommit(definition, table, stamp, self._policy, self._scratch)
            applied = commit.apply(parts, held.parts)
        elif first.is_empty and not table.is_outdated:
            return
        else:
            self._refresh(name, table, first)
            applied = self._applied(definition, table, first, stamp)
        if applied.rows_missing:
            self._log.warning("the lake lacked rows that were to leave it", table=name, rows=applied.rows_missing)
        self._log.debug(
            "table committed",
            table=name,
            epoch=stamp.epoch,
            rows_added=applied.rows_added,
            rows_removed=applied.rows_removed,
            files_added=applied.files_added,
            files_removed=applied.files_removed,
        )

    def _refresh(self, name: str, table: LakeTable, net: NetChange) -> None:
        """Reads the table anew; one that starts from nothing is not kept from it by damage to what it leaves behind.

        Every part of a change that starts a table from nothing says so.
        """
        table.refresh()
        try:
            table.files()
        except TableDamageError as error:
            if not net.reset:
                raise
            self._log.warning("the table begins anew without its damaged metadata", table=name, what=error.what)
            table.begin_anew()

    def _leave(self, target: Epoch, stamp: Stamp) -> None:
        """Marks the tables that left the stream since the last commit."""
        for name in sorted(self._committed - target.versions.keys()):
            known = self._reader.definitions()
            self._lake.leave(next(one for _, one in sorted(known.items()) if one.table == name), stamp)
            self._tables.pop(name, None)
            self._log.warning("table left the stream; the lake keeps its rows", table=name, epoch=target.number)

    def _applied(self, definition: TableSchema, table: LakeTable, net: NetChange, stamp: Stamp) -> Applied:
        """In memory when the rows of the files that are written anew fit there, else in pieces, one table at a time."""
        if rows_read(definition, net, table.files(), self._policy) <= self._settings.spill_rows:
            return apply(definition, table, net, stamp, self._policy)
        with self._one_at_a_time:
            return BoundedCommit(definition, table, stamp, self._policy, self._scratch).apply([net], 1)
