"""What differs, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from datafingerprint.differences import DifferenceKind, DiffState, PartitionDiff, RowDifference, plain

_COLUMNS_MAX = 8
"""Values that a line shows of a whole row; all of them are in the JSON."""


def lines(diff: PartitionDiff) -> Iterator[str]:
    """A line for the partition, and one for every row that differs."""
    head = f"{diff.table} {diff.partition} at epoch {diff.epoch}"
    if diff.state is DiffState.SAME:
        yield f"{head}: no difference"
    elif diff.state is DiffState.UNKNOWN:
        yield f"{head}: unknown: {diff.reason}"
    elif diff.reason:
        yield f"{head}: rows differ, but which is not known: {diff.reason}"
    else:
        yield f"{head}: {_counted(diff.count)}{_read_at(diff)}"
        for row in diff.rows:
            yield f"  {_line(row)}"
        if diff.count > len(diff.rows):
            yield f"  and {diff.count - len(diff.rows)} more, which --limit leaves out"


def _counted(count: int) -> str:
    return "1 row differs" if count == 1 else f"{count} rows differ"


def _read_at(diff: PartitionDiff) -> str:
    return f" (source read at {diff.position.gtid})" if diff.position is not None else ""


def _line(row: RowDifference) -> str:
    parts = [f"{row.kind.value:<15}", _values(row.key) if row.key else f"key {row.key_id}"]
    if row.kind is DifferenceKind.CHANGED and row.source is not None and row.lake is not None:
        source, lake = row.source, row.lake
        parts += [f"{name}: {_shown(source[name])} -> {_shown(lake[name])}" for name in row.columns]
    else:
        values = (row.source if row.source is not None else row.lake) or {}
        first = {name: values[name] for name in row.columns}
        parts.append(_values(first | {name: value for name, value in values.items() if name not in (row.key or {})}))
    if abs(row.copies) > 1:
        parts.append(f"{abs(row.copies)} times too {'many' if row.copies > 0 else 'few'}")
    if row.note:
        parts.append(f"({row.note})")
    return "  ".join(part for part in parts if part)


def _values(row: Mapping[str, Any]) -> str:
    shown = [f"{name}={_shown(value)}" for name, value in list(row.items())[:_COLUMNS_MAX]]
    return "  ".join(shown + ["..."] * (len(row) > _COLUMNS_MAX))


def _shown(value: Any) -> str:  # noqa: ANN401 - a value of any column
    # A terminal must not obey what is in a row.
    return "NULL" if value is None else repr(plain(value))
