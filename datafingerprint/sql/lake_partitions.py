"""The condition of a partition on unmodified columns, so that engines skip other files."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from datafingerprint.partitions import PartitionField, Partitioning, Transform, required_values
from datafingerprint.schema import TEXT_KINDS, Column, Kind, TableSchema


class ValueRenderer(Protocol):
    """The part of a dialect that renders values."""

    def identifier(self, name: str) -> str:
        """A name, quoted."""

    def literal(self, text: str) -> str:
        """A text, quoted."""

    def text(self, column: Column) -> str:
        """A text as the source shows it."""

    def moment(self, column: Column, day: str) -> str:
        """The start of a day."""

    def number(self, column: Column, digits: str) -> str:
        """A whole number."""


def condition(dialect: ValueRenderer, table: TableSchema, partitioning: Partitioning, name: str) -> str:
    """The condition; empty for a table without partition fields.

    Raises:
        ConfigError: the table cannot have this partition.
    """
    values = required_values(table, partitioning, name)
    conditions = [
        _field_condition(dialect, field, text) for field, text in zip(partitioning.fields, values, strict=True)
    ]
    return "\n    AND ".join(conditions)


def _field_condition(dialect: ValueRenderer, field: PartitionField, text: str | None) -> str:
    """The condition of one field, by its text from `Partitioning.values`."""
    column = field.column
    quoted = dialect.identifier(column.name)
    if text is None:
        return f"{quoted} IS NULL"
    if field.transform is not Transform.IDENTITY:
        first, after = _days(text, field.transform)
        until = f" AND {quoted} < {dialect.moment(column, after.isoformat())}" if after else ""
        return f"{quoted} >= {dialect.moment(column, first.isoformat())}{until}"
    if column.kind is Kind.DATE:
        return f"{quoted} = {dialect.moment(column, dt.date.fromisoformat(text).isoformat())}"
    if column.kind in TEXT_KINDS:
        return f"{dialect.text(column)} = {dialect.literal(text)}"
    return f"{quoted} = {dialect.number(column, text)}"


def _days(text: str, transform: Transform) -> tuple[dt.date, dt.date | None]:
    """The first day of a year, month or day, and of the next one, if there is any."""
    first = dt.date.fromisoformat(f"{text}-01-01"[:10] if transform is Transform.YEAR else f"{text}-01"[:10])
    try:
        if transform is Transform.DAY:
            return first, first + dt.timedelta(days=1)
        if transform is Transform.MONTH:
            return first, (first + dt.timedelta(days=31)).replace(day=1)
        return first, first.replace(year=first.year + 1)
    except (OverflowError, ValueError):
        return first, None
