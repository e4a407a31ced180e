"""The canonical row, by examples written by hand, and the engine that must agree with the plain definition."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from datafingerprint import digests
from datafingerprint.canonical import canonical, digest
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.partitions import Partitioning, partitioning
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql import duckdb as sql
from tests.datafingerprint.drawn import Row, arrow, rows_of, slow_sums, tables, tables_with_rows

INT = Column("id", "int(11)", Kind.INTEGER, width_bytes=4)


def identified(rows: pa.Table, columns: tuple[Column, ...]) -> list[str]:
    """The rows' digests, on which native code and DuckDB agree."""
    native = digests.native_identities(rows, columns)
    assert native is not None
    assert native.to_pylist() == digests.identities_in_duckdb(rows, columns).to_pylist()
    return list(digests.identities(rows, columns).to_pylist())


def summed(rows: pa.Table, columns: tuple[Column, ...], names: Partitioning) -> dict[str, Fingerprint]:
    """The rows' sums, on which native code and DuckDB agree."""
    native = digests.native_sums(rows, columns, names)
    assert native is not None
    assert native == digests.sums_in_duckdb(rows, columns, names)
    return digests.sums_by_partition(rows, columns, names)


def of_kind(kind: Kind, name: str = "c", **more: Any) -> Column:  # noqa: ANN401 - fields of a Column
    return Column(name, kind.value, kind, **more)


EXAMPLES: list[tuple[Column, Any, bytes]] = [
    (of_kind(Kind.INTEGER, width_bytes=8), -9223372036854775808, b"c=-9223372036854775808"),
    (of_kind(Kind.INTEGER, width_bytes=8, unsigned=True), 18446744073709551615, b"c=18446744073709551615"),
    (of_kind(Kind.INTEGER, width_bytes=1), 0, b"c=0"),
    (of_kind(Kind.DECIMAL, precision=5, scale=2), Decimal("-1.50"), b"c=-1.50"),
    (of_kind(Kind.DECIMAL, precision=5, scale=2), Decimal("0.00"), b"c=0.00"),
    (of_kind(Kind.DECIMAL, precision=5, scale=2), Decimal("-0.00"), b"c=0.00"),
    (of_kind(Kind.DECIMAL, precision=2, scale=2), Decimal("0.05"), b"c=0.05"),
    (of_kind(Kind.DECIMAL, precision=18, scale=0), Decimal(999999999999999999), b"c=999999999999999999"),
    (of_kind(Kind.DECIMAL, precision=18, scale=18), Decimal("1E-18"), b"c=0.000000000000000001"),
    (of_kind(Kind.DOUBLE), 1.0, b"c=4607182418800017408"),  # 0x3FF0000000000000
    (of_kind(Kind.DOUBLE), 0.0, b"c=0"),
    (of_kind(Kind.DOUBLE), -0.0, b"c=0"),
    (of_kind(Kind.DOUBLE), 5e-324, b"c=1"),
    (of_kind(Kind.DOUBLE), -5e-324, b"c=-9223372036854775807"),
    (of_kind(Kind.FLOAT), 0.5, b"c=4602678819172646912"),  # 0x3FE0000000000000
    (of_kind(Kind.FLOAT), struct.unpack(">f", bytes.fromhex("3dcccccd"))[0], b"c=4591870180174331904"),
    (of_kind(Kind.FLOAT), -0.0, b"c=0"),
    (of_kind(Kind.DATE), dt.date(2031, 4, 2), b"c=2031-04-02"),
    (of_kind(Kind.DATE), dt.date(1, 1, 1), b"c=0001-01-01"),
    (of_kind(Kind.DATE), dt.date(9999, 12, 31), b"c=9999-12-31"),
    (of_kind(Kind.DATETIME), dt.datetime(2031, 4, 2, 19, 3, 11), b"c=2031-04-02 19:03:11.000000"),  # noqa: DTZ001 - a DATETIME has no zone
    (of_kind(Kind.DATETIME), dt.datetime(33, 1, 1, 0, 0, 0, 7), b"c=0033-01-01 00:00:00.000007"),  # noqa: DTZ001 - as above
    (
        of_kind(Kind.TIMESTAMP),
        dt.datetime(2031, 4, 2, 1, 0, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        b"c=2031-04-01 23:00:00.000000",
    ),
    (of_kind(Kind.TEXT), "", b"c=0:"),
    (of_kind(Kind.TEXT), "a|b=c", b"c=5:a|b=c"),
    (of_kind(Kind.TEXT), "Peña 🏈", b"c=10:Pe\xc3\xb1a \xf0\x9f\x8f\x88"),
    (of_kind(Kind.TEXT), "nul\x00.", b"c=5:nul\x00."),
    (of_kind(Kind.BYTES), b"\x00\xff\x0a", b"c=00ff0a"),
    (of_kind(Kind.BYTES), b"", b"c="),
]


@pytest.mark.parametrize(("column", "value", "expected"), EXAMPLES)
def test_a_value_is_written_as_the_format_says(column: Column, value: object, expected: bytes) -> None:
    assert canonical({"c": value}, (column,)) == expected


@pytest.mark.parametrize(("column", "value", "expected"), EXAMPLES)
def test_the_engine_digests_those_very_bytes(column: Column, value: object, expected: bytes) -> None:
    table = TableSchema("s", "t", (column,))
    known = hashlib.md5(expected, usedforsecurity=False).hexdigest()
    assert identified(arrow(table, [{"c": value}]), table.columns) == [known]


def test_a_whole_row_is_the_md5_of_a_string_written_by_hand() -> None:
    columns = (
        of_kind(Kind.TEXT, "name"),
        of_kind(Kind.TEXT, "Close"),
        INT,
        of_kind(Kind.INTEGER, "_x", width_bytes=4),
        of_kind(Kind.TEXT, "gone"),
        of_kind(Kind.INTEGER, "ZZ", width_bytes=4),
        of_kind(Kind.INTEGER, "ab", width_bytes=4),
    )
    row = {"name": "Babe|Ruth", "Close": "é", "id": 3, "_x": -1, "gone": None, "ZZ": 26, "ab": 2}
    written = "_x=-1|ab=2|close=2:é|id=3|name=9:Babe|Ruth|zz=26".encode()
    assert canonical(row, columns) == written
    assert digest(row, columns) == hashlib.md5(written, usedforsecurity=False).digest()
    table = TableSchema("s", "t", columns)
    assert slow_sums(table, [row]) == summed(arrow(table, [row]), columns, partitioning(table))


def test_reserved_characters_of_a_columns_name_are_encoded() -> None:
    columns = (INT, of_kind(Kind.INTEGER, "A|b=c%d", width_bytes=4))
    assert canonical({"id": 1, "A|b=c%d": 2}, columns) == b"a%7Cb%3Dc%25d=2|id=1"


def test_a_row_of_nulls_is_empty() -> None:
    assert canonical({"id": None}, (INT,)) == b""
    assert identified(arrow(TableSchema("s", "t", (INT,)), [{"id": None}]), (INT,)) == [
        hashlib.md5(b"", usedforsecurity=False).hexdigest()
    ]


def test_a_column_that_is_null_everywhere_changes_no_digest() -> None:
    assert canonical({"id": 1, "new": None}, (INT, of_kind(Kind.TEXT, "new"))) == canonical({"id": 1}, (INT,))


@given(tables_with_rows(), st.randoms(use_true_random=False))
def test_the_order_of_the_columns_does_not_matter(drawn: tuple[TableSchema, list[Row]], random: Any) -> None:  # noqa: ANN401 - random.Random
    table, rows = drawn
    shuffled = list(table.columns)
    random.shuffle(shuffled)
    for row in rows:
        assert canonical(row, table.columns) == canonical(row, tuple(shuffled))


def same(left: Row, right: Row) -> bool:
    return left == right  # 0.0 == -0.0 here as there


@given(st.data())
@settings(max_examples=200)
def test_no_two_different_rows_share_a_canonical_form(data: st.DataObject) -> None:
    table = data.draw(tables())
    rows = data.draw(rows_of(table))
    for left in rows:
        for right in rows:
            assert (canonical(left, table.columns) == canonical(right, table.columns)) == same(left, right)


@given(st.dictionaries(st.sampled_from("abc"), st.text("|=%:a1b2", max_size=7)))
@settings(max_examples=200)
def test_texts_that_imitate_fields_are_told_apart(row: dict[str, str]) -> None:
    columns = tuple(of_kind(Kind.TEXT, name) for name in "abc")
    other = {"a": canonical({"b": None, "c": None, "a": None, **row}, columns).decode(), "b": None, "c": None}
    assert canonical(other, columns) != canonical({"a": None, "b": None, "c": None, **row}, columns)


@given(tables_with_rows())
@settings(max_examples=200, deadline=None)
def test_the_engine_sums_as_the_plain_definition_does(drawn: tuple[TableSchema, list[Row]]) -> None:
    table, rows = drawn
    assert summed(arrow(table, rows), table.columns, partitioning(table)) == slow_sums(table, rows)


@given(tables_with_rows())
@settings(max_examples=100, deadline=None)
def test_the_engine_names_partitions_as_the_plain_definition_does(drawn: tuple[TableSchema, list[Row]]) -> None:
    table, rows = drawn
    names = partitioning(table)
    expected = [names.name(row) for row in rows]
    assert digests.partition_names(arrow(table, rows), names).to_pylist() == expected
    if rows:
        in_sql = f"SELECT {sql.partition_name(names)} AS name FROM input"
        result = digests.run(in_sql, input=digests.to_renderable(arrow(table, rows), table.columns))
        assert result.column("name").to_pylist() == expected


@given(tables_with_rows())
@settings(max_examples=100, deadline=None)
def test_the_engine_identifies_rows_as_the_plain_definition_does(drawn: tuple[TableSchema, list[Row]]) -> None:
    table, rows = drawn
    expected = [digest(row, table.identity).hex() for row in rows]
    assert identified(arrow(table, rows), table.identity) == expected


@given(tables_with_rows(), tables_with_rows())
@settings(max_examples=50, deadline=None)
def test_rows_in_several_chunks_and_slices_sum_alike(
    drawn: tuple[TableSchema, list[Row]], other: tuple[TableSchema, list[Row]]
) -> None:
    table, rows = drawn
    assume(rows)
    offset = len(other[1])
    whole = arrow(table, rows)
    cut = offset % len(rows)
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut), whole.slice(0, 0)])
    names = partitioning(table)
    assert summed(chunked, table.columns, names) == slow_sums(table, rows)


DATED = TableSchema("s", "t", (of_kind(Kind.TIMESTAMP, "at"),), (), ("year(at)", "month(at)", "day(at)"))


def test_moments_are_split_by_their_day_in_utc() -> None:
    row = {"at": dt.datetime(2031, 1, 1, 0, 30, tzinfo=dt.timezone(dt.timedelta(hours=1)))}
    expected = "at_year=2030/at_month=2030-12/at_day=2030-12-31"
    assert partitioning(DATED).name(row) == expected
    assert digests.partition_names(arrow(DATED, [row]), partitioning(DATED)).to_pylist() == [expected]


SPLIT = TableSchema("s", "t", (of_kind(Kind.TEXT, "c"),), (), ("c",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "c=null"),
        ("null", "c=%6Eull"),
        ("NULL", "c=NULL"),
        ("", "c="),
        ("a/b=c%", "c=a%2Fb%3Dc%25"),
        ("%2F", "c=%252F"),
        ("\t\n\x7f", "c=%09%0A%7F"),
        ("\x00", "c=%00"),
        ("é", "c=é"),
    ],
)
def test_a_partitions_name_encodes_what_would_be_taken_for_something_else(value: str | None, expected: str) -> None:
    names = partitioning(SPLIT)
    assert names.name({"c": value}) == expected
    assert digests.partition_names(arrow(SPLIT, [{"c": value}]), names).to_pylist() == [expected]


@given(st.lists(st.none() | st.text("nul%/=\x00\x01\x7f2F5a", max_size=6), max_size=20, unique=True))
@example([None, "null", "%6Eull"])
def test_different_values_have_different_partitions(values: list[str | None]) -> None:
    names = partitioning(SPLIT)
    assert len({names.name({"c": value}) for value in values}) == len(values)


def test_a_table_without_partition_fields_is_one_partition() -> None:
    table = TableSchema("s", "t", (INT,))
    rows = arrow(table, [{"id": 1}, {"id": 2}])
    assert digests.partition_names(rows, partitioning(table)).to_pylist() == ["-", "-"]
    assert set(summed(rows, table.columns, partitioning(table))) == {"-"}
    assert ZERO not in summed(rows, table.columns, partitioning(table)).values()
