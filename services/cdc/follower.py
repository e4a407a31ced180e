"""Follows the binlog: publishes committed transactions in epochs until a condition holds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from datafingerprint.binlog.statements import Statement
from datafingerprint.binlog.transaction_batches import TransactionBatch
from datafingerprint.binlog.transactions import Assembler, CommittedTransaction
from datafingerprint.epochs import SourcePosition
from datafingerprint.gtid import has_reached
from datafingerprint.resync import PendingRequest
from services.cdc.captured_tables import TableSelector
from services.cdc.context import CaptureContext
from services.cdc.event_feed import feed_events
from services.cdc.interruptions import Interruptions
from services.cdc.schema_changes import followed_redefinition, may_alter_keys, passed_over, refuse_alteration
from services.cdc.stream import Stream
from services.cdc.truncated_log import flush_on_truncated_log, log_rolled_back

POLL_S = 0.5
"""Seconds between two checks for requests of operators and for publish errors."""


@dataclass(frozen=True, slots=True)
class Until:
    """When following ends. If both fields are None, a request or a table that is due ends it.

    Attributes:
        position: An epoch ends at this position, and following ends with it.
        is_over: Following ends after the open epoch once this returns True.
    """

    position: SourcePosition | None = None
    is_over: Callable[[], bool] | None = None

    @property
    def is_interruptible(self) -> bool:
        """Whether requests and due tables end it."""
        return self.position is None and self.is_over is None

    def is_reached(self, position: SourcePosition) -> bool:
        """Whether a committed position is at the end or after it."""
        return self.position is not None and has_reached(position.gtid, self.position.gtid)


UNTIL_INTERRUPTED = Until()


class Follower:
    """Follows the binlog from the stream's position, and ends after an epoch.

    Args:
        context: The run's parts.
        interruptions: What makes capture pause.
        stream: The stream that is followed.
        stop: Ends it after the open epoch.
        until: When else it ends.
        without: Tables that are passed over.
    """

    def __init__(
        self,
        context: CaptureContext,
        interruptions: Interruptions,
        stream: Stream,
        stop: threading.Event,
        until: Until = UNTIL_INTERRUPTED,
        *,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self._context = context
        self._interruptions = interruptions
        self._stream = stream
        self._stop = stop
        self._until = until
        self._without = without
        self._builder = context.new_builder(stream)
        selector = TableSelector(context.source, stream, without)
        self._assembler = Assembler(
            stream.position,
            selector.is_followed,
            context.spill_limit,
            log_rolled_back(context.log),
            self._builder.pass_over,
            is_reported=selector.is_relevant,
            programs=context.source.stored_programs,
        )
        self._requests: list[PendingRequest] = []
        self._is_interrupted = False
        self._closed_at = self._polled_at = context.clock()

    def run(self) -> list[PendingRequest]:
        """Follows until the end.

        Returns:
            The requests that ended it.

        Raises:
            DecodeError: the binlog cannot be followed exactly.
            Unavailable: the source or the broker is away.
        """
        if self._until.is_reached(self._stream.position):
            return []
        context, stream, assembler = self._context, self._stream, self._assembler
        batch_limit = None if self._until.position else lambda: self._builder.batch_limit
        with (
            flush_on_truncated_log(assembler, self._builder, lambda: self._close(assembler.position)),
            contextlib.closing(context.source.events(stream.position)) as events,
        ):
            before = assembler.position
            for committed in feed_events(events, assembler, stream.location, batch_limit):
                now = context.clock()
                if not self._add(committed, before, now):
                    return self._requests
                self._poll(now)
                is_reached = committed is not None and self._until.is_reached(committed.position)
                is_ending = self._is_ending
                if not self._close_if_due(now, must_close=is_reached or is_ending):
                    return self._requests
                if is_reached or (is_ending and self._builder.is_empty):
                    return self._requests
                before = assembler.position
        return []

    @property
    def _is_ending(self) -> bool:
        is_over = self._until.is_over is not None and self._until.is_over()
        return self._is_interrupted or self._stop.is_set() or is_over

    def _add(
        self, committed: CommittedTransaction | TransactionBatch | None, before: SourcePosition, now: float
    ) -> bool:
        """Adds what was committed to the open epoch. Returns False if stopped before that was done."""
        if isinstance(committed, CommittedTransaction):
            self._context.set_unknown_changes_aside(self._stream, committed)
            if committed.statement is not None:
                return self._apply_statement(committed.statement, committed, before)
        if committed is not None:
            self._builder.add(committed, now)
        return True

    def _poll(self, now: float) -> None:
        """Checks for publish errors and for interruptions, at most every `POLL_S`."""
        is_interruptible = self._until.is_interruptible
        is_due = now - self._polled_at >= POLL_S or (is_interruptible and self._stream.needs_survey)
        if self._is_interrupted or not is_due:
            return
        self._polled_at = now
        self._context.queue.raise_if_failed()
        if is_interruptible:
            self._requests, self._is_interrupted = self._interruptions.poll(self._stream, self._assembler, now)

    def _close_if_due(self, now: float, *, must_close: bool) -> bool:
        """Publishes the open epoch if it is due. Returns False if stopped before that was done.

        An open transaction does not delay it: its rows are in no epoch yet, and it may last for minutes.
        """
        must_close = must_close and not self._builder.is_empty
        if not must_close and not self._builder.is_due(now, self._closed_at):
            return True
        is_behind = not self._assembler.is_between_transactions
        if not self._close(self._assembler.position, is_behind=is_behind):
            return False
        self._closed_at = self._context.clock()
        return True

    def _close(self, position: SourcePosition, *, is_behind: bool = False) -> bool:
        return self._context.publisher.close(self._stream, self._builder, position, self._stop, is_behind=is_behind)

    def _apply_statement(self, statement: Statement, committed: CommittedTransaction, before: SourcePosition) -> bool:
        """Publishes a statement about tables as an epoch of its own, after the rows before it.

        Returns:
            False if stopped before that was done.
        """
        context, stream = self._context, self._stream
        where = f"{committed.position.file}:{committed.position.pos}"
        if may_alter_keys(statement):
            cascades = context.source.cascades()
            with context.publisher.hold:
                stream.suspects.update_keys(cascades, context.source.is_captured, context.log)
        followed = {
            name: table
            for name, table in stream.captured.items()
            if name not in self._without and name not in stream.left_out
        }
        change, refusal = followed_redefinition(statement, followed, context.source.survey, where)
        if context.stops_at_alter and statement.name == "ALTER" and not change.is_empty:
            # What came before is published, so that the next start begins at the statement.
            if not self._builder.is_empty and not self._close(before):
                return False
            refuse_alteration(statement, change, where)
        if refusal is not None:
            context.log.warning("table is read again", tables=change.replaced, reason=refusal.what, where=where)
        left_out = (stream.left_out | stream.aside.keys()) - self._without
        dropped, changed = passed_over(statement, left_out)
        change = replace(change, dropped=(*change.dropped, *dropped))
        for name in changed:
            stream.retry_now(name)
        if change.is_empty:
            self._builder.add(committed, context.clock())
            return True
        if not self._builder.is_empty and not self._close(before):
            return False
        with context.publisher.hold:
            resets = stream.apply_schema_change(change, context.log)
            self._builder.add(committed, context.clock())
            context.publisher.close(stream, self._builder, committed.position, self._stop, resets)
        return True
