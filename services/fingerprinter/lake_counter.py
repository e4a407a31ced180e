"""Counts the lake: which files each table has, and the sums of their rows as read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from datafingerprint.errors import TableDamageError
from datafingerprint.field_ids import FieldIds
from datafingerprint.ledger import FileSums, LakeCount, LakeTableState
from datafingerprint.ports.lake import LakeFile, LakeView, SnapshotView
from datafingerprint.ports.scratch import Scratch
from datafingerprint.ports.state import StateStore
from datafingerprint.schema import TableSchema
from services.fingerprinter.read_back import read_back
from services.fingerprinter.source_sketches import CellsOf

READS_AT_ONCE = 4
"""Files that are read in parallel."""

TABLES_AT_ONCE = 4
"""Tables whose metadata is read in parallel."""

COUNTS_AT_ONCE = 50
"""Tables whose counts are stored in one transaction: each one waits for the disk."""

EXPIRED = "the lake's snapshot of this epoch has expired"

NO_SNAPSHOT = SnapshotView(None, None, is_foreign=False, files=frozenset())

Clock = Callable[[], float]
CountTable = Callable[[str], LakeCount | None]


class LakeCounter:
    """Keeps the state store's count of the lake equal to the lake.

    Args:
        view: The lake.
        scratch: Where long files are copied to while they are read.
        store: Where counts are kept.
        log: For operators.
        clock: Unix time in seconds.
        alive: Called with every table that is looked at. The scratch files' own is called with every file.
        cells_of: The number of cells of a table's sketches; 0 for none.

    Attributes:
        states: What is counted of each table.
        broken: Tables whose metadata cannot be read, and why.
    """

    def __init__(
        self,
        view: LakeView,
        scratch: Scratch,
        store: StateStore,
        log: structlog.stdlib.BoundLogger,
        clock: Clock,
        alive: Callable[[], object] = lambda: None,
        cells_of: CellsOf = lambda _: 0,
    ) -> None:
        self._view = view
        self._scratch = scratch
        self._store = store
        self._log = log
        self._clock = clock
        self._alive = alive
        self._cells_of = cells_of
        self._changed: set[str] = set()
        self._read_of: set[str] = set()
        self.states: dict[str, LakeTableState] = dict(store.lake_tables())
        self.broken: dict[str, str] = {}

    def take_changed(self) -> set[str]:
        """Names the tables whose count has changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def take_read(self) -> set[str]:
        """Names the tables whose files were read or dropped since the last call."""
        read, self._read_of = self._read_of, set()
        return read

    def forget(self, tables: Iterable[str]) -> None:
        """Drops tables that are no longer compared."""
        for name in tables:
            self.states.pop(name, None)
            self.broken.pop(name, None)

    def is_ahead(self, name: str, epoch: int) -> bool:
        """Whether a run that was killed has counted the table at a later epoch."""
        state = self.states.get(name)
        return state is not None and state.epoch > epoch

    def changed_in_catalog(self, tables: Mapping[str, TableSchema]) -> list[str]:
        """Names the tables whose catalog entry is not the one last read; one query."""
        return sorted(self._view.changed(list(tables.values())) | (self.broken.keys() & tables.keys()))

    # --- counting ----------------------------------------------------------------------------------------------

    def count_commit(
        self,
        tables: Mapping[str, TableSchema],
        snapshots: Mapping[str, int | None],
        epoch: int,
        set_aside: Mapping[str, str],
    ) -> None:
        """Counts the snapshots that a lake commit names; reads only what has changed."""
        changed = set(self.changed_in_catalog({name: tables[name] for name in snapshots}))

        def count(name: str) -> LakeCount | None:
            return self._count_committed(tables[name], snapshots[name], epoch, set_aside.get(name, ""))

        self._run([name for name in snapshots if name in changed or not self._holds(name, snapshots, set_aside)], count)

    def _holds(self, name: str, snapshots: Mapping[str, int | None], set_aside: Mapping[str, str]) -> bool:
        """Whether a table that the catalog describes as before is counted as the commit says."""
        state = self.states.get(name)
        if state is None or state.unreadable:
            return False  # it was never counted; or it may have been unreadable at an earlier epoch only
        return state.snapshot_id == snapshots[name] and state.set_aside == set_aside.get(name, "")

    def _run(self, names: Sequence[str], count: CountTable) -> None:
        """Counts tables in parallel, and stores the counts of some tables in one transaction."""
        if not names:
            return
        with ThreadPoolExecutor(TABLES_AT_ONCE, thread_name_prefix="count") as pool:
            for start in range(0, len(names), COUNTS_AT_ONCE):
                counts = pool.map(count, names[start : start + COUNTS_AT_ONCE])
                self._save([each for each in counts if each is not None])

    def _count_committed(
        self, table: TableSchema, snapshot_id: int | None, epoch: int, set_aside: str
    ) -> LakeCount | None:
        """Counts the snapshot that a lake commit names, or another writer's later one.

        Only the writer's own later snapshots are left for their commits. A present snapshot that has this epoch's
        stamp is what readers get, so it is counted even if the commit names another one.
        """
        view = self.present(table)
        state = self.states.get(table.table)
        if view is None:
            return None if state is None else self._unless_same(replace(state, set_aside=set_aside))
        if view.stamp is not None and view.stamp.epoch > epoch:
            view = NO_SNAPSHOT if snapshot_id is None else self._named(table, snapshot_id, view)
        if state is not None and is_counted(state, view):
            return self._unless_same(replace(state, unreadable=view.unreadable, set_aside=set_aside))
        return self._count(table, view, epoch, set_aside)

    def _unless_same(self, state: LakeTableState) -> LakeCount | None:
        return None if self.states.get(state.table) == state else LakeCount(state)

    def _named(self, table: TableSchema, snapshot_id: int, present: SnapshotView) -> SnapshotView:
        """Finds a snapshot by its id.

        Returns:
            In place of an expired snapshot the present one, marked as unreadable.
        """
        why = EXPIRED
        try:
            view = self._view.snapshot(table, snapshot_id)
        except TableDamageError as error:
            view, why = None, error.what
        if view is None:
            self._log.warning("snapshot cannot be counted", table=table.table, snapshot=snapshot_id, why=why)
            return replace(present, unreadable=why)
        return view

    def present(self, table: TableSchema) -> SnapshotView | None:
        """Looks at the present snapshot; a table that does not exist holds nothing.

        Returns:
            None if the metadata is gone or damaged. No engine can read the table then, and that is its verdict.
        """
        name = table.table
        self._alive()
        try:
            view = self._view.current(table) or NO_SNAPSHOT
        except TableDamageError as error:
            if self.broken.get(name) != str(error):
                self.broken[name] = str(error)
                self._log.warning("table cannot be read", table=name, why=error.what, remedy=error.remedy)
            return None
        if self.broken.pop(name, None):
            self._log.warning("table can be read again", table=name)
        return view

    def _count(self, table: TableSchema, view: SnapshotView, epoch: int, set_aside: str | None = None) -> LakeCount:
        """Counts a snapshot. Only a lake commit says whether the table is set aside."""
        counted = self._store.files(table.table)
        before = self.states.get(table.table)
        aside = set_aside if set_aside is not None else before.set_aside if before else ""
        seen = [] if before is None else [before.field_ids]
        read = self._read_new(table, view, counted, seen)
        while (newer := self._in_its_place(table, view, read, epoch)) is not None:
            seen.append(view.field_ids)
            view = newer
            read |= self._read_new(table, view, {**counted, **read}, seen)
        live = {file.path for file in view.files}
        seen_as = view.is_foreign, view.unreadable, view.field_ids
        state = LakeTableState(table.table, view.snapshot_id, epoch, *seen_as, aside)
        added = [sums for path, sums in read.items() if path in live]
        return LakeCount(state, added, sorted(counted.keys() - live))

    def _read_new(
        self,
        table: TableSchema,
        view: SnapshotView,
        known: Mapping[str, FileSums],
        known_by: Iterable[FieldIds | None],
    ) -> dict[str, FileSums]:
        """Reads the files that are not known, or were read as other columns or by other partitions."""
        is_moved = any(_is_moved(before, view.field_ids, table) for before in known_by)
        new = [
            file
            for file in view.files
            if is_moved or file.path not in known or known[file.path].partitions != file.partitions
        ]
        for file in new:
            if (times := len(file.partitions)) > 1:
                self._log.warning("file is live more than once", table=table.table, path=file.path, times=times)
        return {sums.path: sums for sums in self._read(table, new, known, view.field_ids)}

    def _in_its_place(
        self, table: TableSchema, view: SnapshotView, read: Mapping[str, FileSums], epoch: int
    ) -> SnapshotView | None:
        """Finds the present snapshot if the one that was read has expired meanwhile.

        Reading may take longer than an expired snapshot's files are kept. A present snapshot of a later epoch is
        counted, and judged with its own lake commit.
        """
        gone = {file.path for file in view.files if file.path in read and read[file.path].is_gone}
        present = self.present(table) if gone else None
        if present is None or gone <= {file.path for file in present.files}:
            return None
        self._log.warning(
            "snapshot expired while it was counted", table=table.table, snapshot=view.snapshot_id, files=len(gone)
        )
        is_later = present.stamp is not None and present.stamp.epoch > epoch
        return replace(present, unreadable=EXPIRED) if is_later else present

    def _read(
        self,
        table: TableSchema,
        files: Collection[LakeFile],
        known: Mapping[str, FileSums],
        field_ids: FieldIds | None,
    ) -> list[FileSums]:
        now, cells = self._clock(), self._cells_of(table.table)

        def read(file: LakeFile) -> FileSums:
            before = known.get(file.path)
            return read_back(
                self._view, self._scratch, table, file, now, known=before, field_ids=field_ids, cells=cells
            )

        ordered = sorted(files, key=lambda file: file.path)
        if len(ordered) <= 1:
            return [read(file) for file in ordered]
        with ThreadPoolExecutor(READS_AT_ONCE, thread_name_prefix="read-back") as pool:
            return list(pool.map(read, ordered))

    def _save(self, counts: Sequence[LakeCount]) -> None:
        if not counts:
            return
        self._store.save_counts(counts)
        for count in counts:
            self.states[count.state.table] = count.state
            self._changed.add(count.state.table)
            if count.added or count.removed:
                self._read_of.add(count.state.table)

    # --- looks at what others did ------------------------------------------------------------------------------

    def look_at_snapshots(self, tables: Mapping[str, TableSchema], names: Sequence[str], epoch: int) -> list[str]:
        """Counts the present snapshots of tables.

        Returns:
            Tables whose verdict may be another one than before.
        """
        news: dict[str, bool] = {}

        def look(name: str) -> LakeCount | None:
            count, news[name] = self._look(tables[name], epoch)
            return count

        self._run(names, look)
        return [name for name in names if news.get(name)]

    def _look(self, table: TableSchema, epoch: int) -> tuple[LakeCount | None, bool]:
        """Counts the present snapshot.

        Returns:
            The count, and whether the table's verdict may be another one than before.
        """
        name = table.table
        before = self.broken.get(name)
        view = self.present(table)
        if view is None:
            return None, before != self.broken[name]
        state = self.states.get(name)
        if state is None and before is None:
            return None, False
        if state is not None and is_counted(state, view):
            return None, before is not None
        if view.stamp is not None and view.stamp.epoch > epoch:
            return None, False
        changed = "columns" if state is not None and view.snapshot_id == state.snapshot_id else "snapshot"
        what = "snapshot of another writer" if view.is_foreign else f"{changed} changed"
        self._log.warning(what, table=name, snapshot=view.snapshot_id, epoch=epoch)
        return self._count(table, view, epoch), True

    def look_at_metadata(self, table: TableSchema, epoch: int) -> bool:
        """Reads a table's metadata again if its objects are no longer as they were read.

        Returns:
            Whether the table's verdict may be another one than before.
        """
        if not self._view.is_altered(table):
            return False
        view = self.present(table)
        if view is None:
            return True
        if view.stamp is not None and view.stamp.epoch > epoch:
            return False
        self._log.warning("metadata changed after it was read", table=table.table, snapshot=view.snapshot_id)
        self._save([self._count(table, view, epoch)])
        return True

    def look_at_files(self, table: TableSchema, reread_before: float, rereads: Callable[[int], int]) -> bool:
        """Reads the files again whose ETag or size changed, and the few that were read longest ago.

        Args:
            table: The table.
            reread_before: Files that were read before this Unix time are due.
            rereads: How many due files are read, given the number of all.

        Returns:
            Whether a file now adds something else to the sums, or became readable or unreadable.
        """
        self._alive()
        name = table.table
        state = self.states.get(name)
        files = self._store.files(name) if state is not None else {}
        if not files or state is None:
            return False
        present = self._view.etags(sorted(files))
        differing = {path for path, file in files.items() if present.get(path) != (file.etag, file.size_bytes)}
        # A file that was gone or damaged before is no news. Its ETag shows when it has come back.
        differing -= {path for path in differing if files[path].unreadable and path not in present}
        expired = self._expired(table, differing - present.keys())
        aged = sorted((file for file in files.values() if file.read_at < reread_before), key=lambda file: file.read_at)
        again = (differing | {file.path for file in aged[: rereads(len(files))]}) - expired
        live = [LakeFile(path, files[path].size_bytes, files[path].partitions) for path in again]
        read = self._read(table, live, files, state.field_ids)
        news = [file for file in read if _differs(file, files[file.path])]
        if read:
            self._save([LakeCount(state, read)])
        for file in news:
            self._log.warning(
                "file changed after it was counted", table=name, path=file.path, why=file.unreadable or None
            )
        return bool(news)

    def _expired(self, table: TableSchema, gone: set[str]) -> set[str]:
        """Names the missing files that are no longer live, as the lake is ahead of what was judged."""
        view = self.present(table) if gone else None
        return set() if view is None else gone - {file.path for file in view.files}


def is_counted(state: LakeTableState, view: SnapshotView) -> bool:
    """Whether what is counted is this snapshot, by these columns."""
    return state.snapshot_id == view.snapshot_id and state.field_ids == view.field_ids


def _differs(after: FileSums, before: FileSums) -> bool:
    return after.sums != before.sums or after.unreadable != before.unreadable


def _is_moved(before: FieldIds | None, after: FieldIds | None, table: TableSchema) -> bool:
    """Whether counted files may hold other values now: other columns have the table's names."""
    names = [column.name for column in table.columns]
    return before is not None and after is not None and before.is_moved(after, names)
