"""Rows in memory, as a warehouse would hold them after the same changes.

The seed is written from a store, and tests play in one. The generator itself keeps no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.generator.indexes import INDEXES
from services.generator.rows import Change, Delete, Insert, Plus, Row, Select, Update, Value
from services.generator.tables import BY_NAME, TABLES

_Rows = dict[int, dict[str, Value]]


class Store:
    """All tables of a league.

    The index, or the first column of the key, finds rows without a search.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Rows] = {table.name: {} for table in TABLES}
        self._by: dict[str, dict[Value, _Rows]] = {table.name: {} for table in TABLES}
        self._serial = 0

    def apply(self, changes: Iterable[Change]) -> None:
        """Applies the changes of a transaction."""
        for change in changes:
            if isinstance(change, Insert):
                self._insert(change)
            elif isinstance(change, Update):
                for row in self._matching(change.table, change.match).values():
                    row.update({name: _moved(row[name], value) for name, value in change.values.items()})
            else:
                self._delete(change)

    def rows(self, table: str) -> list[Row]:
        """All rows of a table, with all columns."""
        return [tuple(row.values()) for row in self._rows[table].values()]

    def select(self, question: Select) -> Sequence[Row]:
        """Runs a SELECT."""
        rows = [row for row in self._matching(question.table, question.match).values() if _within(row, question)]
        if question.ordered_by is not None:
            column = question.ordered_by
            rows.sort(key=lambda row: (row[column] is not None, row[column]), reverse=question.descending)
        return [tuple(row[name] for name in question.columns) for row in rows[: question.limit]]

    def _insert(self, change: Insert) -> None:
        names, indexed = BY_NAME[change.table].column_names, _indexed(change.table)
        for values in change.rows:
            self._serial += 1
            row = dict(zip(names, values, strict=True))
            self._rows[change.table][self._serial] = row
            self._by[change.table].setdefault(row[indexed], {})[self._serial] = row

    def _delete(self, change: Delete) -> None:
        indexed = _indexed(change.table)
        for serial, row in list(self._matching(change.table, change.match).items())[: change.limit]:
            del self._rows[change.table][serial]
            del self._by[change.table][row[indexed]][serial]

    def _matching(self, table: str, match: Mapping[str, Value]) -> _Rows:
        indexed = _indexed(table)
        among = self._by[table].get(match[indexed], {}) if indexed in match else self._rows[table]
        return {
            serial: row for serial, row in among.items() if all(row[name] == value for name, value in match.items())
        }


def _indexed(table: str) -> str:
    key = BY_NAME[table].key
    return key[0] if key else INDEXES.get(table, BY_NAME[table].column_names[0])


def _moved(old: Value, new: Value | Plus) -> Value:
    if not isinstance(new, Plus):
        return new
    return old + new.by if isinstance(old, int | float) else None


def _within(row: Mapping[str, Value], question: Select) -> bool:
    bounds = ((question.above, 1), (question.below, -1))
    return all(bound is None or sign * (int(str(row[bound[0]])) - bound[1]) > 0 for bound, sign in bounds)
