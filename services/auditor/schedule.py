"""The schedule of audits: every table within a period, the longest waiting first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from datafingerprint.audits import AuditState, LastFinding, StoredAudit
from datafingerprint.epochs import Epoch
from datafingerprint.verdict import Outcome

RETRY_S = 300.0
"""Seconds until a failed or inconclusive audit is repeated, or earlier if the period is shorter."""


def due(
    tables: Collection[str],
    ended: Mapping[str, StoredAudit],
    findings: Sequence[LastFinding],
    every_s: float,
    now: float,
) -> str | None:
    """The table to audit now. None when no table is due.

    Args:
        tables: Tables that can be audited.
        ended: The last ended audit of each table.
        findings: The last finding of every partition, also from audits of all tables.
        every_s: Seconds within which each table is audited again. 0 for never.
        now: Unix time in seconds.
    """
    if not every_s:
        return None
    oldest = _oldest(findings)
    due_at = {table: _due_at(ended.get(table), oldest.get(table), every_s) for table in tables}
    waiting = sorted((when, table) for table, when in due_at.items() if when <= now)
    return waiting[0][1] if waiting else None


def _due_at(last: StoredAudit | None, oldest: float | None, every_s: float) -> float:
    by_findings = 0.0 if oldest is None else oldest + every_s
    if last is None:
        return by_findings
    is_conclusive = last.state is AuditState.DONE and last.outcome is not Outcome.INCONCLUSIVE
    pause_s = every_s if is_conclusive else min(every_s, RETRY_S)
    return max(by_findings if is_conclusive or last.outcome is None else 0.0, (last.ended_at or 0.0) + pause_s)


def _oldest(findings: Sequence[LastFinding]) -> dict[str, float]:
    """Time of the oldest measurement by table. 0 with a partition that was never measured."""
    oldest: dict[str, float] = {}
    for last in findings:
        checked_at = last.finding.at.checked_at if last.finding.at else 0.0
        oldest[last.finding.table] = min(checked_at, oldest.get(last.finding.table, checked_at))
    return oldest


def auditable(last: Epoch | None) -> set[str]:
    """Tables whose snapshot is complete at the last epoch."""
    if last is None:
        return set()
    return {table for table in last.versions if (cursor := last.snapshots.get(table)) is None or cursor.complete}
