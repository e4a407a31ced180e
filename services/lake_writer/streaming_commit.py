"""Commits a net change of any size to one lake table, in bounded memory.

`rewrite.apply` makes the same commit in memory. Here nothing is held as a whole: identities to delete and new rows are
in temporary files, and the lake's files are read piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from datafingerprint.digests import identities, release_memory
from datafingerprint.fingerprint import ZERO, Fingerprint, total
from datafingerprint.ports.lake import DataFile, LakeTable, Stamp
from datafingerprint.ports.scratch import Scratch
from datafingerprint.schema import TableSchema
from services.lake_writer.fold import Mask, NetChange
from services.lake_writer.pending_deletes import PendingDeletes
from services.lake_writer.rewrite import CommitResult, MergePolicy, candidates, merged, sum_of
from services.lake_writer.runs import SortedRuns

_GROUP_ROWS = 1_000_000
"""Rows of small files that are searched together, because each search reads all identities to delete."""


@dataclass(slots=True)
class _Work:
    """The state of a commit while it is made."""

    reset: bool = False
    reset_partitions: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    removed: list[DataFile] = field(default_factory=list)
    written: list[object] = field(default_factory=list)
    rows_added: int = 0
    rows_kept: int = 0
    to_delete: Fingerprint = ZERO
    deleted: Fingerprint = ZERO


class StreamingCommit:
    """One commit.

    Args:
        table: The definition of the rows.
        lake_table: The table of the lake.
        stamp: The stamp of the snapshot.
        policy: When small files are merged.
        scratch: Where rows and identities are stored.
    """

    def __init__(
        self, table: TableSchema, lake_table: LakeTable, stamp: Stamp, policy: MergePolicy, scratch: Scratch
    ) -> None:
        self._table = table
        self._lake_table = lake_table
        self._stamp = stamp
        self._policy = policy
        self._scratch = scratch

    def apply(self, nets: Iterable[NetChange], parts: int) -> CommitResult:
        """Commits a net change that comes in `parts` parts, atomically.

        1. Take the parts one after another: sort new rows into runs, and store the identities to delete.
        2. Search the files that may lose rows for these identities.
        3. Rewrite the other rows of files that lose rows: many as a file of their own, few with the new rows.
        4. Write the rows of the merged runs by partition, together with small files.
        5. Commit.

        Raises:
            ConflictError: another writer was first. Nothing has changed.
            Unavailable: the disk has no room for the temporary files.
        """
        files = self._lake_table.files()
        with (
            closing(SortedRuns(self._table, self._scratch)) as runs,
            closing(PendingDeletes(parts, self._scratch, every_copy=bool(self._table.key))) as deletes,
        ):
            work = self._collect(nets, files, runs, deletes)
            release_memory()
            self._delete(work, files, runs, deletes)
            release_memory()
            self._merge(work, files, runs)
            for name, pieces in runs.by_partition():
                work.written += self._lake_table.write_pieces(name, pieces, self._stamp)
            missing = 0 if work.reset or self._table.key else deletes.left
            is_unknown = not work.reset and (work.to_delete != work.deleted if self._table.key else missing > 0)
            if not work.written and not work.removed and not self._lake_table.is_outdated:
                return CommitResult(self._lake_table.snapshot_id, 0, 0, missing, 0, 0, is_unknown)
            snapshot_id = self._lake_table.commit(work.written, work.removed, self._stamp)
        rows_removed = sum(file.rows for file in work.removed) - work.rows_kept
        written, removed = len(work.written), len(work.removed)
        return CommitResult(snapshot_id, work.rows_added, rows_removed, missing, written, removed, is_unknown)

    def _collect(
        self, nets: Iterable[NetChange], files: Sequence[DataFile], runs: SortedRuns, deletes: PendingDeletes
    ) -> _Work:
        work = _Work()
        for part, net in enumerate(nets):
            work.reset |= net.reset
            work.reset_partitions |= net.reset_partitions
            work.rows_added += net.added.num_rows
            runs.add(net.added)
            deletes.put(part, net.removed_ids)
            if self._table.key:
                work.to_delete += sum_of(self._table, net.removed)
            unknown = [file for file in files if file.path not in work.touched]
            work.touched |= {file.path for file in candidates(self._table, net.removed, unknown)}
        return work

    def _delete(self, work: _Work, files: Sequence[DataFile], runs: SortedRuns, deletes: PendingDeletes) -> None:
        if work.reset:
            work.removed = list(files)
            return
        work.removed = [file for file in files if file.partition in work.reset_partitions]
        searched = [file for file in files if file.path in work.touched and file.partition not in work.reset_partitions]
        for group in _groups(searched):
            is_deleted = deletes.take(self._identities(group))
            ends = np.cumsum([file.rows for file in group])
            for file, mask in zip(group, np.split(is_deleted, ends[:-1]), strict=True):
                if mask.any():
                    work.removed.append(file)
                    self._keep(work, file, ~mask, runs)
                    if self._table.key:
                        work.deleted += self._sum_of_deleted(file, mask)

    def _identities(self, files: Sequence[DataFile]) -> Iterator[pa.ChunkedArray]:
        columns = self._table.identity
        for file in files:
            for rows in self._lake_table.read_pieces(file, tuple(column.name for column in columns)):
                yield identities(rows, columns)

    def _sum_of_deleted(self, file: DataFile, is_deleted: Mask) -> Fingerprint:
        return total(sum_of(self._table, rows) for rows in self._kept(file, is_deleted))

    def _keep(self, work: _Work, file: DataFile, stays: Mask, runs: SortedRuns) -> None:
        number = int(stays.sum())
        work.rows_kept += number
        if number >= self._policy.rows_max // 2:
            work.written += self._lake_table.write_pieces(file.partition, self._kept(file, stays), self._stamp)
        elif number:
            for rows in self._kept(file, stays):
                runs.add(rows)

    def _kept(self, file: DataFile, stays: Mask) -> Iterator[pa.Table]:
        start = 0
        for rows in self._lake_table.read_pieces(file):
            kept = rows.filter(pa.array(stays[start : start + rows.num_rows]))
            start += rows.num_rows
            if kept.num_rows:
                yield kept

    def _merge(self, work: _Work, files: Sequence[DataFile], runs: SortedRuns) -> None:
        """Merges small files of the partitions that are written anyway."""
        runs.flush()
        removed = {file.path for file in work.removed}
        for file in merged(sorted(runs.partitions), [file for file in files if file.path not in removed], self._policy):
            work.removed.append(file)
            work.rows_kept += file.rows
            for rows in self._lake_table.read_pieces(file):
                runs.add(rows)


def _groups(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    group: list[DataFile] = []
    for file in files:
        if group and sum(member.rows for member in group) + file.rows > _GROUP_ROWS:
            yield group
            group = []
        group.append(file)
    if group:
        yield group
