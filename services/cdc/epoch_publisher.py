"""Makes the stream's epochs and publishes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from datafingerprint.changes import Changes, Op, changes
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.errors import TableChangedError
from datafingerprint.ports.source import SnapshotRows, UnreadTable
from datafingerprint.ports.stream import EpochDraft
from services.cdc.epoch_builder import EpochBuilder
from services.cdc.publish_queue import OnPublished, PublishQueue
from services.cdc.stream import Stream


class EpochPublisher:
    """Publishes a stream's epochs one after another.

    Args:
        queue: Publishes them in order.
        log: For operators.
        clock: Unix time in seconds.

    Attributes:
        hold: Held while an epoch is made, because a snapshot step and an epoch of the binlog may be due at once.
    """

    def __init__(self, queue: PublishQueue, log: structlog.stdlib.BoundLogger, clock: Callable[[], float]) -> None:
        self._queue = queue
        self._log = log
        self._clock = clock
        self.hold = threading.RLock()

    def publish(
        self,
        stream: Stream,
        parts: Sequence[Changes] = (),
        transactions: Sequence[Transaction] = (),
        on_published: OnPublished | None = None,
    ) -> None:
        """Publishes the stream's next epoch. Definitions, refusals and suspects are published once."""
        with self.hold:
            draft = EpochDraft(
                stream_id=stream.stream_id,
                number=stream.number + 1,
                position=stream.position,
                committed_at=stream.committed_at,
                transactions=tuple(transactions),
                changes=parts,
                snapshots=dict(stream.snapshots),
                versions={name: table.version for name, table in stream.captured.items()},
                definitions=stream.unpublished,
                answers=stream.request_status,
                suspects=stream.suspects.reasons,
                set_aside=stream.reasons,
                awaiting_snapshot=stream.awaiting_snapshot,
            )
            self._queue.publish(draft, on_published)
            stream.number = draft.number
            stream.unpublished = {}
            stream.refused = {}
            stream.suspects.reasons = {}

    def publish_steps(self, stream: Stream, steps: Sequence[SnapshotRows | UnreadTable], *, completes: bool) -> None:
        """Publishes steps of a snapshot as one epoch.

        Args:
            stream: The stream that the epoch belongs to.
            steps: Rows that were read, and tables that could not be read completely.
            completes: Whether a table is complete with its last step.
        """
        parts: list[Changes] = []
        percents: dict[str, tuple[int, int]] = {}
        for step in steps:
            if isinstance(step, UnreadTable):
                # Otherwise only a change after the view can remove the reason. An ALTER that ended the view is one.
                is_touched = isinstance(step.error, TableChangedError)
                stream.set_aside(step.table, step.error, self._clock(), self._log, is_touched=is_touched)
                continue
            captured = stream.captured[step.table]
            is_complete = completes and step.last and step.table not in stream.aside
            rows = stream.snapshots[step.table].rows + step.rows.num_rows
            cursor = SnapshotCursor(rows, step.rows_estimated, complete=is_complete)
            stream.snapshots[step.table] = cursor
            percents[step.table] = (rows, cursor.percent)
            if step.rows.num_rows:
                parts.append(changes(captured.table, captured.version, Op.READ, 0, after=step.rows))
        self.publish(stream, parts)
        for table, (rows, percent) in percents.items():
            self._log.info("snapshot read", table=table, rows=rows, percent=percent, epoch=stream.number)

    def publish_ahead(self, stream: Stream, builder: EpochBuilder, stop: threading.Event | None = None) -> bool:
        """Publishes rows ahead of their epoch if they exceed the memory limit.

        Rows that no epoch record names later are void. The next run then publishes the transaction again.

        Returns:
            False if stopped before all were published.
        """
        rows = 0
        for parts in builder.ahead(stream.location()):
            if stop is not None and stop.is_set():
                return False
            self._queue.publish_ahead(stream.number + 1, parts)
            rows += sum(part.rows.num_rows for part in parts)
            self._log.info("rows published ahead of their epoch", epoch=stream.number + 1, rows=rows)
        return True

    def close(
        self,
        stream: Stream,
        builder: EpochBuilder,
        position: SourcePosition,
        stop: threading.Event,
        resets: Sequence[Changes] = (),
        *,
        is_behind: bool = False,
    ) -> bool:
        """Publishes the open epoch.

        An epoch without transactions has the present time, because the source has no others. If capture `is_behind`,
        it keeps the time of the epoch before.

        Returns:
            False if stopped before it was published.
        """
        committed_at = builder.committed_at or (stream.committed_at if is_behind else self._clock())
        with self.hold:
            if not self.publish_ahead(stream, builder, stop):
                return False
            for table, op in builder.passed_over:
                stream.suspects.note_unread(table, op)
            transactions, parts, impossible = builder.take(position)
            self.take_faults(stream, builder)
            stream.committed_at = committed_at
            stream.position = position
            self.publish(stream, [*resets, *parts], transactions, self._log_published)
        if impossible:
            self._log.warning("impossible dates were read as null", epoch=stream.number, columns=impossible)
        return True

    def take_faults(self, stream: Stream, builder: EpochBuilder) -> None:
        """Sets tables aside whose rows could not be decoded."""
        for name, error in builder.take_faults().items():
            stream.set_aside(name, error, self._clock(), self._log)

    def _log_published(self, epoch: Epoch) -> None:
        if epoch.rows:
            self._log.info(
                "epoch published",
                epoch=epoch.number,
                transactions=len(epoch.transactions),
                rows=epoch.rows,
                messages=epoch.messages,
                gtid=epoch.position.gtid,
            )
