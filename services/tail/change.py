"""One published change as people and machines are shown it."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datafingerprint.changes import Changes, Op
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.partitions import Partitioning, partitioning
from datafingerprint.schema import TableSchema

ROWS_AT_ONCE = 1_000
"""Rows that are made Python objects at a time: an epoch may have millions."""

_NULL = "NULL"


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        table: The definition that its images follow.
        op: What happened, in Debezium's letters; `t` starts the table or partition from nothing.
        epoch: The epoch that holds it.
        position: Its source transaction; the epoch's own position where it has none (`r`, `t`).
        partition: The partition that it leaves the row in, or takes it from; for a `t` None is the whole table.
        before: The row that is gone.
        after: The row that is there now.
    """

    table: TableSchema
    op: Op
    epoch: int
    position: SourcePosition
    partition: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def changes_of(epoch: Epoch, parts: list[Changes], wanted: str | None) -> Iterator[Change]:
    """The changes of one epoch, in the order of each Kafka partition.

    Args:
        epoch: The epoch that holds them.
        parts: All changes of one table in it.
        wanted: Only those that touch this partition of the table; None shows all.
    """
    transactions = {one.ordinal: SourcePosition(one.gtid, one.file, one.pos) for one in epoch.transactions}
    starts: set[str | None] = set()
    for part in parts:
        fields = partitioning(part.table)
        for row in _rows(part):
            names = _names(fields, row, part.partition)
            if wanted is not None and not names & {wanted, None}:
                continue
            op = Op(row["op"])
            if op is Op.TRUNCATED:
                # It goes to every Kafka partition, and happens once.
                if part.partition in starts:
                    continue
                starts.add(part.partition)
            at = transactions.get(row["tx"], epoch.position)
            partition = part.partition if op is Op.TRUNCATED else fields.name(row["after"] or row["before"])
            yield Change(part.table, op, epoch.number, at, partition, row["before"], row["after"])


def _rows(part: Changes) -> Iterator[dict[str, Any]]:
    for start in range(0, part.rows.num_rows, ROWS_AT_ONCE):
        yield from part.rows.slice(start, ROWS_AT_ONCE).to_pylist()


def _names(fields: Partitioning, row: Mapping[str, Any], started: str | None) -> set[str | None]:
    """The partitions that a change touches; None is all of them."""
    images = [image for image in (row["before"], row["after"]) if image is not None]
    return {fields.name(image) for image in images} if images else {started}


def document(change: Change) -> dict[str, Any]:
    """A change as one line of JSON has it; numbers that are not whole, times and bytes (in hex) are texts."""
    return {
        "op": change.op.value,
        "epoch": change.epoch,
        "table": change.table.table,
        "partition": change.partition,
        "position": change.position.to_json(),
        "before": _plain(change.before),
        "after": _plain(change.after),
    }


def text(change: Change) -> str:
    """A change as one line: an update shows its key and what differs, everything else the whole row."""
    head = f"{change.epoch}  {change.position.gtid}  {change.op.value}  {change.table.table}"
    if change.partition is not None and change.table.partition:
        head += f"  {change.partition}"
    before, after = change.before, change.after
    if before is not None and after is not None:
        key = [f"{name}={_shown(after[name])}" for name in change.table.key]
        differing = [name for name in after if before[name] != after[name]]
        moves = [f"{name}: {_shown(before[name])} -> {_shown(after[name])}" for name in differing]
        return "  ".join([head, *key, *moves])
    row = after if after is not None else before
    return "  ".join([head, *(f"{name}={_shown(value)}" for name, value in (row or {}).items())])


def _plain(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {name: _json(value) for name, value in row.items()}


def _json(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def _shown(value: Any) -> str:  # noqa: ANN401 - as above
    if value is None:
        return _NULL
    plain = _json(value)
    # A terminal must not obey what lies in a row.
    return repr(plain) if isinstance(plain, str) else str(plain)
