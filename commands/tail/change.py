"""One published change, as a line of text or JSON."""

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
"""Rows converted to Python objects at a time. An epoch may have millions."""

_NULL = "NULL"


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        table: The definition of its row images.
        op: The operation, in Debezium's letters. `t` starts the table or partition from nothing.
        epoch: The epoch that holds the change.
        position: Its source transaction, or the epoch's position without one (`r`, `t`).
        partition: The row's partition after the change, or before a delete. For a `t`, None is the whole table.
        before: The row before the change.
        after: The row after the change.
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
        wanted: Only changes that touch this partition. None for all changes.
    """
    transactions = {
        transaction.ordinal: SourcePosition(transaction.gtid, transaction.file, transaction.pos)
        for transaction in epoch.transactions
    }
    starts: set[str | None] = set()
    for part in parts:
        fields = partitioning(part.table)
        for row in _rows(part):
            names = _names(fields, row, part.partition)
            if wanted is not None and not names & {wanted, None}:
                continue
            op = Op(row["op"])
            if op is Op.TRUNCATED:
                # It is in every Kafka partition, but happened once.
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
    """The partitions that a change touches. None stands for all."""
    images = [image for image in (row["before"], row["after"]) if image is not None]
    return {fields.name(image) for image in images} if images else {started}


def document(change: Change) -> dict[str, Any]:
    """A change as a JSON document. Decimals, times and bytes (in hex) are texts."""
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
    """A change as one line: key and changed columns of an update, otherwise the whole row."""
    head = f"{change.epoch}  {change.position.gtid}  {change.op.value}  {change.table.table}"
    if change.partition is not None and change.table.partition:
        head += f"  {change.partition}"
    before, after = change.before, change.after
    if before is not None and after is not None:
        key = [f"{name}={_literal(after[name])}" for name in change.table.key]
        changed = [name for name in after if before[name] != after[name]]
        changes = [f"{name}: {_literal(before[name])} -> {_literal(after[name])}" for name in changed]
        return "  ".join([head, *key, *changes])
    row = after if after is not None else before
    return "  ".join([head, *(f"{name}={_literal(value)}" for name, value in (row or {}).items())])


def _plain(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {name: _json(value) for name, value in row.items()}


def _json(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def _literal(value: Any) -> str:  # noqa: ANN401 - as above
    if value is None:
        return _NULL
    plain = _json(value)
    # The terminal must not interpret control characters of a row.
    return repr(plain) if isinstance(plain, str) else str(plain)
