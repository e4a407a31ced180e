"""What the schedule of audits keeps and reads in the state store, by seeks in indexes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state.reading import in_batches
from datafingerprint.adapters.state.rows import upsert
from datafingerprint.adapters.state.tables import AUDITS, DEFINITIONS, LAST_FINDINGS
from datafingerprint.audits import AuditState

_TABLES = sa.MetaData()

# Since when the schedule knows a table, in Unix seconds: its first audit is made within one interval of that.
_SCHEDULED = sa.Table(
    "scheduled_tables",
    _TABLES,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("since", sa.Double, nullable=False),
)

SCHEDULE_TABLES = tuple(_TABLES.tables)

# The age of a table is one seek in this index, however many partitions it has.
_OLDEST_INDEX = "CREATE INDEX IF NOT EXISTS last_findings_oldest ON last_findings (table_name, checked_at)"

_UNFINISHED = tuple(state.value for state in AuditState if not state.is_over)


class AuditSchedule:
    """What the schedule of audits needs. Its table and index are made at the first use."""

    _has_schedule = False

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[sa.Connection]: ...

    @abstractmethod
    def _rows(self, query: sa.Select[Any]) -> Sequence[Mapping[Any, Any]]: ...

    def scheduled_since(self, tables: Collection[str], now: float) -> Mapping[str, float]:
        """See the port; writes only when a table is new or has no definition any more."""
        self._prepare_schedule()
        known: dict[str, float] = {row["table_name"]: row["since"] for row in self._rows(sa.select(_SCHEDULED))}
        defined = {row["table_name"] for row in self._rows(sa.select(DEFINITIONS.c.table_name))}
        new = {table: now for table in tables if table not in known}
        gone = sorted(known.keys() - defined - set(tables))
        if new or gone:
            with self._transaction() as connection:
                upsert(connection, _SCHEDULED, [{"table_name": name, "since": at} for name, at in new.items()])
                for names in in_batches(gone):
                    connection.execute(sa.delete(_SCHEDULED).where(_SCHEDULED.c.table_name.in_(names)))
        return {table: known.get(table, now) for table in tables}

    def oldest_findings(self) -> Mapping[str, float]:
        """See the port; two seeks in an index per table."""
        self._prepare_schedule()
        of_table = LAST_FINDINGS.c.table_name == DEFINITIONS.c.table_name
        checked_at = LAST_FINDINGS.c.checked_at
        oldest = sa.select(sa.func.min(checked_at)).where(of_table).correlate(DEFINITIONS).scalar_subquery()
        is_unmeasured = sa.exists().where(of_table, checked_at.is_(None)).correlate(DEFINITIONS)
        query = sa.select(DEFINITIONS.c.table_name, sa.case((is_unmeasured, 0.0), else_=oldest).label("oldest"))
        return {row["table_name"]: row["oldest"] for row in self._rows(query) if row["oldest"] is not None}

    def unfinished_tables(self) -> set[str]:
        """See the port."""
        whole = AUDITS.c.table_name.is_not(None) & AUDITS.c.partition_name.is_(None)
        query = sa.select(AUDITS.c.table_name).where(AUDITS.c.state.in_(_UNFINISHED), whole)
        return {row["table_name"] for row in self._rows(query)}

    def audit_marks(self) -> tuple[object, ...]:
        """See the port."""
        newest = sa.select(sa.func.max(AUDITS.c.id)).scalar_subquery().label("newest")
        ended = sa.select(sa.func.max(AUDITS.c.ended_at)).scalar_subquery().label("ended")
        (row,) = self._rows(sa.select(newest, ended))
        return row["newest"], row["ended"]

    def _prepare_schedule(self) -> None:
        """Makes the table and the index together, once per store."""
        if self._has_schedule:
            return
        with self._transaction() as connection:
            if not sa.inspect(connection).has_table(_SCHEDULED.name):
                connection.exec_driver_sql(_OLDEST_INDEX)
                _TABLES.create_all(connection)
        self._has_schedule = True
