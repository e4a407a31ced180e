"""One run of capture: opens the epoch log, reads the snapshot where one is due, then follows the binlog."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from datafingerprint.changes import Changes, Op, changes, reset
from datafingerprint.config import Cdc
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.errors import SourceError, Unavailable
from datafingerprint.gtid import has_reached
from datafingerprint.ports import EpochDraft, EpochLog, SnapshotRows, Source
from datafingerprint.schema import TableSchema
from services.cdc.binlog import parse_event
from services.cdc.epoch_builder import EpochBuilder, EpochLimits, WatchedTable
from services.cdc.transactions import Assembler

SOURCE_WAIT_S = 1.0
"""Seconds between two looks for tables, while there are none yet."""

Clock = Callable[[], float]


@dataclass(slots=True)
class _Stream:
    """Where the published stream stands."""

    stream_id: str
    number: int
    position: SourcePosition
    committed_at: float
    snapshots: dict[str, SnapshotCursor]
    watched: dict[str, WatchedTable]
    unpublished: dict[int, TableSchema]
    version_last: int

    def define(self, table: TableSchema) -> None:
        """Puts a new definition of a table in force, under a number of its own."""
        self.version_last += 1
        self.watched[table.table] = WatchedTable(table, self.version_last)
        self.unpublished[self.version_last] = table


class Capture:
    """Implements the promise of the service: every committed change once, in order, in epochs.

    Args:
        source: The warehouse.
        epoch_log: Where epochs go; opening it fences every other capture off.
        cdc: How epochs are cut.
        log: For operators.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        source: Source,
        epoch_log: EpochLog,
        cdc: Cdc,
        log: structlog.stdlib.BoundLogger,
        *,
        clock: Clock = time.time,
    ) -> None:
        self._source = source
        self._epoch_log = epoch_log
        self._cdc = cdc
        self._log = log
        self._clock = clock

    def run(
        self, stop: threading.Event, resnapshot: dict[str, str | None] | None = None, *, once: bool = False
    ) -> None:
        """Captures until told to stop, which it does at the end of an epoch.

        Args:
            stop: Set by whoever wants it to end.
            resnapshot: Tables to read again, with their present definitions, each as a whole (None) or one partition
                of it; they are taken out once the stream says that they are being read, so that a later run does not
                begin anew.
            once: Whether to end when every table is read, and not to follow the binlog any further.

        Raises:
            Unavailable: a part is away, or a table came under watch; run again.
            Stop: going on would lose or double a change.
        """
        last = self._epoch_log.open()
        self._source.preflight()
        present = {table.table: table for table in self._source.tables()}
        stream = self._resumed(last, present) if last else self._begun(list(present.values()))
        self._require_present(resnapshot or (), present)
        self._require_partitions(stream, resnapshot or {}, present)
        for name in resnapshot or ():
            stream.snapshots[name] = SnapshotCursor(0, 0, complete=False)
        if not _is_complete(stream):
            self._snapshot(stream, present, stop, resnapshot)
        if _is_complete(stream) and not stop.is_set() and not once:
            self._follow(stream, stop)

    def _require_partitions(
        self, stream: _Stream, resnapshot: Mapping[str, str | None], present: dict[str, TableSchema]
    ) -> None:
        """One partition can be read again only beside the others of the same definition, and when these are whole."""
        for name, partition in resnapshot.items():
            if partition is None:
                continue
            if not stream.snapshots[name].complete or present[name] != stream.watched[name].table:
                raise SourceError(
                    f"{name} has changed or was never read to its end",
                    where=f"--resnapshot {name} --partition {partition}",
                    remedy="read the whole table again: leave out --partition",
                )

    def _require_present(self, names: Iterable[str], present: dict[str, TableSchema]) -> None:
        missing = sorted(set(names) - set(present))
        if missing:
            raise SourceError(
                f"no table {missing[0]} is under watch",
                where="--resnapshot",
                remedy=f"there are: {', '.join(sorted(present)[:10])}",
            )

    def _begun(self, tables: Sequence[TableSchema]) -> _Stream:
        stream_id = uuid.uuid4().hex
        watched = {table.table: WatchedTable(table, number) for number, table in enumerate(tables, start=1)}
        self._log.info("stream begun", stream_id=stream_id, tables=len(tables))
        return _Stream(
            stream_id=stream_id,
            number=0,
            position=SourcePosition("", "", 0),
            committed_at=self._clock(),
            snapshots={table: SnapshotCursor(0, 0, complete=False) for table in watched},
            watched=watched,
            unpublished={one.version: one.table for one in watched.values()},
            version_last=len(watched),
        )

    def _resumed(self, last: Epoch, present: dict[str, TableSchema]) -> _Stream:
        definitions = self._epoch_log.definitions()
        watched = {table: WatchedTable(definitions[number], number) for table, number in last.versions.items()}
        self._require_same_fields(watched, present)
        stream = _Stream(
            stream_id=last.stream_id,
            number=last.number,
            position=last.position,
            committed_at=last.committed_at,
            snapshots=dict(last.snapshots),
            watched=watched,
            unpublished={},
            version_last=max(definitions, default=0),
        )
        self._log.info(
            "stream resumed", stream_id=last.stream_id, epoch=last.number, gtid=last.position.gtid, tables=len(watched)
        )
        for name in sorted(set(present) - set(watched)):
            stream.define(present[name])
            stream.snapshots[name] = SnapshotCursor(0, 0, complete=False)
            self._log.info("table came under watch", table=name)
        return stream

    def _require_same_fields(self, watched: dict[str, WatchedTable], present: dict[str, TableSchema]) -> None:
        """Partition fields belong to the lake table: other ones would make it differ for good.

        A definition that changed otherwise may still have a readable backlog: the first row that differs tells.
        """
        for name, one in watched.items():
            now = present.get(name)
            if now is not None and now.partition != one.table.partition:
                raise SourceError(
                    f"the partition fields of {name} were {list(one.table.partition)} and are {list(now.partition)}",
                    where="[tables]",
                    remedy="set them back, or capture again under another [kafka] prefix and [lake] path",
                )

    def _snapshot(
        self,
        stream: _Stream,
        present: dict[str, TableSchema],
        stop: threading.Event,
        resnapshot: dict[str, str | None] | None = None,
    ) -> None:
        """Reads the tables that are not complete in one view, behind a `t` for each of them.

        Tables that are complete are followed up to the view's position first, meanwhile passing over the others: so
        every epoch stands at one position for all tables. Until the last step is published the epochs say which
        tables are not complete, and a crash starts these again from nothing, at a later position; also one of which
        only a partition was being read.
        """
        names = sorted(name for name, cursor in stream.snapshots.items() if not cursor.complete)
        self._require_present(set(names), present)
        partitions = {name: one for name, one in (resnapshot or {}).items() if one is not None}
        snapshot = self._source.snapshot([present[name] for name in names], partitions)
        with contextlib.closing(snapshot):
            if len(names) < len(stream.watched):
                self._follow(stream, stop, until=snapshot.position, without=frozenset(names))
                if stop.is_set():
                    return
            stream.position = snapshot.position
            stream.committed_at = self._clock()
            for name in names:
                stream.snapshots[name] = SnapshotCursor(0, 0, complete=False)
                if present[name] != stream.watched[name].table:
                    stream.define(present[name])
            self._log.info("snapshot started", gtid=snapshot.position.gtid, tables=len(names))
            read = [stream.watched[name] for name in names]
            resets = [reset(one.table, one.version, partition=partitions.get(one.table.table)) for one in read]
            self._publish(stream, resets)
            if resnapshot is not None:
                resnapshot.clear()
            for step in snapshot.read():
                self._publish_step(stream, step)
                if stop.is_set():
                    return
        rows = sum(stream.snapshots[name].rows for name in names)
        self._log.info("snapshot complete", rows=rows, epoch=stream.number)

    def _publish_step(self, stream: _Stream, step: SnapshotRows) -> None:
        watched = stream.watched[step.table]
        read = stream.snapshots[step.table].rows + step.rows.num_rows
        stream.snapshots[step.table] = SnapshotCursor(read, step.rows_estimated, complete=step.last)
        part = changes(watched.table, watched.version, Op.READ, 0, after=step.rows)
        self._publish(stream, [part] if step.rows.num_rows else [])
        self._log.info(
            "snapshot read",
            table=step.table,
            rows=read,
            percent=stream.snapshots[step.table].percent,
            epoch=stream.number,
        )

    def _follow(
        self,
        stream: _Stream,
        stop: threading.Event,
        *,
        until: SourcePosition | None = None,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """Follows the binlog from the last epoch's position on.

        Args:
            stream: What is followed.
            stop: Ends it after the open epoch.
            until: A position at which an epoch is to end, and with it this; None goes on for ever.
            without: Tables that are passed over, whatever happens to them.
        """
        if until is not None and has_reached(stream.position.gtid, until.gtid):
            return
        assembler = Assembler(stream.position, self._is_watched(stream, without))
        builder = EpochBuilder(
            EpochLimits(self._cdc.epoch_s, self._cdc.epoch_rows, self._cdc.heartbeat_s), stream.watched
        )
        closed_at = self._clock()
        with contextlib.closing(self._source.events(stream.position)) as events:
            for octets in events:
                now = self._clock()
                committed = assembler.feed(parse_event(octets, f"{stream.position.file}:{stream.position.pos}"))
                if committed:
                    builder.add(committed, now)
                is_there = bool(until and committed and has_reached(committed.position.gtid, until.gtid))
                due = builder.is_due(now, closed_at) or (stop.is_set() and not builder.is_empty)
                if is_there or (due and assembler.is_between_transactions):
                    self._close(stream, builder, assembler.position)
                    closed_at = self._clock()
                if is_there or (stop.is_set() and builder.is_empty):
                    return

    def _is_watched(self, stream: _Stream, without: frozenset[str] = frozenset()) -> Callable[[str], bool]:
        def is_watched(table: str) -> bool:
            if table in stream.watched:
                return table not in without
            # One that was made and dropped again before it was ever seen leaves nothing to keep.
            if self._source.is_watched(table) and any(one.table == table for one in self._source.tables()):
                raise Unavailable(
                    f"table {table} came under watch, and is to be read first", where=stream.position.file
                )
            return False

        return is_watched

    def _close(self, stream: _Stream, builder: EpochBuilder, position: SourcePosition) -> None:
        stream.committed_at = builder.committed_at or self._clock()
        transactions, parts, impossible = builder.take(position)
        stream.position = position
        epoch = self._publish(stream, parts, transactions)
        if impossible:
            self._log.warning("dates that are no days were read as null", epoch=epoch.number, columns=impossible)
        if epoch.rows:
            self._log.info(
                "epoch published",
                epoch=epoch.number,
                transactions=len(transactions),
                rows=epoch.rows,
                messages=epoch.messages,
                gtid=position.gtid,
            )

    def _publish(self, stream: _Stream, parts: Sequence[Changes], transactions: Sequence[Transaction] = ()) -> Epoch:
        draft = EpochDraft(
            stream_id=stream.stream_id,
            number=stream.number + 1,
            position=stream.position,
            committed_at=stream.committed_at,
            transactions=tuple(transactions),
            changes=parts,
            snapshots=dict(stream.snapshots),
            versions={table: one.version for table, one in stream.watched.items()},
            definitions=stream.unpublished,
        )
        epoch = self._epoch_log.publish(draft)
        stream.number = epoch.number
        stream.unpublished = {}
        return epoch


def _is_complete(stream: _Stream) -> bool:
    return bool(stream.snapshots) and all(cursor.complete for cursor in stream.snapshots.values())
