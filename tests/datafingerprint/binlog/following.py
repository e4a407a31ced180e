"""Follows a real server's binlog as capture does, from one GTID position to another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pymysql

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.transaction_batches import BatchLimit, TransactionBatch
from datafingerprint.binlog.transaction_rows import SpillLimit
from datafingerprint.binlog.transactions import Assembler, CommittedTransaction
from datafingerprint.changes import Changes
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import Fingerprint, of_words
from datafingerprint.gtid import has_reached
from datafingerprint.partitions import partitioning
from datafingerprint.ports.source import UnreadTable
from datafingerprint.schema import TableSchema
from datafingerprint.sql import mysql as sql
from datafingerprint.sql.mysql import SESSION, Dialect
from services.cdc.epoch_builder import CapturedTable, EpochBuilder, EpochLimits
from services.cdc.event_feed import feed_events


def execute(connection: pymysql.Connection, *statements: str, parameters: Sequence[Any] | None = None) -> None:
    """Runs statements one after another."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, parameters)


def position_of(connection: pymysql.Connection) -> SourcePosition:
    """Where the server's binlog stands now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        is_mariadb = "mariadb" in str(cursor.fetchall()).lower()
        cursor.execute(f"SELECT @@GLOBAL.{'gtid_binlog_pos' if is_mariadb else 'gtid_executed'}")
        row = cursor.fetchone()
    assert row is not None
    return SourcePosition(str(row[0]).replace("\n", ""), "", 0)


def committed_between(
    source: BinlogSource,
    start: SourcePosition,
    end: SourcePosition,
    tables: Iterable[str],
    limit: SpillLimit | None = None,
) -> Iterator[CommittedTransaction]:
    """The transactions after `start` up to `end`, as the assembler puts them together."""
    watched = set(tables)
    assembler = Assembler(start, watched.__contains__, limit, programs=source.stored_programs)
    if has_reached(start.gtid, end.gtid):
        return
    with contextlib.closing(source.events(start)) as events:
        for data in chain.from_iterable(events):
            committed = assembler.feed(parse_event(data, "the test"))
            if committed:
                yield committed
            if assembler.is_between_transactions and has_reached(assembler.position.gtid, end.gtid):
                return


def builder_of(tables: Sequence[TableSchema]) -> EpochBuilder:
    """An epoch builder that is never due by itself."""
    return EpochBuilder(EpochLimits(1e9, 10**9, 1e9), {table.table: CapturedTable(table, 1) for table in tables})


def plain_between(
    source: BinlogSource, start: SourcePosition, end: SourcePosition, tables: Iterable[str]
) -> Iterator[CommittedTransaction | TransactionBatch]:
    """The same as capture takes them: plain ones by native code, here in batches of one."""
    watched = set(tables)
    assembler = Assembler(start, watched.__contains__, programs=source.stored_programs)
    if has_reached(start.gtid, end.gtid):
        return
    with contextlib.closing(source.events(start)) as events:
        for committed in feed_events(events, assembler, lambda: "the test", lambda: BatchLimit(1, 1)):
            if committed:
                yield committed
            if assembler.is_between_transactions and has_reached(assembler.position.gtid, end.gtid):
                return


def changes_between(
    source: BinlogSource, start: SourcePosition, end: SourcePosition, tables: Sequence[TableSchema]
) -> tuple[dict[str, Changes], dict[str, int]]:
    """The changes of each table, and the impossible dates, after `start` up to `end`.

    They are assembled in two ways that must give the same result. One is in memory, with native code for plain
    transactions. The other takes event by event, stores each transaction on disk, and decodes a few rows at a time.
    """
    builder = builder_of(tables)
    for committed in plain_between(source, start, end, [table.table for table in tables]):
        builder.add(committed, 0.0)
    _, all_changes, impossible = builder.take(end)
    require_no_fault(builder)
    assert in_steps(source, start, end, tables) == (
        {changes.table.table: changes.rows for changes in all_changes},
        impossible,
    )
    return {changes.table.table: changes for changes in all_changes}, impossible


def require_no_fault(builder: EpochBuilder) -> None:
    """Raises the error for which capture would set a table aside."""
    for error in builder.take_faults().values():
        raise error


def in_steps(
    source: BinlogSource, start: SourcePosition, end: SourcePosition, tables: Sequence[TableSchema]
) -> tuple[dict[str, pa.Table], dict[str, int]]:
    """The same by temporary files, the steps of each table put together."""
    builder = EpochBuilder(EpochLimits(1e9, 2, 1e9), {table.table: CapturedTable(table, 1) for table in tables})
    limit = SpillLimit(0, TemporaryScratch(""))
    steps: list[Changes] = []
    for committed in committed_between(source, start, end, [table.table for table in tables], limit):
        builder.add(committed, 0.0)
        for parts in builder.ahead("the test"):
            steps += parts
    _, rest, impossible = builder.take(end)
    require_no_fault(builder)
    rows: dict[str, list[pa.Table]] = {}
    for changes in [*steps, *rest]:
        rows.setdefault(changes.table.table, []).append(changes.rows)
    return {name: pa.concat_tables(parts) for name, parts in rows.items()}, impossible


def snapshot_of(source: BinlogSource, tables: Sequence[TableSchema]) -> tuple[SourcePosition, dict[str, pa.Table]]:
    """A snapshot's position, and what it read."""
    parts: dict[str, list[pa.Table]] = {table.table: [table.arrow.empty_table()] for table in tables}
    # Until its end a view keeps the definitions of the tables that it touched.
    with contextlib.closing(source.snapshot(tables)) as snapshot:
        for step in snapshot.read():
            if isinstance(step, UnreadTable):
                raise step.error
            parts[step.table].append(step.rows)
    return snapshot.position, {name: pa.concat_tables(tables_of_name) for name, tables_of_name in parts.items()}


def pushed_down(
    connection: pymysql.Connection, table: TableSchema, partition: str | None = None
) -> dict[str, Fingerprint]:
    """The sums that the server computes itself, of all partitions or of one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        dialect = Dialect.MARIADB if "mariadb" in str(cursor.fetchall()).lower() else Dialect.MYSQL
        for statement in SESSION:
            cursor.execute(statement)
        fields = partitioning(table)
        where = sql.in_partition(fields, partition, dialect) if partition is not None else ""
        cursor.execute(sql.sums_by_partition(table, fields, dialect, where))
        sums = cursor.fetchall()
    assert all(row[-1] == 0 for row in sums)
    return {row[0]: of_words(int(row[1]), [int(word) for word in row[2:6]]) for row in sums}
