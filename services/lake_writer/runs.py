"""Sorts more rows than memory holds: sorted runs on disk, and their merge.

Rows come out by partition, and within each by the columns that order files. The order only decides which file a row is
in. Every row that went in comes out, however values compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.digests import partition_names
from datafingerprint.partitions import partitioning
from datafingerprint.ports.scratch import Scratch
from datafingerprint.routing import Numbers
from datafingerprint.schema import TableSchema
from services.lake_writer.spill_file import Segment, SpillFile

_RUN_BYTES = 8 << 20
"""Size of a run: rows that are sorted at once."""

_SLICE_BYTES = 64 << 10
"""Size of a slice of a run. A merge has one or two slices of every run in memory."""

_SLICES_MAX = 64
"""Slices of one run that are read at once if only this run has rows at the merge's position."""


@dataclass(slots=True)
class _Cursor:
    """How far a run has been read."""

    slices: list[Segment]
    next: int = 0
    at_once: int = 1

    @property
    def is_read(self) -> bool:
        return self.next >= len(self.slices)


class SortedRuns:
    """Takes rows of one table in any order, and returns them sorted."""

    def __init__(self, table: TableSchema, scratch: Scratch) -> None:
        self._table = table
        self._partitioning = partitioning(table)
        self._file = SpillFile(scratch)
        self._pending: list[pa.Table] = []
        self._size_bytes = 0
        self._runs: list[list[Segment]] = []
        self.partitions: set[str] = set()
        """The partitions of all rows. Complete after `flush()`."""

    def add(self, rows: pa.Table) -> None:
        """Takes rows.

        Raises:
            Unavailable: the disk is full.
        """
        if rows.num_rows:
            self._pending.append(rows)
            self._size_bytes += rows.nbytes
            if self._size_bytes >= _RUN_BYTES:
                self.flush()

    def flush(self) -> None:
        """Makes a run of the rows in memory. `partitions` is complete then."""
        if not self._pending:
            return
        rows = pa.concat_tables(self._pending)
        self._pending, self._size_bytes = [], 0
        names = partition_names(rows, self._partitioning)
        self.partitions |= set(pc.unique(names).to_pylist())
        ordered = self._sorted(_numbered(rows, names))
        size = max(1, rows.num_rows * _SLICE_BYTES // max(1, rows.nbytes))
        self._runs.append([self._file.put(ordered.slice(at, size)) for at in range(0, rows.num_rows, size)])

    def _sorted(self, rows: pa.Table) -> pa.Table:
        return rows.take(self._order(rows))

    def _order(self, rows: pa.Table) -> pa.Array:
        names = self._table.arrow.names
        keys = ["partition", *(f"c{names.index(name)}" for name in self._table.file_order)]
        return pc.sort_indices(rows, [(name, "ascending") for name in keys])

    def by_partition(self) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        """Every partition with its rows in pieces. Exhaust each before the next."""
        pieces = ((name, self._table_of(piece)) for rows in self._merged() for name, piece in _by_partition(rows))
        for name, group in groupby(pieces, key=lambda piece: piece[0]):
            yield name, (piece for _, piece in group)

    def _table_of(self, rows: pa.Table) -> pa.Table:
        return pa.table(rows.columns[:-1], schema=self._table.arrow)

    def _merged(self) -> Iterator[pa.Table]:
        """Merges the runs.

        Each run has its next rows in memory. No row on disk sorts before the smallest of the runs' last rows in memory.
        """
        self.flush()
        cursors = [_Cursor(slices) for slices in self._runs]
        pool: pa.Table | None = None
        origin = np.zeros(0, dtype=np.int64)
        while True:
            pool, origin = self._refilled(cursors, pool, origin)
            if pool is None or not pool.num_rows:
                return
            order = np.asarray(self._order(pool).to_numpy(), dtype=np.int64)
            origin = origin[order]
            end = self._mergeable(cursors, origin)
            # Copies, not slices of one table: a slice would keep the whole table in memory.
            yield pool.take(pa.array(order[:end]))
            pool, origin = pool.take(pa.array(order[end:])), origin[end:]

    def _refilled(
        self, cursors: list[_Cursor], pool: pa.Table | None, origin: Numbers
    ) -> tuple[pa.Table | None, Numbers]:
        """Adds slices to the pool until each run that has rows on disk has one more in memory."""
        tables = [] if pool is None else [pool]
        origins = [origin]
        counts = np.bincount(origin, minlength=len(cursors)) if len(cursors) else np.zeros(0, dtype=np.int64)
        for number, cursor in enumerate(cursors):
            if cursor.is_read or (counts[number] and counts[number] >= cursor.slices[cursor.next - 1].rows):
                continue
            segments = cursor.slices[cursor.next : cursor.next + cursor.at_once]
            cursor.next += len(segments)
            tables += [self._file.get(segment) for segment in segments]
            origins.append(np.full(sum(segment.rows for segment in segments), number, dtype=np.int64))
        return (pa.concat_tables(tables) if tables else None), np.concatenate(origins)

    def _mergeable(self, cursors: list[_Cursor], origin: Numbers) -> int:
        """How many of the sorted rows may be returned.

        The run that limits them is read faster from now on.
        """
        last = np.full(len(cursors), -1, dtype=np.int64)
        last[origin] = np.arange(len(origin))
        waiting = [(int(last[number]), cursor) for number, cursor in enumerate(cursors) if not cursor.is_read]
        if not waiting:
            return len(origin)
        end, least = min(waiting, key=lambda run: run[0])
        for _, cursor in waiting:
            cursor.at_once = min(_SLICES_MAX, 2 * cursor.at_once) if cursor is least else max(1, cursor.at_once // 2)
        return end + 1

    def close(self) -> None:
        """Drops all rows, and the temporary file."""
        self._pending = []
        self._file.close()


def _numbered(rows: pa.Table, names: pa.ChunkedArray) -> pa.Table:
    """Names columns by number, and adds the partition as the last one."""
    return pa.table([*rows.columns, names], names=[*(f"c{number}" for number in range(rows.num_columns)), "partition"])


def _by_partition(rows: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    """Splits rows that are sorted by partition."""
    runs = pc.run_end_encode(rows.column("partition").combine_chunks())
    start = 0
    for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield name, rows.slice(start, end - start)
        start = end
