"""One run of the lake writer: collects epochs, and writes all tables up to one target epoch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

import structlog

from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epochs import Epoch
from datafingerprint.errors import FileDamageError, LakeError, LakeTableError, Stop, Unavailable, WireError
from datafingerprint.ports.lake import Lake, LakeTable, Stamp
from datafingerprint.ports.scratch import Scratch
from datafingerprint.ports.stream import EpochReader, EpochRows, LakeCommitLog
from datafingerprint.recovery import OTHER_LAKE
from datafingerprint.schema import TableSchema
from datafingerprint.set_aside import LOST, SetAside
from datafingerprint.wire import LakeCommit, lost_epochs
from services.lake_writer.chain import require_same_chain
from services.lake_writer.change_buffer import ChangeBuffer
from services.lake_writer.fold import NetChange
from services.lake_writer.rewrite import CommitResult, MergePolicy, apply, rows_read
from services.lake_writer.streaming_commit import StreamingCommit

COMMITS_AT_ONCE = 4
"""Tables that are committed in parallel. A commit mostly waits for the store."""

POLL_S = 0.2

AWAITS_ROWS = "none is needed while capture reads the table again; if it does not: datafingerprint resync {table}"

_OF_ONE_TABLE = (LakeTableError, FileDamageError, WireError)
"""Errors that concern one table alone when work on that table raises them."""

Clock = Callable[[], float]

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Pending:
    """Epochs that are read and not in the lake yet, and their changes by table."""

    epochs: list[EpochRows] = field(default_factory=list)
    since: float = 0.0
    rows: int = 0
    tables: dict[str, ChangeBuffer] = field(default_factory=dict)

    @property
    def last(self) -> Epoch:
        return self.epochs[-1].epoch

    def close(self) -> None:
        for buffer in self.tables.values():
            buffer.close()


@dataclass(frozen=True, slots=True)
class _Work:
    """A table of the lake, the definition that it needs, and its pending changes."""

    definition: TableSchema
    version: int
    table: LakeTable
    buffer: ChangeBuffer


class LakeWriter:
    """Writes whole epochs into the lake, atomically per table, each exactly once.

    It keeps no state of its own. A table's stamp has the table's epoch. The last lake-commit record has the offset to
    continue from, and the tables that are set aside.

    A table that cannot be written is set aside with the reason, and all others continue. It keeps its rows, and the
    lake commits name it. It returns with the next epoch that starts it from nothing. The writer requests that as soon
    as the table can be written again, and if changes of it were lost in Kafka.

    Args:
        reader: Reads epochs.
        lake: The lake's tables.
        commits: Where lake-commit records are published.
        settings: When the lake is committed, and when files are merged.
        log: For operators.
        scratch: Where many rows of a table wait for their commit.
        clock: Unix time in seconds.
        alive: Called after every committed table. The scratch files have a callback of their own for each piece.
        ask: Requests a re-snapshot of a table.
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
        ask: Callable[[str], object] = lambda _: None,
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
        self._ask = ask
        self._aside = SetAside({}, 0.0)
        self._target: Epoch | None = None
        self._tables: dict[str, tuple[int, LakeTable]] = {}
        self._is_caught_up = False
        self._streaming_lock = threading.Lock()
        self._committed: frozenset[str] = frozenset()
        self._unknown: set[str] = set()
        self._resumed_after: float | None = None
        self._chained: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Writes until stopped. The next run reads again what this one has not committed.

        Raises:
            Unavailable: Kafka or the lake is away, or another writer was first. Run again.
            Stop: the lake or the topics are not those that this writer left.
        """
        last = self._commits.open()
        self._tables.clear()
        self._target = None
        self._chained.clear()
        self._aside = SetAside(last.set_aside if last else {}, self._clock())
        self._committed = frozenset(last.snapshots) if last else frozenset()
        self._resumed_after = last.published_at if last else None
        self._reader.seek(last.epochs_offset if last else 0, last.mark if last else None)
        if last is None and self._reader.is_empty():
            self._require_empty()
        self._log.info("writing", epoch=last.epoch if last else 0)
        pending = _Pending()
        with ThreadPoolExecutor(COMMITS_AT_ONCE, thread_name_prefix="commit") as pool:
            try:
                while not stop.is_set():
                    if self._collect(pending, stop) and self._is_due(pending, pool):
                        self._flush(pending, pool)
                        self._resumed_after = None
                        pending.close()
                        pending = _Pending()
                    # Not in a backlog, which may hold a re-snapshot already.
                    if self._is_caught_up and not pending.epochs and self._aside.is_due(self._clock()):
                        self._request_resnapshots()
            finally:
                pending.close()

    def _collect(self, pending: _Pending, stop: threading.Event) -> bool:
        """Takes the next epoch, if there is one. Returns False if stopped in the middle of it."""
        epoch_rows = self._reader.read(POLL_S)
        self._is_caught_up = epoch_rows is None
        if epoch_rows is None:
            return True
        if not pending.epochs:
            pending.since = self._clock()
        number = epoch_rows.epoch.number
        for name, parts in epoch_rows.epoch.ranges.items():
            buffer = pending.tables.setdefault(name, ChangeBuffer(self._settings.spill_rows, self._scratch))
            buffer.expect(sum(part.rows for part in parts.values()))
        for partition, changes in epoch_rows.changes:
            if stop.is_set():
                return False
            pending.tables[changes.table.table].add(number, partition, changes)
        for name, reason in epoch_rows.holes.items():
            # Changes before the hole are useless without it. The table is whole again once it starts from nothing.
            pending.tables.pop(name).close()
            self._set_aside(name, f"{LOST}: {reason}")
        pending.epochs.append(epoch_rows)
        pending.rows += epoch_rows.epoch.rows
        return True

    def _is_due(self, pending: _Pending, pool: ThreadPoolExecutor) -> bool:
        """Whether to commit now.

        Epochs without rows are committed at once: they cost nothing, and an idle lake shows no lag. Epochs that waited
        for this process to start are committed as soon as all are read.
        """
        if not pending.epochs:
            return False
        now, flush_s = self._clock(), self._settings.flush_s
        full = pending.rows >= self._settings.flush_rows
        old = now - pending.since >= flush_s
        waited = self._resumed_after is not None and now - self._resumed_after >= flush_s and self._is_caught_up
        is_due = full or old or waited or not pending.rows
        return is_due and pending.last.number >= self._reached(pending.last, pool)

    def _reached(self, epoch: Epoch, pool: ThreadPoolExecutor) -> int:
        """The latest epoch that any table has.

        The target must not be earlier: after a crash some tables are ahead.

        Tables are opened in parallel, because each reads its metadata from the store, or is created there.
        """
        versions = {
            name: version for name, version in epoch.versions.items() if name not in self._aside or name in self._tables
        }
        unopened = [name for name in versions if name not in self._aside and name not in self._tables]
        for opened in [pool.submit(self._opened, name, versions[name], epoch) for name in unopened]:
            opened.result()
            self._alive()
        latest = 0
        for name, version in versions.items():
            table = None if name in self._aside and name not in self._tables else self._opened(name, version, epoch)
            latest = max(latest, table.stamp.epoch if table and table.stamp else 0)
        return latest

    def _opened(self, name: str, version: int, epoch: Epoch) -> LakeTable | None:
        """A table of the lake. None if it was set aside instead."""
        return self._attempt(name, lambda: self._table(name, version, epoch))

    def _attempt(self, name: str, work: Callable[[], _Result]) -> _Result | None:
        """The result of work on one table. None if the work failed and the table was set aside.

        Raises:
            Unavailable: Kafka or the lake is away, or another writer was first.
            Stop: the error does not concern one table alone.
        """
        try:
            return work()
        except (Unavailable, MemoryError):
            raise
        except Stop as error:
            if not isinstance(error, _OF_ONE_TABLE):
                raise
            reason = str(error)
        except Exception as error:  # noqa: BLE001 - a library's error about one table's values concerns that table alone
            self._log.exception("a table cannot be written", table=name)
            reason = f"the lake writer cannot write the table ({type(error).__name__}: {error})"
        self._tables.pop(name, None)
        self._set_aside(name, reason)
        return None

    def _set_aside(self, name: str, reason: str) -> None:
        if self._aside.add(name, reason, self._clock()):
            self._log.error("table is set aside", table=name, reason=reason)

    def _request_resnapshots(self) -> None:
        """Requests re-snapshots of tables that are set aside without a present reason.

        A table that is being read, or is about to be, will start from nothing anyway.
        """
        target = self._target
        for name in self._aside.due(self._clock()) if target is not None else ():
            cursor = target.snapshots.get(name) if target is not None else None
            if target is None or name not in target.versions or (cursor is not None and not cursor.complete):
                continue
            if self._aside.is_lost(name) or self._is_sound(name, target):
                self._log.warning("requesting a re-snapshot of a table that is set aside", table=name)
                try:
                    self._ask(name)
                except Unavailable as error:
                    self._log.warning("the re-snapshot could not be requested", table=name, reason=str(error))

    def _is_sound(self, name: str, target: Epoch) -> bool:
        """Whether the table could be written now if it had all changes."""
        table = self._opened(name, target.versions[name], target)
        if table is None or table.needs_reset:
            return False
        return self._attempt(name, table.files) is not None

    def _table(self, name: str, version: int, epoch: Epoch) -> LakeTable:
        known = self._tables.get(name)
        if known is None or known[0] != version:
            known = (version, self._lake.table(self._reader.definitions()[version]))
            self._require_same_stream(name, known[1], epoch)
            self._tables[name] = known
        return known[1]

    def _require_empty(self) -> None:
        """Requires an empty lake if there are no epochs.

        Raises:
            Stop: the lake holds tables of a stream whose epochs were lost.
        """
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
        """Writes all tables up to the last pending epoch. A table that fails is set aside.

        1. Each table's changes after its own stamp are folded to their net effect.
        2. Tables that changed, or whose definition did, are committed in parallel, each stamped with the target epoch.
           Tables with changes on disk are committed one after another.
        3. Tables that left the stream are marked.
        4. When all tables have the epoch, the lake-commit record is published.
        5. The consumer group's offsets are committed, so that the lag can be monitored.
        """
        target = pending.last
        started_at = self._clock()
        stamp = Stamp(target.stream_id, target.number, target.position, target.mark.digest)
        work = self._work(pending)
        self._require_same_chain(pending)
        jobs = [pool.submit(self._apply, task, stamp) for task in work if task.buffer.parts == 1]
        for job in jobs:
            job.result()
            self._alive()
        for task in work:
            if task.buffer.parts > 1:
                self._apply(task, stamp)
                self._alive()
        self._leave(target, stamp, pool)
        snapshots = {name: self._snapshot(name, version, target) for name, version in target.versions.items()}
        self._commits.publish(
            LakeCommit(
                stream_id=target.stream_id,
                epoch=target.number,
                position=target.position,
                committed_at=target.committed_at,
                epochs_offset=pending.epochs[-1].epochs_offset,
                snapshots=snapshots,
                published_at=self._clock(),
                unknown=tuple(sorted(self._unknown)),
                set_aside=self._aside.reasons,
                epoch_digest=target.mark.digest,
            )
        )
        self._unknown.clear()
        self._target = target
        self._committed = frozenset(target.versions)
        for epoch_rows in pending.epochs:
            self._reader.acknowledge(epoch_rows)
        if pending.rows:
            self._log.info(
                "lake committed",
                epoch=target.number,
                epochs=len(pending.epochs),
                tables=len(work),
                rows=pending.rows,
                seconds=round(self._clock() - started_at, 3),
            )

    def _require_same_chain(self, pending: _Pending) -> None:
        """Checks the stamps of tables that were opened since the last commit.

        Raises:
            WireError: see `chain.require_same_chain`.
        """
        opened = {name: table.stamp for name, (_, table) in self._tables.items() if name not in self._chained}
        require_same_chain([read.epoch for read in pending.epochs], opened)
        last = pending.last.number
        self._chained |= {name for name, stamp in opened.items() if stamp is None or stamp.epoch <= last}

    def _work(self, pending: _Pending) -> list[_Work]:
        """The tables to commit.

        A table has the last definition in any pending epoch, even if it has left the stream since. A table that is set
        aside is not among them, unless it starts from nothing.
        """
        versions = {name: version for read in pending.epochs for name, version in read.epoch.versions.items()}
        definitions = self._reader.definitions()
        nothing = ChangeBuffer(self._settings.spill_rows, self._scratch)
        work = []
        for name, version in versions.items():
            buffer = pending.tables.get(name, nothing)
            if name in self._aside and not buffer.is_reset:
                continue
            table = self._opened(name, version, pending.last)
            if table is not None and (buffer.rows or table.is_outdated or table.needs_reset):
                work.append(_Work(definitions[version], version, table, buffer))
        return work

    def _snapshot(self, name: str, version: int, target: Epoch) -> int | None:
        known = self._tables.get(name)
        if name in self._aside:
            return known[1].snapshot_id if known else None
        table = self._opened(name, version, target)
        return table.snapshot_id if table else None

    def _apply(self, work: _Work, stamp: Stamp) -> None:
        """Writes the table's new changes, or sets the table aside."""
        name = work.definition.table
        is_written = self._attempt(name, lambda: self._write_or_reopen(work, stamp))
        # A table with a stamp after the target is not at the same epoch as the others.
        if is_written and name in self._aside and not _is_ahead(self._tables[name][1], stamp):
            self._aside.remove(name)
            self._log.warning("table is carried on", table=name, epoch=stamp.epoch)

    def _write_or_reopen(self, work: _Work, stamp: Stamp) -> bool:
        """Writes a table.

        One that starts from nothing is opened again if its known state causes an error.
        """
        try:
            return self._write(work, stamp)
        except (Unavailable, MemoryError):
            raise
        except Exception as error:  # an error that has another cause is raised by the second attempt again
            if not work.buffer.is_reset:
                raise
            name = work.definition.table
            self._log.warning("the table is opened again", table=name, what=str(error))
            table = self._lake.table(work.definition)
            self._tables[name] = (work.version, table)
            return self._write(replace(work, table=table), stamp)

    def _write(self, work: _Work, stamp: Stamp) -> bool:
        """Writes the changes after the table's stamp.

        Raises:
            LakeTableError: the table has to start from nothing first.
        """
        definition, table, buffer = work.definition, work.table, work.buffer
        name = definition.table
        if table.needs_reset and not buffer.is_reset:
            # An incompatible definition is published before the `t`, and the `t` together with the rows.
            raise LakeTableError(table.needs_reset, where=name, remedy=AWAITS_ROWS.format(table=name))
        nets = buffer.folded(definition, table.stamp.epoch if table.stamp else 0)
        first = next(nets)
        if buffer.parts > 1:
            self._log.info("many rows are written in pieces", table=name, epoch=stamp.epoch, rows=buffer.rows)
            self._refresh(name, table, first)
            parts = chain([first], nets)
            del first  # Otherwise it stays in memory until all parts are written.
            commit = StreamingCommit(definition, table, stamp, self._policy, self._scratch)
            result = commit.apply(parts, buffer.parts)
        elif first.is_empty and not table.is_outdated:
            return True
        else:
            self._refresh(name, table, first)
            result = self._commit(definition, table, first, stamp)
        if result.is_unknown:
            self._unknown.add(name)
            self._log.warning("changed rows were missing or different in the lake", table=name, epoch=stamp.epoch)
        self._log.debug(
            "table committed",
            table=name,
            epoch=stamp.epoch,
            rows_added=result.rows_added,
            rows_removed=result.rows_removed,
            files_added=result.files_added,
            files_removed=result.files_removed,
        )
        return True

    def _refresh(self, name: str, table: LakeTable, net: NetChange) -> None:
        """Reads the table's metadata again.

        If the table starts from nothing, unreadable metadata is given up.

        Every part of a change that starts a table from nothing has `reset`.
        """
        table.refresh()
        if table.needs_reset and not net.reset:
            raise LakeTableError(table.needs_reset, where=name, remedy=AWAITS_ROWS.format(table=name))
        try:
            table.files()
        except LakeTableError as error:
            if not net.reset:
                raise
            self._log.warning(
                "the table starts from nothing, without its unreadable metadata", table=name, what=error.what
            )
            table.start_empty()

    def _leave(self, target: Epoch, stamp: Stamp, pool: ThreadPoolExecutor) -> None:
        """Marks tables that left the stream since the last commit. They are not set aside any more."""
        left = sorted(self._committed - target.versions.keys())
        if left:
            known = sorted(self._reader.definitions().items(), reverse=True)
            definitions = {table.table: table for _, table in known}

            def leave(name: str) -> None:
                self._attempt(name, lambda: self._lake.leave(definitions[name], stamp))

            for job in [pool.submit(leave, name) for name in left]:
                job.result()
                self._alive()
        for name in left:
            self._tables.pop(name, None)
            self._log.warning("table left the stream; the lake keeps its rows", table=name, epoch=target.number)
        for name in self._aside.reasons.keys() - target.versions.keys():
            self._aside.remove(name)

    def _commit(self, definition: TableSchema, table: LakeTable, net: NetChange, stamp: Stamp) -> CommitResult:
        """Commits in memory if few rows are rewritten, otherwise in pieces, one table at a time."""
        if rows_read(definition, net, table.files(), self._policy) <= self._settings.spill_rows:
            return apply(definition, table, net, stamp, self._policy)
        with self._streaming_lock:
            return StreamingCommit(definition, table, stamp, self._policy, self._scratch).apply([net], 1)


def _is_ahead(table: LakeTable, stamp: Stamp) -> bool:
    return table.stamp is not None and table.stamp.epoch > stamp.epoch
