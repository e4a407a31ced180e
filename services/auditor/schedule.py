"""Which table is audited next when nobody asks: every one within the time set, the one that waits longest first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from datafingerprint.audits import AuditState, LastFinding, StoredAudit
from datafingerprint.epochs import Epoch
from datafingerprint.verdict import Outcome

RETRY_S = 300.0
"""An audit that failed, or could not tell everything, is made again after so many seconds, or earlier if all are."""


def due(
    tables: Collection[str],
    ended: Mapping[str, StoredAudit],
    findings: Sequence[LastFinding],
    every_s: float,
    now: float,
) -> str | None:
    """The table that is to be audited now; None when none is.

    Args:
        tables: Those that can be.
        ended: The last audit of each that is over.
        findings: What was found last of every partition, by audits of every table too.
        every_s: Seconds within which each is audited again; 0 for never.
        now: Unix time in seconds.
    """
    if not every_s:
        return None
    oldest = _oldest(findings)
    at = {table: _due_at(ended.get(table), oldest.get(table), every_s) for table in tables}
    waiting = sorted((when, table) for table, when in at.items() if when <= now)
    return waiting[0][1] if waiting else None


def _due_at(last: StoredAudit | None, oldest: float | None, every_s: float) -> float:
    by_findings = 0.0 if oldest is None else oldest + every_s
    if last is None:
        return by_findings
    is_conclusive = last.state is AuditState.DONE and last.outcome is not Outcome.INCONCLUSIVE
    pause_s = every_s if is_conclusive else min(every_s, RETRY_S)
    return max(by_findings if is_conclusive or last.outcome is None else 0.0, (last.ended_at or 0.0) + pause_s)


def _oldest(findings: Sequence[LastFinding]) -> dict[str, float]:
    """By table when the partition was measured that was not for the longest time; none where one never was."""
    found: dict[str, float] = {}
    for one in findings:
        at = one.finding.at.checked_at if one.finding.at else 0.0
        found[one.finding.table] = min(at, found.get(one.finding.table, at))
    return found


def auditable(last: Epoch | None) -> set[str]:
    """Tables whose first reading is complete at the last epoch."""
    if last is None:
        return set()
    return {table for table in last.versions if (cursor := last.snapshots.get(table)) is None or cursor.complete}
