"""One run of the lake writer: collects whole epochs, and carries all tables to one target epoch at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import structlog

from datafingerprint.changes import Changes
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epochs import Epoch
from datafingerprint.errors import LakeError
from datafingerprint.ports import EpochReader, EpochRows, Lake, LakeCommitLog, LakeTable, Stamp
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit
from services.lake_writer.fold import fold
from services.lake_writer.rewrite import MergePolicy, apply

COMMITS_AT_ONCE = 4
"""Tables that are committed in parallel; a commit is mostly waiting for the store."""

POLL_S = 0.2

Clock = Callable[[], float]


@dataclass(slots=True)
class _Pending:
    """Epochs that are read but not in the lake yet."""

    epochs: list[EpochRows] = field(default_factory=list)
    since: float = 0.0
    rows: int = 0

    @property
    def last(self) -> Epoch:
        return self.epochs[-1].epoch


class LakeWriter:
    """Implements the promise of the service: whole epochs, atomically per table, each exactly once.

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
        *,
        clock: Clock = time.time,
    ) -> None:
        self._reader = reader
        self._lake = lake
        self._commits = commits
        self._settings = settings
        self._policy = MergePolicy(settings.merge_files, settings.file_rows_max)
        self._log = log
        self._clock = clock
        self._tables: dict[str, tuple[int, LakeTable]] = {}

    def run(self, stop: threading.Event) -> None:
        """Writes until told to stop; what is read but not yet committed is read again by the next run.

        Raises:
            Unavailable: a part is away, or another writer was first; run again.
            Stop: the lake or the topics are not what this writer left.
        """
        last = self._commits.open()
        self._tables.clear()
        self._reader.seek(last.epochs_offset if last else 0, (last.stream_id, last.epoch) if last else None)
        self._log.info("writing", epoch=last.epoch if last else 0)
        pending = _Pending()
        with ThreadPoolExecutor(COMMITS_AT_ONCE, thread_name_prefix="commit") as pool:
            while not stop.is_set():
                self._collect(pending)
                if self._is_due(pending):
                    self._flush(pending, pool)
                    pending = _Pending()

    def _collect(self, pending: _Pending) -> None:
        found = self._reader.read(POLL_S)
        if found is None:
            return
        if not pending.epochs:
            pending.since = self._clock()
        pending.epochs.append(replace(found, changes=list(found.changes)))
        pending.rows += found.epoch.rows

    def _is_due(self, pending: _Pending) -> bool:
        """Epochs without rows are published at once: they cost nothing, and an idle lake shows no lag."""
        if not pending.epochs:
            return False
        full = pending.rows >= self._settings.flush_rows
        old = self._clock() - pending.since >= self._settings.flush_s
        return (full or old or not pending.rows) and pending.last.number >= self._reached(pending.last)

    def _reached(self, epoch: Epoch) -> int:
        """The furthest epoch that any table has: after a crash some are ahead, and the target may not be less."""
        tables = [self._table(epoch, name) for name in epoch.versions]
        return max((table.stamp.epoch for table in tables if table.stamp), default=0)

    def _table(self, epoch: Epoch, name: str) -> LakeTable:
        version = epoch.versions[name]
        known = self._tables.get(name)
        if known is None or known[0] != version:
            known = (version, self._lake.table(self._reader.definitions()[version]))
            self._require_same_stream(name, known[1], epoch)
            self._tables[name] = known
        return known[1]

    def _require_same_stream(self, name: str, table: LakeTable, epoch: Epoch) -> None:
        stamp = table.stamp
        if stamp is not None and stamp.stream_id != epoch.stream_id:
            raise LakeError(
                f"lake table {name} belongs to stream {stamp.stream_id}, the epochs are of {epoch.stream_id}",
                where=name,
                remedy="use another [lake] path and catalog for a new stream, or restore the old topics",
            )

    def _flush(self, pending: _Pending, pool: ThreadPoolExecutor) -> None:
        """Carries all tables to the last pending epoch.

        1. Each table's changes after its own stamp are folded to their net effect.
        2. The tables that changed are committed, in parallel, each stamped with the target epoch.
        3. When all have it, the lake-commits record is published.
        4. The group's offsets are committed, for those who watch the lag.
        """
        target = pending.last
        began = self._clock()
        stamp = Stamp(target.stream_id, target.number, target.position)
        work = self._changes_by_table(pending)
        jobs = [pool.submit(self._apply, name, self._table(target, name), parts, stamp) for name, parts in work.items()]
        for job in jobs:
            job.result()
        self._commits.publish(
            LakeCommit(
                stream_id=target.stream_id,
                epoch=target.number,
                position=target.position,
                committed_at=target.committed_at,
                epochs_offset=pending.epochs[-1].epochs_offset,
                snapshots={name: self._table(target, name).snapshot_id for name in target.versions},
                published_at=self._clock(),
            )
        )
        for one in pending.epochs:
            self._reader.acknowledge(one)
        if pending.rows:
            self._log.info(
                "lake committed",
                epoch=target.number,
                epochs=len(pending.epochs),
                tables=len(work),
                rows=pending.rows,
                seconds=round(self._clock() - began, 3),
            )

    def _changes_by_table(self, pending: _Pending) -> dict[str, list[tuple[int, Changes]]]:
        """The changes that the lake does not have yet; a table's stamp tells which it has."""
        work: dict[str, list[tuple[int, Changes]]] = {}
        for one in pending.epochs:
            for partition, changes in one.changes:
                name = changes.table.table
                stamp = self._table(pending.last, name).stamp
                if stamp is None or stamp.epoch < one.epoch.number:
                    work.setdefault(name, []).append((partition, changes))
        return work

    def _apply(self, name: str, table: LakeTable, parts: list[tuple[int, Changes]], stamp: Stamp) -> None:
        definition: TableSchema = parts[-1][1].table
        net = fold(definition, parts)
        if net.is_empty:
            return
        table.refresh()
        applied = apply(definition, table, net, stamp, self._policy)
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
