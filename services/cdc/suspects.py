"""Tables that a foreign key may have changed without a logged row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

import structlog

from datafingerprint.cascades import Cascades, ForeignKey, list_keys
from datafingerprint.changes import Changes, Op
from datafingerprint.epochs import SnapshotCursor
from services.cdc.epoch_builder import CapturedTable

_NAMES_MAX = 10


class CascadeSuspects:
    """Foreign keys whose cascades are not logged, and the tables that they may have changed.

    Args:
        captured: The stream's tables.
        snapshots: The snapshot cursor of each of them.
        arriving: New tables that are captured from their first snapshot on.

    Attributes:
        reasons: The suspect tables of the next epoch, and what made each suspect.
    """

    def __init__(
        self,
        captured: Mapping[str, CapturedTable],
        snapshots: Mapping[str, SnapshotCursor],
        arriving: AbstractSet[str],
    ) -> None:
        self._captured = captured
        self._snapshots = snapshots
        self._arriving = arriving
        self._cascades = Cascades()
        self._unlogged: frozenset[ForeignKey] = frozenset()
        self.reasons: dict[str, str] = {}

    def update_keys(
        self,
        cascades: Cascades,
        is_chosen: Callable[[str], bool],
        log: structlog.stdlib.BoundLogger,
        *,
        is_first: bool = False,
    ) -> None:
        """Replaces the foreign keys, logs new ones, and suspects their children.

        A key may be older than the query that found it, and what it cascaded before is unknown. The first query of a
        run has the keys of the binlog that is still to be read.

        Args:
            cascades: The source's foreign keys.
            is_chosen: Whether the settings select a table. A key may name a parent that is created later.
            log: The log for new keys.
            is_first: Whether this is the first query of a run.
        """
        known, self._cascades = self._cascades, cascades
        present = self._captured.keys() | self._arriving
        unlogged = frozenset(cascades.between(present))
        new, self._unlogged = sorted(unlogged - self._unlogged, key=str), unlogged
        if not new:
            return
        log.warning("the source does not log what foreign keys cascade", keys=len(new), list_keys=list_keys(new))
        parents = sorted(name for name in {key.parent for key in new} - present if not is_chosen(name))
        if parents:
            log.warning(
                "parents of foreign keys that cascade are not captured: any change of them makes the child suspect",
                tables=", ".join(parents[:_NAMES_MAX]),
                remedy="choose them in [source] tables",
            )
        for key in new:
            if key.child not in self._captured:
                continue  # its first snapshot reads what was cascaded
            is_complete = key.child not in self._snapshots or self._snapshots[key.child].complete
            if not is_first and is_complete and key not in known.keys:
                self.reasons.setdefault(key.child, f"foreign key {key.name} is new")

    def note_changes(self, changes: Changes) -> None:
        """Suspects the tables that these changes of a parent may have changed."""
        self._suspect(self._cascades.after(changes))

    def note_unread(self, table: str, op: Op) -> None:
        """Suspects the children of a table whose rows are not read.

        Such a table is not captured, or is being re-snapshotted.
        """
        if self._cascades.is_parent(table):
            self._suspect(self._cascades.after_skipped(table, op))

    def _suspect(self, reasons: Mapping[str, str]) -> None:
        for table, reason in reasons.items():
            if table in self._captured:
                self.reasons.setdefault(table, reason)
