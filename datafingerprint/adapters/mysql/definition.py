"""Builds a table's definition from rows of `information_schema` and the table's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datafingerprint.column_types import column
from datafingerprint.config import TableSettings
from datafingerprint.errors import ConfigError, SourceError
from datafingerprint.schema import Column, TableSchema, refuse_ambiguous_names
from datafingerprint.table_names import table_name


def described_table(
    schema: str, name: str, described: Sequence[Mapping[str, Any]], key: tuple[str, ...], settings: TableSettings | None
) -> TableSchema:
    """The definition of a captured table.

    Args:
        schema: The database of the table.
        name: The table's name in the database.
        described: Rows of `information_schema.COLUMNS`, in the order of the columns.
        key: Names of the primary key's columns.
        settings: The settings of the table; None when it has none.

    Raises:
        ConfigError: the settings name a column that does not exist, or leave out a key column.
        SourceError: values of a column cannot be captured exactly, or two names have one canonical form.
    """
    table = table_name(schema, name)
    chosen = settings or TableSettings()
    _require_columns(table, [row["COLUMN_NAME"] for row in described], key, chosen)
    kept = [row for row in described if row["COLUMN_NAME"] not in chosen.leave_out]
    refuse_ambiguous_names(table, [row["COLUMN_NAME"] for row in kept])
    columns = tuple(_column(table, row, chosen) for row in kept)
    return TableSchema(schema, name, columns, key, chosen.partition, chosen.leave_out)


def _require_columns(table: str, names: list[str], key: tuple[str, ...], settings: TableSettings) -> None:
    for setting, chosen in (("leave_out", settings.leave_out), ("as_bytes", settings.as_bytes)):
        missing = [name for name in chosen if name not in names]
        if missing:
            raise ConfigError(
                f"setting tables.{table}.{setting} names {missing[0]}, which is not a column",
                remedy=f"its columns are {', '.join(names[:20])}",
            )
    keys = [name for name in settings.leave_out if name in key]
    if keys:
        raise ConfigError(
            f"setting tables.{table}.leave_out names {keys[0]}, which is part of the primary key",
            remedy="take it out of leave_out, or exclude the table in [source] tables",
        )


def _column(table: str, row: Mapping[str, Any], settings: TableSettings) -> Column:
    name, charset = row["COLUMN_NAME"], row["CHARACTER_SET_NAME"]
    try:
        return column(
            name,
            row["COLUMN_TYPE"],
            nullable=row["IS_NULLABLE"] == "YES",
            charset=charset,
            as_bytes=name in settings.as_bytes,
        )
    except SourceError as error:
        or_as_bytes = f", or capture it as bytes: as_bytes = ['{name}']" if charset else ""
        raise SourceError(
            error.what,
            where=table,
            remedy=f"leave the column out: leave_out = ['{name}'] in [tables.'{table}']{or_as_bytes}; "
            f"or exclude the table: add !{table} to [source] tables",
        ) from None
