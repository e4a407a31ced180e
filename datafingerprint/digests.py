"""Digests, sums and partition names of rows in columns.

The native code of `datafingerprint.native` computes them where it could be built. Elsewhere DuckDB does, as a
calculator over Arrow memory. The same tests hold both to the plain definition. Native code is several times faster.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.fingerprint import MODULUS, Fingerprint
from datafingerprint.grouping import Grouping, group_rows
from datafingerprint.native.columns import ColumnForms, column_forms
from datafingerprint.native.library import library
from datafingerprint.partitions import Partitioning
from datafingerprint.schema import Column, Kind
from datafingerprint.sql import duckdb as sql

if TYPE_CHECKING:
    import duckdb

WORKERS = 2
"""Threads that digest. DuckDB gets as many."""

ROWS_AT_ONCE = 16_384
"""Rows that a thread takes at a time."""

DIGITS = 32
ROWS_MAX = (2**31 - 1) // DIGITS
"""Most rows whose digits fit an Arrow array of texts."""

T = TypeVar("T")

_local = threading.local()
_pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="digest")


def _connection() -> duckdb.DuckDBPyConnection:
    # DuckDB takes 35 MiB, and a process with native code may never need it.
    import duckdb  # noqa: PLC0415

    # One per thread, because a connection runs one statement at a time.
    connection: duckdb.DuckDBPyConnection | None = getattr(_local, "connection", None)
    if connection is None:
        connection = duckdb.connect(":memory:", config={"threads": str(WORKERS)})
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


def release_memory() -> None:
    """Closes this thread's DuckDB, which frees the memory that it keeps after large statements."""
    connection: duckdb.DuckDBPyConnection | None = getattr(_local, "connection", None)
    if connection is not None:
        connection.close()
        _local.connection = None


def bit_pattern(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The binary64 patterns of floating point values as signed 64-bit integers, -0 as 0."""
    doubles = pc.add(values.cast(pa.float64()), 0.0)
    return pa.chunked_array([chunk.view(pa.int64()) for chunk in doubles.chunks], pa.int64())


def to_renderable(rows: pa.Table, columns: tuple[Column, ...]) -> pa.Table:
    """Converts rows for the SQL: doubles to their bits, instants to naive UTC."""
    arrays = []
    for column in columns:
        values = rows.column(column.name)
        if column.kind in (Kind.FLOAT, Kind.DOUBLE):
            values = bit_pattern(values)
        elif column.kind is Kind.TIMESTAMP:
            values = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).cast(pa.timestamp("us"))
        arrays.append(values)
    return pa.table(arrays, names=[column.name for column in columns])


def digester() -> str:
    """The digester in use: `native code`, or `DuckDB`, which takes about ten times as long."""
    return "DuckDB" if library() is None else "native code"


def sums_by_partition(
    rows: pa.Table, columns: tuple[Column, ...], partitioning: Partitioning
) -> dict[str, Fingerprint]:
    """The fingerprint of every partition that has rows."""
    if not rows.num_rows:
        return {}
    sums = native_sums(rows, columns, partitioning)
    return sums_in_duckdb(rows, columns, partitioning) if sums is None else sums


def identities(rows: pa.Table, columns: tuple[Column, ...]) -> pa.ChunkedArray:
    """The digest of the identifying columns of each row, as 32 hexadecimal digits."""
    digits = native_identities(rows, columns)
    return identities_in_duckdb(rows, columns) if digits is None else digits


def partition_names(rows: pa.Table, partitioning: Partitioning) -> pa.ChunkedArray:
    """The partition name of each row."""
    groups = group_rows(rows, partitioning)
    if groups.codes is None:
        names = pa.repeat(pa.scalar(groups.names[0]), rows.num_rows) if groups.names else pa.array([], pa.string())
    else:
        names = pa.array(groups.names, pa.string()).take(pa.array(groups.codes))
    return pa.chunked_array([names], pa.string())


# --- native code


def native_sums(
    rows: pa.Table,
    columns: tuple[Column, ...],
    partitioning: Partitioning,
    groups: Grouping | None = None,
    digests: np.ndarray[Any, Any] | None = None,
) -> dict[str, Fingerprint] | None:
    """`sums_by_partition` by native code; None without it, or if a column's type is unknown.

    Args:
        rows: The rows.
        columns: The columns to digest.
        partitioning: The table's partitioning.
        groups: The grouping of the rows by it, if it is known.
        digests: Receives both halves of every row's digest, if given: two unsigned integers per row.
    """
    native = library()
    batches = _describe_batches(rows, columns) if native else None
    if native is None or batches is None:
        return None
    groups = groups or group_rows(rows, partitioning)
    group_codes, count = groups.codes, len(groups.names)

    def sum_range(start: int, batch: ColumnForms, low: int, high: int) -> np.ndarray[Any, Any]:
        codes = None if group_codes is None else group_codes[start:]
        kept = None if digests is None else digests[2 * start :]
        return native.sums(batch.columns, low, high, codes, count, kept)

    sums = np.zeros((3, count), np.uint64)
    for part in _map_ranges(batches, sum_range):
        sums += part
    # Sums of 64 bits wrap around, as the fingerprint does.
    return {
        name: Fingerprint(number, hi, lo % MODULUS)
        for name, number, hi, lo in zip(groups.names, *sums.tolist(), strict=True)
    }


def native_identities(rows: pa.Table, columns: tuple[Column, ...]) -> pa.ChunkedArray | None:
    """`identities` by native code; None without it, or if a column's type is unknown."""
    native = library()
    batches = _describe_batches(rows, columns) if native and rows.num_rows <= ROWS_MAX else None
    if native is None or batches is None:
        return None
    digits = np.empty(DIGITS * rows.num_rows, np.uint8)

    def identify_range(start: int, batch: ColumnForms, low: int, high: int) -> None:
        native.identities(batch.columns, low, high, digits[DIGITS * start :])

    for _ in _map_ranges(batches, identify_range):
        pass
    ends = pa.array(np.arange(0, len(digits) + 1, DIGITS, dtype=np.int32))
    texts = pa.StringArray.from_buffers(rows.num_rows, ends.buffers()[1], pa.py_buffer(digits))
    return pa.chunked_array([texts])


def _describe_batches(rows: pa.Table, columns: tuple[Column, ...]) -> list[tuple[int, int, ColumnForms]] | None:
    """The batches of the rows: index of the first row, number of rows, column addresses."""
    batches = []
    start = 0
    for batch in rows.select(list(dict.fromkeys(column.name for column in columns))).to_batches():
        if not batch.num_rows:
            continue
        addresses = column_forms(batch, columns)
        if addresses is None:
            return None
        batches.append((start, batch.num_rows, addresses))
        start += batch.num_rows
    return batches


def _map_ranges(
    batches: list[tuple[int, int, ColumnForms]], work: Callable[[int, ColumnForms, int, int], T]
) -> Iterator[T]:
    """Does the work for ranges of every batch's rows, in several threads if there are several."""
    ranges = [
        (start, batch, low, min(low + ROWS_AT_ONCE, length))
        for start, length, batch in batches
        for low in range(0, length, ROWS_AT_ONCE)
    ]
    mapping = map if len(ranges) == 1 else _pool.map
    return iter(mapping(lambda rows_range: work(*rows_range), ranges))


# --- DuckDB


def sums_in_duckdb(rows: pa.Table, columns: tuple[Column, ...], partitioning: Partitioning) -> dict[str, Fingerprint]:
    """`sums_by_partition` by DuckDB's SQL."""
    statement = sql.sums_by_partition("input", columns, partitioning)
    result = run(statement, input=to_renderable(rows, columns)).to_pylist()
    return {
        row["partition"]: Fingerprint(row["rows"], int(row["hi"]) % MODULUS, int(row["lo"]) % MODULUS) for row in result
    }


def identities_in_duckdb(rows: pa.Table, columns: tuple[Column, ...]) -> pa.ChunkedArray:
    """`identities` by DuckDB's SQL."""
    statement = f"SELECT md5({sql.canonical_row(columns)}) AS id FROM input"
    return run(statement, input=to_renderable(rows, columns)).column("id").cast(pa.string())
