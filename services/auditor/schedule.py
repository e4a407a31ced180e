"""The schedule of audits: first audits are spread, then each table has its round."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from datafingerprint.audits import AuditState, StoredAudit
from datafingerprint.epochs import Epoch
from datafingerprint.verdict import Outcome

RETRY_S = 300.0
"""Seconds until a failed or inconclusive audit is repeated, or earlier if the period is shorter."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What the store knows of a table's audits. Times are Unix time in seconds.

    Attributes:
        since: When the schedule first saw the table.
        last: The last ended audit of the table alone and as a whole. None without one.
        oldest: The oldest last measurement of its partitions, also by audits of all tables; 0 with a partition that
            could not be measured. None without findings.
    """

    since: float
    last: StoredAudit | None = None
    oldest: float | None = None


def due_times(stream: str, records: Mapping[str, AuditRecord], every_s: float) -> dict[str, float]:
    """When each table is due.

    Args:
        stream: Id of the stream.
        records: The tables that can be audited.
        every_s: Seconds within which each table is audited again. Above 0.
    """
    return {table: _due_at(stream, table, record, every_s) for table, record in records.items()}


def longest_waiting(due_at: Mapping[str, float]) -> str | None:
    """The table that is due first. None without tables."""
    return min(due_at, key=lambda table: (due_at[table], table), default=None)


def first_audit_at(stream: str, table: str, since: float, every_s: float) -> float:
    """The first moment of a table's own at or after `since`.

    A table has one such moment per interval, given by a hash of stream and table. A restart does not change it.
    """
    digest = hashlib.sha256(f"{stream}\0{table}".encode()).digest()
    phase_s = int.from_bytes(digest[:8], "big") / 2**64 * every_s
    return since + (phase_s - since) % every_s


def _due_at(stream: str, table: str, record: AuditRecord, every_s: float) -> float:
    last, oldest = record.last, record.oldest
    if last is None:
        return first_audit_at(stream, table, record.since, every_s) if oldest is None else oldest + every_s
    is_conclusive = last.state is AuditState.DONE and last.outcome is not Outcome.INCONCLUSIVE
    pause_s = every_s if is_conclusive else min(every_s, RETRY_S)
    by_findings = 0.0 if oldest is None else oldest + every_s
    return max(by_findings if is_conclusive or last.outcome is None else 0.0, (last.ended_at or 0.0) + pause_s)


def auditable(last: Epoch | None) -> set[str]:
    """Tables whose snapshot is complete at the last epoch."""
    if last is None:
        return set()
    return {table for table in last.versions if (cursor := last.snapshots.get(table)) is None or cursor.complete}
