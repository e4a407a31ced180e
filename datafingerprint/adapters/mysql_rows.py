"""Rows of a SELECT as Arrow columns, with the very values that the binlog's images decode to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint import decimals, temporal
from datafingerprint.charsets import UTF8, texts
from datafingerprint.errors import SourceError
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema


def select_list(table: TableSchema) -> str:
    """The expressions to select: temporals and numbers as text, FLOAT widened because it is printed with 6 digits."""
    return ", ".join(_expression(column) for column in table.columns)


def _expression(column: Column) -> str:
    doubled = column.name.replace("`", "``")
    quoted = f"`{doubled}`"
    if column.kind in BYTES_KINDS:
        # A text that is watched as bytes must not be converted to another charset; the client decodes a VECTOR.
        return f"CAST({quoted} AS BINARY)" if column.kind in (Kind.BYTES, Kind.VECTOR) else quoted
    if column.kind is Kind.FLOAT:
        return f"CAST(CAST({quoted} AS DOUBLE) AS CHAR)"
    if column.kind is Kind.BIT:
        return f"CAST({quoted} + 0 AS CHAR)"
    # A ZEROFILL integer keeps its zeros in a cast; they are no part of the value and are parsed away.
    if column.kind is Kind.TEXT and column.charset not in UTF8:
        # Decoded here, by the table that the binlog is decoded by: a server would write a `?` for what it cannot say.
        return f"CAST({quoted} AS BINARY)"
    # JSON is printed alike without a cast, which would make NULL of one that is longer than a packet.
    return quoted if column.kind in (Kind.TEXT, Kind.JSON) else f"CAST({quoted} AS CHAR)"


def arrow_rows(table: TableSchema, fetched: Sequence[Sequence[Any]]) -> pa.Table:
    """Fetched rows in the table's Arrow schema.

    Raises:
        SourceError: a key holds a date that is no day of the calendar, so that rows could not be told apart.
    """
    columns = list(zip(*fetched, strict=True)) if fetched else [()] * len(table.columns)
    arrays = [_PARSERS[column.kind](values, column) for column, values in zip(table.columns, columns, strict=True)]
    rows = pa.table(arrays, schema=table.arrow)
    for name in table.key:
        if rows.column(name).null_count:
            raise SourceError(
                f"a date that is no day of the calendar stands in key column {name} of {table.table}",
                remedy="mend the rows on the source, or take the table out of [source] tables",
            )
    return rows


def _cast(values: Sequence[str | None], column: Column) -> pa.Array:
    return pa.array(values, pa.string()).cast(column.arrow)


def _float(values: Sequence[str | None], column: Column) -> pa.Array:
    return pa.array(values, pa.string()).cast(pa.float64()).cast(column.arrow)


def _decimal(values: Sequence[str | None], column: Column) -> pa.Array:
    return decimals.from_texts(pa.array(values, pa.string()), column)


def _as_is(values: Sequence[str | bytes | None], column: Column) -> pa.Array:
    return pa.array(values, column.arrow)


def _text(values: Sequence[str | bytes | None], column: Column) -> pa.Array:
    if column.charset in UTF8:
        return pa.array(values, pa.string())
    return texts(pa.array(values, pa.binary()), column.charset, column.name)


def _part(shown: pa.Array, start: int, stop: int) -> temporal.Integers:
    sliced = pc.utf8_slice_codeunits(shown, start, stop)
    return np.asarray(sliced.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _days(shown: pa.Array) -> temporal.Days:
    return temporal.days(_part(shown, 0, 4), _part(shown, 5, 7), _part(shown, 8, 10))


def _date(values: Sequence[str | None], _: Column) -> pa.Array:
    given = pa.array(values, pa.string())
    shown = pc.fill_null(given, "0000-00-00")
    return temporal.date_column(_days(shown), given.is_null().to_numpy(zero_copy_only=False))


def _moment(values: Sequence[str | None], column: Column) -> pa.Array:
    given = pa.array(values, pa.string())
    shown = pc.utf8_rpad(pc.fill_null(given, "0000-00-00 00:00:00"), 20, ".")
    shown = pc.utf8_rpad(shown, 26, "0")
    seconds = _part(shown, 11, 13) * 3600 + _part(shown, 14, 16) * 60 + _part(shown, 17, 19)
    day_us = seconds * 1_000_000 + _part(shown, 20, 26)
    null = given.is_null().to_numpy(zero_copy_only=False)
    return temporal.moment_column(_days(shown), day_us, null, column.arrow)


def _time(values: Sequence[str | None], _: Column) -> pa.Array:
    """`-838:59:59.000000`: hours may have two or three digits."""
    given = pa.array(values, pa.string())
    parts = pc.extract_regex(given, r"^(?P<sign>-?)(?P<h>\d+):(?P<m>\d+):(?P<s>\d+)\.?(?P<us>\d*)$")
    whole = [pc.struct_field(parts, name).cast(pa.int64()) for name in ("h", "m", "s")]
    fraction = pc.utf8_rpad(pc.struct_field(parts, "us"), 6, "0").cast(pa.int64())
    minutes = pc.add(pc.multiply(whole[0], 60), whole[1])
    us = pc.add(pc.multiply(pc.add(pc.multiply(minutes, 60), whole[2]), 1_000_000), fraction)
    return pc.if_else(pc.equal(pc.struct_field(parts, "sign"), "-"), pc.negate(us), us)


_PARSERS: dict[Kind, Callable[[Sequence[Any], Column], pa.Array]] = {
    **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT), _cast),
    Kind.DECIMAL: _decimal,
    Kind.FLOAT: _float,
    Kind.DOUBLE: _float,
    Kind.DATE: _date,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    Kind.TIME: _time,
    **dict.fromkeys((*TEXT_KINDS, *BYTES_KINDS), _as_is),
    Kind.TEXT: _text,
}
