"""Conditions that a server can answer from an index: ranges of a key, and what a partition's name says of its columns.

Keys are cut by integers, decimals, moments and octets alone: the order of texts is their collation's, which is not
that of their values.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal

from datafingerprint.partitions import ENCODED, NULL_VALUE, NULL_WORD_ENCODED, PartitionField, Partitioning, Transform
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql.mysql import Dialect, identifier, in_partition, literal, table_name

_NUMBERS = frozenset({Kind.INTEGER, Kind.YEAR, Kind.DECIMAL})
_MOMENTS = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME})
_NUMBER = re.compile(r"^-?[0-9]+(\.[0-9]+)?$")
_HEX = re.compile(r"^([0-9A-F]{2})*$")
_DECODED = {code: character for character, code in ENCODED.items()}
_CODE = re.compile("|".join(map(re.escape, _DECODED)))
_TIMESTAMP_YEAR_MAX = 2037
"""Later moments are not within a TIMESTAMP: comparing with one warns."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Rows whose key is above `after` and not above `upto`, as literals of SQL; None is without an end."""

    after: str | None = None
    upto: str | None = None


def range_column(table: TableSchema) -> Column | None:
    """The column by whose ranges a table can be read: the first of its key, if its order is that of its values."""
    if not table.key:
        return None
    first = table.column(table.key[0])
    is_octets = first.kind is Kind.BINARY or (first.kind is Kind.BYTES and first.type.lower().startswith("varbinary"))
    return first if first.kind in _NUMBERS | _MOMENTS or is_octets else None


def in_range(column: Column, bounds: KeyRange) -> str:
    """The condition that a row lies in a range; empty when that is everything."""
    quoted = identifier(column.name)
    ends = ((">", bounds.after), ("<=", bounds.upto))
    return " AND ".join(f"{quoted} {sign} {end}" for sign, end in ends if end is not None)


def bound(table: TableSchema, column: Column, where: str, after: str | None, rows: int) -> str:
    """The statement whose only row, if any, is the key at which a range of so many rows ends."""
    quoted = identifier(column.name)
    conditions = [one for one in (f"({where})" if where else "", in_range(column, KeyRange(after))) if one]
    condition = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return (
        f"SELECT {_rendered(column, quoted)} FROM {table_name(table)}{condition} "
        f"ORDER BY {quoted} LIMIT 1 OFFSET {rows - 1}"
    )


def _rendered(column: Column, quoted: str) -> str:
    if column.kind in _NUMBERS:
        return f"CAST({quoted} + 0 AS CHAR)"  # without the zeros of ZEROFILL
    return f"CAST({quoted} AS CHAR)" if column.kind in _MOMENTS else f"HEX({quoted})"


def bound_literal(column: Column, text: str) -> str:
    """The literal of a key that the statement of `bound` gave.

    Raises:
        ValueError: it is none; it would not be quoted as it is.
    """
    if column.kind in _MOMENTS:
        return literal(text)
    is_number = column.kind in _NUMBERS
    if not (_NUMBER if is_number else _HEX).match(text):
        raise ValueError(f"no key of a {column.type}")
    return text if is_number else f"x'{text}'"


def near_partition(partitioning: Partitioning, name: str) -> str:
    """A condition that every row of the partition meets and that an index answers; others may meet it. May be empty."""
    values = name.split("/")
    if len(values) != len(partitioning.fields):
        return ""
    pairs = zip(partitioning.fields, values, strict=True)
    found = [_near(field, value.removeprefix(f"{field.name}=")) for field, value in pairs]
    return " AND ".join(one for one in found if one)


def within_partition(partitioning: Partitioning, name: str, dialect: Dialect) -> str:
    """The condition that a row lies in a partition; an index is asked first where one may answer."""
    near, exactly = near_partition(partitioning, name), in_partition(partitioning, name, dialect)
    return f"{near} AND {exactly}" if near else exactly


def _near(field: PartitionField, value: str) -> str:
    quoted = identifier(field.column.name)
    kind = field.column.kind
    if kind in (Kind.INTEGER, Kind.YEAR):
        return f"{quoted} IS NULL" if value == NULL_VALUE else f"{quoted} = {value}" * bool(_NUMBER.match(value))
    if value == NULL_VALUE:
        # Days that are in no calendar are among them.
        return f"{quoted} IS NULL" if kind is Kind.TEXT else ""
    if kind is Kind.TEXT:
        text = "null" if value == NULL_WORD_ENCODED else _CODE.sub(lambda code: _DECODED[code[0]], value)
        return f"{quoted} = {literal(text)}"
    if kind in _MOMENTS:
        unit: dict[Transform, Literal["year", "month", "day"]] = {Transform.YEAR: "year", Transform.MONTH: "month"}
        return _between(field.column, quoted, value, unit.get(field.transform, "day"))
    return ""


def _between(column: Column, quoted: str, value: str, unit: Literal["year", "month", "day"]) -> str:
    try:
        first = dt.date.fromisoformat(value + {"year": "-01-01", "month": "-01", "day": ""}[unit])
    except ValueError:
        return ""
    if column.kind is Kind.TIMESTAMP and not first.year < _TIMESTAMP_YEAR_MAX:
        return ""
    last = _next(first, unit)
    upper = f" AND {quoted} < '{last.isoformat()}'" if last is not None else ""
    return f"{quoted} >= '{first.isoformat()}'{upper}"


def _next(first: dt.date, unit: Literal["year", "month", "day"]) -> dt.date | None:
    days = {"year": 366, "month": 31, "day": 1}[unit]
    try:
        later = first + dt.timedelta(days)
    except OverflowError:
        return None
    return later if unit == "day" else later.replace(day=1) if unit == "month" else later.replace(month=1, day=1)
