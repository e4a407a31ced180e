"""Rows that native code reads are those that the client library reads, also of damaged result sets."""

from __future__ import annotations

import contextlib
import datetime as dt
import struct
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.mysql.row_reader import RowReader
from datafingerprint.adapters.mysql.rows import arrow_rows
from datafingerprint.errors import DataFingerprintError
from datafingerprint.native.rows import native_rows
from datafingerprint.schema import BYTES_KINDS, Column, Kind, TableSchema
from tests.adapters.mysql.result_sets import END, ENDED, Cells, Receiving, row_of, stream_of
from tests.datafingerprint.drawn import columns, values

pytestmark = pytest.mark.skipif(native_rows() is None, reason="there is no compiler on this machine")

ID = Column("id", "int", Kind.INTEGER, width_bytes=4)
TEXT = Column("t", "longtext", Kind.TEXT, charset="utf8mb4")
PAIR = TableSchema("s", "t", (ID, TEXT))
_MOST_US = 1_000_000
_REFUSALS = (ValueError, ArithmeticError, IndexError, AssertionError)


def by_library(stream: bytes, table: TableSchema, rows_max: int) -> pa.Table:
    """The oracle: a Python object for every cell."""
    with contextlib.closing(Receiving(stream)) as server:
        parts = []
        while fetched := server.cursor.fetchmany(rows_max):
            parts.append(arrow_rows(table, fetched))
    return pa.concat_tables(parts) if parts else table.arrow.empty_table()


def by_native_code(
    stream: bytes, table: TableSchema, rows_max: int, size_bytes: int = 4096, *, ends: bool = False
) -> pa.Table:
    with contextlib.closing(Receiving(stream, ends=ends)) as server:
        reader = RowReader(server.connection, server.cursor, table, size_bytes)
        parts = [reader.fetch(rows_max)]
        while parts[-1].num_rows == rows_max:
            parts.append(reader.fetch(rows_max))
        assert server.cursor.fetchone() is None
    return pa.concat_tables(parts)


def bits(rows: pa.Table) -> list[list[Any]]:
    """All values, where a double is not equal to another one with the same number."""
    return [[repr(value) for value in column.to_pylist()] for column in rows.columns]


def written(column: Column, value: Any) -> bytes | None:  # noqa: ANN401 - a value of any column
    """A value as the server prints it."""
    if value is None:
        return None
    if column.kind in BYTES_KINDS:
        return bytes(value)
    if column.kind is Kind.TIME:
        seconds, fraction = divmod(abs(value), _MOST_US)
        sign = "-" * (value < 0)
        return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}".encode()
    if isinstance(value, dt.datetime):
        shown = value.replace(tzinfo=None).isoformat(" ", "microseconds")
        return (shown[:19] if column.scale == 0 and not value.microsecond else shown).encode()
    return format(value, "f").encode() if isinstance(value, Decimal) else str(value).encode()


@st.composite
def result_sets(draw: st.DrawFn) -> tuple[TableSchema, list[Cells]]:
    """A table of any columns, and rows as the server prints them."""
    count = draw(st.integers(1, 6))
    table = TableSchema("s", "t", tuple(_in_utf8(draw(columns(f"c{number}"))) for number in range(count)))
    kinds = [values(column).map(partial(written, column)) for column in table.columns]
    return table, draw(st.lists(st.tuples(*kinds), max_size=12))


@given(result_sets(), st.integers(1, 15), st.sampled_from([64, 300, 4096]))
@settings(max_examples=100, deadline=None)
def test_values_of_every_type_are_those_of_the_library(
    drawn: tuple[TableSchema, list[Cells]], rows_max: int, size_bytes: int
) -> None:
    table, rows = drawn
    stream = stream_of(table, [*map(row_of, rows), END])
    expected = by_library(stream, table, rows_max)
    result = by_native_code(stream, table, rows_max, size_bytes)
    assert result.schema == expected.schema == table.arrow
    assert bits(result) == bits(expected)


def _in_utf8(column: Column) -> Column:
    return replace(column, charset="utf8mb4") if column.kind is Kind.TEXT else column


FORMS: dict[Column, Sequence[bytes]] = {
    ID: (b"0", b"-0", b"007", b"2147483647", b"-2147483648"),
    Column("l", "bigint", Kind.INTEGER, width_bytes=8): (b"-9223372036854775808", b"9223372036854775807", b"0"),
    Column("u", "bigint", Kind.INTEGER, width_bytes=8, unsigned=True): (b"18446744073709551615", b"0"),
    Column("d", "decimal(38,10)", Kind.DECIMAL, precision=38, scale=10): (
        b"-0.0000000000",
        b"0000000001.50",
        b"9" * 28 + b"." + b"9" * 10,
        b"-" + b"9" * 28 + b"." + b"9" * 10,
    ),
    Column("f", "float", Kind.FLOAT): (b"-0", b"1e-45", b"3.4028234663852886e38", b"0.1", b"16777217"),
    Column("g", "double", Kind.DOUBLE): (b"-0", b"5e-324", b"1.7976931348623157e308", b"2.4700000000000002"),
    Column("day", "date", Kind.DATE): (b"0000-00-00", b"2031-04-31", b"1900-02-29", b"2000-02-29", b"9999-12-31"),
    Column("at", "datetime(6)", Kind.DATETIME): (
        b"0000-00-00 00:00:00",
        b"1969-12-31 23:59:59.999999",
        b"2031-02-29 10:00:00.5",
        b"0001-01-01 00:00:00.000",
    ),
    Column("time", "time(6)", Kind.TIME): (b"-838:59:59.000000", b"838:59:59", b"-00:00:00.1", b"00:00:00"),
    TEXT: (b"", "Peña 🏈".encode(), b"x" * 250, b"x" * 251, b"x" * 70_000),
    Column("b", "blob", Kind.BYTES): (b"", b"\xff\0", b"\xfb" * 251),
}


@pytest.mark.parametrize("column", FORMS, ids=lambda column: str(column.kind))
def test_extreme_forms_are_read_as_by_the_library(column: Column) -> None:
    table = TableSchema("s", "t", (column,))
    stream = stream_of(table, [*(row_of([text]) for text in FORMS[column]), row_of([None]), END])
    assert bits(by_native_code(stream, table, 3)) == bits(by_library(stream, table, 3))


@given(result_sets(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_result_set_gives_the_rows_of_the_library_or_an_error(
    drawn: tuple[TableSchema, list[Cells]], data: st.DataObject
) -> None:
    table, rows = drawn
    stream = stream_of(table, [*map(row_of, rows), END])
    first = len(stream_of(table, []))
    damaged = bytearray(stream)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(first, len(stream) - 1))] = data.draw(st.integers(0, 255))
    hostile = bytes(damaged[: data.draw(st.integers(first, len(stream)))])
    outcomes = [outcome(read, hostile, table) for read in (by_library, partial(by_native_code, ends=True))]
    assert outcomes[0] == outcomes[1]


def outcome(read: Any, stream: bytes, table: TableSchema) -> list[list[Any]] | None:  # noqa: ANN401 - either function
    """The values; None for an error."""
    try:
        return bits(read(stream, table, 5))
    except (pymysql.MySQLError, DataFingerprintError, struct.error, pa.ArrowException, *_REFUSALS):
        return None


def test_a_row_of_several_packets_is_read_among_others() -> None:
    rows: list[Cells] = [(b"1", b"a"), (b"2", b"y" * 20_000_000), (b"3", None), (b"4", b"z" * 5_000_000), (b"5", b"")]
    stream = stream_of(PAIR, [*map(row_of, rows), END])
    result = by_native_code(stream, PAIR, 100)
    assert result.column("id").to_pylist() == [1, 2, 3, 4, 5]
    assert [None if text is None else len(text) for text in result.column("t").to_pylist()] == [
        1,
        20_000_000,
        None,
        5_000_000,
        0,
    ]


def test_an_error_of_the_server_after_many_rows_is_the_librarys() -> None:
    stream = stream_of(PAIR, [*(row_of((b"%d" % number, b"text")) for number in range(1000)), ENDED])
    with contextlib.closing(Receiving(stream)) as server:
        reader = RowReader(server.connection, server.cursor, PAIR)
        assert reader.fetch(1000).num_rows == 1000
        with pytest.raises(pymysql.OperationalError) as raised:
            reader.fetch(1)
    assert raised.value.args[0] == 1317


def test_a_connection_that_ends_between_rows_is_lost() -> None:
    stream = stream_of(PAIR, [row_of((b"1", b"text"))] * 300)
    with contextlib.closing(Receiving(stream[:-3])) as server, pytest.raises(pymysql.OperationalError, match="Lost"):
        RowReader(server.connection, server.cursor, PAIR).fetch(1000)


def test_a_server_that_sends_nothing_after_the_definitions_is_lost() -> None:
    """The first bytes are awaited where errors are the library's, not when the reader is made."""
    with contextlib.closing(Receiving(stream_of(PAIR, []), ends=False)) as server:
        connection: Any = server.connection
        connection._sock.settimeout(0.05)
        reader = RowReader(server.connection, server.cursor, PAIR)
        with pytest.raises(pymysql.OperationalError, match="Lost"):
            reader.fetch(10)
        assert not server.connection.open


def test_a_text_that_is_not_utf_8_is_refused_as_by_the_library() -> None:
    stream = stream_of(PAIR, [row_of((b"1", b"a\xff")), END])
    for read in (by_library, by_native_code):
        with pytest.raises(UnicodeDecodeError):
            read(stream, PAIR, 10)


def test_a_closed_connection_closes_its_socket_although_the_reader_lives() -> None:
    """The server must end the statement of a snapshot that is not read any further."""
    with contextlib.closing(Receiving(stream_of(PAIR, [row_of((b"1", b"x" * 1000))] * 100_000))) as server:
        reader = RowReader(server.connection, server.cursor, PAIR)
        assert reader.fetch(10).num_rows == 10
        server.close()
        assert not server._sender.is_alive()
        del reader
