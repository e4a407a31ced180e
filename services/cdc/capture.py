"""One run of capture: opens the epoch log, reads what is to be read, then follows the binlog and takes up requests."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from itertools import chain

import structlog

from datafingerprint.changes import reset
from datafingerprint.choice import Choice
from datafingerprint.config import Cdc
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import Unavailable
from datafingerprint.gtid import has_reached
from datafingerprint.ports import Choices, EpochLog, Requests, SnapshotRows, Source, SourceSnapshot
from datafingerprint.requests import Asked
from datafingerprint.schema import TableSchema
from datafingerprint.scratch import Scratch
from services.cdc.binlog import parse_event
from services.cdc.cut import kept_at_a_cut, left_out
from services.cdc.epoch_builder import EpochBuilder, EpochLimits
from services.cdc.following import following
from services.cdc.outlet import Outlet
from services.cdc.publishing import Publishing
from services.cdc.reading import Reading
from services.cdc.redefinition import Redefinition, redefinition, require_unchanged
from services.cdc.requests import Wanted, mark, require_readable, take_all, take_up, widen
from services.cdc.stream import NOTHING_READ, Stream, begun, require_same_fields, resumed
from services.cdc.transaction_rows import SpillLimit
from services.cdc.transactions import Assembler, Committed
from services.cdc.watch import come, gone, require_chosen, take_up_choice, watching

LOOK_S = 0.5
"""Seconds between two looks for what operators ask, and whether what is on its way to the broker has failed."""

Clock = Callable[[], float]


class Capture:
    """Implements the promise of the service: every committed change once, in order, in epochs.

    Args:
        source: The warehouse.
        epoch_log: Where epochs go; opening it fences every other capture off.
        requests: What operators ask of it while it runs.
        cdc: How epochs are cut.
        log: For operators.
        scratch: Where the rows of a long transaction wait for its commit; None holds them in memory.
        choices: Other tables that operators choose meanwhile; None where they cannot.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        source: Source,
        epoch_log: EpochLog,
        requests: Requests,
        cdc: Cdc,
        log: structlog.stdlib.BoundLogger,
        *,
        scratch: Scratch | None = None,
        choices: Choices | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._limit = None if scratch is None else SpillLimit(cdc.spill_octets, scratch)
        self._source = source
        self._choices = choices
        self._epoch_log = epoch_log
        self._requests = requests
        self._cdc = cdc
        self._log, self._left_out = log, left_out(log)
        self._clock = clock
        self._publishing = Publishing(epoch_log)
        self._outlet = Outlet(self._publishing, log, clock)

    def run(self, stop: threading.Event, resnapshot: Wanted | None = None, *, once: bool = False) -> None:
        """Captures until told to stop, which it does at the end of an epoch.

        Args:
            stop: Set by whoever wants it to end.
            resnapshot: Tables to read again, with their present definitions, each as a whole (None) or one partition
                of it; `*` is all of them, and passes whatever stands in the binlog. They are taken out once the stream
                says that they are being read, so that a later run does not begin anew.
            once: Whether to end when every table is read, and not to follow the binlog any further.

        Raises:
            Unavailable: a part is away, or a table came under watch; run again.
            Stop: going on would lose or double a change.
        """
        # First, for opening the log fences off a capture that runs: one that cannot read the source must not.
        self._source.preflight()
        last = self._epoch_log.open()
        with self._publishing:
            self._run(last, stop, {} if resnapshot is None else resnapshot, once=once)

    def _run(self, last: Epoch | None, stop: threading.Event, wanted: Wanted, *, once: bool) -> None:
        require_chosen(self._source, self._log, is_begun=last is None)
        present = self._present()
        stream = self._resumed(last, present) if last else self._begun(list(present.values()))
        if take_all(wanted, present):
            # Also those that are gone since: while one is followed, the binlog has to be read.
            mark(stream, stream.watched)
        widen(stream, wanted)
        require_readable(stream, wanted, present)
        mark(stream, wanted)
        if wanted:
            # Said at once: should another table stop capture before these are begun, the next run reads all of them.
            self._outlet.publish(stream)
        while True:
            self._leave_gone(stream, present)
            if not stream.is_complete:
                self._snapshot(stream, present, stop, wanted)
            if not stream.is_complete or stop.is_set() or once:
                return
            asked = self._follow(stream, stop)
            choice = self._waiting()
            if not asked and (choice is None or stop.is_set()):
                return
            if choice is not None and self._choices is not None:
                take_up_choice(self._source, self._choices, choice, stream)
            present = self._present()
            come(stream, present, self._log)
            take_up(stream, asked, wanted, present, self._log)
            self._outlet.publish(stream)

    def _waiting(self) -> Choice | None:
        """Another choice of tables that operators have made."""
        return None if self._choices is None else self._choices.waiting()

    def _present(self) -> dict[str, TableSchema]:
        """The tables under watch as the source describes them now."""
        return {table.table: table for table in self._source.tables()}

    def _leave_gone(self, stream: Stream, present: dict[str, TableSchema]) -> None:
        """Takes out of the stream what is no longer under watch, and what is gone before it could be read."""
        left = gone(self._source, stream, present)
        if left:
            stream.redefine(Redefinition(gone=left), self._log)
            self._outlet.publish(stream)

    def _begun(self, tables: Sequence[TableSchema]) -> Stream:
        stream = begun(uuid.uuid4().hex, tables, self._clock())
        self._log.info("stream begun", stream_id=stream.stream_id, tables=len(tables))
        return stream

    def _resumed(self, last: Epoch, present: dict[str, TableSchema]) -> Stream:
        stream = resumed(last, self._epoch_log.definitions())
        require_same_fields(stream, present)
        about = {"stream_id": last.stream_id, "epoch": last.number, "gtid": last.position.gtid}
        self._log.info("stream resumed", **about, tables=len(stream.watched))
        come(stream, present, self._log)
        return stream

    def _snapshot(self, stream: Stream, present: dict[str, TableSchema], stop: threading.Event, wanted: Wanted) -> None:
        """Reads the tables that are not complete in one view, behind a `t` for each of them.

        Tables that are complete are followed up to the view's position first, meanwhile passing over the others, and
        go on being followed while these are read. What happened to them since the view is then read from the binlog
        a second time. So every epoch stands at one position for all complete tables. One of which only a partition
        is to be read is followed up to the view too: its other rows begin nowhere else. Until the last step is
        published the epochs say which tables are not complete, and a crash starts these again from nothing, at a later
        position; also one of which only a partition was to be read.
        """
        names = stream.incomplete
        partitions = {name: one for name, one in wanted.items() if one is not None}
        unread = frozenset(names) - partitions.keys()
        snapshot = self._source.snapshot([present[name] for name in names], partitions)
        with contextlib.closing(snapshot):
            if len(unread) < len(stream.watched):
                self._follow(stream, stop, until=snapshot.position, without=unread)
                if stop.is_set():
                    return
            is_beside = len(names) < len(stream.watched)
            stream.position = snapshot.position
            stream.committed_at = self._clock()
            for name in names:
                stream.snapshots[name] = NOTHING_READ
                if present[name] != stream.watched[name].table:
                    stream.define(present[name])
            self._log.info("snapshot started", gtid=snapshot.position.gtid, tables=len(names))
            read = [stream.watched[name] for name in names]
            resets = [reset(one.table, one.version, partition=partitions.get(one.table.table)) for one in read]
            self._outlet.publish(stream, resets)
            self._publishing.settle()
            wanted.clear()
            is_whole = self._read_beside(stream, snapshot, stop) if is_beside else self._read(stream, snapshot, stop)
        if is_whole:
            self._publishing.settle()
            rows = sum(stream.snapshots[name].rows for name in names)
            self._log.info("snapshot complete", rows=rows, epoch=stream.number)

    def _read(self, stream: Stream, snapshot: SourceSnapshot, stop: threading.Event) -> bool:
        """Nothing is followed while all tables are read. Returns whether they were read to their end."""
        for step in snapshot.read():
            self._outlet.publish_step(stream, step, is_complete=step.last)
            if stop.is_set():
                return stream.is_complete
        return True

    def _read_beside(self, stream: Stream, snapshot: SourceSnapshot, stop: threading.Event) -> bool:
        """Reads some tables while the others are followed, and catches these up. Returns whether all was read."""
        names = frozenset(stream.incomplete)

        def publish(step: SnapshotRows) -> None:
            self._outlet.publish_step(stream, step, is_complete=False)

        with Reading(snapshot, publish, self._outlet.hold) as reading:
            self._follow(stream, stop, without=names, ending=lambda: reading.is_over)
            if not reading.is_over:
                return False
        self._catch_up(stream, snapshot.position, names)
        return True

    def _catch_up(self, stream: Stream, since: SourcePosition, names: frozenset[str]) -> None:
        """Publishes what happened to some tables from a position up to the stream's, which stays where it is."""
        now = stream.position
        self._publishing.settle()
        rows = self._publishing.rows
        if not has_reached(since.gtid, now.gtid):
            assembler = Assembler(since, lambda table: table in names, self._limit, self._left_out)
            builder = self._builder(stream)
            with contextlib.closing(self._source.events(since)) as events:
                for octets in chain.from_iterable(events):
                    committed = assembler.feed(parse_event(octets, f"{since.file}:{since.pos}"))
                    if committed is None:
                        continue
                    require_unchanged(committed, {name: stream.watched[name] for name in names}, self._present)
                    if committed.rows.length:
                        builder.add(committed, self._clock())
                        self._outlet.publish_ahead(stream, builder)
                    if has_reached(committed.position.gtid, now.gtid):
                        break
                    if builder.is_full:
                        transactions, parts, _ = builder.take(now)
                        self._outlet.publish(stream, parts, transactions)
            transactions, parts, _ = builder.take(now)
        else:
            transactions, parts = (), []
        for name in names:
            stream.snapshots[name] = dataclasses.replace(stream.snapshots[name], complete=True)
        self._outlet.publish(stream, parts, transactions)
        self._publishing.settle()
        rows = self._publishing.rows - rows
        self._log.info("tables caught up", tables=len(names), rows=rows, epoch=stream.number)

    def _redefine(
        self,
        stream: Stream,
        builder: EpochBuilder,
        committed: Committed,
        before: SourcePosition,
        without: frozenset[str],
        stop: threading.Event,
    ) -> bool:
        """Publishes what a statement about tables means, as an epoch of its own behind the rows before it.

        Returns:
            Whether it was not told to stop before that was done.

        Raises:
            DecodeError: it cannot be followed exactly.
            Unavailable: a table is to be read; the next run does.
        """
        statement = committed.statement
        if statement is None:
            return True
        where = f"{committed.position.file}:{committed.position.pos}"
        followed = {name: one for name, one in stream.watched.items() if name not in without}
        found = redefinition(statement, followed, self._present, where)
        if found.is_nothing:
            builder.add(committed, self._clock())
        else:
            if not builder.is_empty and not self._outlet.close(stream, builder, before, stop):
                return False
            resets = stream.redefine(found, self._log)
            builder.add(committed, self._clock())
            self._outlet.close(stream, builder, committed.position, stop, resets)
        if found.replaced:
            raise Unavailable(f"table {found.replaced[0]} is another one or lost rows, and is to be read", where=where)
        for name in statement.made:
            watching(self._source, stream, without)(name)
        return True

    def _builder(self, stream: Stream) -> EpochBuilder:
        limits = EpochLimits(self._cdc.epoch_s, self._cdc.epoch_rows, self._cdc.heartbeat_s)
        return EpochBuilder(limits, stream.watched)

    def _called(self, stream: Stream, *, is_heard: bool) -> tuple[list[Asked], bool]:
        """What is asked for, and whether anything is: that, or another choice of tables; nothing where none is heard.

        Raises:
            DataFingerprintError: what is on its way to the broker could not be published.
        """
        self._publishing.require_well()
        asked = self._requests.waiting(stream.next_request) if is_heard else []
        return asked, is_heard and (bool(asked) or self._waiting() is not None)

    def _follow(
        self,
        stream: Stream,
        stop: threading.Event,
        *,
        until: SourcePosition | None = None,
        without: frozenset[str] = frozenset(),
        ending: Callable[[], bool] | None = None,
    ) -> list[Asked]:
        """Follows the binlog from the last epoch's position on, and ends after an epoch.

        Args:
            stream: What is followed.
            stop: Ends it after the open epoch.
            until: A position at which an epoch is to end, and with it this.
            without: Tables that are passed over, whatever happens to them.
            ending: Whether something else is over that this was to last for.

        Returns:
            Requests that ended it; none are looked for where another end was given.
        """
        if until is not None and has_reached(stream.position.gtid, until.gtid):
            return []
        assembler = Assembler(stream.position, watching(self._source, stream, without), self._limit, self._left_out)
        builder = self._builder(stream)
        closed_at = looked_at = self._clock()
        asked: list[Asked] = []
        is_called = False
        with (
            kept_at_a_cut(assembler, builder, lambda: self._outlet.close(stream, builder, assembler.position, stop)),
            contextlib.closing(self._source.events(stream.position)) as events,
        ):
            room = None if until else lambda: builder.room
            before = assembler.position
            for committed in following(events, assembler, stream.place, room):
                now = self._clock()
                if isinstance(committed, Committed) and committed.statement:
                    if not self._redefine(stream, builder, committed, before, without, stop):
                        return asked
                elif committed:
                    builder.add(committed, now)
                if not is_called and now - looked_at >= LOOK_S:
                    looked_at = now
                    asked, is_called = self._called(stream, is_heard=until is None and ending is None)
                is_there = bool(until and committed and has_reached(committed.position.gtid, until.gtid))
                is_ending = is_called or stop.is_set() or (ending is not None and ending())
                due = builder.is_due(now, closed_at) or (is_ending and not builder.is_empty)
                # Also while a transaction is open: it is not in this epoch, and may go on for minutes.
                if (is_there and not builder.is_empty) or due:
                    is_behind = not assembler.is_between_transactions
                    if not self._outlet.close(stream, builder, assembler.position, stop, is_behind=is_behind):
                        return asked
                    closed_at = self._clock()
                if is_there or (is_ending and builder.is_empty):
                    return asked
                before = assembler.position
        return []
