"""Reads the REST service's answers for the demo."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

JSON = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the number of its rows, and their fingerprint."""

    rows: int
    fingerprint: str


@dataclass(frozen=True)
class Comparison:
    """One line of the live view: a table, or one partition of it.

    Attributes:
        name: The table; for a partition the table and its partition.
        is_partition: Whether it is only a part of a table.
        epoch: The epoch of the comparison; None before the first one.
        source: The warehouse's side; None if unknown.
        lake: The lake's side; None if unknown.
        verdict: match, mismatch or inconclusive.
        reason: Why it is not a match; empty for a match.
    """

    name: str
    is_partition: bool
    epoch: int | None
    source: Side | None
    lake: Side | None
    verdict: str
    reason: str


@dataclass(frozen=True)
class Status:
    """The system in one line.

    Attributes:
        epoch: The lake's epoch; None before its first commit.
        source_epoch: The source's epoch.
        position: The source's GTID position at the lake's epoch; empty if unknown.
        tables: Tables compared.
        rows: Rows in them.
        match: Number of partitions that match.
        mismatch: Number of partitions that differ.
        inconclusive: Number of inconclusive partitions.
        lag_s: Seconds that the lake is behind the source; None if unknown.
        unproven: Tables without partitions that do not match. No other count includes them.
    """

    epoch: int | None
    source_epoch: int | None
    position: str
    tables: int
    rows: int
    match: int
    mismatch: int
    inconclusive: int
    lag_s: float | None
    unproven: int = 0

    @property
    def partitions(self) -> int:
        """Number of compared partitions."""
        return self.match + self.mismatch + self.inconclusive

    @property
    def all_match(self) -> bool:
        """Whether there are partitions and tables, and all of them match."""
        return self.match > 0 and self.match == self.partitions and not self.unproven


@dataclass(frozen=True)
class Outcome:
    """The last line of a demo that ended by itself."""

    tables: int
    partitions: int
    rows: int
    epochs: int
    match: int
    mismatch: int
    inconclusive: int
    seconds: float

    def as_json(self) -> str:
        """One line, for programs."""
        return json.dumps(asdict(self))


def read_status(answer: JSON) -> Status:
    """The answer to `GET /v1/status`."""
    counts = answer.get("partitions") or {}
    return Status(
        epoch=answer.get("epoch"),
        source_epoch=answer.get("source_epoch"),
        position=(answer.get("position") or {}).get("gtid") or "",
        tables=answer.get("tables") or 0,
        rows=answer.get("rows") or 0,
        match=counts.get("match", 0),
        mismatch=counts.get("mismatch", 0),
        inconclusive=counts.get("inconclusive", 0),
        lag_s=(answer.get("lag") or {}).get("seconds"),
        unproven=(answer.get("without_partitions") or {}).get("count", 0),
    )


def read_comparisons(answer: JSON) -> list[Comparison]:
    """Parses `GET /v1/fingerprints`: each table, followed by its partitions."""
    return [line for table in answer["items"] for line in _table_lines(table)]


def conclude(status: Status, seconds: float) -> Outcome:
    """The outcome of a demo that ends at this status."""
    return Outcome(
        tables=status.tables,
        partitions=status.partitions,
        rows=status.rows,
        epochs=status.epoch or 0,
        match=status.match,
        mismatch=status.mismatch,
        inconclusive=status.inconclusive,
        seconds=round(seconds, 1),
    )


def _table_lines(table: JSON) -> Sequence[Comparison]:
    name = table["table"]
    parts = [part for part in table.get("partitions") or [] if part["partition"] != "-"]
    return [
        _comparison(table, name=name, is_partition=False),
        *(_comparison(part, name=f"{name} {part['partition']}", is_partition=True) for part in parts),
    ]


def _comparison(answer: JSON, *, name: str, is_partition: bool) -> Comparison:
    return Comparison(
        name=name,
        is_partition=is_partition,
        epoch=answer.get("epoch"),
        source=_side(answer.get("source")),
        lake=_side(answer.get("lake")),
        verdict=answer["verdict"],
        reason=answer.get("reason") or "",
    )


def _side(answer: JSON | None) -> Side | None:
    return Side(rows=int(answer["rows"]), fingerprint=str(answer["fingerprint"])) if answer else None
