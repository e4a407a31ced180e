"""How tables are audited: which share a view, and which partitions share a statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from datafingerprint.schema import TableSchema

_TABLES_MAX = 50
_PARTITIONS_MAX = 500
"""Partitions that are named in one statement at most."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Partitions that are summed up together; None means all that there are. `rows` is about how many."""

    partitions: tuple[str, ...] | None
    rows: int


def batches(tables: Iterable[TableSchema], rows: Mapping[str, int], rows_max: int) -> list[list[TableSchema]]:
    """Tables that share a view: small ones together, so that no view is open for long."""
    found: list[list[TableSchema]] = []
    held = 0
    for table in tables:
        more = rows.get(table.table, 0)
        if not found or held + more > rows_max or len(found[-1]) >= _TABLES_MAX:
            found.append([])
            held = 0
        found[-1].append(table)
        held += more
    return found


def units(rows: Mapping[str, int], known: Collection[str], done: Collection[str], rows_max: int) -> list[Unit]:
    """A table's partitions in statements: every big one alone, small ones together.

    Args:
        rows: Rows of every partition that the source has.
        known: Partitions that the stream or the lake have; of others an interrupted audit would not know that
            they are still to be looked at, so they come first.
        done: Partitions that have a finding already.
        rows_max: Most rows that share a statement.
    """
    left = sorted((name for name in rows if name not in done), key=lambda name: (name in known, name))
    found: list[Unit] = []
    held: list[str] = []
    for name in left:
        together = sum(rows[one] for one in held) + rows[name]
        if held and (together > rows_max or len(held) >= _PARTITIONS_MAX):
            found.append(_unit(held, rows))
            held = []
        held.append(name)
    return [*found, _unit(held, rows)] if held else found


def _unit(names: Sequence[str], rows: Mapping[str, int]) -> Unit:
    return Unit(tuple(names), sum(rows[name] for name in names))
