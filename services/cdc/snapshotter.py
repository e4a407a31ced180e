"""Reads tables in one consistent view of the source, and publishes their rows."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence

from datafingerprint.changes import reset
from datafingerprint.errors import TableError
from datafingerprint.ports.source import SourceSnapshot, Survey
from datafingerprint.ports.stream import EpochLog
from datafingerprint.schema import TableSchema
from services.cdc.background_snapshot import BackgroundSnapshot
from services.cdc.catch_up import catch_up
from services.cdc.context import CaptureContext
from services.cdc.follower import Follower, Until
from services.cdc.interruptions import Interruptions
from services.cdc.requests import ResyncTargets
from services.cdc.set_aside import rest_s
from services.cdc.snapshot_groups import Steps, batches, grouped
from services.cdc.stream import Stream

NoteRead = Callable[[Sequence[str], int], None]
"""Called with the tables that a snapshot has read completely, and the epoch that completed them."""


class Snapshotter:
    """Reads the tables of a stream that are not complete.

    Args:
        context: The run's parts.
        interruptions: What makes capture pause.
        epoch_log: Where tables get their topics.
        note_read: Called after each complete snapshot.
    """

    def __init__(
        self, context: CaptureContext, interruptions: Interruptions, epoch_log: EpochLog, note_read: NoteRead
    ) -> None:
        self._context = context
        self._interruptions = interruptions
        self._epoch_log = epoch_log
        self._note_read = note_read

    def read(self, stream: Stream, survey: Survey, stop: threading.Event, targets: ResyncTargets) -> None:
        """Reads the incomplete tables in one view.

        A new stream without tables starts at a view, too.

        1. Open the view.
        2. Follow the complete tables up to the view's position, without the tables that are read as a whole.
           A table that is read in part is followed, too: its other rows are not read.
        3. Publish a `t` for each table that is read.
        4. Read the tables, and follow the complete ones at the same time.
        5. Read the binlog since the view a second time, for the tables that were read.

        So every epoch has one position for all complete tables. Until step 5 is published, epochs list the tables
        that are not complete. A crash starts these again, in a later view and as a whole.
        """
        self._make_ready(stream, [survey.tables[name] for name in stream.incomplete])
        if stream.number and not stream.incomplete:
            return
        names, view = self._open_view(stream, survey, targets)
        partitions = _partitions(names, targets)
        whole = frozenset(names) - partitions.keys()
        started_at = self._context.clock()
        with contextlib.closing(view):
            if stream.number and stream.others(whole):
                self._follow(stream, stop, Until(position=view.position), whole)
                if stop.is_set():
                    return
            names = [name for name in names if name in stream.captured or name in stream.arriving]
            is_in_background = bool(stream.others(names))
            self._publish_start(stream, survey, view, names, partitions, is_in_background=is_in_background)
            targets.clear()
            read = self._read_in_background if is_in_background else self._read_alone
            is_complete = read(stream, view, names, started_at, stop)
        if is_complete:
            self._context.queue.flush()
            rows = sum(stream.snapshots[name].rows for name in names if name in stream.snapshots)
            self._context.log.info("snapshot complete", rows=rows, epoch=stream.number)
            self._note_read(names, stream.number)

    def _follow(self, stream: Stream, stop: threading.Event, until: Until, without: frozenset[str]) -> None:
        Follower(self._context, self._interruptions, stream, stop, until, without=without).run()

    def _make_ready(self, stream: Stream, tables: Sequence[TableSchema]) -> None:
        self._context.queue.flush()
        for error in self._epoch_log.make_ready(tables):
            self._set_unread_aside(stream, error)

    def _set_unread_aside(self, stream: Stream, error: TableError) -> None:
        """Sets a table aside whose snapshot could not start. It rests as after a snapshot."""
        now = self._context.clock()
        stream.rests[error.table] = now + self._context.settings.retry_s
        stream.set_aside(error.table, error, self._context.clock(), self._context.log)

    def _open_view(self, stream: Stream, survey: Survey, targets: ResyncTargets) -> tuple[list[str], SourceSnapshot]:
        """Opens a view of the incomplete tables. Tables that prevent it are set aside."""
        while True:
            names = stream.incomplete
            tables = [survey.tables[name] for name in names]
            try:
                return names, self._context.source.snapshot(tables, _partitions(names, targets))
            except TableError as error:
                self._set_unread_aside(stream, error)

    def _publish_start(
        self,
        stream: Stream,
        survey: Survey,
        view: SourceSnapshot,
        names: Sequence[str],
        partitions: Mapping[str, str],
        *,
        is_in_background: bool,
    ) -> None:
        """Publishes that these tables start from nothing, at the view's position.

        One epoch starts a bounded number of them. After a crash between two of these epochs the tables of the first
        ones are incomplete. The others are not in the stream yet, or incomplete since before. All are read again.
        """
        if not is_in_background:
            # The binlog up to the view is not read. Only a survey shows tables that were made since the last one.
            present = self._context.source.survey()
            stream.note_newcomers({*present.tables, *present.errors})
            stream.needs_survey = True
        stream.position = view.position
        stream.committed_at = self._context.clock()
        self._context.log.info("snapshot started", gtid=view.position.gtid, tables=len(names))
        for batch in batches(names):
            stream.start_snapshot(batch, survey.tables)
            tables = [stream.captured[name] for name in batch]
            resets = [
                reset(table.table, table.version, partition=partitions.get(table.table.table)) for table in tables
            ]
            self._context.publisher.publish(stream, resets)
        self._context.queue.flush()

    def _read_alone(
        self, stream: Stream, view: SourceSnapshot, names: Sequence[str], started_at: float, stop: threading.Event
    ) -> bool:
        """Reads all tables of the stream. Returns whether all were read."""
        publisher = self._context.publisher
        for steps in grouped(view.read()):
            publisher.publish_steps(stream, steps, completes=True)
            if stop.is_set():
                return not stream.incomplete
        reasons = stream.reasons
        now = self._context.clock()
        rest = rest_s(now - started_at, self._context.settings.retry_s)
        stream.finish_snapshot(names, self._context.clock(), rest, self._context.log)
        if stream.reasons != reasons:
            publisher.publish(stream)
        return True

    def _read_in_background(
        self, stream: Stream, view: SourceSnapshot, names: Sequence[str], started_at: float, stop: threading.Event
    ) -> bool:
        """Reads some tables while the others are followed, then catches up.

        Returns whether all were read.
        """
        publisher = self._context.publisher

        def publish(steps: Steps) -> None:
            publisher.publish_steps(stream, steps, completes=False)

        with BackgroundSnapshot(view, publish, publisher.hold) as snapshot:
            self._follow(stream, stop, Until(is_over=lambda: snapshot.is_over), frozenset(names))
            if not snapshot.is_over:
                return False
        catch_up(self._context, stream, view.position, frozenset(names), self._context.clock() - started_at)
        return True


def _partitions(names: Sequence[str], targets: ResyncTargets) -> dict[str, str]:
    """The tables that are read in part, and the partition of each."""
    return {name: partition for name, partition in targets.items() if partition is not None and name in names}
