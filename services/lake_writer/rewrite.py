"""Chooses the files that a net change touches, and commits it to one lake table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.digests import partition_names, sums_by_partition
from datafingerprint.fingerprint import ZERO, Fingerprint, total
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import DataFile, LakeTable, Stamp
from datafingerprint.schema import Kind, TableSchema
from services.lake_writer.fold import NetChange, staying


@dataclass(frozen=True, slots=True)
class MergePolicy:
    """When small files are merged.

    If a touched partition has twice `files` files below half of `rows_max` rows, its `files` smallest ones are merged.
    The merged file is larger, so a row is rewritten a logarithmic number of times.
    """

    files: int
    rows_max: int


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit did.

    Attributes:
        snapshot_id: The table's present snapshot.
        rows_added: Rows added.
        rows_removed: Rows deleted.
        rows_missing: Rows to delete that the lake did not have. The sums will differ.
        files_added: New files.
        files_removed: Files that are no longer live.
        is_unknown: Whether deleted rows were missing, or had other values than in the stream.
    """

    snapshot_id: int | None
    rows_added: int
    rows_removed: int
    rows_missing: int
    files_added: int
    files_removed: int
    is_unknown: bool = False


def rows_read(table: TableSchema, net: NetChange, files: Sequence[DataFile], policy: MergePolicy) -> int:
    """The largest number of the lake's rows that `apply` would hold in memory."""
    if net.reset:
        return 0
    touched = candidates(table, net.removed, files)
    names = {file.partition for file in touched}
    if net.added.num_rows:
        names |= set(pc.unique(partition_names(net.added, partitioning(table))).to_pylist())
    return sum(file.rows for file in {file.path: file for file in [*touched, *merged(names, files, policy)]}.values())


def apply(table: TableSchema, lake_table: LakeTable, net: NetChange, stamp: Stamp, policy: MergePolicy) -> CommitResult:
    """Commits a net change atomically, in memory. `StreamingCommit` does the same in pieces.

    An outdated table gets its new columns even without a change.

    Raises:
        ConflictError: another writer was first. Nothing has changed.
    """
    files = lake_table.files()
    rows, removed, missing, is_unknown = _rewritten(table, lake_table, net, files)
    rows_removed = sum(file.rows for file in removed) - rows.num_rows
    rows = pa.concat_tables([rows, net.added])
    parts = _by_partition(table, rows)
    small = merged(parts, [file for file in files if file not in removed], policy)
    if small:
        old = [lake_table.read(file) for file in small]
        parts = _by_partition(table, pa.concat_tables([rows, *old]))
    added = lake_table.write(parts, stamp)
    removed = [*removed, *small]
    if not added and not removed and not lake_table.is_outdated:
        return CommitResult(lake_table.snapshot_id, 0, 0, missing, 0, 0, is_unknown)
    snapshot_id = lake_table.commit(added, removed, stamp)
    return CommitResult(snapshot_id, net.added.num_rows, rows_removed, missing, len(added), len(removed), is_unknown)


def _rewritten(
    table: TableSchema, lake_table: LakeTable, net: NetChange, files: Sequence[DataFile]
) -> tuple[pa.Table, list[DataFile], int, bool]:
    """Rewrites the files that lose rows.

    Returns:
        The rows that stay, these files, the number of identities in no file, and `CommitResult.is_unknown`.
    """
    if net.reset:
        return table.arrow.empty_table(), list(files), 0, False
    deleted = ZERO
    kept: list[pa.Table] = []
    removed = [file for file in files if file.partition in net.reset_partitions]
    pending = net.removed_ids
    for file in candidates(table, net.removed, [file for file in files if file not in removed]):
        if not pending.num_rows:
            break
        rows = lake_table.read(file)
        stays, still = staying(table, rows, pending)
        if not stays.all():
            kept.append(rows.filter(pa.array(stays)))
            removed.append(file)
            deleted += sum_of(table, rows.filter(pa.array(~stays)))
        # A key is deleted from every file that has it. Only a multiset's copies are used up.
        pending = pending if table.key else still
    missing = 0 if table.key else pending.num_rows
    is_unknown = deleted != sum_of(table, net.removed) if table.key else missing > 0
    return pa.concat_tables([table.arrow.empty_table(), *kept]), removed, missing, is_unknown


def sum_of(table: TableSchema, rows: pa.Table) -> Fingerprint:
    """The sum of rows, by which a keyed table's deletes are checked."""
    return total(sums_by_partition(rows, table.columns, partitioning(table)).values())


def candidates(table: TableSchema, removed: pa.Table, files: Sequence[DataFile]) -> list[DataFile]:
    """The files that may hold rows to delete, by partition and bounds."""
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
    """The indexes of the rows of each name."""
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
    """A column's values as integers, and a mask of NULLs, which bounds do not cover."""
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
            selected = integers[which]
            possible &= null[which] | ((selected >= low) & (selected <= high))
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
    """The small files to merge in touched partitions."""
    chosen: list[DataFile] = []
    for name in partitions:
        small = sorted(
            (file for file in files if file.partition == name and file.rows < policy.rows_max // 2),
            key=lambda file: file.rows,
        )
        if len(small) >= 2 * policy.files:
            chosen += small[: policy.files]
    return chosen
