"""The timetable of one process: due times, kept while no audit begins or ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.auditor.ports import Store
from services.auditor.schedule import AuditRecord, auditable, due_times, longest_waiting

KEPT_S = 10.0
"""Most seconds for which due times are kept, and so until a new table is noticed."""

_KEPT_SHARE = 0.1
"""Most of an interval for which due times are kept."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Due times, with the store's marks and the time at which they were read."""

    marks: tuple[object, ...]
    made_at: float
    due_at: Mapping[str, float]
    first: str | None

    def is_due(self, now: float) -> bool:
        """Whether a table is due."""
        return self.first is not None and self.due_at[self.first] <= now

    def holds(self, marks: tuple[object, ...], now: float, kept_s: float) -> bool:
        """Whether nothing can have changed that matters. A clock that was set back ends a plan."""
        return self.marks == marks and 0 <= now - self.made_at < kept_s


class Timetable:
    """Finds the next table of the schedule. An idle look reads two values from the store.

    Args:
        store: Keeps audits, findings and the tables.
        every_s: Seconds within which each table is audited again. 0 for never.
    """

    def __init__(self, store: Store, every_s: float) -> None:
        self._store = store
        self._every_s = every_s
        self._kept_s = min(KEPT_S, every_s * _KEPT_SHARE)
        self._plan: _Plan | None = None

    def due(self, now: float) -> str | None:
        """The table to audit now. None when no table is due.

        A table that is due by kept times is looked up again: another process may have measured it since.
        """
        if not self._every_s:
            return None
        marks = self._store.audit_marks()
        plan = self._plan
        if plan is None or plan.is_due(now) or not plan.holds(marks, now, self._kept_s):
            plan = self._plan = self._read(marks, now)
        return plan.first if plan.is_due(now) else None

    def _read(self, marks: tuple[object, ...], now: float) -> _Plan:
        last = self._store.epochs(limit=1)
        tables = auditable(last[0].epoch if last else None) & self._store.defined_tables()
        if not tables:
            return _Plan(marks, now, {}, None)
        since = self._store.scheduled_since(tables, now)
        ended, oldest = self._store.last_ended(), self._store.oldest_findings()
        waiting = tables - self._store.unfinished_tables()
        records = {table: AuditRecord(since[table], ended.get(table), oldest.get(table)) for table in waiting}
        due_at = due_times(last[0].epoch.stream_id, records, self._every_s)
        return _Plan(marks, now, due_at, longest_waiting(due_at))
