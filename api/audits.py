"""Builds the answers about audits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from api.answers import moment, position, side
from api.models import AuditAnswer, AuditCounts, AuditDetail, AuditFinding, AuditPartition, TableAudit
from datafingerprint.audit import Finding
from datafingerprint.audits import LastFinding, StoredAudit
from datafingerprint.ports.state_values import AuditTotals
from datafingerprint.verdict import overall


def audit_answer(audit: StoredAudit) -> AuditAnswer:
    """An audit without its findings."""
    return AuditAnswer(
        id=audit.number,
        table=audit.scope.table,
        partition=audit.scope.partition,
        origin=audit.origin.value,
        state=audit.state.value,
        reason=audit.reason or None,
        verdict=audit.outcome.value if audit.outcome else None,
        partitions_done=audit.progress.partitions_done,
        partitions=audit.progress.partitions,
        rows=audit.progress.rows,
        asked_at=moment(audit.asked_at),
        started_at=None if audit.started_at is None else moment(audit.started_at),
        seen_at=None if audit.seen_at is None else moment(audit.seen_at),
        ended_at=None if audit.ended_at is None else moment(audit.ended_at),
    )


def audit_detail(audit: StoredAudit, findings: Sequence[Finding]) -> AuditDetail:
    """An audit with its findings."""
    return AuditDetail(
        **dict(audit_answer(audit)), findings=[_audit_partition(audit.number, finding) for finding in findings]
    )


def _audit_partition(audit: int, finding: Finding) -> AuditPartition:
    answer = audit_finding(LastFinding(audit, finding))
    return AuditPartition(**dict(answer), table=finding.table, partition=finding.partition)


def audit_finding(last: LastFinding) -> AuditFinding:
    """A finding as answers show it."""
    finding = last.finding
    return AuditFinding(
        audit=last.audit,
        verdict=finding.outcome.value,
        hops=[hop.value for hop in finding.hops],
        reason=finding.reason or None,
        checked_at=moment(finding.at.checked_at) if finding.at else None,
        epoch=finding.at.epoch if finding.at else None,
        position=position(finding.at.position) if finding.at else None,
        source=side(finding.source),
        stream=side(finding.stream),
    )


def table_audit(audited: Sequence[LastFinding]) -> TableAudit | None:
    """The summary of a table's last findings. None before the first audit."""
    if not audited:
        return None
    findings = [last.finding for last in audited]
    worst = overall({finding.outcome for finding in findings})
    first = next((finding for finding in findings if finding.outcome is worst), findings[0])
    reason = f"{first.partition}: {first.reason}" if first.partition and first.reason else first.reason
    return TableAudit(
        verdict=worst.value,
        reason=reason or None,
        partitions=sum(finding.partition is not None for finding in findings),
        oldest=_oldest(findings),
    )


def audit_counts(totals: AuditTotals) -> AuditCounts:
    """Number of partitions by the verdict of their last audit."""
    counts = totals.counts
    return AuditCounts(
        match=counts.match,
        mismatch=counts.mismatch,
        inconclusive=counts.inconclusive,
        oldest=None if totals.oldest is None else moment(totals.oldest),
    )


def _oldest(findings: Sequence[Finding]) -> datetime | None:
    times = [finding.at.checked_at for finding in findings if finding.at]
    return moment(min(times)) if times else None
