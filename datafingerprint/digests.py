"""Digests, sums and partition names of whole columns of rows, computed by DuckDB in this process.

DuckDB is used as a calculator over Arrow memory: no file, no network. Connections are per thread, because one
connection runs one statement at a time.
"""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.fingerprint import MODULUS, Fingerprint
from datafingerprint.partitions import Partitioning
from datafingerprint.schema import Column, Kind
from datafingerprint.sql import duckdb as sql

_local = threading.local()


def _connection() -> duckdb.DuckDBPyConnection:
    connection: duckdb.DuckDBPyConnection | None = getattr(_local, "connection", None)
    if connection is None:
        connection = duckdb.connect(":memory:", config={"threads": "2"})
        _local.connection = connection
    return connection


def run(statement: str, **relations: pa.Table) -> pa.Table:
    """Runs one statement over Arrow tables, named as the keyword arguments."""
    connection = _connection()
    try:
        for name, table in relations.items():
            connection.register(name, table)
        return connection.execute(statement).to_arrow_table()
    finally:
        for name in relations:
            connection.unregister(name)


def bit_pattern(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floating point values as the signed 64-bit integers of their binary64 pattern, -0 as 0."""
    doubles = pc.add(values.cast(pa.float64()), 0.0)
    return pa.chunked_array([chunk.view(pa.int64()) for chunk in doubles.chunks], pa.int64())


def renderable(rows: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    """The rows' columns in the form that the SQL expects: bits for doubles, naive UTC for instants."""
    arrays = []
    for column in columns:
        values = rows.column(column.name)
        if column.kind in (Kind.FLOAT, Kind.DOUBLE):
            values = bit_pattern(values)
        elif column.kind is Kind.TIMESTAMP:
            values = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).cast(pa.timestamp("us"))
        arrays.append(values)
    return pa.table(arrays, names=[column.name for column in columns])


def sums_by_partition(
    rows: pa.Table, columns: tuple[Column, ...], partitioning: Partitioning
) -> dict[str, Fingerprint]:
    """The fingerprint of the rows of every partition that has any."""
    if not rows.num_rows:
        return {}
    statement = sql.sums_by_partition("input", columns, partitioning)
    result = run(statement, input=renderable(rows, columns)).to_pylist()
    return {
        row["partition"]: Fingerprint(row["rows"], int(row["hi"]) % MODULUS, int(row["lo"]) % MODULUS) for row in result
    }


def partition_names(rows: pa.Table, partitioning: Partitioning) -> pa.ChunkedArray:
    """For each row the name of its partition."""
    columns = tuple(field.column for field in partitioning.fields)
    if not columns:
        return pa.chunked_array([pa.repeat(pa.scalar("-"), rows.num_rows)])
    statement = f"SELECT {sql.partition_name(partitioning)} AS name FROM input"
    distinct = {column.name: column for column in columns}
    return run(statement, input=renderable(rows, tuple(distinct.values()))).column("name").cast(pa.string())


def identities(rows: pa.Table, columns: tuple[Column, ...]) -> pa.ChunkedArray:
    """For each row the digest of its identifying columns, as 32 hexadecimal digits."""
    statement = f"SELECT md5({sql.canonical_row(columns)}) AS id FROM input"
    return run(statement, input=renderable(rows, columns)).column("id").cast(pa.string())
