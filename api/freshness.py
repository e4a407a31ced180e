"""Whether what is stored is young enough to speak of the present, and why it is not: unknown is not 0."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from datafingerprint.ledger import StoredEpoch

STALE_HEARTBEATS = 3
"""Heartbeats of capture without a new epoch after which nothing is said of the present any more."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the source's sums are.

    Attributes:
        last: The last epoch whose sums were stored; None before the first.
        now: Unix time in seconds.
        stale_s: Seconds after which they no longer speak of the present.
    """

    last: StoredEpoch | None
    now: float
    stale_s: float

    @property
    def recorded_age_s(self) -> float | None:
        """Seconds since an epoch was stored: it grows while capture or fingerprinter stand still."""
        return None if self.last is None else _age(self.now, self.last.recorded_at)

    @property
    def source_age_s(self) -> float | None:
        """Seconds since the source committed what is summed up last: it grows also while these are catching up."""
        return None if self.last is None else _age(self.now, self.last.epoch.committed_at)

    @property
    def is_recent(self) -> bool:
        """Whether all that the source committed, but for the last moments, is summed up."""
        ages = self.recorded_age_s, self.source_age_s
        return all(age is not None and age <= self.stale_s for age in ages)

    def standstill(self, unread: int | None, kafka: str) -> str | None:
        """Why no epoch comes in; None while they do.

        Args:
            unread: What of the epochs topic the fingerprinter has not read; None when Kafka does not know.
            kafka: What Kafka said.
        """
        age = self.recorded_age_s
        if age is None:
            return "no epoch was stored yet: capture and fingerprinter have to run first"
        if age <= self.stale_s:
            return None
        return f"no epoch was stored for {duration(age)}: {_culprit(unread, kafka)}"


def _culprit(unread: int | None, kafka: str) -> str:
    if unread is None:
        return f"capture or the fingerprinter stands still (Kafka: {kafka})"
    if unread:
        return "epochs wait in Kafka, and the fingerprinter stands still, or is busy with a large commit of the lake"
    return "capture publishes nothing: it stands still, or is busy with a large transaction"


def duration(seconds: float) -> str:
    """Seconds as people say them: the largest unit that they fill, and the one below it."""
    left = int(seconds)
    for (name, size), (lesser, part) in pairwise(_UNITS):
        if left >= size:
            rest = left % size // part
            return f"{left // size} {name}" + (f" {rest} {lesser}" if rest else "")
    return f"{left} s"


def _age(now: float, moment: float) -> float:
    return max(0.0, round(now - moment, 3))
