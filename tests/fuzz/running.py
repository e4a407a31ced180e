"""Does a case on a real server, and demands equal sums by all ways."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymysql
from pymysql.cursors import Cursor

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.changes import Changes
from datafingerprint.config import Settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import net_sums
from datafingerprint.partitions import partitioning
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema
from services.lake_writer.fold import fold, without
from tests.datafingerprint.binlog.following import changes_between, position_of, pushed_down, snapshot_of
from tests.datafingerprint.drawn import slow_sums

_number = itertools.count(1)


def quoted(name: str) -> str:
    """A name in backticks."""
    doubled = name.replace("`", "``")
    return f"`{doubled}`"


def run_case(connection: pymysql.Connection, settings: Settings, case: dict[str, Any]) -> None:
    """Makes the case's table, does its steps, compares the binlog, the snapshot, Parquet and the server's SQL."""
    name = f"fuzz{next(_number)}"
    reader = BinlogSource(settings_of(settings, name, case["partition"]))
    with connection.cursor() as cursor:
        # Values that do not fit are cut to what does; what is stored is what counts.
        cursor.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+05:30', autocommit = 1")
        cursor.execute(create_statement(name, case))
        try:
            (table,) = reader.tables()
            start = position_of(connection)
            for step in case["steps"]:
                do_step(cursor, name, case, step)
            cursor.execute("COMMIT")
            compare(connection, reader, table, start)
        finally:
            cursor.execute("ROLLBACK")
            cursor.execute(f"DROP TABLE {name}")


def settings_of(settings: Settings, name: str, partition: Sequence[str]) -> Settings:
    """The settings that watch this one table."""
    table = f"{settings.generator.schema_name}.{name}"
    tables = Settings.model_validate({"tables": {table: {"partition": partition}}}).tables
    source = settings.source.model_copy(update={"tables": (table,)})
    return settings.model_copy(update={"tables": tables, "source": source})


def create_statement(name: str, case: dict[str, Any]) -> str:
    """The statement that makes the table."""
    described = ", ".join(
        f"{quoted(column)} {words}{' NOT NULL' * (column in case['key'])}" for column, words in case["columns"]
    )
    kind = "UNIQUE" if case.get("unique") else "PRIMARY"
    key = f", {kind} KEY ({', '.join(map(quoted, case['key']))})" if case["key"] else ""
    return f"CREATE TABLE {name} ({described}{key}) DEFAULT CHARSET utf8mb4"


def do_step(cursor: Cursor, name: str, case: dict[str, Any], step: list[Any]) -> None:
    """One step of a case; rows that meet another of their key are left out."""
    names = [quoted(column) for column, _ in case["columns"]]
    if step[0] == "insert":
        for row in step[1]:
            marks, values = parameters(row)
            cursor.execute(
                f"INSERT IGNORE INTO {name} ({', '.join(map(escaped, names))}) VALUES ({', '.join(marks)})", values
            )
    elif step[0] == "update":
        marks, values = parameters(step[1])
        sets = ", ".join(f"{escaped(column)} = {mark}" for column, mark in zip(names, marks, strict=True))
        cursor.execute(f"UPDATE IGNORE {name} SET {sets} LIMIT {step[2]}", values)
    elif step[0] == "delete":
        cursor.execute(f"DELETE FROM {name} LIMIT {step[1]}")
    elif step[0] == "double":
        cursor.execute(f"INSERT IGNORE INTO {name} SELECT * FROM {name} LIMIT {step[1]}")
    else:
        cursor.execute(step[0])


def escaped(text: str) -> str:
    """For a statement with parameters."""
    return text.replace("%", "%%")


def parameters(row: list[Any]) -> tuple[list[str], list[Any]]:
    """The placeholders of a row's values, and the values."""
    marks = [_mark(value) for value in row]
    kept = [value for value in row if not (isinstance(value, dict) and "sql" in value)]
    return marks, [value["hex"] if isinstance(value, dict) else value for value in kept]


def _mark(value: Any) -> str:  # noqa: ANN401 - a value of any column
    if not isinstance(value, dict):
        return "%s"
    return escaped(value["sql"]) if "sql" in value else "UNHEX(%s)"


def compare(connection: pymysql.Connection, reader: BinlogSource, table: TableSchema, start: Any) -> None:  # noqa: ANN401
    """Demands that every way adds up to the same."""
    result, _ = changes_between(reader, start, position_of(connection), [table])
    logged = net_sums(result[table.table]) if table.table in result else {}
    _, snapshot = snapshot_of(reader, [table])
    rows = snapshot[table.table]
    parts = partitioning(table)
    expected = slow_sums(table, rows.to_pylist())
    ways: dict[str, dict[str, Fingerprint]] = {
        "snapshot": sums_by_partition(rows, table.columns, parts),
        "binlog": {name: part for name, part in logged.items() if part != ZERO},
        "parquet": sums_by_partition(through_parquet(rows), table.columns, parts),
        "source": pushed_down(connection, table),
        "lake": sums_by_partition(folded(table, result.get(table.table)), table.columns, parts),
    }
    for way, sums in ways.items():
        assert sums == expected, way


def folded(table: TableSchema, logged: Changes | None) -> pa.Table:
    """What the lake writer leaves when the changes come in two runs, from two Kafka partitions."""
    lake = table.arrow.empty_table()
    if logged is None:
        return lake
    half = logged.rows.num_rows // 2
    for rows in (logged.rows.slice(0, half), logged.rows.slice(half)):
        net = fold(table, routed(Changes(table, logged.version, rows), 2))
        rest, _ = without(table, lake, net.removed_ids)
        lake = pa.concat_tables([rest, net.added])
    return lake


def through_parquet(rows: pa.Table) -> pa.Table:
    """The rows as they are read back from a file."""
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    return pq.read_table(io.BytesIO(sink.getvalue()))
