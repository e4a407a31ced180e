"""Makes the commit that carries a net change of any size into one lake table, in bounded memory.

The same commit as `rewrite.apply` makes of what fits memory: the same rows leave and enter, but nothing is held as a
whole. Identities that leave and rows that enter lie in temporary files, the lake's files are read piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from datafingerprint.digests import identities, let_go
from datafingerprint.ports import DataFile, LakeTable, Stamp
from datafingerprint.schema import TableSchema
from datafingerprint.scratch import Scratch
from services.lake_writer.fold import Mask, NetChange
from services.lake_writer.removals import Removals
from services.lake_writer.rewrite import Applied, MergePolicy, candidates, merged
from services.lake_writer.runs import SortedRuns

_GROUP_ROWS = 1_000_000
"""Rows of small files that are looked through together: each look goes over all identities that leave."""


@dataclass(slots=True)
class _Work:
    """What a commit comes to, while it is made."""

    reset: bool = False
    reset_partitions: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    gone: list[DataFile] = field(default_factory=list)
    written: list[object] = field(default_factory=list)
    rows_added: int = 0
    rows_kept: int = 0


class BoundedCommit:
    """One commit.

    Args:
        table: The definition that the rows follow.
        lake_table: Where they go.
        stamp: What the snapshot is stamped with.
        policy: When small files are merged.
        scratch: Where the rest lies meanwhile.
    """

    def __init__(
        self, table: TableSchema, lake_table: LakeTable, stamp: Stamp, policy: MergePolicy, scratch: Scratch
    ) -> None:
        self._table = table
        self._lake_table = lake_table
        self._stamp = stamp
        self._policy = policy
        self._scratch = scratch

    def apply(self, nets: Iterable[NetChange], parts: int) -> Applied:
        """Carries a net change that is given in so many parts into the lake, atomically.

        1. The parts are folded one after another; what enters is sorted into runs, what leaves is laid aside.
        2. Files that may lose rows are looked through for identities that leave.
        3. What stays of those that do is written anew: as a file where it is long, else along with what enters.
        4. What enters is written by partition, in the order of the runs' merge, with the small files merged along.
        5. The commit.

        Raises:
            ConflictError: another writer was first; nothing has changed.
            Unavailable: there is no room for the temporary files.
        """
        files = self._lake_table.files()
        with (
            closing(SortedRuns(self._table, self._scratch)) as runs,
            closing(Removals(parts, self._scratch, every_copy=bool(self._table.key))) as removals,
        ):
            work = self._take_up(nets, files, runs, removals)
            let_go()
            self._drop(work, files, runs, removals)
            let_go()
            self._merge(work, files, runs)
            for name, pieces in runs.by_partition():
                work.written += self._lake_table.write_pieces(name, pieces, self._stamp)
            missing = 0 if work.reset or self._table.key else removals.left
            if not work.written and not work.gone and not self._lake_table.is_outdated:
                return Applied(self._lake_table.snapshot_id, 0, 0, missing, 0, 0)
            snapshot_id = self._lake_table.commit(work.written, work.gone, self._stamp)
        removed = sum(file.rows for file in work.gone) - work.rows_kept
        return Applied(snapshot_id, work.rows_added, removed, missing, len(work.written), len(work.gone))

    def _take_up(
        self, nets: Iterable[NetChange], files: Sequence[DataFile], runs: SortedRuns, removals: Removals
    ) -> _Work:
        work = _Work()
        for part, net in enumerate(nets):
            work.reset |= net.reset
            work.reset_partitions |= net.reset_partitions
            work.rows_added += net.added.num_rows
            runs.add(net.added)
            removals.put(part, net.removed_ids)
            unknown = [file for file in files if file.path not in work.touched]
            work.touched |= {file.path for file in candidates(self._table, net.removed, unknown)}
        return work

    def _drop(self, work: _Work, files: Sequence[DataFile], runs: SortedRuns, removals: Removals) -> None:
        if work.reset:
            work.gone = list(files)
            return
        work.gone = [file for file in files if file.partition in work.reset_partitions]
        looked_at = [
            file for file in files if file.path in work.touched and file.partition not in work.reset_partitions
        ]
        for group in _groups(looked_at):
            leaving = removals.taken(self._identities(group))
            ends = np.cumsum([file.rows for file in group])
            for file, mask in zip(group, np.split(leaving, ends[:-1]), strict=True):
                if mask.any():
                    work.gone.append(file)
                    self._keep(work, file, ~mask, runs)

    def _identities(self, files: Sequence[DataFile]) -> Iterator[pa.ChunkedArray]:
        columns = self._table.identity
        for file in files:
            for rows in self._lake_table.read_pieces(file, tuple(column.name for column in columns)):
                yield identities(rows, columns)

    def _keep(self, work: _Work, file: DataFile, stays: Mask, runs: SortedRuns) -> None:
        number = int(stays.sum())
        work.rows_kept += number
        if number >= self._policy.rows_max // 2:
            work.written += self._lake_table.write_pieces(file.partition, self._kept(file, stays), self._stamp)
        elif number:
            for rows in self._kept(file, stays):
                runs.add(rows)

    def _kept(self, file: DataFile, stays: Mask) -> Iterator[pa.Table]:
        begin = 0
        for rows in self._lake_table.read_pieces(file):
            kept = rows.filter(pa.array(stays[begin : begin + rows.num_rows]))
            begin += rows.num_rows
            if kept.num_rows:
                yield kept

    def _merge(self, work: _Work, files: Sequence[DataFile], runs: SortedRuns) -> None:
        """Small files of the partitions that are written anyway are written along."""
        runs.flush()
        gone = {file.path for file in work.gone}
        for file in merged(sorted(runs.partitions), [file for file in files if file.path not in gone], self._policy):
            work.gone.append(file)
            work.rows_kept += file.rows
            for rows in self._lake_table.read_pieces(file):
                runs.add(rows)


def _groups(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    group: list[DataFile] = []
    for file in files:
        if group and sum(one.rows for one in group) + file.rows > _GROUP_ROWS:
            yield group
            group = []
        group.append(file)
    if group:
        yield group
