"""What is read of audits from the state store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state_tables import AUDITS, FINDINGS, LAST_FINDINGS, read_known_sum
from datafingerprint.audit import At, Finding, Hop
from datafingerprint.audits import AuditProgress, AuditState, LastFinding, Origin, Scope, StoredAudit
from datafingerprint.epochs import SourcePosition
from datafingerprint.verdict import Outcome

_OVER = tuple(state.value for state in AuditState if state.is_over)


class AuditReading(ABC):
    """The part of a view of the store that is about audits."""

    @abstractmethod
    def _rows(self, query: sa.Select[Any]) -> Sequence[Mapping[Any, Any]]: ...

    def audit(self, number: int) -> StoredAudit | None:
        """One audit."""
        found = self._rows(sa.select(AUDITS).where(AUDITS.c.id == number))
        return stored_audit(found[0]) if found else None

    def audits(self, *, limit: int, before: int | None = None) -> Sequence[StoredAudit]:
        """Audits, newest first."""
        query = sa.select(AUDITS).order_by(AUDITS.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AUDITS.c.id < before)
        return [stored_audit(row) for row in self._rows(query)]

    def audit_counts(self) -> Mapping[AuditState, int]:
        """How many of the audits that are kept are in each state, all states named."""
        query = sa.select(AUDITS.c.state, sa.func.count().label("count")).group_by(AUDITS.c.state)
        found = {row["state"]: int(row["count"]) for row in self._rows(query)}
        return {state: found.get(state.value, 0) for state in AuditState}

    def findings(self, number: int) -> Sequence[Finding]:
        """What an audit has found so far, by table and partition."""
        found = [_finding(row) for row in self._rows(sa.select(FINDINGS).where(FINDINGS.c.audit_id == number))]
        return sorted(found, key=lambda one: (one.table, one.partition or ""))

    def last_findings(self, table: str | None = None) -> Sequence[LastFinding]:
        """What the last audit of every partition found, by table and partition."""
        query = sa.select(LAST_FINDINGS)
        if table is not None:
            query = query.where(LAST_FINDINGS.c.table_name == table)
        found = [LastFinding(row["audit_id"], _finding(row)) for row in self._rows(query)]
        return sorted(found, key=lambda one: (one.finding.table, one.finding.partition or ""))

    def last_ended(self) -> Mapping[str, StoredAudit]:
        """By table the last audit of all of it, alone, that is over."""
        newest = (
            sa.select(sa.func.max(AUDITS.c.id))
            .where(AUDITS.c.state.in_(_OVER), AUDITS.c.table_name.is_not(None), AUDITS.c.partition_name.is_(None))
            .group_by(AUDITS.c.table_name)
        )
        return {
            row["table_name"]: stored_audit(row) for row in self._rows(sa.select(AUDITS).where(AUDITS.c.id.in_(newest)))
        }


def stored_audit(row: Mapping[Any, Any]) -> StoredAudit:
    """An audit from its row."""
    return StoredAudit(
        row["id"],
        Scope(row["table_name"], row["partition_name"]),
        Origin(row["origin"]),
        AuditState(row["state"]),
        row["reason"],
        row["owner"],
        row["asked_at"],
        row["started_at"],
        row["seen_at"],
        row["ended_at"],
        AuditProgress(row["partitions_done"], row["partitions"], row["row_count"]),
        None if row["outcome"] is None else Outcome(row["outcome"]),
    )


def _finding(row: Mapping[Any, Any]) -> Finding:
    at = None
    if row["checked_at"] is not None:
        at = At(SourcePosition(row["gtid"], row["file"], row["pos"]), row["epoch"], row["checked_at"])
    return Finding(
        row["table_name"],
        row["partition_name"] or None,
        Outcome(row["outcome"]),
        tuple(Hop(name) for name in row["hops"].split(",") if name),
        row["reason"],
        read_known_sum(row, "source_"),
        read_known_sum(row, "stream_"),
        at,
    )
