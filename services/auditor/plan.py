"""Plans an audit: which tables share a view, and which partitions share a statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from datafingerprint.schema import TableSchema

_TABLES_MAX = 50
_PARTITIONS_MAX = 500
"""Most partitions that one statement names."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Partitions that one statement sums up.

    Attributes:
        partitions: Their names. None for all partitions of the table.
        rows: Their rows, approximately.
    """

    partitions: tuple[str, ...] | None
    rows: int


def batches(tables: Iterable[TableSchema], rows: Mapping[str, int], rows_max: int) -> list[list[TableSchema]]:
    """Groups tables that share a view: small ones together, so that no view is open for long."""
    groups: list[list[TableSchema]] = []
    group_rows = 0
    for table in tables:
        table_rows = rows.get(table.table, 0)
        if not groups or group_rows + table_rows > rows_max or len(groups[-1]) >= _TABLES_MAX:
            groups.append([])
            group_rows = 0
        groups[-1].append(table)
        group_rows += table_rows
    return groups


def units(rows: Mapping[str, int], known: Collection[str], done: Collection[str], rows_max: int) -> list[Unit]:
    """Splits a table's partitions into statements: every large one alone, small ones together.

    Args:
        rows: Rows of every partition that the source has.
        known: Partitions that the stream or the lake has. Others come first, because a resumed audit would not know
            that they are still to be measured.
        done: Partitions with a finding.
        rows_max: Most rows that share a statement.
    """
    remaining = sorted((name for name in rows if name not in done), key=lambda name: (name in known, name))
    result: list[Unit] = []
    group: list[str] = []
    for name in remaining:
        group_rows = sum(rows[member] for member in group) + rows[name]
        if group and (group_rows > rows_max or len(group) >= _PARTITIONS_MAX):
            result.append(_unit(group, rows))
            group = []
        group.append(name)
    return [*result, _unit(group, rows)] if group else result


def _unit(names: Sequence[str], rows: Mapping[str, int]) -> Unit:
    return Unit(tuple(names), sum(rows[name] for name in names))
