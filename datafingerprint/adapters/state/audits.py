"""The audits in the state store: asked for, handed to who runs them, and what they found."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.runtime.process_names import has_ended
from datafingerprint.adapters.state.audit_reading import AuditReading, last_ended_ids, stored_audit
from datafingerprint.adapters.state.rows import Row, insert, upsert
from datafingerprint.adapters.state.tables import AUDITS, FINDINGS, LAST_FINDINGS, stored_sum
from datafingerprint.audit import Finding
from datafingerprint.audits import (
    LEASE_S,
    AuditProgress,
    AuditState,
    Origin,
    Scope,
    StoredAudit,
)
from datafingerprint.errors import ConflictError
from datafingerprint.verdict import Outcome, overall

AUDITS_KEPT = 1_000
"""Audits that stay readable, besides the last one of each table.

The last finding of a partition is kept for as long as the partition is there.
"""

_HELD = (AuditState.RUNNING.value, AuditState.PAUSED.value)
_UNFINISHED = (AuditState.QUEUED.value, *_HELD)
_OVER = tuple(state.value for state in AuditState if state.is_over)


class StateAudits(AuditReading):
    """Implements the port `AuditStore` over the store's transactions."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[sa.Connection]: ...

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        """See the port."""
        with self._transaction() as connection:
            waiting = connection.scalar(
                sa.select(AUDITS.c.id)
                .where(
                    AUDITS.c.state == AuditState.QUEUED.value,
                    AUDITS.c.table_name.is_not_distinct_from(scope.table),
                    AUDITS.c.partition_name.is_not_distinct_from(scope.partition),
                )
                .limit(1)
            )
            if waiting is not None:
                return int(waiting)
            return _ask(connection, scope, {"origin": origin.value, "state": AuditState.QUEUED.value, "asked_at": now})

    def begin_audit(self, scope: Scope, origin: Origin, owner: str, now: float) -> StoredAudit:
        """See the port."""
        values = {"state": AuditState.RUNNING.value, "owner": owner, "started_at": now, "seen_at": now}
        with self._transaction() as connection:
            number = _ask(connection, scope, {"origin": origin.value, "asked_at": now, **values})
            return stored_audit(connection.execute(sa.select(AUDITS).where(AUDITS.c.id == number)).mappings().one())

    def take_audit(self, owner: str, now: float, number: int | None = None) -> StoredAudit | None:
        """See the port."""
        is_held = AUDITS.c.state.in_(_HELD)
        with self._transaction() as connection:
            owners = connection.scalars(sa.select(AUDITS.c.owner).where(is_held).distinct())
            # Of a service that was killed on this machine that is known before its lease is over. A command's audit
            # waits that long for the command, which goes on with it when it is given again.
            gone = [other for other in owners if other and has_ended(other)]
            is_gone = AUDITS.c.owner.in_(gone) & (AUDITS.c.origin != Origin.COMMAND.value)
            is_left = (AUDITS.c.owner == owner) | is_gone | (AUDITS.c.seen_at < now - LEASE_S)
            is_free = (AUDITS.c.state == AuditState.QUEUED.value) | (is_held & is_left)
            query = sa.select(AUDITS.c.id).where(is_free).order_by(AUDITS.c.id).limit(1)
            if number is not None:
                query = query.where(AUDITS.c.id == number)
            free = connection.scalar(query.with_for_update(skip_locked=True))
            if free is None:
                return None
            connection.execute(
                sa.update(AUDITS)
                .where(AUDITS.c.id == free)
                .values(
                    owner=owner,
                    state=AuditState.RUNNING.value,
                    reason="",
                    seen_at=now,
                    started_at=sa.func.coalesce(AUDITS.c.started_at, now),
                )
            )
            return stored_audit(connection.execute(sa.select(AUDITS).where(AUDITS.c.id == free)).mappings().one())

    def hold_audit(self, number: int, owner: str, now: float) -> None:
        """See the port."""
        with self._transaction() as connection:
            _change(connection, number, owner, {"seen_at": now})

    def advance_audit(
        self,
        number: int,
        owner: str,
        now: float,
        progress: AuditProgress,
        findings: Sequence[Finding] = (),
        paused: str = "",
    ) -> None:
        """See the port."""
        changed: Row = {
            "seen_at": now,
            "state": (AuditState.PAUSED if paused else AuditState.RUNNING).value,
            "reason": paused,
            "partitions_done": progress.partitions_done,
            "partitions": progress.partitions,
            "row_count": progress.rows,
        }
        with self._transaction() as connection:
            if findings:
                before = connection.scalar(sa.select(AUDITS.c.outcome).where(AUDITS.c.id == number))
                outcomes = [finding.outcome for finding in findings] + ([Outcome(before)] if before is not None else [])
                changed["outcome"] = overall(outcomes).value
            _change(connection, number, owner, changed)
            rows = [_finding_row(finding) for finding in findings]
            insert(connection, FINDINGS, [{"audit_id": number, **row} for row in rows])
            upsert(connection, LAST_FINDINGS, [{"audit_id": number, **row} for row in rows])

    def end_audit(self, number: int, owner: str, now: float, state: AuditState, reason: str = "") -> None:
        """See the port."""
        with self._transaction() as connection:
            _change(connection, number, owner, {"state": state.value, "reason": reason, "ended_at": now})
            if state is AuditState.DONE:
                _forget_what_is_gone(connection, number)

    def release_audit(self, number: int, owner: str) -> None:
        """See the port."""
        with self._transaction() as connection:
            _change(connection, number, owner, {"seen_at": 0.0})

    def cancel_audit(self, number: int, now: float) -> bool:
        """See the port."""
        with self._transaction() as connection:
            cancelled = connection.execute(
                sa.update(AUDITS)
                .where(AUDITS.c.id == number, AUDITS.c.state.in_(_UNFINISHED))
                .values(state=AuditState.CANCELLED.value, reason="", ended_at=now)
            )
            return cancelled.rowcount == 1


def _ask(connection: sa.Connection, scope: Scope, values: Row) -> int:
    """Adds an audit. Forgets old ended ones, except the last of each table."""
    row = {"table_name": scope.table, "partition_name": scope.partition, **values}
    number = int(connection.execute(sa.insert(AUDITS).values(**row).returning(AUDITS.c.id)).scalar_one())
    is_old = AUDITS.c.id <= number - AUDITS_KEPT
    connection.execute(sa.delete(AUDITS).where(is_old, AUDITS.c.state.in_(_OVER), AUDITS.c.id.not_in(last_ended_ids())))
    return number


def _change(connection: sa.Connection, number: int, owner: str, values: Row) -> None:
    mine = sa.update(AUDITS).where(AUDITS.c.id == number, AUDITS.c.owner == owner, AUDITS.c.state.in_(_HELD))
    if connection.execute(mine.values(**values)).rowcount != 1:
        raise ConflictError(f"audit {number} was cancelled, or somebody else goes on with it")


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "table_name": finding.table,
        "partition_name": finding.partition or "",
        "outcome": finding.outcome.value,
        "hops": ",".join(hop.value for hop in finding.hops),
        "reason": finding.reason,
        **stored_sum(finding.source, "source_"),
        **stored_sum(finding.stream, "stream_"),
        "gtid": finding.at.position.gtid if finding.at else None,
        "file": finding.at.position.file if finding.at else None,
        "pos": finding.at.position.pos if finding.at else None,
        "epoch": finding.at.epoch if finding.at else None,
        "checked_at": finding.at.checked_at if finding.at else None,
    }


def _forget_what_is_gone(connection: sa.Connection, number: int) -> None:
    """Forgets older findings of tables that an audit saw as a whole: their partitions are gone."""
    row = connection.execute(sa.select(AUDITS).where(AUDITS.c.id == number)).mappings().one()
    if row["partition_name"] is not None:
        return
    tables = connection.execute(
        sa.select(FINDINGS.c.table_name, sa.func.min(FINDINGS.c.partition_name).label("first"))
        .where(FINDINGS.c.audit_id == number)
        .group_by(FINDINGS.c.table_name)
    ).mappings()
    whole = [table["table_name"] for table in tables if table["first"] != ""]
    if row["table_name"] is not None and not whole:
        undecided = connection.scalar(sa.select(sa.func.count()).where(FINDINGS.c.audit_id == number))
        whole = [] if undecided else [row["table_name"]]
    connection.execute(
        sa.delete(LAST_FINDINGS).where(LAST_FINDINGS.c.table_name.in_(whole), LAST_FINDINGS.c.audit_id < number)
    )
