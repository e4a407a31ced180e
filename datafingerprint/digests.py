"""Digests, sums and partition names of whole columns of rows.

The native code of `datafingerprint.kernel` computes them where it could be built, and DuckDB, used as a calculator
over Arrow memory, where not. Both are held to the plain definition by the same tests; native code is several times
faster.
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
from datafingerprint.grouping import grouping
from datafingerprint.kernel.columns import Described, described
from datafingerprint.kernel.library import library
from datafingerprint.partitions import Partitioning
from datafingerprint.schema import Column, Kind
from datafingerprint.sql import duckdb as sql

if TYPE_CHECKING:
    import duckdb

WORKERS = 2
"""Threads that digest; DuckDB is given as many."""

ROWS_AT_ONCE = 16_384
"""Rows that a thread takes at a time."""

DIGITS = 32
ROWS_MAX = (2**31 - 1) // DIGITS
"""Most rows whose digits an Arrow array of texts holds."""

T = TypeVar("T")

_local = threading.local()
_pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="digest")


def _connection() -> duckdb.DuckDBPyConnection:
    # It takes 35 MiB, and whoever digests by native code may never need it.
    import duckdb  # noqa: PLC0415

    # Per thread, because one connection runs one statement at a time.
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


def let_go() -> None:
    """Ends this thread's DuckDB, if it has one; what it holds on to after large statements is given back."""
    connection: duckdb.DuckDBPyConnection | None = getattr(_local, "connection", None)
    if connection is not None:
        connection.close()
        _local.connection = None


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


def digester() -> str:
    """What digests here: `native code`, or `DuckDB`, which takes about ten times as long."""
    return "DuckDB" if library() is None else "native code"


def sums_by_partition(
    rows: pa.Table, columns: tuple[Column, ...], partitioning: Partitioning
) -> dict[str, Fingerprint]:
    """The fingerprint of the rows of every partition that has any."""
    if not rows.num_rows:
        return {}
    found = native_sums(rows, columns, partitioning)
    return sums_in_duckdb(rows, columns, partitioning) if found is None else found


def identities(rows: pa.Table, columns: tuple[Column, ...]) -> pa.ChunkedArray:
    """For each row the digest of its identifying columns, as 32 hexadecimal digits."""
    found = native_identities(rows, columns)
    return identities_in_duckdb(rows, columns) if found is None else found


def partition_names(rows: pa.Table, partitioning: Partitioning) -> pa.ChunkedArray:
    """For each row the name of its partition."""
    groups = grouping(rows, partitioning)
    if groups.codes is None:
        names = pa.repeat(pa.scalar(groups.names[0]), rows.num_rows) if groups.names else pa.array([], pa.string())
    else:
        names = pa.array(groups.names, pa.string()).take(pa.array(groups.codes))
    return pa.chunked_array([names], pa.string())


# --- native code


def native_sums(
    rows: pa.Table, columns: tuple[Column, ...], partitioning: Partitioning
) -> dict[str, Fingerprint] | None:
    """What `sums_by_partition` says, by native code; None where there is none, or it does not know a column's type."""
    native = library()
    batches = _described(rows, columns) if native else None
    if native is None or batches is None:
        return None
    groups = grouping(rows, partitioning)
    count = len(groups.names)

    def summed(start: int, batch: Described, low: int, high: int) -> np.ndarray[Any, Any]:
        codes = None if groups.codes is None else groups.codes[start:]
        return native.sums(batch.columns, low, high, codes, count)

    sums = np.zeros((3, count), np.uint64)
    for part in _in_ranges(batches, summed):
        sums += part
    # Sums of 64 bits wrap around, which is just what is wanted.
    return {
        name: Fingerprint(number, hi, lo % MODULUS)
        for name, number, hi, lo in zip(groups.names, *sums.tolist(), strict=True)
    }


def native_identities(rows: pa.Table, columns: tuple[Column, ...]) -> pa.ChunkedArray | None:
    """What `identities` says, by native code; None where there is none, or it does not know a column's type."""
    native = library()
    batches = _described(rows, columns) if native and rows.num_rows <= ROWS_MAX else None
    if native is None or batches is None:
        return None
    digits = np.empty(DIGITS * rows.num_rows, np.uint8)

    def identified(start: int, batch: Described, low: int, high: int) -> None:
        native.identities(batch.columns, low, high, digits[DIGITS * start :])

    for _ in _in_ranges(batches, identified):
        pass
    ends = pa.array(np.arange(0, len(digits) + 1, DIGITS, dtype=np.int32))
    texts = pa.StringArray.from_buffers(rows.num_rows, ends.buffers()[1], pa.py_buffer(digits))
    return pa.chunked_array([texts])


def _described(rows: pa.Table, columns: tuple[Column, ...]) -> list[tuple[int, int, Described]] | None:
    """The rows' batches: place of the first row, number of rows, and where the columns lie."""
    batches = []
    start = 0
    for batch in rows.select(list(dict.fromkeys(column.name for column in columns))).to_batches():
        if not batch.num_rows:
            continue
        found = described(batch, columns)
        if found is None:
            return None
        batches.append((start, batch.num_rows, found))
        start += batch.num_rows
    return batches


def _in_ranges(batches: list[tuple[int, int, Described]], work: Callable[[int, Described, int, int], T]) -> Iterator[T]:
    """Does the work for ranges of every batch's rows, on all threads where there are several."""
    ranges = [
        (start, batch, low, min(low + ROWS_AT_ONCE, length))
        for start, length, batch in batches
        for low in range(0, length, ROWS_AT_ONCE)
    ]
    each = map if len(ranges) == 1 else _pool.map
    return iter(each(lambda one: work(*one), ranges))


# --- DuckDB


def sums_in_duckdb(rows: pa.Table, columns: tuple[Column, ...], partitioning: Partitioning) -> dict[str, Fingerprint]:
    """What `sums_by_partition` says, by DuckDB's SQL."""
    statement = sql.sums_by_partition("input", columns, partitioning)
    result = run(statement, input=renderable(rows, columns)).to_pylist()
    return {
        row["partition"]: Fingerprint(row["rows"], int(row["hi"]) % MODULUS, int(row["lo"]) % MODULUS) for row in result
    }


def identities_in_duckdb(rows: pa.Table, columns: tuple[Column, ...]) -> pa.ChunkedArray:
    """What `identities` says, by DuckDB's SQL."""
    statement = f"SELECT md5({sql.canonical_row(columns)}) AS id FROM input"
    return run(statement, input=renderable(rows, columns)).column("id").cast(pa.string())
