"""Folds changes to their net effect: which rows to delete from the lake, and which to add.

A table with a key is a map from key to row. A table without a key is a multiset: all values of a row identify it. Both
fold in the same two steps: number the images in order, then fold the images of each identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.changes import (
    HAS_AFTER,
    HAS_BEFORE,
    NO_TRUNCATION,
    Changes,
    conform_to,
    has_op,
    images,
    last_truncation,
)
from datafingerprint.digests import identities, partition_names, run
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema

Mask = npt.NDArray[np.bool_]

EVERY_COPY = 2**31
"""Number of copies of a removed key that are deleted: all, in case damage has left more than one."""

_KEYED = """
    SELECT id, arg_min(sign, seq) AS first_sign, arg_max(sign, seq) AS last_sign,
           arg_min(image, seq) AS first_image, arg_max(image, seq) AS last_image
    FROM events GROUP BY id
"""
_MULTISET = "SELECT id, sum(sign)::BIGINT AS net, min(image) AS image FROM events GROUP BY id HAVING net <> 0"


@dataclass(frozen=True, slots=True)
class NetChange:
    """The net effect of a run of changes.

    Attributes:
        reset: The table starts from nothing: all its rows in the lake are deleted.
        reset_partitions: Partitions that start from nothing.
        added: Rows to add to the lake.
        removed: One image of each identity to delete, to find the files by.
        removed_ids: These identities, and how many copies of each: columns `id` (text), `copies` (int64).
    """

    reset: bool
    added: pa.Table
    removed: pa.Table
    removed_ids: pa.Table
    reset_partitions: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether the lake table stays as it is."""
        return not (self.reset or self.reset_partitions or self.added.num_rows or self.removed.num_rows)


def fold(table: TableSchema, parts: Sequence[tuple[int, Changes]]) -> NetChange:
    """The net effect of changes, given as (Kafka partition, changes).

    Changes of one partition are in order. An identity is in one Kafka partition, so partitions need no order among
    them. Rows of an older definition get the newer columns as NULL.

    Raises:
        WireError: changes that count have a definition with other columns than that.
    """
    by_partition: dict[int, list[Changes]] = {}
    for partition, changes in parts:
        by_partition.setdefault(partition, []).append(changes)
    runs = [_valid(table, by_partition[partition]) for partition in sorted(by_partition)]
    net = _net(table, [piece for run in runs for piece in run.pieces], reset=any(run.reset for run in runs))
    return replace(net, reset_partitions=frozenset().union(*(run.reset_partitions for run in runs)))


@dataclass(frozen=True, slots=True)
class _Run:
    """The rows of one Kafka partition that count.

    Each piece has the table's partitions that a later `t` empties: their images do not count.
    """

    pieces: list[tuple[pa.Table, frozenset[str]]]
    reset: bool
    reset_partitions: frozenset[str]


def _valid(table: TableSchema, parts: Sequence[Changes]) -> _Run:
    """Collects changes from the last one backwards, up to a `t` of the whole table."""
    void: frozenset[str] = frozenset()
    pieces: list[tuple[pa.Table, frozenset[str]]] = []
    for changes in reversed(parts):
        if changes.partition is not None:
            void |= {changes.partition}
            continue
        last = last_truncation(changes)
        counting = Changes(changes.table, changes.version, changes.rows.slice(last + 1))
        pieces.append((conform_to(counting, table).rows, void))
        if last != NO_TRUNCATION:
            return _Run(pieces[::-1], reset=True, reset_partitions=void)
    return _Run(pieces[::-1], reset=False, reset_partitions=void)


def _counting(table: TableSchema, pieces: Sequence[tuple[pa.Table, frozenset[str]]], side: str) -> Mask:
    """Marks the rows with an image on this side that counts."""
    ops = HAS_BEFORE if side == "before" else HAS_AFTER
    masks = []
    for rows, void in pieces:
        mask = np.asarray(has_op(rows, ops).to_numpy(), dtype=np.bool_).copy()
        if void and mask.any():
            names = partition_names(images(rows.filter(pa.array(mask)), side), partitioning(table))
            mask[mask] = ~np.asarray(pc.is_in(names, pa.array(sorted(void), pa.string())).to_numpy(), dtype=np.bool_)
        masks.append(mask)
    return np.concatenate(masks)


def _net(table: TableSchema, parts: Sequence[tuple[pa.Table, frozenset[str]]], *, reset: bool) -> NetChange:
    nothing = table.arrow.empty_table()
    if not parts:
        return NetChange(reset, nothing, nothing, _ids([], []))
    rows = pa.concat_tables([piece for piece, _ in parts])
    before_mask, after_mask = _counting(table, parts, "before"), _counting(table, parts, "after")
    pieces = [images(rows.filter(pa.array(before_mask)), "before"), images(rows.filter(pa.array(after_mask)), "after")]
    all_images = pa.concat_tables(pieces).combine_chunks()
    if not all_images.num_rows:
        return NetChange(reset, nothing, nothing, _ids([], []))
    order = np.concatenate([np.flatnonzero(before_mask) * 2, np.flatnonzero(after_mask) * 2 + 1])
    sign = np.repeat(np.array([-1, 1], dtype=np.int8), [pieces[0].num_rows, pieces[1].num_rows])
    events = pa.table(
        {
            "id": identities(all_images, table.identity),
            "seq": pa.array(order),
            "sign": pa.array(sign),
            "image": pa.array(np.arange(all_images.num_rows)),
        }
    )
    net = _keyed(all_images, events) if table.key else _multiset(all_images, events)
    if reset:
        # The lake table is empty then: there is nothing to delete.
        return NetChange(reset, net[0], all_images.slice(0, 0), _ids([], []))
    return NetChange(reset, *net)


def _keyed(all_images: pa.Table, events: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Folds by key.

    If the first image of a key is a before image, the lake has the key. If the last one is an after image, the lake
    gets it.
    """
    net = run(_KEYED, events=events)
    removed = net.filter(_equals(net, "first_sign", -1))
    added = net.filter(_equals(net, "last_sign", 1))
    ids = _ids(removed.column("id"), np.full(removed.num_rows, EVERY_COPY))
    return all_images.take(added.column("last_image")), all_images.take(removed.column("first_image")), ids


def _multiset(all_images: pa.Table, events: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Folds by counts: after images minus before images are the rows to add, or to remove."""
    net = run(_MULTISET, events=events)
    counts = np.asarray(net.column("net").to_numpy(), dtype=np.int64)
    which = np.asarray(net.column("image").to_numpy(), dtype=np.int64)
    is_added, is_removed = counts > 0, counts < 0
    added = all_images.take(pa.array(np.repeat(which[is_added], counts[is_added])))
    ids = net.filter(pa.array(is_removed)).column("id")
    return added, all_images.take(pa.array(which[is_removed])), _ids(ids, -counts[is_removed])


def _equals(rows: pa.Table, column: str, value: int) -> pa.Array:
    return pa.array(np.asarray(rows.column(column).to_numpy()) == value)


def _ids(ids: object, copies: object) -> pa.Table:
    return pa.table({"id": ids, "copies": copies}, schema=pa.schema([("id", pa.string()), ("copies", pa.int64())]))


TAKEN = """
    SELECT f.image, f.id FROM
        (SELECT id, image, row_number() OVER (PARTITION BY id ORDER BY image) AS copy FROM file) f
        JOIN removed r ON f.id = r.id
    WHERE f.copy <= r.copies
"""
LEFT = """
    SELECT r.id, r.copies - coalesce(t.taken, 0) AS copies
    FROM removed r LEFT JOIN (SELECT id, count(*) AS taken FROM taken GROUP BY id) t ON r.id = t.id
    WHERE r.copies > coalesce(t.taken, 0)
"""


def without(table: TableSchema, rows: pa.Table, removed: pa.Table) -> tuple[pa.Table, pa.Table]:
    """A file's rows without the deleted ones, and the identities to delete from other files."""
    keep, left = staying(table, rows, removed)
    return (rows if keep.all() else rows.filter(pa.array(keep))), left


def staying(table: TableSchema, rows: pa.Table, removed: pa.Table) -> tuple[Mask, pa.Table]:
    """Marks a file's rows that stay.

    Also returns the identities still to be deleted from other files.
    """
    ids = identities(rows, table.identity)
    file = pa.table({"id": ids, "image": pa.array(np.arange(rows.num_rows))})
    taken = run(TAKEN, file=file, removed=removed)
    keep = np.ones(rows.num_rows, dtype=np.bool_)
    if not taken.num_rows:
        return keep, removed
    keep[taken.column("image").to_numpy()] = False
    left = run(LEFT, removed=removed, taken=taken)
    return keep, left.select(["id", "copies"]).cast(removed.schema)
