"""Whether the stored epochs are young enough to describe the present, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it loads Arrow, which `datafingerprint status` would wait for
    from datafingerprint.ledger import StoredEpoch

STALE_HEARTBEATS = 3
"""Heartbeats of capture without a new epoch after which the stored epochs do not describe the present."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class Freshness:
    """The age of the source's sums.

    Attributes:
        last: The last epoch whose sums were stored. None before the first.
        now: Unix time in seconds.
        stale_s: Age in seconds above which the sums do not describe the present.
    """

    last: StoredEpoch | None
    now: float
    stale_s: float

    @property
    def recorded_age_s(self) -> float | None:
        """Seconds since an epoch was stored. Grows while capture or the fingerprinter is down."""
        return None if self.last is None else _age(self.now, self.last.recorded_at)

    @property
    def source_age_s(self) -> float | None:
        """Seconds since the source committed the last epoch. Also grows while services catch up."""
        return None if self.last is None else _age(self.now, self.last.epoch.committed_at)

    @property
    def is_recent(self) -> bool:
        """Whether the sums hold everything that the source committed more than `stale_s` ago."""
        ages = self.recorded_age_s, self.source_age_s
        return all(age is not None and age <= self.stale_s for age in ages)

    def standstill(self, unread: int | None, kafka: str) -> str | None:
        """Why no epoch is stored. None while epochs are stored.

        Args:
            unread: Messages of the epochs topic that the fingerprinter has not read. None when Kafka does not know.
            kafka: Kafka's answer.
        """
        age = self.recorded_age_s
        if age is None:
            return "no epoch was stored yet: capture and fingerprinter have to run first"
        if age <= self.stale_s:
            return None
        return f"no epoch was stored for {duration(age)}: {_cause(unread, kafka)}"


def _cause(unread: int | None, kafka: str) -> str:
    if unread is None:
        return f"capture or the fingerprinter stands still (Kafka: {kafka})"
    if unread:
        return "epochs wait in Kafka, and the fingerprinter stands still, or is busy with a large commit of the lake"
    return "capture publishes nothing: it stands still, or is busy with a large transaction"


def duration(seconds: float) -> str:
    """Seconds in words: the largest unit that they fill, and the next smaller one."""
    whole = int(seconds)
    for (name, size), (lesser, part) in pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {lesser}" if rest else "")
    return f"{whole} s"


def _age(now: float, moment: float) -> float:
    return max(0.0, round(now - moment, 3))
