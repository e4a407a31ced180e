"""Partitions: the partition fields of a table, and the name of a row's partition."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from datafingerprint.errors import ConfigError
from datafingerprint.schema import TEXT_KINDS, Column, Kind, TableSchema

WHOLE = "-"
"""Name of the only partition of a table without partition fields."""

NULL_VALUE = "null"
NULL_WORD_ENCODED = "%6Eull"
"""The encoding of the text `null`, which differs from that of NULL."""

_FIELD = re.compile(r"^(?:(?P<transform>year|month|day)\((?P<inner>[^()]+)\)|(?P<column>[^()]+))$")
_TEMPORAL = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP})
_WHOLE_VALUES = frozenset({Kind.INTEGER, Kind.YEAR, Kind.DATE, Kind.TEXT, Kind.ENUM, Kind.SET})

ENCODED: dict[str, str] = {
    character: f"%{ord(character):02X}" for character in ["%", "/", "=", *map(chr, range(32)), "\x7f"]
}
"""Characters of a text value and their encodings; `%` is first, so that it is replaced once."""


class Transform(StrEnum):
    """The part of the column's value that a field uses."""

    IDENTITY = "identity"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"


_DAY_LENGTH = len("2031-04-02")
_DAY_LENGTHS = {Transform.YEAR: 4, Transform.MONTH: 7, Transform.DAY: _DAY_LENGTH, Transform.IDENTITY: _DAY_LENGTH}


@dataclass(frozen=True, slots=True)
class PartitionField:
    """One field of a partition."""

    column: Column
    transform: Transform

    @property
    def name(self) -> str:
        """The field's name, as Iceberg names transforms: `date_year`, or the column's name."""
        suffix = "" if self.transform is Transform.IDENTITY else f"_{self.transform.value}"
        return f"{self.column.name}{suffix}"

    def text(self, value: Any) -> str:  # noqa: ANN401 - a value of any column
        """The text after the `=` for a value of the column."""
        if value is None:
            return NULL_VALUE
        if self.transform is not Transform.IDENTITY:
            return _truncate(value, self.transform)
        return _encode(value) if isinstance(value, str) else str(value)

    def decoded(self, text: str) -> str | None:
        """Decodes a text that `text` made; None for NULL.

        Raises:
            ValueError: `text` makes no such text.
        """
        if text == NULL_VALUE:
            return None
        if self.transform is not Transform.IDENTITY or self.column.kind is Kind.DATE:
            # A year or a month is represented by its first day.
            day = f"{text}-01-01"[: max(_DAY_LENGTH, len(text))]
            canonical = _truncate(dt.date.fromisoformat(day), self.transform)
        elif self.column.kind in TEXT_KINDS:
            canonical = _encode(_decode(text))
        else:
            canonical = str(int(text))
        if text != canonical:
            raise ValueError(text)
        return _decode(text)


def _truncate(value: dt.date, transform: Transform) -> str:
    length = _DAY_LENGTHS[transform]
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(dt.UTC)
    return value.isoformat()[:length]


def _encode(value: str) -> str:
    if value == NULL_VALUE:
        return NULL_WORD_ENCODED
    return "".join(ENCODED.get(character, character) for character in value)


def _decode(text: str) -> str:
    if text == NULL_WORD_ENCODED:
        return NULL_VALUE
    # `%` last, because it was encoded first.
    for character, code in reversed(ENCODED.items()):
        text = text.replace(code, character)
    return text


@dataclass(frozen=True, slots=True)
class Partitioning:
    """The partition fields of a table; none if it is not partitioned."""

    fields: tuple[PartitionField, ...] = ()

    def name(self, row: Mapping[str, Any]) -> str:
        """The name of a row's partition: the definition, and the oracle of the SQL forms."""
        if not self.fields:
            return WHOLE
        return "/".join(f"{field.name}={field.text(row[field.column.name])}" for field in self.fields)

    def values(self, name: str) -> tuple[str | None, ...]:
        """Decodes the field values in a partition name; None for NULL.

        Raises:
            ValueError: no partition can have this name.
        """
        if not self.fields:
            if name != WHOLE:
                raise ValueError(name)
            return ()
        values: list[str | None] = []
        rest = f"/{name}"
        for field in self.fields:
            prefix = f"/{field.name}="
            if not rest.startswith(prefix):
                raise ValueError(name)
            text, slash, remainder = rest[len(prefix) :].partition("/")
            rest = slash + remainder
            values.append(field.decoded(text))
        if rest:
            raise ValueError(name)
        return tuple(values)


def required_values(table: TableSchema, parts: Partitioning, name: str) -> tuple[str | None, ...]:
    """Decodes the field values in a requested partition name; None for NULL.

    Raises:
        ConfigError: no partition of the table can have this name.
    """
    try:
        return parts.values(name)
    except ValueError:
        form = "/".join(f"{field.name}=..." for field in parts.fields) or "-"
        raise ConfigError(f"{table.table} has no partition {name}", remedy=f"its partitions are named {form}") from None


def partitioning(table: TableSchema) -> Partitioning:
    """The partitioning by a table's definition.

    Raises:
        ConfigError: a field has an unknown form, its column is missing, or its type cannot partition a table.
    """
    return Partitioning(tuple(_parse_field(table, text) for text in table.partition))


def _parse_field(table: TableSchema, text: str) -> PartitionField:
    where = f"partition field {text} of {table.table}"
    match = _FIELD.match(text.strip())
    if match is None:
        raise ConfigError(f"{where} has an unknown form", remedy="write a column, or year(c), month(c), day(c)")
    name = match["inner"] or match["column"]
    column = next((column for column in table.columns if column.name == name), None)
    if column is None:
        known = ", ".join(column.name for column in table.columns[:20])
        raise ConfigError(f"{where} names no column", remedy=f"the columns are {known}")
    transform = Transform(match["transform"] or "identity")
    kinds = _WHOLE_VALUES if transform is Transform.IDENTITY else _TEMPORAL
    if column.kind not in kinds:
        raise ConfigError(f"{where} cannot partition by a {column.type}", remedy="choose an integer, text or date")
    return PartitionField(column, transform)
