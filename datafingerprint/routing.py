"""Assigns rows to parts (Kafka partitions, files) by key, so that changes keep their order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datafingerprint.changes import HAS_AFTER, HAS_BEFORE, Changes, Op, envelope, has_op, images
from datafingerprint.digests import identities

_DIGITS = 8
"""Hexadecimal digits of an identity that select the part."""

_ID_DIGITS = 32

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def routed(changes: Changes, partitions: int) -> list[tuple[int, Changes]]:
    """Splits changes by part, in order; parts without changes are left out.

    An update that moves a row to another part becomes a `d` in one and a `c` in the other. A `t` goes to every part.
    """
    if partitions == 1:
        return [(0, changes)] if changes.rows.num_rows else []
    if changes.partition is not None:
        return [(partition, changes) for partition in range(partitions)]
    before = _partitions(changes, "before", HAS_BEFORE, partitions)
    after = _partitions(changes, "after", HAS_AFTER, partitions)
    everywhere = _mask(changes.rows, Op.TRUNCATED)
    crosses = _mask(changes.rows, Op.UPDATED) & (before != after)
    stays = ~everywhere & ~crosses
    # Rows, their parts, and their indices; a row of several parts occurs several times.
    pieces = [
        (_rows(changes, stays), np.where(after >= 0, after, before)[stays], np.flatnonzero(stays)),
        (_half(changes, crosses, Op.DELETED, lost="after"), before[crosses], np.flatnonzero(crosses)),
        (_half(changes, crosses, Op.CREATED, lost="before"), after[crosses], np.flatnonzero(crosses)),
        *(
            (_rows(changes, everywhere), np.full(int(everywhere.sum()), partition), np.flatnonzero(everywhere))
            for partition in range(partitions if everywhere.any() else 0)
        ),
    ]
    rows = pa.concat_tables([piece for piece, _, _ in pieces])
    where = np.concatenate([part for _, part, _ in pieces])
    order = np.lexsort((np.concatenate([index for _, _, index in pieces]), where))
    return [
        (partition, Changes(changes.table, changes.version, part))
        for partition, part in split_by_part(rows.take(pa.array(order)), where[order])
    ]


def split_by_part(rows: pa.Table, where: Numbers) -> Iterator[tuple[int, pa.Table]]:
    """Splits rows that are ordered by part."""
    if not rows.num_rows:
        return
    starts = np.flatnonzero(np.diff(where, prepend=where[0] - 1))
    for start, end in zip(starts, [*starts[1:], rows.num_rows], strict=True):
        yield int(where[start]), rows.slice(start, end - start)


def parts_of(ids: pa.ChunkedArray, partitions: int) -> Numbers:
    """The part of each identity (32 hexadecimal digits)."""
    digits = np.frombuffer(_digits(ids), np.uint8).reshape(-1, _ID_DIGITS)[:, :_DIGITS].astype(np.int64)
    values = np.where(digits >= ord("a"), digits - ord("a") + 10, digits - ord("0"))
    return np.asarray(values @ (16 ** np.arange(_DIGITS - 1, -1, -1, dtype=np.int64)) % partitions, dtype=np.int64)


def _digits(ids: pa.ChunkedArray) -> bytes:
    """All digits of all identities, back to back, from the start of each slice."""
    chunks = []
    for chunk in ids.chunks:
        fixed = chunk.cast(pa.binary()).cast(pa.binary(_ID_DIGITS))
        chunks.append(fixed.buffers()[1].slice(fixed.offset * _ID_DIGITS, len(fixed) * _ID_DIGITS).to_pybytes())
    return b"".join(chunks)


def _mask(rows: pa.Table, op: Op) -> Mask:
    return np.asarray(has_op(rows, frozenset({op})).to_numpy(), dtype=np.bool_)


def _partitions(changes: Changes, side: str, ops: frozenset[Op], partitions: int) -> Numbers:
    """The part of one side of each change; -1 without this side."""
    mask = np.asarray(has_op(changes.rows, ops).to_numpy(), dtype=np.bool_)
    result = np.full(len(mask), -1, dtype=np.int64)
    if mask.any():
        rows = images(changes.rows.filter(pa.array(mask)), side)
        result[mask] = parts_of(identities(rows, changes.table.identity), partitions)
    return result


def _rows(changes: Changes, mask: Mask) -> pa.Table:
    return changes.rows.filter(pa.array(mask))


def _half(changes: Changes, mask: Mask, op: Op, *, lost: str) -> pa.Table:
    """Converts updates to their deletes or inserts; `lost` is the side that is removed."""
    rows = changes.rows.filter(pa.array(mask))
    schema = envelope(changes.table)
    columns = {name: rows.column(name) for name in schema.names}
    columns["op"] = pa.chunked_array([pa.repeat(pa.scalar(op.value), rows.num_rows)])
    columns[lost] = pa.chunked_array([pa.nulls(rows.num_rows, schema.field(lost).type)])
    return pa.table(columns, schema=schema)
