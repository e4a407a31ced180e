"""A table's definition from the rows of `information_schema`, and what the settings say of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datafingerprint.column_types import column
from datafingerprint.config import TableSettings
from datafingerprint.errors import ConfigError, SourceError
from datafingerprint.schema import Column, TableSchema, refuse_ambiguous_names


def described_table(
    schema: str, name: str, described: Sequence[Mapping[str, Any]], key: tuple[str, ...], settings: TableSettings | None
) -> TableSchema:
    """The table under watch.

    Args:
        schema: The database that holds it.
        name: Its name there.
        described: Rows of `information_schema.COLUMNS`, in the order of the columns.
        key: Names of the primary key's columns.
        settings: What the settings say of this table, None when nothing.

    Raises:
        ConfigError: the settings name a column that is not there, or leave out one of the key.
        SourceError: values of a column cannot be carried exactly, or two names have one canonical form.
    """
    table = f"{schema}.{name}"
    chosen = settings or TableSettings()
    _require_columns(table, [found["COLUMN_NAME"] for found in described], key, chosen)
    kept = [found for found in described if found["COLUMN_NAME"] not in chosen.leave_out]
    refuse_ambiguous_names(table, [found["COLUMN_NAME"] for found in kept])
    columns = tuple(_column(table, found, chosen) for found in kept)
    return TableSchema(schema, name, columns, key, chosen.partition, chosen.leave_out)


def _require_columns(table: str, names: list[str], key: tuple[str, ...], settings: TableSettings) -> None:
    for setting, chosen in (("leave_out", settings.leave_out), ("as_bytes", settings.as_bytes)):
        missing = [name for name in chosen if name not in names]
        if missing:
            raise ConfigError(
                f"setting tables.{table}.{setting} names {missing[0]}, which is no column",
                remedy=f"its columns are {', '.join(names[:20])}",
            )
    keys = [name for name in settings.leave_out if name in key]
    if keys:
        raise ConfigError(f"setting tables.{table}.leave_out names {keys[0]}, which is part of the primary key")


def _column(table: str, found: Mapping[str, Any], settings: TableSettings) -> Column:
    name, charset = found["COLUMN_NAME"], found["CHARACTER_SET_NAME"]
    try:
        return column(
            name,
            found["COLUMN_TYPE"],
            nullable=found["IS_NULLABLE"] == "YES",
            charset=charset,
            as_bytes=name in settings.as_bytes,
        )
    except SourceError as error:
        bytes_too = f", or watch it as bytes: as_bytes = ['{name}']" if charset else ""
        raise SourceError(
            error.what,
            where=table,
            remedy=f"leave the column out: leave_out = ['{name}'] in [tables.'{table}']{bytes_too}; "
            f"or exclude the table: add !{table} to [source] tables",
        ) from None
