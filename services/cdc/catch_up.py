"""Brings tables that were read in the background up to the stream's position."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from itertools import chain

from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.transactions import Assembler, CommittedTransaction
from datafingerprint.changes import Changes
from datafingerprint.epochs import SourcePosition, Transaction
from datafingerprint.gtid import has_reached
from services.cdc.context import CaptureContext
from services.cdc.schema_changes import SchemaChange, followed_redefinition
from services.cdc.set_aside import rest_s
from services.cdc.stream import Stream
from services.cdc.truncated_log import log_rolled_back


def catch_up(
    context: CaptureContext, stream: Stream, view: SourcePosition, names: frozenset[str], took_s: float
) -> None:
    """Publishes what happened to some tables between their view and the stream's position.

    The binlog is read a second time. The stream's position does not change meanwhile.

    Args:
        context: The run's parts.
        stream: The stream that the tables join.
        view: Position of the view in which the tables were read.
        names: The tables.
        took_s: Seconds that their snapshot took.
    """
    context.queue.flush()
    rows_before = context.queue.rows
    now = stream.position
    transactions: tuple[Transaction, ...] = ()
    parts: list[Changes] = []
    if not has_reached(view.gtid, now.gtid):
        transactions, parts = _read_until(context, stream, view, now, names)
    stream.finish_snapshot(names, context.clock(), rest_s(took_s, context.settings.retry_s), context.log)
    context.publisher.publish(stream, parts, transactions)
    context.queue.flush()
    rows = context.queue.rows - rows_before
    context.log.info("tables caught up", tables=len(names), rows=rows, epoch=stream.number)


def _read_until(
    context: CaptureContext, stream: Stream, view: SourcePosition, end: SourcePosition, names: frozenset[str]
) -> tuple[tuple[Transaction, ...], list[Changes]]:
    """Publishes full epochs.

    Returns:
        The transactions and the changes of the last epoch, which is not full.
    """
    builder = context.new_builder(stream)
    with contextlib.closing(_transactions(context, stream, view, names)) as logged:
        for committed in logged:
            _apply_statement(context, stream, committed, names)
            if committed.rows.length:
                builder.add(committed, context.clock())
                context.publisher.publish_ahead(stream, builder)
            if has_reached(committed.position.gtid, end.gtid):
                break
            if builder.is_full:
                transactions, parts, _ = builder.take(end)
                context.publisher.take_faults(stream, builder)
                context.publisher.publish(stream, parts, transactions)
    transactions, parts, _ = builder.take(end)
    context.publisher.take_faults(stream, builder)
    return transactions, parts


def _transactions(
    context: CaptureContext, stream: Stream, view: SourcePosition, names: frozenset[str]
) -> Generator[CommittedTransaction]:
    assembler = Assembler(
        view,
        _table_selector(stream, names),
        context.spill_limit,
        log_rolled_back(context.log),
        programs=context.source.stored_programs,
    )
    with contextlib.closing(context.source.events(view)) as events:
        for event in chain.from_iterable(events):
            committed = assembler.feed(parse_event(event, f"{view.file}:{view.pos}"))
            if committed is not None:
                yield committed


def _apply_statement(
    context: CaptureContext, stream: Stream, committed: CommittedTransaction, names: frozenset[str]
) -> None:
    """Applies a statement after the view: changed tables are read again, dropped ones removed."""
    context.set_unknown_changes_aside(stream, committed)
    if committed.statement is None:
        return
    where = f"{committed.position.file}:{committed.position.pos}"
    followed = {name: stream.captured[name] for name in names if name in stream.captured}
    change, _ = followed_redefinition(committed.statement, followed, context.source.survey, where)
    for name in sorted({*change.truncated, *change.replaced, *change.altered}):
        context.log.info("table changed while it was read, and is read again", table=name)
        stream.await_snapshot(name)
        stream.needs_survey = True
    if change.dropped:
        # Another table of the same name may exist by now, and no survey has seen it.
        stream.needs_survey = True
        stream.apply_schema_change(SchemaChange(dropped=change.dropped), context.log)


def _table_selector(stream: Stream, names: frozenset[str]) -> Callable[[str], bool]:
    """Selects tables by name. Notes that something happened to a table that is set aside."""

    def is_selected(table: str) -> bool:
        if table in names and table in stream.aside:
            stream.aside[table].is_touched = True
        return table in names

    return is_selected
