"""How the tables of the export are written down here: a line of types and names for each.

Parts are separated by `;`. A part is a type and the names of the columns that have it, in order; `!` after the
type says NOT NULL; `name0..9` stands for ten columns, `name0` to `name9`.
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
    """One table: columns in the export's order, and the columns of its key (none: the table has no key)."""

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
    found = _RANGE.fullmatch(name)
    if found is None:
        yield name
        return
    for number in range(int(found[2]), int(found[3]) + 1):
        yield f"{found[1]}{number}"
