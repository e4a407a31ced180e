"""Which Kafka partition a row goes to: that of its key, so that what happens to one key stays in order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.changes import HAS_AFTER, HAS_BEFORE, Changes, Op, envelope, has_op, images
from datafingerprint.digests import identities

_DIGITS = 8
"""Hexadecimal digits of an identity that choose the partition."""


def routed(changes: Changes, partitions: int) -> list[tuple[int, Changes]]:
    """The changes of each Kafka partition, in order; partitions without any are left out.

    An update that moves a row to another partition becomes a `d` in the one and a `c` in the other. A `t` goes
    to every partition.
    """
    if partitions == 1:
        return [(0, changes)] if changes.rows.num_rows else []
    if changes.partition is not None:
        return [(partition, changes) for partition in range(partitions)]
    rows = changes.rows
    before = _partitions(changes, "before", HAS_BEFORE, partitions)
    after = _partitions(changes, "after", HAS_AFTER, partitions)
    updated = _mask(rows, Op.UPDATED)
    everywhere = _mask(rows, Op.TRUNCATED)
    parts = []
    for partition in range(partitions):
        leaves = updated & (before == partition) & (after != partition)
        enters = updated & (after == partition) & (before != partition)
        stays = everywhere | (np.where(after >= 0, after, before) == partition) & ~enters
        part = _assembled(changes, stays, leaves, enters)
        if part.rows.num_rows:
            parts.append((partition, part))
    return parts


def _mask(rows: pa.Table, op: Op) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(has_op(rows, frozenset({op})).to_numpy(), dtype=np.bool_)


def _partitions(
    changes: Changes, side: str, ops: frozenset[Op], partitions: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """For each change the partition of one of its sides, -1 where it has none."""
    mask = np.asarray(has_op(changes.rows, ops).to_numpy(), dtype=np.bool_)
    result = np.full(len(mask), -1, dtype=np.int64)
    if mask.any():
        rows = images(changes.rows.filter(pa.array(mask)), side)
        digits = pc.utf8_slice_codeunits(identities(rows, changes.table.identity), 0, _DIGITS)
        result[mask] = [int(text, 16) % partitions for text in digits.to_pylist()]
    return result


def _assembled(
    changes: Changes,
    stays: np.ndarray[tuple[int], np.dtype[np.bool_]],
    leaves: np.ndarray[tuple[int], np.dtype[np.bool_]],
    enters: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> Changes:
    pieces = [
        changes.rows.filter(pa.array(stays)),
        _half(changes, leaves, Op.DELETED, lost="after"),
        _half(changes, enters, Op.CREATED, lost="before"),
    ]
    order = np.concatenate([np.flatnonzero(mask) for mask in (stays, leaves, enters)])
    rows = pa.concat_tables(pieces).take(pa.array(np.argsort(order, kind="stable")))
    return Changes(changes.table, changes.version, rows)


def _half(changes: Changes, mask: np.ndarray[tuple[int], np.dtype[np.bool_]], op: Op, *, lost: str) -> pa.Table:
    """Updates as their one half."""
    rows = changes.rows.filter(pa.array(mask))
    schema = envelope(changes.table)
    columns = {name: rows.column(name) for name in schema.names}
    columns["op"] = pa.chunked_array([pa.repeat(pa.scalar(op.value), rows.num_rows)])
    columns[lost] = pa.chunked_array([pa.nulls(rows.num_rows, schema.field(lost).type)])
    return pa.table(columns, schema=schema)
