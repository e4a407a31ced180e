"""Conditions that an index can answer: key ranges, and values in a partition's name.

Keys are divided by integers, decimals, dates and bytes only: texts are ordered by their collation, not by their
values.
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
"""A TIMESTAMP has no later dates; comparing with one warns."""


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Rows with keys above `after` up to `upto`, as SQL literals; None is without limit."""

    after: str | None = None
    upto: str | None = None


def range_column(table: TableSchema) -> Column | None:
    """The first key column, if it sorts by its values, so that ranges of it can be read."""
    if not table.key:
        return None
    first = table.column(table.key[0])
    is_bytes = first.kind is Kind.BINARY or (first.kind is Kind.BYTES and first.type.lower().startswith("varbinary"))
    # A YEAR(2) is ordered by four digits and compared by two.
    is_ordered = first.kind in _NUMBERS | _MOMENTS and not first.is_short_year
    return first if is_ordered or is_bytes else None


def in_range(column: Column, bounds: KeyRange) -> str:
    """The condition of a range; empty for all rows."""
    quoted = identifier(column.name)
    ends = ((">", bounds.after), ("<=", bounds.upto))
    return " AND ".join(f"{quoted} {sign} {end}" for sign, end in ends if end is not None)


def bound(table: TableSchema, column: Column, where: str, after: str | None, rows: int) -> str:
    """The statement for the key at the end of a range of `rows` rows; no row if there are fewer."""
    quoted = identifier(column.name)
    conditions = [text for text in (f"({where})" if where else "", in_range(column, KeyRange(after))) if text]
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
    """Renders a key from the statement of `bound` as a literal.

    Raises:
        ValueError: the text is not a key, and would not be quoted.
    """
    if column.kind in _MOMENTS:
        return literal(text)
    is_number = column.kind in _NUMBERS
    if not (_NUMBER if is_number else _HEX).match(text):
        raise ValueError(f"no key of a {column.type}")
    return text if is_number else f"x'{text}'"


def near_partition(partitioning: Partitioning, name: str) -> str:
    """A condition of the partition, or a wider one, that an index can answer; may be empty."""
    values = name.split("/")
    if len(values) != len(partitioning.fields):
        return ""
    pairs = zip(partitioning.fields, values, strict=True)
    conditions = [_near(field, value.removeprefix(f"{field.name}=")) for field, value in pairs]
    return " AND ".join(filter(None, conditions))


def within_partition(partitioning: Partitioning, name: str, dialect: Dialect) -> str:
    """The condition of a partition, preceded by one for an index if there is any."""
    near, exactly = near_partition(partitioning, name), in_partition(partitioning, name, dialect)
    return f"{near} AND {exactly}" if near else exactly


def _near(field: PartitionField, value: str) -> str:
    quoted = identifier(field.column.name)
    kind = field.column.kind
    if field.column.is_short_year:
        return ""
    if kind in (Kind.INTEGER, Kind.YEAR):
        return f"{quoted} IS NULL" if value == NULL_VALUE else f"{quoted} = {value}" * bool(_NUMBER.match(value))
    if value == NULL_VALUE:
        # Impossible days are among them.
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
