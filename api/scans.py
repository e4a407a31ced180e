"""Builds the answers about scans."""

from __future__ import annotations

from api.answers import moment, side
from api.models import ScanAnswer, ScanPartition, ScanSummary
from datafingerprint.scans import Scan


def summary(scan: Scan) -> ScanSummary:
    """A scan without its partitions."""
    return ScanSummary(
        id=scan.number,
        engine=scan.engine,
        table=scan.table,
        partition=scan.partition,
        state=scan.state.value,
        verdict=scan.outcome.value,
        epoch=scan.epoch,
        snapshot=None if scan.snapshot_id is None else str(scan.snapshot_id),
        started_at=moment(scan.started_at),
        ended_at=None if scan.ended_at is None else moment(scan.ended_at),
        progress=scan.progress or None,
        error=scan.error or None,
    )


def answer(scan: Scan) -> ScanAnswer:
    """A scan with its partitions."""
    parts = [
        ScanPartition(
            partition=name,
            verdict=verdict.outcome.value,
            reason=verdict.reason or None,
            running=side(verdict.source),
            counted=side(verdict.lake),
        )
        for name, verdict in sorted((scan.verdicts or {}).items())
    ]
    return ScanAnswer(**dict(summary(scan)), partitions=parts)
