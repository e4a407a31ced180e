"""The verdict on a partition: equal, different, or not to be told yet and why. Never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from datafingerprint.fingerprint import ZERO, Fingerprint


class Outcome(StrEnum):
    """What a comparison says."""

    MATCH = "match"
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one partition.

    Attributes:
        outcome: What it is.
        reason: Why, where it is not a plain match or difference of sums; empty otherwise.
        source: The source's fingerprint at the epoch; None when it is unknown.
        lake: The lake's fingerprint; None when it is unknown.
    """

    outcome: Outcome
    reason: str
    source: Fingerprint | None
    lake: Fingerprint | None


def judge_partition(source: Fingerprint, lake: Fingerprint, *, inconclusive: str, unreadable: str) -> Verdict:
    """The verdict on two sums of one epoch.

    Args:
        source: The source's sum.
        lake: The lake's sum over the files that could be read.
        inconclusive: Why nothing can be told of the table, or empty.
        unreadable: Why a file that holds rows of the partition could not be read, or empty; such a lake does
            not hold the rows, so it is a mismatch.
    """
    if inconclusive:
        return Verdict(Outcome.INCONCLUSIVE, inconclusive, source, lake)
    if unreadable:
        return Verdict(Outcome.MISMATCH, unreadable, source, lake)
    if source == lake:
        return Verdict(Outcome.MATCH, "", source, lake)
    return Verdict(Outcome.MISMATCH, difference(source, lake), source, lake)


def difference(source: Fingerprint, lake: Fingerprint) -> str:
    """How two unequal sums differ, in words."""
    rows = lake.rows - source.rows
    if rows:
        return f"the lake has {abs(rows)} {'row' if abs(rows) == 1 else 'rows'} too {'many' if rows > 0 else 'few'}"
    return "as many rows on both sides, but other values"


def judge_table(
    source: Mapping[str, Fingerprint],
    lake: Mapping[str, Fingerprint],
    *,
    inconclusive: str = "",
    unreadable: Mapping[str, str] | None = None,
    damaged: str = "",
) -> dict[str, Verdict]:
    """The verdict on every partition that either side has rows of.

    Args:
        source: The source's sums by partition.
        lake: The lake's.
        inconclusive: Why nothing can be told of the table, or empty.
        unreadable: By partition why a file of it could not be read.
        damaged: Why the lake's table is not the source's in any partition, or empty.
    """
    broken = unreadable or {}
    names = {name for sums in (source, lake) for name, part in sums.items() if part != ZERO} | set(broken)
    return {
        name: judge_partition(
            source.get(name, ZERO),
            lake.get(name, ZERO),
            inconclusive=inconclusive,
            unreadable=broken.get(name, damaged),
        )
        for name in sorted(names)
    }


def overall(outcomes: set[Outcome]) -> Outcome:
    """The outcome of the whole: the worst of its parts; nothing at all is inconclusive."""
    for outcome in (Outcome.MISMATCH, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.MATCH if outcomes else Outcome.INCONCLUSIVE
