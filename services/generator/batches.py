"""Changes of a transaction put together by table: the rows end up the same, and the server is asked far less often.

A game changes some forty rows one by one: a line of the season for everybody who played, both divisions' standings.
Tables do not depend on one another, and changes of rows that cannot be the same may change places; so what is of one
shape becomes one change of many rows, at the place of its first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from services.generator.rows import Change, Delete, Insert, Plus, Row, Update, Value
from services.generator.tables import BY_NAME

_Shape = tuple[type[Change], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Updates:
    """New values for several rows of a table, each found by its own match.

    Attributes:
        table: The table.
        match: The columns that rows are found by; each match is another row's.
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
    """The changes of a transaction in an order, and put together so, that they leave the same rows."""
    batches: list[_Batch] = []
    of_table: dict[str, list[_Batch]] = {}
    for change in changes:
        earlier = of_table.setdefault(change.table, [])
        home = _home(change, earlier)
        if home is None:
            home = _Batch(change.table, _shape(change))
            batches.append(home)
            earlier.append(home)
        home.add(change)
    for batch in batches:
        yield from batch.whole()


@dataclass
class _Batch:
    """Changes of one shape to one table; of those without a shape just one."""

    table: str
    shape: _Shape | None
    changes: list[Change] = field(default_factory=list)
    matches: set[tuple[Value, ...]] = field(default_factory=set)

    def add(self, change: Change) -> None:
        self.changes.append(change)
        if isinstance(change, Update):
            self.matches.add(tuple(change.match.values()))

    def takes(self, change: Change) -> bool:
        """Whether a change can be made together with these: it is of their shape, and of none of their rows."""
        if self.shape is None or _shape(change) != self.shape:
            return False
        return isinstance(change, Insert) or tuple(change.match.values()) not in self.matches

    def may_touch(self, change: Change) -> bool:
        """Whether it could make a difference if a change were made before these."""
        return any(not _are_apart(change, other) for other in self.changes)

    def whole(self) -> Iterator[Change | Updates]:
        first = self.changes[0]
        if len(self.changes) == 1:
            yield first
        elif isinstance(first, Insert):
            yield Insert(self.table, tuple(row for one in self.changes if isinstance(one, Insert) for row in one.rows))
        else:
            yield _together([one for one in self.changes if isinstance(one, Update)])


def _home(change: Change, earlier: list[_Batch]) -> _Batch | None:
    """The batch that a change joins: the last that takes it, unless one in between may touch the same rows."""
    for batch in reversed(earlier):
        if batch.takes(change):
            return batch
        if batch.may_touch(change):
            return None
    return None


def _shape(change: Change) -> _Shape | None:
    """What changes must have in common to be put together; None: this one stays by itself.

    Rows are found by numbers: whether two texts are the same is for a collation to say. One that finds out whether
    somebody else was there (`played`) stays by itself.
    """
    if isinstance(change, Insert):
        return Insert, (), ()
    if isinstance(change, Delete) or not change.match or "played" in change.match:
        return None
    if not all(isinstance(value, int) for value in change.match.values()) or change.match.keys() & change.values.keys():
        return None
    fixed = tuple(name for name, value in change.values.items() if not isinstance(value, Plus))
    return Update, tuple(change.match), fixed


def _are_apart(one: Change, other: Change) -> bool:
    """Whether two changes are certainly of different rows, whichever is made first."""
    if isinstance(one, Insert) and isinstance(other, Insert):
        return True
    return all(
        any(
            isinstance(value, int) and isinstance(there.get(name), int) and value != there[name]
            for name, value in here.items()
            if name not in _written(one) and name not in _written(other)
        )
        for here in _rows_of(one)
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
        dict.fromkeys(name for one in updates for name, value in one.values.items() if isinstance(value, Plus))
    )
    rows = tuple(
        (*one.match.values(), *(_value(one, name) for name in fixed), *(_value(one, name) for name in grown))
        for one in updates
    )
    return Updates(first.table, tuple(first.match), tuple(fixed), tuple(grown), rows)


def _value(update: Update, name: str) -> Value:
    """A new value, or what a column grows by; one that a row has nothing for grows by nought."""
    value = update.values.get(name, 0)
    return value.by if isinstance(value, Plus) else value
