"""A notation for the tables of the export.

Parts are separated by `;`. A part is a type and the names of its columns, in order. `!` after the type is NOT NULL.
`name0..9` is ten columns, `name0` to `name9`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_RANGE = re.compile(r"(\D.*?)(\d+)\.\.(\d+)")


@dataclass(frozen=True)
class Column:
    """One column as the export declares it."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class Table:
    """One table: columns in the export's order, and key columns, if it has a key."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(column.name for column in self.columns)


def table(name: str, key: tuple[str, ...], columns: str) -> Table:
    """A table from its notation."""
    return Table(name, tuple(_columns(columns)), key)


def _columns(text: str) -> Iterator[Column]:
    for part in text.split(";"):
        kind, *names = part.split()
        for name in names:
            for single in _expanded(name):
                yield Column(single, kind.rstrip("!"), nullable=not kind.endswith("!"))


def _expanded(name: str) -> Iterator[str]:
    match = _RANGE.fullmatch(name)
    if match is None:
        yield name
        return
    for number in range(int(match[2]), int(match[3]) + 1):
        yield f"{match[1]}{number}"
