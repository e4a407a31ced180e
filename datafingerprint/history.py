"""The history of a partition's verdict: when a point is recorded, and which points are kept."""

from __future__ import annotations

from dataclasses import dataclass

from datafingerprint.verdict import Verdict

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """How much history is kept.

    Attributes:
        days: Days after which a point is removed; 0 records none.
        every_s: Least seconds between two points of a partition whose outcome stays the same.
        points_max: Most points of all partitions together. The oldest are removed first.
    """

    days: float = 90.0
    every_s: float = 3_600.0
    points_max: int = 2_000_000


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """What was known of a partition at one time.

    Attributes:
        at_ms: Unix time in milliseconds.
        epoch: The epoch at which both sides were compared.
        verdict: The verdict, with both sums.
    """

    at_ms: int
    epoch: int
    verdict: Verdict


def is_point_due(rules: HistoryRules, last_at: float | None, now: float, *, is_new_outcome: bool) -> bool:
    """Decides whether a changed verdict or sum becomes a point.

    Args:
        rules: How much history is kept.
        last_at: Unix time in seconds of the partition's last point; None if it has none.
        now: Unix time in seconds.
        is_new_outcome: Whether the outcome has changed. Such a change is always recorded.
    """
    if not rules.days:
        return False
    return is_new_outcome or last_at is None or now - last_at >= rules.every_s
