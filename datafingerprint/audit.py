"""The audit: the running sum of the source held against the source itself, partition by partition.

A sum that the source's own SQL gives in a consistent view at a position is compared with the stream's sum at exactly
that position. So there are three sums of a partition, and they name the culprit: where source and stream differ,
capture is wrong; where stream and lake differ, the way to the lake is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.verdict import Outcome, Verdict

EPOCHS_KEPT = 300
"""Epochs behind the lake's for which the source's sums stay known, so that an audit finds the one it needs."""


class Hop(StrEnum):
    """Where rows went wrong: between the source and the stream, or between the stream and the lake."""

    CAPTURE = "capture"
    LAKE = "lake"


@dataclass(frozen=True, slots=True)
class At:
    """Where and when something was measured: the view's position, the last epoch that is whole in it, Unix time."""

    position: SourcePosition
    epoch: int
    checked_at: float


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the server that is audited is.

    Attributes:
        threads_running: Its `Threads_running`.
        is_replica: Whether it replicates from another one.
        lag_s: How many seconds a replica is behind; None while it does not replicate.
    """

    threads_running: int
    is_replica: bool = False
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What an audit says of one partition.

    Attributes:
        table: `schema.table`.
        partition: Its partition; None where not even its partitions could be told.
        outcome: Whether all three sums agree, as far as they are known.
        hops: Where rows went wrong, in the order of the flow; empty when nothing is known to have.
        reason: How the sums differ, or why nothing can be told; empty for a match.
        source: The source's own sum; None when it could not be had.
        stream: The stream's sum at the same position; None when it is unknown.
        at: Where and when; None when no view was opened.
    """

    table: str
    partition: str | None
    outcome: Outcome
    hops: tuple[Hop, ...] = ()
    reason: str = ""
    source: Fingerprint | None = None
    stream: Fingerprint | None = None
    at: At | None = None


def judge(
    table: str,
    source: Mapping[str, Fingerprint],
    stream: Mapping[str, Fingerprint],
    lake: Mapping[str, Verdict],
    at: At,
    only: Sequence[str] | None = None,
) -> list[Finding]:
    """The findings of a table that was measured: one per partition that either side has rows of.

    Args:
        table: `schema.table`.
        source: The source's sums by partition; of those asked for, when they are named.
        stream: The stream's sums at the same position, of all partitions.
        lake: The verdicts that stand on the table's partitions.
        at: Where and when.
        only: The partitions asked for; None for all.
    """
    names = {name for sums in (source, stream) for name, part in sums.items() if part != ZERO} | set(lake)
    return [
        _finding(table, name, source.get(name, ZERO), stream.get(name, ZERO), lake.get(name), at)
        for name in sorted(names if only is None else set(only))
    ]


def _finding(
    table: str, partition: str, source: Fingerprint, stream: Fingerprint, lake: Verdict | None, at: At
) -> Finding:
    gap = capture_gap(source, stream)
    lost = lake.reason if lake is not None and lake.outcome is Outcome.MISMATCH else ""
    hops = tuple(hop for hop, fault in ((Hop.CAPTURE, gap), (Hop.LAKE, lost)) if fault)
    outcome = Outcome.MISMATCH if hops else Outcome.MATCH
    return Finding(table, partition, outcome, hops, "; ".join(filter(None, (gap, lost))), source, stream, at)


def capture_gap(source: Fingerprint, stream: Fingerprint) -> str:
    """How the stream differs from the source, in words; empty when it does not."""
    if source == stream:
        return ""
    rows = stream.rows - source.rows
    if rows:
        return f"the stream has {abs(rows)} {'row' if abs(rows) == 1 else 'rows'} too {'many' if rows > 0 else 'few'}"
    return "as many rows in source and stream, but other values"


def overall(findings: Sequence[Finding]) -> Outcome:
    """The outcome of an audit: the worst of its findings; without any, there is no row anywhere, and it matches."""
    outcomes = {one.outcome for one in findings}
    return next((one for one in (Outcome.MISMATCH, Outcome.INCONCLUSIVE) if one in outcomes), Outcome.MATCH)
