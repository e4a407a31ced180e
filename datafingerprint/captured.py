"""The error for a table that is not captured: one text for every command and service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from datafingerprint.errors import ConfigError
from datafingerprint.schema import TableSchema

NAMED_MAX = 10
"""Most captured tables that the error names."""


def not_captured(table: str) -> str:
    """The text of the error."""
    return f"table {table} is not captured"


def captured_tables_are(tables: Iterable[str]) -> str:
    """The remedy of the error: the first captured tables by name."""
    names = sorted(tables)
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return f"captured tables: {', '.join(names[:NAMED_MAX]) or 'none yet'}{more}"


def not_captured_error(table: str, tables: Iterable[str]) -> ConfigError:
    """The error for a table that a command or request names.

    Args:
        table: The named table.
        tables: The captured tables.
    """
    return ConfigError(not_captured(table), remedy=captured_tables_are(tables))


def captured_definitions(stored: Mapping[str, tuple[int, TableSchema]]) -> dict[str, TableSchema]:
    """The definition of every captured table, by name."""
    return {name: definition for name, (_, definition) in sorted(stored.items())}


def captured_table(stored: Mapping[str, tuple[int, TableSchema]], table: str) -> TableSchema:
    """The definition of a captured table.

    Args:
        stored: Number and definition of every captured table, by name.
        table: The name of the wanted table.

    Raises:
        ConfigError: The table is not captured.
    """
    if table not in stored:
        raise not_captured_error(table, stored)
    return stored[table][1]
