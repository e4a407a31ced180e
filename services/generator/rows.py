"""What a transaction does to rows: values that name tables and columns, and know no SQL.

Every simulation in this package returns these; `statements` turns them into SQL.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

Value = int | float | str | dt.date | None
Row = tuple[Value, ...]


@dataclass(frozen=True)
class Plus:
    """A new value that depends on the old one: the column, and this much more."""

    by: float


@dataclass(frozen=True)
class Insert:
    """Rows with all columns of the table, in the table's order."""

    table: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Update:
    """New values for the rows that match; an empty match means every row of the table."""

    table: str
    values: Mapping[str, Value | Plus]
    match: Mapping[str, Value]


@dataclass(frozen=True)
class Delete:
    """Takes away the rows that match, at most `limit` of them (None: all).

    A limit is for a table without a key, where one of several equal rows is meant: which one makes no
    difference, for the match names every column.
    """

    table: str
    match: Mapping[str, Value]
    limit: int | None = None


@dataclass(frozen=True)
class Select:
    """Columns of the rows that match, in no order unless `ordered_by` names a column.

    Attributes:
        above: A column, and what its value has to be greater than.
        below: A column, and what its value has to be less than.
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
    """How many rows are asked for: an insert's rows, and one for every update or delete."""
    return sum(len(change.rows) if isinstance(change, Insert) else 1 for change in changes)
