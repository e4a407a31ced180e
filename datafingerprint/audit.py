"""The audit: the stream's sums against the source's own sums, partition by partition.

The source's own SQL sums up a consistent view at one position. An audit compares these sums with the stream's sums at
exactly this position. A partition thus has three sums, and they locate the fault. If source and stream differ, capture
is wrong. If stream and lake differ, the fault is between stream and lake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.verdict import Outcome, Verdict

EPOCHS_KEPT = 300
"""Epochs before the lake's for which the source's sums are kept; an audit may need the sums of each."""


class Hop(StrEnum):
    """Where rows went wrong: between source and stream, or between stream and lake."""

    CAPTURE = "capture"
    LAKE = "lake"


@dataclass(frozen=True, slots=True)
class MeasuredAt:
    """When a view was measured: its position, the last epoch that is whole in it, Unix time."""

    position: SourcePosition
    epoch: int
    checked_at: float


@dataclass(frozen=True, slots=True)
class Load:
    """The load of the audited server.

    Attributes:
        threads_running: Its `Threads_running`.
        is_replica: Whether it is a replica.
        lag_s: Seconds that a replica is behind; None while it does not replicate.
    """

    threads_running: int
    is_replica: bool = False
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of an audit for one partition.

    Attributes:
        table: `schema.table`.
        partition: Its name; None if the partitions of the table are unknown.
        outcome: Whether all known sums agree.
        hops: Where rows went wrong, in the order of the flow. Empty if no fault is known.
        reason: How the sums differ, or why the result is inconclusive; empty for a match.
        source: The source's own sum; None if the source gave none.
        stream: The stream's sum at the same position; None when it is unknown.
        at: When it was measured; None if no view was opened.
    """

    table: str
    partition: str | None
    outcome: Outcome
    hops: tuple[Hop, ...] = ()
    reason: str = ""
    source: Fingerprint | None = None
    stream: Fingerprint | None = None
    at: MeasuredAt | None = None


def judge(
    table: str,
    source: Mapping[str, Fingerprint],
    stream: Mapping[str, Fingerprint],
    lake: Mapping[str, Verdict],
    at: MeasuredAt,
    only: Sequence[str] | None = None,
    *,
    is_suspect: bool = False,
) -> list[Finding]:
    """Compares the sums of one table, for every partition that has rows on either side.

    Args:
        table: `schema.table`.
        source: The source's sums by partition: of the requested partitions, or of all.
        stream: The stream's sums at the same position, of all partitions.
        lake: The present verdicts on the table's partitions.
        at: When the source was measured.
        only: The requested partitions; None for all.
        is_suspect: Whether rows of the table changed in the source and not in the stream. Then a difference between
            lake and stream is not counted as the lake's fault where the stream differs from the source.
    """
    names = {name for sums in (source, stream) for name, part in sums.items() if part != ZERO} | set(lake)
    return [
        _finding(table, name, source.get(name, ZERO), stream.get(name, ZERO), lake.get(name), at, is_suspect=is_suspect)
        for name in sorted(names if only is None else set(only))
    ]


def _finding(
    table: str,
    partition: str,
    source: Fingerprint,
    stream: Fingerprint,
    lake: Verdict | None,
    at: MeasuredAt,
    *,
    is_suspect: bool,
) -> Finding:
    capture_fault = capture_gap(source, stream)
    lake_fault = lake.reason if lake is not None and lake.outcome is Outcome.MISMATCH else ""
    if capture_fault and lake_fault and (is_suspect or _lake_equals_source(source, stream, lake)):
        lake_fault = ""
    hops = tuple(hop for hop, fault in ((Hop.CAPTURE, capture_fault), (Hop.LAKE, lake_fault)) if fault)
    outcome = Outcome.MISMATCH if hops else Outcome.MATCH
    reason = "; ".join(filter(None, (capture_fault, lake_fault)))
    return Finding(table, partition, outcome, hops, reason, source, stream, at)


def _lake_equals_source(source: Fingerprint, stream: Fingerprint, lake: Verdict | None) -> bool:
    """Whether the lake has the rows that capture missed: both differ alike from the stream."""
    if lake is None or lake.lake is None or lake.source is None:
        return False
    return lake.lake - lake.source == source - stream


def capture_gap(source: Fingerprint, stream: Fingerprint) -> str:
    """Describes how the stream differs from the source; empty if they are equal."""
    if source == stream:
        return ""
    rows = stream.rows - source.rows
    if rows:
        return f"the stream has {abs(rows)} {'row' if abs(rows) == 1 else 'rows'} too {'many' if rows > 0 else 'few'}"
    return "as many rows in source and stream, but other values"
