"""Puts a checksum in every row that a verdict depends on.

So damage of the store is not taken for damage of the lake.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

import sqlalchemy as sa

from datafingerprint.errors import StateError

COLUMN = "checksum"

ADDED_LATER = frozenset({"tables_key", "epoch_digest"})
"""Columns that an older version did not have. While one is NULL, the checksum is what that version made of the row."""

REBUILD = (
    "stop the fingerprinter, delete the state store (the database that [state] url names) and start it again: all is "
    "rebuilt from Kafka and the lake"
)


def checksum(row: Mapping[Any, Any]) -> int:
    """The CRC-32 of a row's values, in the order of the columns' names."""
    names = (name for name in sorted(row) if name != COLUMN and not (name in ADDED_LATER and row[name] is None))
    return zlib.crc32(repr([(name, _plain(row[name])) for name in names]).encode())


def _plain(value: object) -> object:
    """A value as every database returns it.

    SQLite has no booleans, and a whole number may be returned as a double.
    """
    if isinstance(value, SupportsIndex):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else float(value)
    return value


def sealed(table: sa.Table, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their checksums, where the table has any; they must have all its columns."""
    if COLUMN not in table.c:
        return list(rows)
    names = [name for name in table.c.keys() if name != COLUMN]  # noqa: SIM118 - a collection of columns, no mapping
    return [row | {COLUMN: checksum({name: row[name] for name in names})} for row in rows]


def is_sound(row: Mapping[Any, Any]) -> bool:
    """Whether a whole row is as it was written, as far as that can be known."""
    return row[COLUMN] is None or row[COLUMN] == checksum(row)


def damage(table: sa.Table) -> str:
    """What is said of a store with a damaged row in a table."""
    return f"the state store is damaged: a row of {table.name} is not what was written"


def require_sound(table: sa.Table, rows: Sequence[Mapping[Any, Any]]) -> Sequence[Mapping[Any, Any]]:
    """Whole rows of a table, each as it was written.

    Raises:
        StateError: one is not.
    """
    if not all(map(is_sound, rows)):
        raise StateError(damage(table), where="the state store", remedy=REBUILD)
    return rows
