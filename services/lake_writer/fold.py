"""Folds changes to their net effect: which rows leave the lake, which enter it.

A table with a key is a map from key to row; one without is a multiset, in which a row is identified by all of
its values. Both fold by the same two steps: number the images in order, then look at each identity alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from datafingerprint.changes import HAS_AFTER, HAS_BEFORE, NO_TRUNCATION, Changes, has_op, images, last_truncation
from datafingerprint.digests import identities, run
from datafingerprint.schema import TableSchema

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
        added: Rows to put into the lake.
        removed: One image of each identity that leaves, to find the files by.
        removed_ids: Their identities, and how many copies of each leave: columns `id` (text), `copies` (int64).
    """

    reset: bool
    added: pa.Table
    removed: pa.Table
    removed_ids: pa.Table

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.reset or self.added.num_rows or self.removed.num_rows)


def fold(table: TableSchema, parts: Sequence[tuple[int, Changes]]) -> NetChange:
    """The net effect of changes given as (Kafka partition, changes), each partition's in order.

    An identity lives in one Kafka partition, so no order between partitions is needed.
    """
    by_partition: dict[int, list[pa.Table]] = {}
    for partition, one in parts:
        by_partition.setdefault(partition, []).append(one.rows)
    reset = False
    rows: list[pa.Table] = []
    for partition in sorted(by_partition):
        joined = pa.concat_tables(by_partition[partition])
        last = last_truncation(Changes(table, 0, joined))
        reset = reset or last != NO_TRUNCATION
        rows.append(joined.slice(last + 1))
    return _net(table, pa.concat_tables(rows), reset=reset)


def _net(table: TableSchema, rows: pa.Table, *, reset: bool) -> NetChange:
    before_mask = np.asarray(has_op(rows, HAS_BEFORE).to_numpy(), dtype=np.bool_)
    after_mask = np.asarray(has_op(rows, HAS_AFTER).to_numpy(), dtype=np.bool_)
    pieces = [images(rows.filter(pa.array(before_mask)), "before"), images(rows.filter(pa.array(after_mask)), "after")]
    all_images = pa.concat_tables(pieces).combine_chunks()
    if not all_images.num_rows:
        nothing = all_images.slice(0, 0)
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


_TAKEN = """
    SELECT f.image, f.id FROM
        (SELECT id, image, row_number() OVER (PARTITION BY id ORDER BY image) AS copy FROM file) f
        JOIN removed r ON f.id = r.id
    WHERE f.copy <= r.copies
"""
_LEFT = """
    SELECT r.id, r.copies - coalesce(t.taken, 0) AS copies
    FROM removed r LEFT JOIN (SELECT id, count(*) AS taken FROM taken GROUP BY id) t ON r.id = t.id
    WHERE r.copies > coalesce(t.taken, 0)
"""


def without(table: TableSchema, rows: pa.Table, removed: pa.Table) -> tuple[pa.Table, pa.Table]:
    """A file's rows without those that leave, and the identities that are still to be taken from other files."""
    ids = identities(rows, table.identity)
    file = pa.table({"id": ids, "image": pa.array(np.arange(rows.num_rows))})
    taken = run(_TAKEN, file=file, removed=removed)
    if not taken.num_rows:
        return rows, removed
    keep = np.ones(rows.num_rows, dtype=np.bool_)
    keep[taken.column("image").to_numpy()] = False
    left = run(_LEFT, removed=removed, taken=taken)
    return rows.filter(pa.array(keep)), left.select(["id", "copies"]).cast(removed.schema)
