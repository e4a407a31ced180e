"""What the state store tells the API beyond its port."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recorded:
    """Epochs whose sums were stored in some time: how many there are, and the changed rows in them."""

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
    """The files that are counted for a lake table: how many, their bytes, and how many could not be read."""

    files: int
    octets: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class JudgedTable:
    """When a table was judged last: at which epoch, and at what Unix time in seconds."""

    epoch: int
    judged_at: float
