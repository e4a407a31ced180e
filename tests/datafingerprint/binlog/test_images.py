"""Row images are decoded to the values that a slow and obvious encoder has encoded."""

from __future__ import annotations

import datetime as dt
import socket
import struct
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.binlog import images as images_module
from datafingerprint.binlog import values as values_module
from datafingerprint.binlog.addresses import inet6_text
from datafingerprint.binlog.images import decode, fields
from datafingerprint.binlog.table_map import LoggedColumn, TableMap
from datafingerprint.errors import DecodeError
from datafingerprint.schema import Column, Kind, TableSchema
from tests.datafingerprint.drawn import MOST_TIME_US, Row, arrow, values


@pytest.fixture(scope="module", params=["native", "numpy"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """With and without the library, which is not built where there is no compiler."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(images_module, "native_binlog", lambda: None)
            patch.setattr(values_module, "native_binlog", lambda: None)
        yield


NO_DATE = "no date"
"""Stands for 0000-00-00 in what is encoded."""

LABELS = ("AL", "", "né", "日本", "x y")
"""Of every ENUM and SET here; a SET has no label with a comma."""

WIDTHS = {Kind.BINARY: 254 | 12 << 8, Kind.UUID: 254 | 16 << 8, Kind.INET6: 254 | 16 << 8, Kind.INET4: 254 | 4 << 8}
"""Metadata of types that are logged as strings of a fixed width."""

INTEGER_CODES = {1: 1, 2: 2, 3: 9, 4: 3, 8: 8}
GROUP_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def logged(column: Column, string_code: int = 15, string_metadata: int = 40) -> LoggedColumn:
    kind = column.kind
    if kind is Kind.INTEGER:
        code, metadata = INTEGER_CODES[column.width_bytes], 0
    elif kind is Kind.DECIMAL:
        code, metadata = 246, column.precision | column.scale << 8
    elif kind in (Kind.TEXT, Kind.BYTES):
        code, metadata = string_code, string_metadata
    elif kind is Kind.BIT:
        code, metadata = 16, column.precision % 8 | column.precision // 8 << 8
    elif kind in WIDTHS:
        code, metadata = 254, WIDTHS[kind]
    elif kind in (Kind.ENUM, Kind.SET):
        labels = tuple(label.encode() for label in LABELS)
        return LoggedColumn(column.name, 254, (247 | 2 << 8 if kind is Kind.ENUM else 248 | 1 << 8), False, labels)  # noqa: FBT003 - unsigned
    else:
        codes = {Kind.FLOAT: 4, Kind.DOUBLE: 5, Kind.DATE: 10, Kind.DATETIME: 18, Kind.TIMESTAMP: 17, Kind.TIME: 19}
        codes |= {Kind.YEAR: 13}
        code, metadata = {**codes, Kind.GEOMETRY: 255, Kind.VECTOR: 242}[kind], column.scale
        metadata = 4 if kind in (Kind.GEOMETRY, Kind.VECTOR) else metadata
    return LoggedColumn(column.name, code, metadata, column.unsigned)


def encoded_fraction(microseconds: int, digits: int) -> bytes:
    n_bytes = (digits + 1) // 2
    return bytes((microseconds // 10 ** (6 - 2 * n_bytes)).to_bytes(n_bytes, "big"))


def encoded_decimal(value: Decimal, precision: int, scale: int) -> bytes:
    digits = "".join(map(str, value.as_tuple().digits)).rjust(precision, "0")
    whole, part = digits[: precision - scale], digits[precision - scale :]
    groups = [whole[: len(whole) % 9]] + [whole[i : i + 9] for i in range(len(whole) % 9, len(whole), 9)]
    groups += [part[i : i + 9] for i in range(0, len(part), 9)]
    data = bytearray(b"".join(int(group).to_bytes(GROUP_BYTES[len(group)], "big") for group in groups if group))
    data[0] ^= 0x80
    return bytes(~byte & 0xFF for byte in data) if value < 0 else bytes(data)


def encoded_moment(value: Any, digits: int) -> bytes:  # noqa: ANN401 - a moment, or the word for none
    if value == NO_DATE:
        return (0x8000000000).to_bytes(5, "big") + encoded_fraction(0, digits)
    day = (value.year * 13 + value.month) << 22 | value.day << 17
    packed = day | value.hour << 12 | value.minute << 6 | value.second
    return bytes((packed + 0x8000000000).to_bytes(5, "big")) + encoded_fraction(value.microsecond, digits)


def encoded_date(value: Any) -> bytes:  # noqa: ANN401 - a date, or the word for none
    packed = 0 if value == NO_DATE else value.year << 9 | value.month << 5 | value.day
    return packed.to_bytes(3, "little")


def stored(value: Any, kind: Kind) -> bytes:  # noqa: ANN401 - bytes, or the text of an address or UUID
    if kind is Kind.UUID:
        return uuid.UUID(value).bytes
    families = {Kind.INET4: socket.AF_INET, Kind.INET6: socket.AF_INET6}
    return socket.inet_pton(families[kind], value) if kind in families else bytes(value)


def encoded_time(value: int, digits: int) -> bytes:
    n_bytes = (digits + 1) // 2
    seconds, microseconds = divmod(abs(value), 1_000_000)
    clock = seconds // 3600 << 12 | seconds // 60 % 60 << 6 | seconds % 60
    packed = clock << 8 * n_bytes | microseconds // 10 ** (6 - 2 * n_bytes)
    return bytes(((0x800000 << 8 * n_bytes) + (packed if value >= 0 else -packed)).to_bytes(3 + n_bytes, "big"))


def encoded_timestamp(value: Any, digits: int) -> bytes:  # noqa: ANN401 - a moment, or the word for none
    if value == NO_DATE:
        return bytes(4) + encoded_fraction(0, digits)
    seconds = int(value.replace(microsecond=0).timestamp())
    return seconds.to_bytes(4, "big") + encoded_fraction(value.microsecond, digits)


def encoded(value: Any, column: Column, prefix: int) -> bytes:  # noqa: ANN401 - a value of any column
    if column.kind is Kind.INTEGER:
        data: bytes = value.to_bytes(column.width_bytes, "little", signed=not column.unsigned)
        return data
    if column.kind in (Kind.TEXT, Kind.BYTES):
        data = value.encode() if isinstance(value, str) else value
        return len(data).to_bytes(prefix, "little") + data
    if column.kind in (Kind.GEOMETRY, Kind.VECTOR):
        return len(value).to_bytes(4, "little") + bytes(value)
    if column.kind in WIDTHS:
        # The zeros at the end are not logged.
        data = stored(value, column.kind).rstrip(b"\0")
        return len(data).to_bytes(1, "little") + data
    forms: dict[Kind, Callable[[], bytes]] = {
        Kind.YEAR: lambda: bytes([value - 1900 if value else 0]),
        Kind.BIT: lambda: value.to_bytes((column.precision + 7) // 8, "big"),
        Kind.TIME: lambda: encoded_time(value, column.scale),
        Kind.ENUM: lambda: (LABELS.index(value) + 1 if value else 0).to_bytes(2, "little"),
        Kind.SET: lambda: bytes([sum(1 << LABELS.index(label) for label in value.split(",") if label)]),
        Kind.FLOAT: lambda: struct.pack("<f", value),
        Kind.DOUBLE: lambda: struct.pack("<d", value),
        Kind.DECIMAL: lambda: encoded_decimal(Decimal(value), column.precision, column.scale),
        Kind.DATE: lambda: encoded_date(value),
        Kind.DATETIME: lambda: encoded_moment(value, column.scale),
        Kind.TIMESTAMP: lambda: encoded_timestamp(value, column.scale),
    }
    return forms[column.kind]()


def images(table: TableSchema, rows: list[Row], prefixes: dict[str, int], filler: int = 0xFF) -> bytes:
    """The images back to back. Unused bits of the bitmap are set, as MariaDB does, or not."""
    result = b""
    count = len(table.columns)
    for row in rows:
        bits = (filler * 0x01010101010101010101 << count) & ((1 << 8 * ((count + 7) // 8)) - 1)
        bits = bits >> count << count
        for index, column in enumerate(table.columns):
            bits |= (row[column.name] is None) << index
        result += bits.to_bytes((count + 7) // 8, "little")
        for column in table.columns:
            if row[column.name] is not None:
                result += encoded(row[column.name], column, prefixes.get(column.name, 0))
    return result


STRINGS = {1: (15, 255), 2: (15, 256), 3: (252, 3), 4: (252, 4)}
"""Prefix length to a type code and metadata that has it."""


def map_of(table: TableSchema, prefixes: dict[str, int]) -> TableMap:
    columns = tuple(logged(column, *STRINGS[prefixes.get(column.name, 1)]) for column in table.columns)
    return TableMap(7, table.schema, table.name, columns)


def truncated(value: dt.datetime, digits: int) -> dt.datetime:
    unit = 10 ** (6 - digits)
    return value.replace(microsecond=value.microsecond // unit * unit)


EPOCH_START = dt.datetime(1970, 1, 1, 0, 0, 1)  # noqa: DTZ001 - bounds are drawn without a zone
EPOCH_END = dt.datetime(2106, 2, 7, 6, 28, 15)  # noqa: DTZ001 - as above


@st.composite
def logged_columns(draw: st.DrawFn, name: str, kinds: list[Kind]) -> Column:
    kind = draw(st.sampled_from(kinds))
    if kind is Kind.INTEGER:
        return Column(
            name, "int", kind, width_bytes=draw(st.sampled_from([1, 2, 3, 4, 8])), unsigned=draw(st.booleans())
        )
    if kind is Kind.DECIMAL:
        precision = draw(st.integers(1, 65))
        return Column(name, "decimal", kind, precision=precision, scale=draw(st.integers(0, min(30, precision))))
    if kind is Kind.BIT:
        return Column(name, "bit", kind, precision=draw(st.integers(1, 64)))
    return Column(name, kind.value, kind, scale=draw(st.integers(0, 6)), length=12 if kind is Kind.BINARY else 0)


def logged_values(column: Column) -> st.SearchStrategy[Any]:
    if column.kind is Kind.TIMESTAMP:
        moments = st.datetimes(EPOCH_START, EPOCH_END, timezones=st.just(dt.UTC))
        return st.none() | moments.map(lambda value: truncated(value, column.scale))
    if column.kind is Kind.DATETIME:
        return st.none() | st.datetimes().map(lambda value: truncated(value, column.scale))
    unit = 10 ** (6 - column.scale)
    most = MOST_TIME_US // unit
    texts: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.TIME: st.integers(-most, most).map(lambda value: value * unit),
        Kind.ENUM: st.sampled_from(LABELS),
        Kind.SET: st.sets(st.sampled_from([label for label in LABELS if label])).map(
            lambda result: ",".join(label for label in LABELS if label in result)
        ),
        Kind.BINARY: st.binary(max_size=12).map(lambda data: data.ljust(12, b"\0")),
        Kind.UUID: st.uuids().map(str),
        Kind.INET4: st.ip_addresses(v=4).map(str),
        Kind.INET6: st.ip_addresses(v=6).map(lambda ip_address: inet6_text(ip_address.packed)),
    }
    return st.none() | texts[column.kind] if column.kind in texts else values(column)


STRETCHING = (Kind.TEXT, Kind.BYTES, Kind.BINARY, Kind.GEOMETRY, Kind.VECTOR, Kind.UUID, Kind.INET4, Kind.INET6)
LOGGED = [kind for kind in Kind if kind is not Kind.JSON]
FIXED = [kind for kind in LOGGED if kind not in STRETCHING]


@st.composite
def cases(draw: st.DrawFn) -> tuple[TableSchema, list[Row], dict[str, int]]:
    kinds: list[Kind] = draw(st.sampled_from([LOGGED, FIXED, [Kind.INTEGER], [Kind.TEXT, Kind.INTEGER]]))
    names = [f"c{number}" for number in range(draw(st.integers(1, 10)))]
    table = TableSchema("s", "t", tuple(draw(logged_columns(name, kinds)) for name in names))
    prefixes = {
        column.name: draw(st.integers(1, 4)) for column in table.columns if column.kind in (Kind.TEXT, Kind.BYTES)
    }
    row = st.fixed_dictionaries({column.name: logged_values(column) for column in table.columns})
    return table, draw(st.lists(row, min_size=1, max_size=6)), prefixes


@given(cases(), st.sampled_from([0x00, 0xFF]))
@settings(max_examples=250, deadline=None)
def test_every_value_is_the_one_that_was_encoded(
    case: tuple[TableSchema, list[Row], dict[str, int]], filler: int
) -> None:
    table, rows, prefixes = case
    decoded = decode(images(table, rows, prefixes, filler), fields(table, map_of(table, prefixes), "here"), table)
    assert decoded.rows.equals(arrow(table, rows))
    assert decoded.impossible == {}
    assert len(decoded.starts) == len(rows)


@given(cases(), st.data())
@settings(max_examples=100, deadline=None)
def test_images_that_end_too_early_are_refused(
    case: tuple[TableSchema, list[Row], dict[str, int]], data: st.DataObject
) -> None:
    table, rows, prefixes = case
    last = len(images(table, rows[-1:], prefixes))
    whole = images(table, rows, prefixes)
    cut = data.draw(st.integers(1, max(1, last - 1)))
    if cut < last:
        with pytest.raises(DecodeError):
            decode(whole[:-cut], fields(table, map_of(table, prefixes), "here"), table)


def test_many_columns_and_long_values_are_decoded() -> None:
    columns = tuple(Column(f"c{number}", "longtext", Kind.TEXT) for number in range(200))
    table = TableSchema("s", "t", columns)
    rows = [{column.name: None if (n + i) % 3 else "é" * n * 40 for i, column in enumerate(columns)} for n in range(9)]
    prefixes = dict.fromkeys((column.name for column in columns), 2)
    decoded = decode(images(table, rows, prefixes), fields(table, map_of(table, prefixes), "here"), table)
    assert decoded.rows.equals(arrow(table, rows))


@pytest.mark.parametrize(("length", "prefix"), [(10, 1), (255, 1), (256, 2), (1020, 2)])
def test_a_chars_length_is_found_where_the_server_hides_it(length: int, prefix: int) -> None:
    real = 254 ^ ((length & 0x300) >> 4)
    column = Column("c", "char", Kind.TEXT)
    table = TableSchema("s", "t", (column,))
    table_map = TableMap(7, "s", "t", (logged(column, 254, real | (length & 0xFF) << 8),))
    rows: list[Row] = [{"c": "Peña"}, {"c": None}, {"c": ""}]
    decoded = decode(images(table, rows, {"c": prefix}), fields(table, table_map, "here"), table)
    assert decoded.rows.to_pylist() == rows


def test_dates_that_are_no_days_become_null_and_are_counted() -> None:
    columns = (
        Column("d", "date", Kind.DATE),
        Column("m", "datetime(3)", Kind.DATETIME, scale=3),
        Column("s", "timestamp", Kind.TIMESTAMP),
    )
    table = TableSchema("s", "t", columns)
    rows: list[Row] = [
        {"d": NO_DATE, "m": NO_DATE, "s": NO_DATE},
        {"d": None, "m": NO_DATE, "s": None},
        {"d": dt.date(2031, 4, 2), "m": None, "s": None},
    ]
    decoded = decode(images(table, rows, {}), fields(table, map_of(table, {}), "here"), table)
    assert decoded.rows.to_pylist() == [
        {"d": None, "m": None, "s": None},
        {"d": None, "m": None, "s": None},
        {"d": dt.date(2031, 4, 2), "m": None, "s": None},
    ]
    assert decoded.impossible == {"d": 1, "m": 2, "s": 1}


@pytest.mark.parametrize(("month", "day"), [(2, 29), (2, 30), (4, 31), (0, 1), (1, 0), (13, 1)])
def test_impossible_days_become_null(month: int, day: int) -> None:
    table = TableSchema("s", "t", (Column("d", "date", Kind.DATE),))
    data = b"\xfe" + (2031 << 9 | month << 5 | day).to_bytes(3, "little")
    decoded = decode(data, fields(table, map_of(table, {}), "here"), table)
    assert decoded.rows.column("d").to_pylist() == [None]
    assert decoded.impossible == {"d": 1}


def test_a_text_that_is_no_utf_8_is_refused_by_its_column() -> None:
    table = TableSchema("s", "t", (Column("name", "varchar(9)", Kind.TEXT),))
    with pytest.raises(
        DecodeError, match="a text in column name holds bytes, which utf8mb4 has no exact character for"
    ):
        decode(b"\xfe\x02\xc3\x28", fields(table, map_of(table, {"name": 1}), "here"), table)


INT = Column("a", "int(11)", Kind.INTEGER, width_bytes=4)


@pytest.mark.parametrize(
    "changed",
    [
        LoggedColumn("a", 8, 0, unsigned=False),
        LoggedColumn("a", 3, 0, unsigned=True),
        LoggedColumn("b", 3, 0, unsigned=False),
        LoggedColumn("a", 15, 20, unsigned=False),
    ],
)
def test_a_table_that_is_logged_otherwise_than_defined_is_refused(changed: LoggedColumn) -> None:
    with pytest.raises(DecodeError, match=r"the definition of s\.t has changed"):
        fields(TableSchema("s", "t", (INT,)), TableMap(7, "s", "t", (changed,)), "binlog.1:4")
