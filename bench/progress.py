"""The progress of a side over time, and its rate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """Rows and CPU seconds at a moment (Unix time)."""

    at: float
    rows: int
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """One side's way through a backlog.

    Attributes:
        began: When its process was started, in Unix time.
        points: Where it was, after each epoch or batch.
        warm: Rows of the warm-up.
    """

    began: float
    points: tuple[Point, ...]
    warm: int

    @property
    def measured(self) -> tuple[Point, Point]:
        """The first point after the warm-up, and the last one."""
        return next(point for point in self.points if point.rows >= self.warm), self.points[-1]

    @property
    def rate(self) -> float:
        """Rows per second between the two points."""
        first, last = self.measured
        return (last.rows - first.rows) / (last.at - first.at)

    @property
    def cpu_s_per_million(self) -> float:
        """CPU seconds per million rows between the two points."""
        first, last = self.measured
        return (last.cpu_s - first.cpu_s) * 1e6 / (last.rows - first.rows)

    @property
    def seconds(self) -> float:
        """From the start of the process to the last row, its warm-up included."""
        return self.points[-1].at - self.began
