"""Where the stream's epochs go out: what each of them says, and what the stream is behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from datafingerprint.changes import Changes, Op, changes
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.ports import EpochDraft, SnapshotRows
from services.cdc.epoch_builder import EpochBuilder
from services.cdc.publishing import Publishing, Told
from services.cdc.stream import Stream


class Outlet:
    """Hands over a stream's epochs, one behind the other.

    Args:
        publishing: To which they are handed over.
        log: For operators.
        clock: Unix time in seconds.

    Attributes:
        hold: A step of a reading and an epoch of the binlog are handed over one at a time; held meanwhile.
    """

    def __init__(self, publishing: Publishing, log: structlog.stdlib.BoundLogger, clock: Callable[[], float]) -> None:
        self._publishing = publishing
        self._log = log
        self._clock = clock
        self.hold = threading.RLock()

    def publish(
        self,
        stream: Stream,
        parts: Sequence[Changes] = (),
        transactions: Sequence[Transaction] = (),
        told: Told | None = None,
    ) -> None:
        """Hands the stream's next epoch over, which changes nothing any more; what it says is not said again."""
        with self.hold:
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
                answers=stream.answers,
            )
            self._publishing.publish(draft, told)
            stream.number = draft.number
            stream.unpublished = {}
            stream.refused = {}

    def publish_step(self, stream: Stream, step: SnapshotRows, *, is_complete: bool) -> None:
        """Publishes a step of a snapshot as an epoch; `is_complete` says whether its table has been read by then."""
        watched = stream.watched[step.table]
        read = stream.snapshots[step.table].rows + step.rows.num_rows
        stream.snapshots[step.table] = SnapshotCursor(read, step.rows_estimated, complete=is_complete)
        part = changes(watched.table, watched.version, Op.READ, 0, after=step.rows)
        self.publish(stream, [part] if step.rows.num_rows else [])
        percent = stream.snapshots[step.table].percent
        self._log.info("snapshot read", table=step.table, rows=read, percent=percent, epoch=stream.number)

    def publish_ahead(self, stream: Stream, builder: EpochBuilder, stop: threading.Event | None = None) -> bool:
        """Publishes what would not fit memory ahead of its epoch; whether it was not told to stop meanwhile.

        What is published ahead and never named is void: the transaction is then published again by the next run.
        """
        rows = 0
        for parts in builder.ahead(stream.place()):
            if stop is not None and stop.is_set():
                return False
            self._publishing.publish_ahead(stream.number + 1, parts)
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
        """Publishes the open epoch; whether it was not told to stop before that was done.

        One without transactions says that the source had no others at this moment, unless capture `is_behind`.
        """
        committed_at = builder.committed_at or (stream.committed_at if is_behind else self._clock())
        with self.hold:
            if not self.publish_ahead(stream, builder, stop):
                return False
            transactions, parts, impossible = builder.take(position)
            stream.committed_at = committed_at
            stream.position = position
            self.publish(stream, [*resets, *parts], transactions, self._tell)
        if impossible:
            self._log.warning("dates that are no days were read as null", epoch=stream.number, columns=impossible)
        return True

    def _tell(self, epoch: Epoch) -> None:
        if epoch.rows:
            self._log.info(
                "epoch published",
                epoch=epoch.number,
                transactions=len(epoch.transactions),
                rows=epoch.rows,
                messages=epoch.messages,
                gtid=epoch.position.gtid,
            )
