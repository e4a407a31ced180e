"""Foreign keys whose cascades the source does not log, and the tables that they may change.

MariaDB logs only the change of the parent row. So does MySQL before 9.6, and later where InnoDB enforces foreign keys.
Rows that the cascade deletes or sets in child tables are in no binlog. Such a child is *suspect* until an audit agrees.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.changes import HAS_BEFORE, Changes, Op, has_op, images

RULES = ("CASCADE", "SET NULL", "SET DEFAULT")
"""Rules of ON DELETE and ON UPDATE that change child rows. With another rule the server refuses the statement."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key that cascades.

    Attributes:
        name: The constraint's name.
        child: The table that has it, `schema.table`.
        columns: Its columns there.
        parent: The table that it references.
        referenced: The columns of the parent, in the same order.
        on_delete: The rule for a deleted parent row.
        on_update: The rule for a parent row whose referenced columns change.
    """

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    referenced: tuple[str, ...]
    on_delete: str
    on_update: str

    def __str__(self) -> str:
        rules = [f"ON {verb} {rule}" for verb, rule in (("DELETE", self.on_delete), ("UPDATE", self.on_update))]
        actions = " ".join(rule for rule in rules if rule.endswith(RULES))
        return f"{self.child} ({', '.join(self.columns)}) references {self.parent} {actions}"


_State = tuple[str, str]
"""A table and the column that changes in it. An empty column means that rows are deleted."""

_DELETED = ""


class Cascades:
    """The cascading foreign keys of a source that does not log cascades; else empty.

    Args:
        keys: All keys that the account can see, also of tables that are not captured: a cascade may pass through them.
    """

    def __init__(self, keys: Iterable[ForeignKey] = ()) -> None:
        self.keys = frozenset(keys)
        self._of: dict[str, list[ForeignKey]] = {}
        for key in sorted(self.keys, key=str):
            self._of.setdefault(key.parent, []).append(key)
        self._reached: dict[_State, frozenset[str]] = {}

    def is_parent(self, table: str) -> bool:
        """Whether a change of the table's rows may cascade."""
        return table in self._of

    def after_delete(self, parent: str) -> frozenset[str]:
        """The tables that a deleted parent row may change, directly or through other tables."""
        return self._reachable((parent, _DELETED))

    def after_update(self, parent: str, column: str) -> frozenset[str]:
        """The tables that a changed value in this column of a parent may change."""
        return self._reachable((parent, column.lower()))

    def columns(self, parent: str) -> tuple[str, ...]:
        """The columns of a parent whose change may cascade, in lower case."""
        keys = [key for key in self._of.get(parent, ()) if key.on_update in RULES]
        return tuple(sorted({column.lower() for key in keys for column in key.referenced}))

    def after(self, changes: Changes) -> dict[str, str]:
        """The child tables that these changes may have changed by cascades.

        Whole columns are compared, so an update of a parent costs one comparison per referenced column.

        Returns:
            Child table to the reason in words.
        """
        parent = changes.table.table
        if not self.is_parent(parent):
            return {}
        reasons: dict[str, str] = {}
        if pc.any(has_op(changes.rows, frozenset({Op.DELETED}))).as_py():
            reasons |= dict.fromkeys(self.after_delete(parent), f"rows of {parent} were deleted")
        names = {name.lower(): name for name in changes.table.arrow.names}
        referenced = [(column, names[column]) for column in self.columns(parent) if column in names]
        if referenced:
            updated = changes.rows.filter(has_op(changes.rows, HAS_BEFORE - {Op.DELETED}))
            for column in _changed_columns(updated, referenced):
                reason = f"{column} of {parent} was changed"
                reasons = {**dict.fromkeys(self.after_update(parent, column), reason), **reasons}
        return reasons

    def after_skipped(self, parent: str, op: Op) -> dict[str, str]:
        """As `after`, for rows that are not decoded, so that the changed columns are unknown."""
        reason = f"rows of {parent} were {'deleted' if op is Op.DELETED else 'changed'}"
        if op is Op.DELETED:
            return dict.fromkeys(self.after_delete(parent), reason)
        if op is not Op.UPDATED:
            return {}
        reached = (self.after_update(parent, column) for column in self.columns(parent))
        return dict.fromkeys(frozenset().union(*reached), reason)

    def between(self, captured: Collection[str]) -> list[ForeignKey]:
        """The keys by which a captured table may change without a binlog event."""
        return sorted((key for key in self.keys if key.child in captured), key=str)

    def _reachable(self, start: _State) -> frozenset[str]:
        if start not in self._reached:
            seen: set[_State] = set()
            waiting = list(self._next(start))
            while waiting:
                state = waiting.pop()
                if state not in seen:
                    seen.add(state)
                    waiting += self._next(state)
            self._reached[start] = frozenset(table for table, _ in seen)
        return self._reached[start]

    def _next(self, state: _State) -> list[_State]:
        table, column = state
        states: list[_State] = []
        for key in self._of.get(table, ()):
            rule = key.on_delete if column == _DELETED else key.on_update
            if rule not in RULES or (column != _DELETED and column not in map(str.lower, key.referenced)):
                continue
            if column == _DELETED and rule == "CASCADE":
                states.append((key.child, _DELETED))
            else:
                states += [(key.child, child_column.lower()) for child_column in key.columns]
        return states


def _changed_columns(updated: pa.Table, columns: Sequence[tuple[str, str]]) -> list[str]:
    """Names the columns, given as (known name, name in the rows), that an update changed."""
    if not updated.num_rows:
        return []
    before, after = images(updated, "before"), images(updated, "after")
    differing = []
    for known, name in columns:
        old, new = before.column(name), after.column(name)
        is_same = pc.fill_null(pc.equal(old, new), False)  # noqa: FBT003 - the value for nulls
        are_null = pc.and_(old.is_null(), new.is_null())
        if not pc.all(pc.or_(is_same, are_null)).as_py():
            differing.append(known)
    return differing


def list_keys(keys: Sequence[ForeignKey], most: int = 5) -> str:
    """Lists foreign keys for a message."""
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(map(str, keys[:most])) + more


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A table whose rows may have changed in the source without a binlog event.

    Attributes:
        table: `schema.table`.
        first_epoch: The epoch of the first parent change after the last audit.
        last_epoch: The epoch of the last parent change.
        reason: The first change of the parent.
        is_cascade: Whether a cascade is the reason. Otherwise rows changed that the lake did not have, or had with
            other values. Then a match stays a match, and only a difference may not be the lake's fault.
    """

    table: str
    first_epoch: int
    last_epoch: int
    reason: str
    is_cascade: bool = True

    @property
    def explanation(self) -> str:
        """Why the table is inconclusive."""
        return f"cascade of a foreign key not logged by the source: {self.reason}"


def of_unknown_rows(table: str, epoch: int) -> Suspicion:
    """The suspicion of a lake commit that met rows unknown to the lake."""
    return Suspicion(
        table, epoch, epoch, "rows changed that the lake did not have, or had with other values", is_cascade=False
    )


@dataclass(slots=True)
class Suspicions:
    """The suspicions of consecutive epochs.

    Attributes:
        suspects: The suspect tables.
        restarted: Table to the last epoch in which it started from nothing. Its rows are then those of a view of the
            source, or none on either side. Suspicions from before this epoch no longer hold.
    """

    suspects: dict[str, Suspicion] = field(default_factory=dict)
    restarted: dict[str, int] = field(default_factory=dict)

    def add(self, number: int, reasons: Mapping[str, str], restarted: Iterable[str] = ()) -> None:
        """Adds an epoch: by child table the reason, and the tables that started from nothing."""
        for table in restarted:
            self.suspects.pop(table, None)
            self.restarted[table] = number
        for table, reason in reasons.items():
            known = self.suspects.get(table, Suspicion(table, number, number, reason))
            self.suspects[table] = Suspicion(table, known.first_epoch, number, known.reason)
