"""Sorts more rows than memory holds: sorted runs on disk, and their merge.

Rows come out by partition, and in each by the columns that files are ordered by. The order only decides what lies in
which file; every row that went in comes out, whatever compares how.
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
from datafingerprint.routing import Numbers
from datafingerprint.schema import TableSchema
from datafingerprint.scratch import Scratch
from services.lake_writer.laid_aside import LaidAside, Place

_RUN_OCTETS = 8 << 20
"""Rows that are sorted at once; so long is a run."""

_SLICE_OCTETS = 64 << 10
"""A piece of a run; while merging, one or two of every run are in memory."""

_SLICES_MAX = 64
"""Slices of one run that are read at once, when it is the only one that has rows where the merge stands."""


@dataclass(slots=True)
class _Cursor:
    """How far a run has been read."""

    slices: list[Place]
    next: int = 0
    at_once: int = 1

    @property
    def is_read(self) -> bool:
        return self.next >= len(self.slices)


class SortedRuns:
    """Takes rows of one table in any order, and gives them back sorted."""

    def __init__(self, table: TableSchema, scratch: Scratch) -> None:
        self._table = table
        self._partitioning = partitioning(table)
        self._file = LaidAside(scratch)
        self._pending: list[pa.Table] = []
        self._octets = 0
        self._runs: list[list[Place]] = []
        self.partitions: set[str] = set()
        """Partitions that rows have been put in for, once `merged` has begun."""

    def add(self, rows: pa.Table) -> None:
        """Takes rows.

        Raises:
            Unavailable: there is no room on the disk.
        """
        if rows.num_rows:
            self._pending.append(rows)
            self._octets += rows.nbytes
            if self._octets >= _RUN_OCTETS:
                self.flush()

    def flush(self) -> None:
        """Makes a run of what is in memory; `partitions` is true afterwards."""
        if not self._pending:
            return
        rows = pa.concat_tables(self._pending)
        self._pending, self._octets = [], 0
        names = partition_names(rows, self._partitioning)
        self.partitions |= set(pc.unique(names).to_pylist())
        ordered = self._sorted(_numbered(rows, names))
        size = max(1, rows.num_rows * _SLICE_OCTETS // max(1, rows.nbytes))
        self._runs.append([self._file.put(ordered.slice(at, size)) for at in range(0, rows.num_rows, size)])

    def _sorted(self, rows: pa.Table) -> pa.Table:
        return rows.take(self._order(rows))

    def _order(self, rows: pa.Table) -> pa.Array:
        names = self._table.arrow.names
        keys = ["partition", *(f"c{names.index(name)}" for name in self._table.file_order)]
        return pc.sort_indices(rows, [(name, "ascending") for name in keys])

    def by_partition(self) -> Iterator[tuple[str, Iterator[pa.Table]]]:
        """Every partition with its rows in pieces, each gone through before the next one is asked for."""
        pieces = ((name, self._table_of(one)) for merged in self._merged() for name, one in _by_partition(merged))
        for name, group in groupby(pieces, key=lambda piece: piece[0]):
            yield name, (rows for _, rows in group)

    def _table_of(self, rows: pa.Table) -> pa.Table:
        return pa.table(rows.columns[:-1], schema=self._table.arrow)

    def _merged(self) -> Iterator[pa.Table]:
        """Merges the runs: what sorts up to the least of their last rows in memory has nothing before it on disk."""
        self.flush()
        cursors = [_Cursor(slices) for slices in self._runs]
        pool: pa.Table | None = None
        origin = np.zeros(0, dtype=np.int64)
        while True:
            pool, origin = self._topped_up(cursors, pool, origin)
            if pool is None or not pool.num_rows:
                return
            order = np.asarray(self._order(pool).to_numpy(), dtype=np.int64)
            origin = origin[order]
            end = self._safe(cursors, origin)
            # Not slices of one table: what goes out would hold on to what stays.
            yield pool.take(pa.array(order[:end]))
            pool, origin = pool.take(pa.array(order[end:])), origin[end:]

    def _topped_up(
        self, cursors: list[_Cursor], pool: pa.Table | None, origin: Numbers
    ) -> tuple[pa.Table | None, Numbers]:
        """Every run that is not read to its end has a slice more in memory."""
        tables = [] if pool is None else [pool]
        origins = [origin]
        held = np.bincount(origin, minlength=len(cursors)) if len(cursors) else np.zeros(0, dtype=np.int64)
        for number, cursor in enumerate(cursors):
            if cursor.is_read or (held[number] and held[number] >= cursor.slices[cursor.next - 1].rows):
                continue
            wanted = cursor.slices[cursor.next : cursor.next + cursor.at_once]
            cursor.next += len(wanted)
            tables += [self._file.get(place) for place in wanted]
            origins.append(np.full(sum(place.rows for place in wanted), number, dtype=np.int64))
        return (pa.concat_tables(tables) if tables else None), np.concatenate(origins)

    def _safe(self, cursors: list[_Cursor], origin: Numbers) -> int:
        """How many of the sorted rows may go out; the run that they end with is read faster from here on."""
        last = np.full(len(cursors), -1, dtype=np.int64)
        last[origin] = np.arange(len(origin))
        waiting = [(int(last[number]), cursor) for number, cursor in enumerate(cursors) if not cursor.is_read]
        if not waiting:
            return len(origin)
        end, least = min(waiting, key=lambda one: one[0])
        for _, cursor in waiting:
            cursor.at_once = min(_SLICES_MAX, 2 * cursor.at_once) if cursor is least else max(1, cursor.at_once // 2)
        return end + 1

    def close(self) -> None:
        """Lets go of all."""
        self._pending = []
        self._file.close()


def _numbered(rows: pa.Table, names: pa.ChunkedArray) -> pa.Table:
    """Columns by their number, whatever they are called, and the partition behind them."""
    return pa.table([*rows.columns, names], names=[*(f"c{number}" for number in range(rows.num_columns)), "partition"])


def _by_partition(rows: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    """Rows that are sorted by partition, partition by partition."""
    runs = pc.run_end_encode(rows.column("partition").combine_chunks())
    start = 0
    for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield name, rows.slice(start, end - start)
        start = end
