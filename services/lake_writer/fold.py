"""Folds changes to their net effect: which rows leave the lake, which enter it.

A table with a key is a map from key to row; one without is a multiset, in which a row is identified by all of
its values. Both fold by the same two steps: number the images in order, then look at each identity alone.
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
    conformed,
    has_op,
    images,
    last_truncation,
)
from datafingerprint.digests import identities, partition_names, run
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema

Mask = npt.NDArray[np.bool_]

EVERY_COPY = 2**31
"""How many copies of a removed key leave the lake: all, should damage have left more than one."""

_KEYED = """
    SELECT id, arg_min(sign, seq) AS first_sign, arg_max(sign, seq) AS last_sign,
           arg_min(image, seq) AS first_image, arg_max(image, seq) AS last_image
    FROM events GROUP BY id
"""
_MULTISET = "SELECT id, sum(sign)::BIGINT AS net, min(image) AS image FROM events GROUP BY id HAVING net <> 0"


@dataclass(frozen=True, slots=True)
class NetChange:
    """What a run of changes comes to.

    Attributes:
        reset: The table starts again from nothing: whatever the lake holds goes.
        reset_partitions: Partitions that do.
        added: Rows to put into the lake.
        removed: One image of each identity that leaves, to find the files by.
        removed_ids: Their identities, and how many copies of each leave: columns `id` (text), `copies` (int64).
    """

    reset: bool
    added: pa.Table
    removed: pa.Table
    removed_ids: pa.Table
    reset_partitions: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.reset or self.reset_partitions or self.added.num_rows or self.removed.num_rows)


def fold(table: TableSchema, parts: Sequence[tuple[int, Changes]]) -> NetChange:
    """The net effect of changes given as (Kafka partition, changes), each partition's in order.

    An identity lives in one Kafka partition, so no order between partitions is needed. Changes of an older definition
    are taken as if their rows had the newer columns, which are NULL in them.

    Raises:
        WireError: changes that count are of a definition with other columns than that.
    """
    by_partition: dict[int, list[Changes]] = {}
    for partition, one in parts:
        by_partition.setdefault(partition, []).append(one)
    runs = [_valid(table, by_partition[partition]) for partition in sorted(by_partition)]
    net = _net(table, [piece for run in runs for piece in run.pieces], reset=any(run.reset for run in runs))
    return replace(net, reset_partitions=frozenset().union(*(run.reset_partitions for run in runs)))


@dataclass(frozen=True, slots=True)
class _Run:
    """What counts of one Kafka partition: rows, each piece with the partitions whose images a later `t` made void."""

    pieces: list[tuple[pa.Table, frozenset[str]]]
    reset: bool
    reset_partitions: frozenset[str]


def _valid(table: TableSchema, parts: Sequence[Changes]) -> _Run:
    """From the last change backwards, as far as a `t` of the whole table."""
    void: frozenset[str] = frozenset()
    pieces: list[tuple[pa.Table, frozenset[str]]] = []
    for one in reversed(parts):
        if one.partition is not None:
            void |= {one.partition}
            continue
        last = last_truncation(one)
        counting = Changes(one.table, one.version, one.rows.slice(last + 1))
        pieces.append((conformed(counting, table).rows, void))
        if last != NO_TRUNCATION:
            return _Run(pieces[::-1], reset=True, reset_partitions=void)
    return _Run(pieces[::-1], reset=False, reset_partitions=void)


def _counting(table: TableSchema, pieces: Sequence[tuple[pa.Table, frozenset[str]]], side: str) -> Mask:
    """Which rows have an image on this side that counts."""
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
        # Nothing is left in the lake for the removed ones to be taken from.
        return NetChange(reset, net[0], all_images.slice(0, 0), _ids([], []))
    return NetChange(reset, *net)


def _keyed(all_images: pa.Table, events: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """A key was in the lake before if its first image is one taken away, and is in it after if its last is not."""
    net = run(_KEYED, events=events)
    gone = net.filter(_equals(net, "first_sign", -1))
    stays = net.filter(_equals(net, "last_sign", 1))
    ids = _ids(gone.column("id"), np.full(gone.num_rows, EVERY_COPY))
    return all_images.take(stays.column("last_image")), all_images.take(gone.column("first_image")), ids


def _multiset(all_images: pa.Table, events: pa.Table) -> tuple[pa.Table, pa.Table, pa.Table]:
    """What was put in place more often than taken away enters as often, and the other way round."""
    net = run(_MULTISET, events=events)
    counts = np.asarray(net.column("net").to_numpy(), dtype=np.int64)
    which = np.asarray(net.column("image").to_numpy(), dtype=np.int64)
    enters, leaves = counts > 0, counts < 0
    added = all_images.take(pa.array(np.repeat(which[enters], counts[enters])))
    gone = net.filter(pa.array(leaves))
    return added, all_images.take(pa.array(which[leaves])), _ids(gone.column("id"), -counts[leaves])


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
    """A file's rows without those that leave, and the identities that are still to be taken from other files."""
    ids = identities(rows, table.identity)
    file = pa.table({"id": ids, "image": pa.array(np.arange(rows.num_rows))})
    taken = run(TAKEN, file=file, removed=removed)
    if not taken.num_rows:
        return rows, removed
    keep = np.ones(rows.num_rows, dtype=np.bool_)
    keep[taken.column("image").to_numpy()] = False
    left = run(LEFT, removed=removed, taken=taken)
    return rows.filter(pa.array(keep)), left.select(["id", "copies"]).cast(removed.schema)
