"""The audits in the state store: asked for, handed to who runs them, and what they found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state_audit_reading import AuditReading, stored_audit
from datafingerprint.adapters.state_rows import Row, insert, upsert
from datafingerprint.adapters.state_tables import AUDITS, FINDINGS, LAST_FINDINGS, stored_sum
from datafingerprint.audit import Finding, overall
from datafingerprint.audits import (
    LEASE_S,
    AuditProgress,
    AuditState,
    LastFinding,
    Origin,
    Scope,
    StoredAudit,
)
from datafingerprint.errors import ConflictError
from datafingerprint.verdict import Outcome

AUDITS_KEPT = 1_000
"""Audits that stay readable; what the last one found of a partition is kept for as long as the partition is there."""

_HELD = (AuditState.RUNNING.value, AuditState.PAUSED.value)
_UNFINISHED = (AuditState.QUEUED.value, *_HELD)
_OVER = tuple(state.value for state in AuditState if state.is_over)


class StateAudits(ABC):
    """Implements the port `AuditStore` over the store's transactions."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[AuditReading]:
        """A view of one moment."""

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
        begun = {"state": AuditState.RUNNING.value, "owner": owner, "started_at": now, "seen_at": now}
        with self._transaction() as connection:
            number = _ask(connection, scope, {"origin": origin.value, "asked_at": now, **begun})
            return stored_audit(connection.execute(sa.select(AUDITS).where(AUDITS.c.id == number)).mappings().one())

    def take_audit(self, owner: str, now: float, number: int | None = None) -> StoredAudit | None:
        """See the port."""
        is_left = (AUDITS.c.owner == owner) | (AUDITS.c.seen_at < now - LEASE_S)
        is_free = (AUDITS.c.state == AuditState.QUEUED.value) | (AUDITS.c.state.in_(_HELD) & is_left)
        query = sa.select(AUDITS.c.id).where(is_free).order_by(AUDITS.c.id).limit(1)
        if number is not None:
            query = query.where(AUDITS.c.id == number)
        with self._transaction() as connection:
            found = connection.scalar(query.with_for_update(skip_locked=True))
            if found is None:
                return None
            connection.execute(
                sa.update(AUDITS)
                .where(AUDITS.c.id == found)
                .values(
                    owner=owner,
                    state=AuditState.RUNNING.value,
                    reason="",
                    seen_at=now,
                    started_at=sa.func.coalesce(AUDITS.c.started_at, now),
                )
            )
            return stored_audit(connection.execute(sa.select(AUDITS).where(AUDITS.c.id == found)).mappings().one())

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
                changed["outcome"] = _worse(before, overall(findings)).value
            _change(connection, number, owner, changed)
            rows = [_finding_row(one) for one in findings]
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

    def audit(self, number: int) -> StoredAudit | None:
        """See the port."""
        with self.reading() as view:
            return view.audit(number)

    def audits(self, *, limit: int, before: int | None = None) -> Sequence[StoredAudit]:
        """See the port."""
        with self.reading() as view:
            return view.audits(limit=limit, before=before)

    def findings(self, number: int) -> Sequence[Finding]:
        """See the port."""
        with self.reading() as view:
            return view.findings(number)

    def last_findings(self, table: str | None = None) -> Sequence[LastFinding]:
        """See the port."""
        with self.reading() as view:
            return view.last_findings(table)

    def last_ended(self) -> Mapping[str, StoredAudit]:
        """See the port."""
        with self.reading() as view:
            return view.last_ended()


def _ask(connection: sa.Connection, scope: Scope, values: Row) -> int:
    """Adds an audit; the oldest that are over are forgotten."""
    asked = {"table_name": scope.table, "partition_name": scope.partition, **values}
    number = int(connection.execute(sa.insert(AUDITS).values(**asked).returning(AUDITS.c.id)).scalar_one())
    connection.execute(sa.delete(AUDITS).where(AUDITS.c.id <= number - AUDITS_KEPT, AUDITS.c.state.in_(_OVER)))
    return number


def _change(connection: sa.Connection, number: int, owner: str, values: Row) -> None:
    mine = sa.update(AUDITS).where(AUDITS.c.id == number, AUDITS.c.owner == owner, AUDITS.c.state.in_(_HELD))
    if connection.execute(mine.values(**values)).rowcount != 1:
        raise ConflictError(f"audit {number} was cancelled, or somebody else goes on with it")


def _worse(before: str | None, found: Outcome) -> Outcome:
    outcomes = {found} if before is None else {Outcome(before), found}
    return next((one for one in (Outcome.MISMATCH, Outcome.INCONCLUSIVE) if one in outcomes), Outcome.MATCH)


def _finding_row(one: Finding) -> dict[str, Any]:
    return {
        "table_name": one.table,
        "partition_name": one.partition or "",
        "outcome": one.outcome.value,
        "hops": ",".join(hop.value for hop in one.hops),
        "reason": one.reason,
        **stored_sum(one.source, "source_"),
        **stored_sum(one.stream, "stream_"),
        "gtid": one.at.position.gtid if one.at else None,
        "file": one.at.position.file if one.at else None,
        "pos": one.at.position.pos if one.at else None,
        "epoch": one.at.epoch if one.at else None,
        "checked_at": one.at.checked_at if one.at else None,
    }


def _forget_what_is_gone(connection: sa.Connection, number: int) -> None:
    """Of tables that this audit saw as a whole, older findings are about partitions that are no longer there."""
    row = connection.execute(sa.select(AUDITS).where(AUDITS.c.id == number)).mappings().one()
    if row["partition_name"] is not None:
        return
    found = connection.execute(
        sa.select(FINDINGS.c.table_name, sa.func.min(FINDINGS.c.partition_name).label("first"))
        .where(FINDINGS.c.audit_id == number)
        .group_by(FINDINGS.c.table_name)
    ).mappings()
    whole = [one["table_name"] for one in found if one["first"] != ""]
    if row["table_name"] is not None and not whole:
        undecided = connection.scalar(sa.select(sa.func.count()).where(FINDINGS.c.audit_id == number))
        whole = [] if undecided else [row["table_name"]]
    connection.execute(
        sa.delete(LAST_FINDINGS).where(LAST_FINDINGS.c.table_name.in_(whole), LAST_FINDINGS.c.audit_id < number)
    )
