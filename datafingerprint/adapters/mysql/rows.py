"""Decodes rows of a SELECT into Arrow columns, to the same values as binlog images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint import decimals, temporal
from datafingerprint.charsets import UTF8, texts
from datafingerprint.errors import SourceError
from datafingerprint.native.rows import Bytes, FoundRows, Rows
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema
from datafingerprint.sql.mysql import identifier, number


def select_list(table: TableSchema) -> str:
    """The expressions to select. Temporals and exact numbers are selected as text."""
    return ", ".join(_expression(column) for column in table.columns)


def _expression(column: Column) -> str:
    quoted = identifier(column.name)
    if column.kind in BYTES_KINDS:
        # A text captured as bytes must not be converted to another charset, and the client must not decode a VECTOR.
        return f"CAST({quoted} AS BINARY)" if column.kind in (Kind.BYTES, Kind.VECTOR) else quoted
    if column.kind in (Kind.FLOAT, Kind.DOUBLE):
        # The server prints FLOAT with six digits and DOUBLE(10,2) with two decimals, but stores more. Text is no way
        # around that: MySQL truncates the text of an expression to 22 characters, which may lose a digit.
        return f"CAST({quoted} AS DOUBLE)"
    if column.kind in (Kind.INTEGER, Kind.BIT, Kind.YEAR):
        return f"CAST({number(column)} AS CHAR)"
    # A ZEROFILL decimal keeps its zeros in a cast. The parser drops them.
    if column.kind is Kind.TEXT and column.charset not in UTF8:
        # Decoded here with the same table as the binlog: a server writes `?` for a character that it cannot convert.
        return f"CAST({quoted} AS BINARY)"
    # JSON prints the same without a cast, and a cast turns a JSON longer than a packet into NULL.
    return quoted if column.kind in (Kind.TEXT, Kind.JSON) else f"CAST({quoted} AS CHAR)"


def arrow_rows(table: TableSchema, fetched: Sequence[Sequence[Any]]) -> pa.Table:
    """Fetched rows in the table's Arrow schema.

    Raises:
        SourceError: a key holds an impossible date, which becomes NULL, so rows could not be distinguished.
    """
    columns = list(zip(*fetched, strict=True)) if fetched else [()] * len(table.columns)
    arrays = [
        _PARSERS[column.kind](pa.array(values, _fetched_type(column)), column)
        for column, values in zip(table.columns, columns, strict=True)
    ]
    rows = pa.table(arrays, schema=table.arrow)
    require_keys(table, rows)
    return rows


def native_columns(table: TableSchema, native: Rows, data: Bytes, rows: FoundRows) -> pa.Table:
    """Rows that the native code found in a buffer, in the table's Arrow schema.

    A column with a cell that the native code does not know is parsed as `arrow_rows` does it.

    Raises:
        UnicodeDecodeError: a text is not UTF-8.
    """
    arrays = [_native_column(column, native, data, rows, index) for index, column in enumerate(table.columns)]
    return pa.table(arrays, schema=table.arrow)


def require_keys(table: TableSchema, rows: pa.Table) -> None:
    """Checks that no key is NULL.

    Raises:
        SourceError: a key holds an impossible date, which becomes NULL, so rows could not be distinguished.
    """
    for name in table.key:
        if rows.column(name).null_count:
            raise SourceError(
                f"key column {name} of {table.table} holds an impossible date",
                where=table.table,
                remedy="correct the rows on the source, or remove the table from [source] tables",
            )


def _native_column(column: Column, native: Rows, data: Bytes, rows: FoundRows, index: int) -> pa.Array:
    values = native.values(data, rows, index, column.arrow, is_time=column.kind is Kind.TIME)
    if values is not None:
        return values
    texts_type = pa.binary() if _fetched_type(column) == pa.binary() else pa.string()
    return _PARSERS[column.kind](_utf8(native.texts(data, rows, index, texts_type)), column)


def _utf8(values: pa.Array) -> pa.Array:
    """The same values.

    Raises:
        UnicodeDecodeError: a text is not UTF-8.
    """
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        for content in values.view(pa.binary()).to_pylist():
            if content is not None:
                content.decode()
        raise
    return values


def _fetched_type(column: Column) -> pa.DataType:
    """The type of the values that the client library returns for `select_list`."""
    if column.kind in (Kind.FLOAT, Kind.DOUBLE):
        return pa.float64()
    is_bytes = column.kind in BYTES_KINDS or (column.kind is Kind.TEXT and column.charset not in UTF8)
    return pa.binary() if is_bytes else pa.string()


def _cast(values: pa.Array, column: Column) -> pa.Array:
    return values.cast(column.arrow)


def _float(values: pa.Array, column: Column) -> pa.Array:
    return values.cast(pa.float64()).cast(column.arrow)


def _as_is(values: pa.Array, _: Column) -> pa.Array:
    return values


def _text(values: pa.Array, column: Column) -> pa.Array:
    return values if column.charset in UTF8 else texts(values, column.charset, column.name)


def _part(shown: pa.Array, start: int, stop: int) -> temporal.Integers:
    sliced = pc.utf8_slice_codeunits(shown, start, stop)
    return np.asarray(sliced.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _days(shown: pa.Array) -> temporal.Days:
    return temporal.days(_part(shown, 0, 4), _part(shown, 5, 7), _part(shown, 8, 10))


def _date(strings: pa.Array, _: Column) -> pa.Array:
    shown = pc.fill_null(strings, "0000-00-00")
    return temporal.date_column(_days(shown), strings.is_null().to_numpy(zero_copy_only=False))


def _moment(strings: pa.Array, column: Column) -> pa.Array:
    shown = pc.utf8_rpad(pc.fill_null(strings, "0000-00-00 00:00:00"), 20, ".")
    shown = pc.utf8_rpad(shown, 26, "0")
    seconds = _part(shown, 11, 13) * 3600 + _part(shown, 14, 16) * 60 + _part(shown, 17, 19)
    day_us = seconds * 1_000_000 + _part(shown, 20, 26)
    null = strings.is_null().to_numpy(zero_copy_only=False)
    return temporal.moment_column(_days(shown), day_us, null, column.arrow)


def _time(strings: pa.Array, _: Column) -> pa.Array:
    """Parses times such as `-838:59:59.000000`, with two or three digits of hours."""
    parts = pc.extract_regex(strings, r"^(?P<sign>-?)(?P<h>\d+):(?P<m>\d+):(?P<s>\d+)\.?(?P<us>\d*)$")
    whole = [pc.struct_field(parts, name).cast(pa.int64()) for name in ("h", "m", "s")]
    fraction = pc.utf8_rpad(pc.struct_field(parts, "us"), 6, "0").cast(pa.int64())
    minutes = pc.add(pc.multiply(whole[0], 60), whole[1])
    us = pc.add(pc.multiply(pc.add(pc.multiply(minutes, 60), whole[2]), 1_000_000), fraction)
    return pc.if_else(pc.equal(pc.struct_field(parts, "sign"), "-"), pc.negate(us), us)


_PARSERS: dict[Kind, Callable[[pa.Array, Column], pa.Array]] = {
    **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT), _cast),
    Kind.DECIMAL: decimals.from_texts,
    Kind.FLOAT: _float,
    Kind.DOUBLE: _float,
    Kind.DATE: _date,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    Kind.TIME: _time,
    **dict.fromkeys((*TEXT_KINDS, *BYTES_KINDS), _as_is),
    Kind.TEXT: _text,
}
