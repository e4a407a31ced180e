"""Counts and summaries that the state store answers with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many epochs had their sums stored in some time, and the changed rows in them."""

    epochs: int
    rows: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """The stored epochs after a given one.

    Attributes:
        epochs: How many there are.
        rows: Changed rows in them.
        committed_at: Unix time in seconds of the oldest of them that has rows; None when none has.
    """

    epochs: int
    rows: int
    committed_at: float | None


@dataclass(frozen=True, slots=True)
class FileCounts:
    """A lake table's counted files: how many, their bytes, and how many could not be read."""

    files: int
    size_bytes: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """Partitions by verdict."""

    match: int = 0
    mismatch: int = 0
    inconclusive: int = 0

    @property
    def total(self) -> int:
        """All partitions."""
        return self.match + self.mismatch + self.inconclusive


@dataclass(frozen=True, slots=True)
class StateTotals:
    """Captured tables, their rows at the last epoch stored, and partitions by verdict."""

    tables: int
    rows: int
    counts: OutcomeCounts


@dataclass(frozen=True, slots=True)
class AuditTotals:
    """Partitions by the verdict of their last audit.

    Attributes:
        counts: How many there are.
        oldest: Unix time in seconds of the oldest of these audits; None if none had a view.
    """

    counts: OutcomeCounts = OutcomeCounts()
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class JudgedTable:
    """The summary of a table's verdicts.

    Attributes:
        epoch: The epoch at which the table was compared last.
        judged_at: Unix time of that in seconds.
        counts: Its partitions by verdict.
        source_rows: Rows of all its partitions in the source; None if one of them is unknown.
        lake_rows: Rows in the lake; None if one of them is unknown.
    """

    epoch: int
    judged_at: float
    counts: OutcomeCounts = OutcomeCounts()
    source_rows: int | None = None
    lake_rows: int | None = None
