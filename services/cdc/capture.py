"""One run of capture: reads incomplete tables, follows the binlog, and takes up requests."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence

import structlog

from datafingerprint.binlog.transaction_rows import SpillLimit
from datafingerprint.config import Cdc
from datafingerprint.epochs import Epoch
from datafingerprint.ports.scratch import Scratch
from datafingerprint.ports.source import Source, Survey, TableFilters
from datafingerprint.ports.stream import EpochLog, Requests
from datafingerprint.resync import PendingRequest
from services.cdc.captured_tables import add_new_tables, apply_table_filter, removed_tables, with_same_fields
from services.cdc.context import CaptureContext, Clock
from services.cdc.epoch_publisher import EpochPublisher
from services.cdc.follower import Follower
from services.cdc.interruptions import Interruptions
from services.cdc.publish_queue import PublishQueue
from services.cdc.requests import ResyncTargets, expand_all, mark, require_readable, take_up, widen
from services.cdc.schema_changes import SchemaChange
from services.cdc.snapshotter import NoteRead, Snapshotter
from services.cdc.stream import NOTHING_READ, Stream
from services.cdc.stream_start import new_stream, resume_stream


class Capture:
    """Publishes every committed change once, in order, in epochs.

    Args:
        source: The warehouse.
        epoch_log: Where epochs are published. Opening it fences off every other capture.
        requests: Requests of operators while capture runs.
        cdc: When epochs close.
        log: For operators.
        scratch: Where rows of a long transaction wait for its commit. None holds them in memory.
        choices: Choices of tables that operators make while capture runs. None if they cannot.
        stops_at_alter: Whether an ALTER that changes rows or columns of a captured table stops capture.
        note_read: Called with the tables that a snapshot has read completely, and the epoch.
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
        choices: TableFilters | None = None,
        stops_at_alter: bool = False,
        note_read: NoteRead = lambda _tables, _epoch: None,
        clock: Clock = time.time,
    ) -> None:
        self._source = source
        self._epoch_log = epoch_log
        self._table_filters = choices
        self._log = log
        self._clock = clock
        self._queue = PublishQueue(epoch_log)
        self._publisher = EpochPublisher(self._queue, log, clock)
        spill_limit = None if scratch is None else SpillLimit(cdc.spill_bytes, scratch)
        self._context = CaptureContext(
            source, cdc, log, clock, self._queue, self._publisher, spill_limit, stops_at_alter
        )
        self._interruptions = Interruptions(self._context, requests, choices)
        self._snapshotter = Snapshotter(self._context, self._interruptions, epoch_log, note_read)

    def run(self, stop: threading.Event, resnapshot: ResyncTargets | None = None, *, once: bool = False) -> None:
        """Captures until stopped. It stops at the end of an epoch.

        Args:
            stop: Ends the run when set.
            resnapshot: Tables to read again with their present definitions, each as a whole (None) or one partition.
                `*` is all tables, and skips the binlog up to the new view. Entries are removed once an epoch lists
                their tables as incomplete, so that a later run does not start them again.
            once: Whether to end when every table is read, without following the binlog further.

        Raises:
            Unavailable: the source or the broker is away. Run again.
            Stop: going on would lose or double a change.
        """
        # Before the log is opened, which fences off a running capture: one that cannot read the source must not.
        self._source.preflight()
        last = self._epoch_log.open()
        with self._queue:
            self._run(last, stop, {} if resnapshot is None else resnapshot, once=once)

    def _run(self, last: Epoch | None, stop: threading.Event, targets: ResyncTargets, *, once: bool) -> None:
        stream = self._start_stream(last)
        survey = self._survey(stream)
        self._log_unmatched(survey)
        stream.suspects.update_keys(self._source.cascades(), self._source.is_captured, self._log, is_first=True)
        self._mark_targets(stream, survey, targets)
        while True:
            self._remove_tables(stream, survey)
            if stream.incomplete or not stream.number:
                self._snapshotter.read(stream, survey, stop, targets)
            if stop.is_set() or (once and not stream.incomplete):
                return
            is_due = stream.needs_survey or bool(stream.incomplete)
            requests = [] if is_due else Follower(self._context, self._interruptions, stream, stop).run()
            if stop.is_set() and not requests:
                return
            survey = self._take_up(stream, requests, targets)

    def _start_stream(self, last: Epoch | None) -> Stream:
        if last is None:
            stream = new_stream(uuid.uuid4().hex, self._clock())
        else:
            stream = resume_stream(last, self._epoch_log.definitions())
        self._log.info(
            "stream resumed" if last else "stream started",
            stream_id=stream.stream_id,
            epoch=stream.number,
            gtid=stream.position.gtid,
            tables=len(stream.captured),
        )
        return stream

    def _mark_targets(self, stream: Stream, survey: Survey, targets: ResyncTargets) -> None:
        """Marks the tables that this run was started to read again."""
        if expand_all(targets, survey.tables):
            # Dropped tables too: the binlog has to be read for as long as one table is followed.
            for name in stream.captured:
                stream.snapshots[name] = NOTHING_READ
            for name in stream.captured.keys() & survey.errors.keys():
                stream.set_aside(name, survey.errors[name], self._clock(), self._log, is_unsupported=True)
        widen(stream, targets)
        require_readable(stream, targets, survey.tables)
        mark(stream, targets)
        if targets and stream.number:
            # At once: if another table stops capture before the snapshot starts, the next run reads all of them.
            self._publisher.publish(stream)

    def _log_unmatched(self, survey: Survey) -> None:
        for error in survey.unmatched:
            self._log.warning("configured tables not found on the source", reason=str(error))

    def _take_up(self, stream: Stream, requests: Sequence[PendingRequest], targets: ResyncTargets) -> Survey:
        """Takes up requests, another choice of tables and new tables, and publishes that."""
        table_filter = self._interruptions.table_filter()
        if table_filter is not None and self._table_filters is not None:
            apply_table_filter(self._source, self._table_filters, table_filter, stream)
        survey = self._survey(stream)
        if table_filter is not None:
            self._log_unmatched(survey)
        stream.suspects.update_keys(self._source.cascades(), self._source.is_captured, self._log)
        take_up(stream, requests, targets, survey.tables, self._log)
        self._publisher.publish(stream)
        return survey

    def _survey(self, stream: Stream) -> Survey:
        """Surveys the source.

        Adds new tables to the stream, and sets tables aside that are not supported.
        """
        survey = with_same_fields(self._source.survey(), stream)
        add_new_tables(self._source, stream, survey, self._clock(), self._log)
        return survey

    def _remove_tables(self, stream: Stream, survey: Survey) -> None:
        """Removes tables that are not captured any more, and those dropped before they were read."""
        removed = removed_tables(self._source, stream, survey)
        if removed:
            stream.apply_schema_change(SchemaChange(dropped=removed), self._log)
            if stream.number:
                self._publisher.publish(stream)
