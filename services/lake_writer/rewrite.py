"""Chooses the files that a net change touches, and makes the commit that carries it into one lake table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.digests import partition_names
from datafingerprint.partitions import partitioning
from datafingerprint.ports import DataFile, LakeTable, Stamp
from datafingerprint.schema import Kind, TableSchema
from services.lake_writer.fold import NetChange, without


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """When small files are merged.

    A partition that is touched while it has twice `files` files below half of `rows_max` rows gets its `files`
    smallest ones merged: what was merged is larger, so a row is rewritten a logarithmic number of times.
    """

    files: int
    rows_max: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What a commit did.

    Attributes:
        snapshot_id: The table's snapshot now.
        rows_added: Rows put in.
        rows_removed: Rows taken away.
        rows_missing: Rows to be taken away that the lake did not have; the sums will tell.
        files_added: New files.
        files_removed: Files that are no longer live.
    """

    snapshot_id: int | None
    rows_added: int
    rows_removed: int
    rows_missing: int
    files_added: int
    files_removed: int


def rows_read(table: TableSchema, net: NetChange, files: Sequence[DataFile], policy: MergePolicy) -> int:
    """How many rows of the lake `apply` would hold in memory, at most."""
    if net.reset:
        return 0
    touched = candidates(table, net.removed, files)
    names = {file.partition for file in touched}
    if net.added.num_rows:
        names |= set(pc.unique(partition_names(net.added, partitioning(table))).to_pylist())
    return sum(file.rows for file in {file.path: file for file in [*touched, *merged(names, files, policy)]}.values())


def apply(table: TableSchema, lake_table: LakeTable, net: NetChange, stamp: Stamp, policy: MergePolicy) -> Applied:
    """Carries a net change into the lake, atomically, all in memory; `bounded.BoundedCommit` does so in pieces.

    Without any change, a table that is outdated gets its new columns.

    Raises:
        ConflictError: another writer was first; nothing has changed.
    """
    files = lake_table.files()
    rows, gone, missing = _rewritten(table, lake_table, net, files)
    removed_rows = sum(file.rows for file in gone) - rows.num_rows
    rows = pa.concat_tables([rows, net.added])
    parts = _by_partition(table, rows)
    small = merged(parts, [file for file in files if file not in gone], policy)
    if small:
        old = [lake_table.read(file) for file in small]
        parts = _by_partition(table, pa.concat_tables([rows, *old]))
    added = lake_table.write(parts, stamp)
    gone = [*gone, *small]
    if not added and not gone and not lake_table.is_outdated:
        return Applied(lake_table.snapshot_id, 0, 0, missing, 0, 0)
    snapshot_id = lake_table.commit(added, gone, stamp)
    return Applied(snapshot_id, net.added.num_rows, removed_rows, missing, len(added), len(gone))


def _rewritten(
    table: TableSchema, lake_table: LakeTable, net: NetChange, files: Sequence[DataFile]
) -> tuple[pa.Table, list[DataFile], int]:
    """What stays of the files that lose rows, those files, and how many identities were found in none."""
    if net.reset:
        return table.arrow.empty_table(), list(files), 0
    kept: list[pa.Table] = []
    gone = [file for file in files if file.partition in net.reset_partitions]
    left = net.removed_ids
    for file in candidates(table, net.removed, [file for file in files if file not in gone]):
        if not left.num_rows:
            break
        rows = lake_table.read(file)
        rest, still = without(table, rows, left)
        if rest.num_rows < rows.num_rows:
            kept.append(rest)
            gone.append(file)
        # A key leaves every file that holds it; only a multiset's copies are used up.
        left = left if table.key else still
    missing = 0 if table.key else left.num_rows
    return pa.concat_tables([table.arrow.empty_table(), *kept]), gone, missing


def candidates(table: TableSchema, removed: pa.Table, files: Sequence[DataFile]) -> list[DataFile]:
    """The files that may hold rows that leave: in their partitions, and with bounds that take in one of them."""
    if not removed.num_rows:
        return []
    rows_of = _rows_by_name(partition_names(removed, partitioning(table)).combine_chunks())
    values = {
        column.name: _ordered(removed.column(column.name))
        for column in table.identity
        if column.kind in (Kind.INTEGER, Kind.DATE) and pa.types.is_integer(_as_integer(column.arrow))
    }
    return [file for file in files if file.partition in rows_of and _may_hold(file, values, rows_of[file.partition])]


def _rows_by_name(names: pa.Array) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The indexes of the rows that bear each name."""
    coded = names.dictionary_encode()
    codes = np.asarray(coded.indices.to_numpy())
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(coded.dictionary) + 1))
    return {
        name: order[start:end]
        for name, start, end in zip(coded.dictionary.to_pylist(), starts[:-1], starts[1:], strict=True)
    }


def _as_integer(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(kind) else kind


def _ordered(values: pa.ChunkedArray) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], pa.Array]:
    """A column's values as integers, and which are NULL (no bound says anything about those)."""
    integers = values.cast(_as_integer(values.type)).cast(pa.int64())
    null = np.asarray(integers.is_null().to_numpy(), dtype=np.bool_)
    return np.asarray(pc.fill_null(integers, 0).to_numpy(), dtype=np.int64), null


def _may_hold(
    file: DataFile,
    values: Mapping[str, tuple[np.ndarray[tuple[int], np.dtype[np.int64]], pa.Array]],
    which: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> bool:
    possible = np.ones(len(which), dtype=np.bool_)
    for name, (integers, null) in values.items():
        bounds = file.bounds.get(name)
        if bounds is not None:
            low, high = bounds
            found = integers[which]
            possible &= null[which] | ((found >= low) & (found <= high))
    return bool(possible.any())


def _by_partition(table: TableSchema, rows: pa.Table) -> dict[str, pa.Table]:
    if not rows.num_rows:
        return {}
    names = partition_names(rows, partitioning(table)).combine_chunks()
    distinct = pc.unique(names).to_pylist()
    if len(distinct) == 1:
        return {distinct[0]: rows}
    order = pc.sort_indices(names)
    sorted_names = names.take(order)
    sorted_rows = rows.take(order)
    runs = pc.run_end_encode(sorted_names)
    ends = runs.run_ends.to_pylist()
    starts = [0, *ends[:-1]]
    return {
        name: sorted_rows.slice(start, end - start)
        for name, start, end in zip(runs.values.to_pylist(), starts, ends, strict=True)
    }


def merged(partitions: Iterable[str], files: Sequence[DataFile], policy: MergePolicy) -> list[DataFile]:
    """The small files of touched partitions that are merged along."""
    found: list[DataFile] = []
    for name in partitions:
        small = sorted(
            (file for file in files if file.partition == name and file.rows < policy.rows_max // 2),
            key=lambda file: file.rows,
        )
        if len(small) >= 2 * policy.files:
            found += small[: policy.files]
    return found
