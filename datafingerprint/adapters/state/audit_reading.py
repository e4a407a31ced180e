"""What is read of audits from the state store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state.tables import AUDITS, FINDINGS, LAST_FINDINGS, read_known_sum
from datafingerprint.audit import Finding, Hop, MeasuredAt
from datafingerprint.audits import AuditProgress, AuditState, LastFinding, Origin, Scope, StoredAudit
from datafingerprint.epochs import SourcePosition
from datafingerprint.ports.state_values import AuditTotals, OutcomeCounts
from datafingerprint.verdict import Outcome

_OVER = tuple(state.value for state in AuditState if state.is_over)


_COUNTED = (
    LAST_FINDINGS.c.outcome,
    sa.func.count().label("count"),
    sa.func.min(LAST_FINDINGS.c.checked_at).label("oldest"),
)


class AuditReading(ABC):
    """The part of a view of the store that is about audits."""

    @abstractmethod
    def _rows(self, query: sa.Select[Any]) -> Sequence[Mapping[Any, Any]]: ...

    def audit(self, number: int) -> StoredAudit | None:
        """One audit."""
        audits = self._rows(sa.select(AUDITS).where(AUDITS.c.id == number))
        return stored_audit(audits[0]) if audits else None

    def audits(self, *, limit: int, before: int | None = None) -> Sequence[StoredAudit]:
        """Audits, newest first."""
        query = sa.select(AUDITS).order_by(AUDITS.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AUDITS.c.id < before)
        return [stored_audit(row) for row in self._rows(query)]

    def audit_counts(self) -> Mapping[AuditState, int]:
        """How many of the audits that are kept are in each state, all states named."""
        query = sa.select(AUDITS.c.state, sa.func.count().label("count")).group_by(AUDITS.c.state)
        counts = {row["state"]: int(row["count"]) for row in self._rows(query)}
        return {state: counts.get(state.value, 0) for state in AuditState}

    def findings(self, number: int) -> Sequence[Finding]:
        """What an audit has found so far, by table and partition."""
        findings = [_finding(row) for row in self._rows(sa.select(FINDINGS).where(FINDINGS.c.audit_id == number))]
        return sorted(findings, key=lambda finding: (finding.table, finding.partition or ""))

    def last_findings(
        self, table: str | Collection[str] | None = None, partition: str | None = None
    ) -> Sequence[LastFinding]:
        """What the last audit of every partition found, by table and partition."""
        query = sa.select(LAST_FINDINGS)
        if table is not None:
            query = query.where(LAST_FINDINGS.c.table_name.in_([table] if isinstance(table, str) else list(table)))
        if partition is not None:
            query = query.where(LAST_FINDINGS.c.partition_name == partition)
        findings = [LastFinding(row["audit_id"], _finding(row)) for row in self._rows(query)]
        return sorted(findings, key=lambda last: (last.finding.table, last.finding.partition or ""))

    def audit_totals(self) -> AuditTotals:
        """See `AuditReader.audit_totals`; read from an index."""
        return _totals(self._rows(sa.select(*_COUNTED).group_by(LAST_FINDINGS.c.outcome)))

    def audit_totals_by_table(self) -> Mapping[str, AuditTotals]:
        """See `AuditReader.audit_totals_by_table`."""
        of = LAST_FINDINGS.c.table_name
        by_table: dict[str, list[Mapping[Any, Any]]] = {}
        for row in self._rows(sa.select(of, *_COUNTED).group_by(of, LAST_FINDINGS.c.outcome)):
            by_table.setdefault(row["table_name"], []).append(row)
        return {table: _totals(rows) for table, rows in by_table.items()}

    def last_ended(self) -> Mapping[str, StoredAudit]:
        """By table the last audit of all of it, alone, that is over."""
        query = sa.select(AUDITS).where(AUDITS.c.id.in_(last_ended_ids()))
        return {row["table_name"]: stored_audit(row) for row in self._rows(query)}


def last_ended_ids() -> sa.Select[Any]:
    """Ids of the last ended audit of each table alone and as a whole."""
    return (
        sa.select(sa.func.max(AUDITS.c.id))
        .where(AUDITS.c.state.in_(_OVER), AUDITS.c.table_name.is_not(None), AUDITS.c.partition_name.is_(None))
        .group_by(AUDITS.c.table_name)
    )


def _totals(rows: Sequence[Mapping[Any, Any]]) -> AuditTotals:
    counts = {row["outcome"]: int(row["count"]) for row in rows}
    oldest = min((row["oldest"] for row in rows if row["oldest"] is not None), default=None)
    return AuditTotals(OutcomeCounts(**{outcome.value: counts.get(outcome.value, 0) for outcome in Outcome}), oldest)


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
        at = MeasuredAt(SourcePosition(row["gtid"], row["file"], row["pos"]), row["epoch"], row["checked_at"])
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
