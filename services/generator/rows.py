"""Changes of rows as values, without SQL.

Every simulation in this package returns them. `statements` turns them into SQL.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

Value = int | float | str | dt.date | None
Row = tuple[Value, ...]


@dataclass(frozen=True)
class Plus:
    """A new value relative to the old one: this much more."""

    by: float


@dataclass(frozen=True)
class Insert:
    """Rows with all columns of the table, in the table's order."""

    table: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Update:
    """New values for the rows that match. An empty match is every row of the table."""

    table: str
    values: Mapping[str, Value | Plus]
    match: Mapping[str, Value]


@dataclass(frozen=True)
class Delete:
    """Deletes the rows that match, at most `limit` of them (None: all).

    A limit deletes one of several equal rows of a table without a key. The match names every column, so it does not
    matter which one.
    """

    table: str
    match: Mapping[str, Value]
    limit: int | None = None


@dataclass(frozen=True)
class Select:
    """Columns of the rows that match, in no order unless `ordered_by` names a column.

    Attributes:
        above: A column, and the bound that its value exceeds.
        below: A column, and the bound that its value is less than.
    """

    table: str
    columns: tuple[str, ...]
    match: Mapping[str, Value] = field(default_factory=dict)
    above: tuple[str, int] | None = None
    below: tuple[str, int] | None = None
    ordered_by: str | None = None
    descending: bool = False
    limit: int | None = None


Change = Insert | Update | Delete


def rows_changed(changes: tuple[Change, ...]) -> int:
    """Number of rows of the changes: an insert's rows, and one for every update or delete."""
    return sum(len(change.rows) if isinstance(change, Insert) else 1 for change in changes)
