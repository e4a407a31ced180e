"""The verdict on a partition: match, mismatch, or inconclusive with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from datafingerprint.cascades import Suspicion
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.partitions import WHOLE


class Outcome(StrEnum):
    """The result of a comparison."""

    MATCH = "match"
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome for one partition.

    Attributes:
        outcome: The outcome.
        reason: Why, unless it is a plain match; empty then.
        source: The source's fingerprint at the epoch; None if unknown.
        lake: The lake's fingerprint; None if unknown.
    """

    outcome: Outcome
    reason: str
    source: Fingerprint | None
    lake: Fingerprint | None


def judge_partition(
    source: Fingerprint, lake: Fingerprint, *, inconclusive: str, unreadable: str, suspicion: Suspicion | None = None
) -> Verdict:
    """Compares two sums of one epoch.

    Args:
        source: The source's sum.
        lake: The lake's sum over the files that could be read.
        inconclusive: Why the table is inconclusive, or empty.
        unreadable: Why a file of the partition could not be read, or empty. A lake with such a file does not have the
            rows, so it is a mismatch.
        suspicion: Why the stream may lack changes of the source. A match then proves nothing after a cascade, and a
            difference may have this reason.
    """
    if inconclusive:
        return Verdict(Outcome.INCONCLUSIVE, inconclusive, source, lake)
    if unreadable:
        return Verdict(Outcome.MISMATCH, unreadable, source, lake)
    if suspicion is not None and suspicion.is_cascade:
        reason = suspicion.explanation if source == lake else f"{suspicion.explanation}; {difference(source, lake)}"
        return Verdict(Outcome.INCONCLUSIVE, reason, source, lake)
    if source == lake:
        return Verdict(Outcome.MATCH, "", source, lake)
    doubt = f"; {suspicion.reason}: an audit shows whether capture missed them" if suspicion is not None else ""
    return Verdict(Outcome.MISMATCH, f"{difference(source, lake)}{doubt}", source, lake)


def difference(source: Fingerprint, lake: Fingerprint) -> str:
    """Describes how two unequal sums differ."""
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
    suspicion: Suspicion | None = None,
    is_set_aside: bool = False,
) -> dict[str, Verdict]:
    """Compares every partition that has rows on either side.

    Args:
        source: The source's sums by partition.
        lake: The lake's.
        inconclusive: Why the table is inconclusive, or empty.
        unreadable: Partition to the reason why a file of it could not be read.
        damaged: Why no partition of the lake table has the source's rows, or empty.
        suspicion: Why the stream may lack changes of the source.
        is_set_aside: Whether the table gets a verdict also without rows on either side.
    """
    broken = unreadable or {}
    names = {name for sums in (source, lake) for name, part in sums.items() if part != ZERO} | set(broken)
    if is_set_aside and not names:
        names = {WHOLE}
    return {
        name: judge_partition(
            source.get(name, ZERO),
            lake.get(name, ZERO),
            inconclusive=inconclusive,
            unreadable=broken.get(name, damaged),
            suspicion=suspicion,
        )
        for name in sorted(names)
    }


def overall(outcomes: Iterable[Outcome], *, of_none: Outcome = Outcome.MATCH) -> Outcome:
    """The worst of several outcomes.

    Args:
        outcomes: The outcomes of the parts.
        of_none: The outcome if there are no parts: of an audit or a scan a match, because neither side has a row.
    """
    present = set(outcomes) or {of_none}
    return next(outcome for outcome in (Outcome.MISMATCH, Outcome.INCONCLUSIVE, Outcome.MATCH) if outcome in present)
