"""Batches a transaction's changes by table, so that the server runs fewer statements.

A game changes some forty rows, one by one: a season line of every player, and the standings of both divisions. Tables
do not depend on one another, and the order of changes to different rows does not matter. So changes of one shape become
one change of many rows, in the place of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from services.generator.rows import Change, Delete, Insert, Plus, Row, Update, Value
from services.generator.tables import BY_NAME

_Shape = tuple[type[Change], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Updates:
    """New values for several rows of a table, each with a match of its own.

    Attributes:
        table: The table.
        match: The columns that find rows. No two matches are equal.
        fixed: The columns with a new value.
        grown: The columns that grow by a value.
        rows: The values of these columns, in this order, for each row.
    """

    table: str
    match: tuple[str, ...]
    fixed: tuple[str, ...]
    grown: tuple[str, ...]
    rows: tuple[Row, ...]


def batched(changes: Iterable[Change]) -> Iterator[Change | Updates]:
    """Batches changes without changing their result."""
    batches: list[_Batch] = []
    of_table: dict[str, list[_Batch]] = {}
    for change in changes:
        earlier = of_table.setdefault(change.table, [])
        batch = _batch_of(change, earlier)
        if batch is None:
            batch = _Batch(change.table, _shape(change))
            batches.append(batch)
            earlier.append(batch)
        batch.add(change)
    for batch in batches:
        yield from batch.whole()


@dataclass
class _Batch:
    """Changes of one shape to one table. A change without a shape is alone."""

    table: str
    shape: _Shape | None
    changes: list[Change] = field(default_factory=list)
    matches: set[tuple[Value, ...]] = field(default_factory=set)

    def add(self, change: Change) -> None:
        self.changes.append(change)
        if isinstance(change, Update):
            self.matches.add(tuple(change.match.values()))

    def takes(self, change: Change) -> bool:
        """Whether a change can join: it has the same shape, and changes none of the same rows."""
        if self.shape is None or _shape(change) != self.shape:
            return False
        return isinstance(change, Insert) or tuple(change.match.values()) not in self.matches

    def may_touch(self, change: Change) -> bool:
        """Whether a change may concern the same rows, so that it must stay after these."""
        return any(not _are_apart(change, other) for other in self.changes)

    def whole(self) -> Iterator[Change | Updates]:
        first = self.changes[0]
        if len(self.changes) == 1:
            yield first
        elif isinstance(first, Insert):
            yield Insert(
                self.table, tuple(row for change in self.changes if isinstance(change, Insert) for row in change.rows)
            )
        else:
            yield _together([change for change in self.changes if isinstance(change, Update)])


def _batch_of(change: Change, earlier: list[_Batch]) -> _Batch | None:
    """The last batch that takes a change, unless a later batch may touch the same rows."""
    for batch in reversed(earlier):
        if batch.takes(change):
            return batch
        if batch.may_touch(change):
            return None
    return None


def _shape(change: Change) -> _Shape | None:
    """What changes must have in common to be batched. None: the change stays alone.

    Matches are numbers, because the equality of texts depends on a collation. An update that checks whether another
    generator has played the game (`played`) stays alone.
    """
    if isinstance(change, Insert):
        return Insert, (), ()
    if isinstance(change, Delete) or not change.match or "played" in change.match:
        return None
    if not all(isinstance(value, int) for value in change.match.values()) or change.match.keys() & change.values.keys():
        return None
    fixed = tuple(name for name, value in change.values.items() if not isinstance(value, Plus))
    return Update, tuple(change.match), fixed


def _are_apart(change: Change, other: Change) -> bool:
    """Whether two changes certainly concern different rows."""
    if isinstance(change, Insert) and isinstance(other, Insert):
        return True
    return all(
        any(
            isinstance(value, int) and isinstance(there.get(name), int) and value != there[name]
            for name, value in here.items()
            if name not in _written(change) and name not in _written(other)
        )
        for here in _rows_of(change)
        for there in _rows_of(other)
    )


def _rows_of(change: Change) -> Iterator[Mapping[str, Value]]:
    if isinstance(change, Insert):
        names = BY_NAME[change.table].column_names
        yield from (dict(zip(names, row, strict=True)) for row in change.rows)
    else:
        yield change.match


def _written(change: Change) -> Iterable[str]:
    return change.values if isinstance(change, Update) else ()


def _together(updates: list[Update]) -> Updates:
    first = updates[0]
    fixed = [name for name, value in first.values.items() if not isinstance(value, Plus)]
    grown = list(
        dict.fromkeys(name for update in updates for name, value in update.values.items() if isinstance(value, Plus))
    )
    rows = tuple((*update.match.values(), *(_value(update, name) for name in (*fixed, *grown))) for update in updates)
    return Updates(first.table, tuple(first.match), tuple(fixed), tuple(grown), rows)


def _value(update: Update, name: str) -> Value:
    """A new value, or what a column grows by: 0 if the update does not name it."""
    value = update.values.get(name, 0)
    return value.by if isinstance(value, Plus) else value
