"""One run of capture: opens the epoch log, reads the snapshot where one is due, then follows the binlog."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from datafingerprint.changes import Changes, Op, changes
from datafingerprint.config import Cdc
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.errors import DecodeError, SourceError
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

    def run(self, stop: threading.Event) -> None:
        """Captures until told to stop, which it does at the end of an epoch.

        Raises:
            Unavailable: a part is away; run again.
            Stop: going on would lose or double a change.
        """
        last = self._epoch_log.open()
        self._source.preflight()
        tables = self._source.tables()
        stream = self._resumed(last, tables) if last else self._begun(tables)
        if not _is_complete(stream):
            self._snapshot(stream, tables, stop)
        if _is_complete(stream) and not stop.is_set():
            self._follow(stream, stop)

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
        )

    def _resumed(self, last: Epoch, tables: Sequence[TableSchema]) -> _Stream:
        definitions = self._epoch_log.definitions()
        watched = {table: WatchedTable(definitions[number], number) for table, number in last.versions.items()}
        self._require_same_tables(watched, {table.table: table for table in tables})
        self._log.info(
            "stream resumed", stream_id=last.stream_id, epoch=last.number, gtid=last.position.gtid, tables=len(watched)
        )
        return _Stream(
            stream_id=last.stream_id,
            number=last.number,
            position=last.position,
            committed_at=last.committed_at,
            snapshots=dict(last.snapshots),
            watched=watched,
            unpublished={},
        )

    def _require_same_tables(self, watched: dict[str, WatchedTable], present: dict[str, TableSchema]) -> None:
        """The stream goes on with the tables and definitions that it began with.

        A table that changed meanwhile may still have a readable backlog, so only what makes the lake differ for
        good is refused here: other partition fields. Everything else is found at the first row that differs.
        """
        added = sorted(set(present) - set(watched))
        if added:
            raise SourceError(
                f"tables came under watch after the stream began: {', '.join(added)}",
                where="[source] tables",
                remedy="exclude them with a leading !, or capture again under another [kafka] prefix and [lake] path",
            )
        for name, one in watched.items():
            now = present.get(name)
            if now is not None and now.partition != one.table.partition:
                raise SourceError(
                    f"the partition fields of {name} were {list(one.table.partition)} and are {list(now.partition)}",
                    where="[tables]",
                    remedy="set them back, or capture again under another [kafka] prefix and [lake] path",
                )

    def _snapshot(self, stream: _Stream, tables: Sequence[TableSchema], stop: threading.Event) -> None:
        """Reads every table at one position; an attempt begins with a `t` for every table.

        Until the last step is published the epochs say that the snapshot is not complete, and a crash starts it
        again from nothing, at a later position.
        """
        snapshot = self._source.snapshot(tables)
        stream.position = snapshot.position
        stream.committed_at = self._clock()
        stream.snapshots = {table: SnapshotCursor(0, 0, complete=False) for table in stream.watched}
        self._log.info("snapshot started", gtid=snapshot.position.gtid, tables=len(tables))
        resets = [changes(one.table, one.version, Op.TRUNCATED, 0, count=1) for one in stream.watched.values()]
        self._publish(stream, resets)
        for step in snapshot.read():
            self._publish_step(stream, step)
            if stop.is_set():
                return
        rows = sum(cursor.rows for cursor in stream.snapshots.values())
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

    def _follow(self, stream: _Stream, stop: threading.Event) -> None:
        """Follows the binlog from the last epoch's position on."""
        assembler = Assembler(stream.position, self._is_watched(stream))
        builder = EpochBuilder(
            EpochLimits(self._cdc.epoch_s, self._cdc.epoch_rows, self._cdc.heartbeat_s), stream.watched
        )
        closed_at = self._clock()
        for octets in self._source.events(stream.position):
            now = self._clock()
            committed = assembler.feed(parse_event(octets, f"{stream.position.file}:{stream.position.pos}"))
            if committed:
                builder.add(committed, now)
            due = builder.is_due(now, closed_at) or (stop.is_set() and not builder.is_empty)
            if due and assembler.is_between_transactions:
                self._close(stream, builder, assembler.position)
                closed_at = self._clock()
            if stop.is_set() and builder.is_empty:
                return

    def _is_watched(self, stream: _Stream) -> Callable[[str], bool]:
        def is_watched(table: str) -> bool:
            if table in stream.watched:
                return True
            if self._source.is_watched(table):
                raise DecodeError(
                    f"table {table} matches [source] tables but came after the stream began",
                    where=f"{stream.position.file}",
                    remedy=f"exclude it with !{table}, or capture again under another [kafka] prefix and [lake] path",
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
