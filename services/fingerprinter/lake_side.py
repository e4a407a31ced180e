"""The lake side: which files each table has, what is in them as read back, and the verdicts on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import structlog

from datafingerprint.epochs import Epoch
from datafingerprint.errors import TableDamageError
from datafingerprint.field_ids import FieldIds
from datafingerprint.ledger import FileSums, Judged, LakeTableState, Progress
from datafingerprint.ports import LakeFile, LakeView, SnapshotView, StateStore
from datafingerprint.schema import TableSchema
from datafingerprint.scratch import Scratch
from datafingerprint.verdict import Outcome, judge_table
from datafingerprint.wire import LakeCommit
from services.fingerprinter.read_back import read_back

READS_AT_ONCE = 4

EXPIRED = "the lake's snapshot of this epoch has expired"

NOTHING = SnapshotView(None, None, is_foreign=False, files=frozenset())

Clock = Callable[[], float]
Definitions = Callable[[], Mapping[int, TableSchema]]
"""All definitions of tables, by number."""


class LakeSide:
    """Counts what is in the lake, and judges every table at the epoch that the lake stands at.

    `alive` is called with every table that is looked at; with every file that is read, the scratch files' is.
    """

    def __init__(
        self,
        view: LakeView,
        scratch: Scratch,
        store: StateStore,
        definitions: Definitions,
        log: structlog.stdlib.BoundLogger,
        clock: Clock,
        alive: Callable[[], object] = lambda: None,
    ) -> None:
        self._view = view
        self._scratch = scratch
        self._known = definitions
        self._store = store
        self._log = log
        self._clock = clock
        self._alive = alive
        self._definitions: dict[str, TableSchema] = {}
        self._states = dict(store.lake_tables())
        self._outcomes = {(one.table, one.partition): one.verdict.outcome for one in store.verdicts()}
        self._broken: dict[str, str] = {}
        self._is_new = True

    def learn_definitions(self, progress: Progress) -> None:
        """Goes to the tables, and their definitions, that the lake has at the epoch that it stands at."""
        stored = self._store.epoch(progress.lake_epoch)
        versions = stored.epoch.versions if stored else {}
        known = self._known()
        self._definitions = {name: known[version] for name, version in versions.items()}

    def judge_commit(self, progress: Progress, commit: LakeCommit, offset: int) -> Progress:
        """Counts the snapshots that a lake commit names, and judges all tables at its epoch."""
        after = replace(progress, lake_epoch=commit.epoch, lake_commits_offset=offset)
        self.learn_definitions(after)
        for name, snapshot_id in commit.snapshots.items():
            self._count_committed(name, snapshot_id, commit.epoch)
        self._forget_left(after)
        self._judge(after, self._definitions)
        self._is_new = False
        return after

    def _forget_left(self, progress: Progress) -> None:
        """Of tables that had left the stream at the lake's epoch nothing is known any more, not even a match."""
        left = sorted(self._states.keys() - self._definitions.keys())
        stored = self._store.epoch(progress.epoch)
        followed = self._definitions.keys() | (stored.epoch.versions.keys() if stored else set())
        unknown = sorted(self._store.definitions().keys() - followed)
        if left or unknown:
            self._store.forget(left, definitions=unknown)
            self._log.warning("tables left the stream", tables=left, epoch=progress.lake_epoch)
        for name in left:
            del self._states[name]
            self._broken.pop(name, None)
            self._outcomes = {at: outcome for at, outcome in self._outcomes.items() if at[0] != name}

    def _count_committed(self, name: str, snapshot_id: int | None, epoch: int) -> None:
        """Counts the snapshot that a lake commit names, or what somebody else has put in its place since.

        Only the writer's own later snapshots are left for their commits: a present one that stands at this epoch
        is what readers get, whatever the commit says.
        """
        table = self._definitions[name]
        view = self._present(table)
        if view is None:
            return
        if view.stamp is not None and view.stamp.epoch > epoch:
            view = NOTHING if snapshot_id is None else self._named(table, snapshot_id, view)
        state = self._states.get(name)
        if state is not None and _is_counted(state, view):
            self._save(replace(state, epoch=epoch, unreadable=view.unreadable), [], [])
        else:
            self._count(table, view, epoch)

    def _named(self, table: TableSchema, snapshot_id: int, present: SnapshotView) -> SnapshotView:
        """A snapshot by its id; in place of one that has expired the present one, of which nothing is told yet."""
        why = EXPIRED
        try:
            found = self._view.snapshot(table, snapshot_id)
        except TableDamageError as error:
            found, why = None, error.what
        if found is None:
            self._log.warning("snapshot cannot be counted", table=table.table, snapshot=snapshot_id, why=why)
            return replace(present, unreadable=why)
        return found

    def _present(self, table: TableSchema) -> SnapshotView | None:
        """The present snapshot; a table that is not there, or no longer, holds nothing.

        None when its metadata is gone or no metadata: no engine can read the table, and that is its verdict.
        """
        name = table.table
        self._alive()
        try:
            view = self._view.current(table) or NOTHING
        except TableDamageError as error:
            if self._broken.get(name) != str(error):
                self._broken[name] = str(error)
                self._log.warning("table cannot be read", table=name, why=error.what, remedy=error.remedy)
            return None
        if self._broken.pop(name, None):
            self._log.warning("table can be read again", table=name)
        return view

    def look_for_foreign(self, progress: Progress) -> None:
        """Counts and judges tables whose present snapshot is not the one counted, at the epoch that stands.

        A snapshot of a later epoch is left alone: its lake commit comes. The first look judges all tables: a run that
        was killed may have stored what it counted, and not what it would have said of it.
        """
        found = [name for name, table in self._definitions.items() if self._is_news(name, table, progress.lake_epoch)]
        if self._is_new:
            found = [name for name in self._definitions if name in self._states or name in self._broken]
        self._is_new = False
        self._judge_again(progress, found)

    def _judge_again(self, progress: Progress, names: Iterable[str]) -> None:
        """Judges tables at the epoch that stands.

        Not those whose files a run that was killed has counted at a later epoch: that one's lake commit is read again.
        """
        found = [name for name in names if name in self._broken or not self._is_ahead(name, progress.lake_epoch)]
        if found:
            self._judge(progress, found)

    def _is_ahead(self, name: str, epoch: int) -> bool:
        state = self._states.get(name)
        return state is not None and state.epoch > epoch

    def _is_news(self, name: str, table: TableSchema, epoch: int) -> bool:
        """Whether the table's verdict may be another one than before; what is there now is counted."""
        before = self._broken.get(name)
        view = self._present(table)
        if view is None:
            return before != self._broken[name]
        state = self._states.get(name)
        if state is None and before is None:
            return False
        if state is not None and _is_counted(state, view):
            return before is not None
        if view.stamp is not None and view.stamp.epoch > epoch:
            return False
        changed = "columns" if state is not None and view.snapshot_id == state.snapshot_id else "snapshot"
        what = "snapshot of another writer" if view.is_foreign else f"{changed} changed"
        self._log.warning(what, table=name, snapshot=view.snapshot_id, epoch=epoch)
        self._count(table, view, epoch)
        return True

    def look_at_metadata(self, progress: Progress) -> None:
        """Reads again the metadata that is not as it was read, and judges the tables that it is of."""
        altered = [name for name, table in self._definitions.items() if self._view.is_altered(table)]
        self._judge_again(progress, [name for name in altered if self._is_recounted(name, progress.lake_epoch)])

    def _is_recounted(self, name: str, epoch: int) -> bool:
        """Whether the present snapshot can be judged; it is counted again: its metadata may name other files now."""
        view = self._present(self._definitions[name])
        if view is None:
            return True
        if view.stamp is not None and view.stamp.epoch > epoch:
            return False
        self._log.warning("metadata changed after it was read", table=name, snapshot=view.snapshot_id)
        self._count(self._definitions[name], view, epoch)
        return True

    def look_at_etags(self, progress: Progress, reread_before: float, rereads_max: int) -> None:
        """Reads again the files whose ETag or size changed, and the few that were read longest ago."""
        changed = [name for name in self._definitions if self._recheck(name, reread_before, rereads_max)]
        self._judge_again(progress, changed)

    def _recheck(self, name: str, reread_before: float, rereads_max: int) -> bool:
        self._alive()
        files = self._store.files(name)
        state = self._states.get(name)
        if not files or state is None:
            return False
        present = self._view.etags(sorted(files))
        differing = {path for path, file in files.items() if present.get(path) != (file.etag, file.octets)}
        # One that was gone or damaged before is not news; its ETag tells when it has come back.
        differing -= {path for path in differing if files[path].unreadable and path not in present}
        expired = self._expired(name, differing - present.keys())
        aged = sorted((file for file in files.values() if file.read_at < reread_before), key=lambda file: file.read_at)
        again = (differing | {file.path for file in aged[:rereads_max]}) - expired
        live = [LakeFile(path, files[path].octets, files[path].filed) for path in again]
        read = self._read(self._definitions[name], live, files, state.field_ids)
        news = [one for one in read if one.sums != files[one.path].sums or one.unreadable != files[one.path].unreadable]
        self._save(state, read, [])
        for one in news:
            self._log.warning(
                "file changed after it was counted", table=name, path=one.path, why=one.unreadable or None
            )
        return bool(news)

    def _expired(self, name: str, gone: set[str]) -> set[str]:
        """Which of these files are live no more: the lake is ahead of its commits that were judged, and swept since."""
        view = self._present(self._definitions[name]) if gone else None
        return set() if view is None else gone - {file.path for file in view.files}

    def _count(self, table: TableSchema, view: SnapshotView, epoch: int) -> None:
        counted = self._store.files(table.table)
        before = self._states.get(table.table)
        seen = [] if before is None else [before.field_ids]
        read = self._read_new(table, view, counted, seen)
        while (newer := self._in_its_place(table, view, read, epoch)) is not None:
            seen.append(view.field_ids)
            view = newer
            read |= self._read_new(table, view, {**counted, **read}, seen)
        live = {file.path for file in view.files}
        state = LakeTableState(table.table, view.snapshot_id, epoch, view.is_foreign, view.unreadable, view.field_ids)
        self._save(state, [one for path, one in read.items() if path in live], sorted(counted.keys() - live))

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
            file for file in view.files if is_moved or file.path not in known or known[file.path].filed != file.filed
        ]
        for file in new:
            if (times := len(file.filed)) > 1:
                self._log.warning("file is live more than once", table=table.table, path=file.path, times=times)
        return {one.path: one for one in self._read(table, new, known, view.field_ids)}

    def _in_its_place(
        self, table: TableSchema, view: SnapshotView, read: Mapping[str, FileSums], epoch: int
    ) -> SnapshotView | None:
        """The present snapshot, where files of the one that was read are gone because they belong to it no more.

        Reading may take longer than an expired snapshot's files are kept. A present one of a later epoch is counted,
        and judged with its own lake commit.
        """
        gone = {file.path for file in view.files if file.path in read and read[file.path].is_gone}
        present = self._present(table) if gone else None
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
        files: Iterable[LakeFile],
        known: Mapping[str, FileSums],
        field_ids: FieldIds | None,
    ) -> list[FileSums]:
        now = self._clock()

        def read(file: LakeFile) -> FileSums:
            before = known.get(file.path)
            return read_back(self._view, self._scratch, table, file, now, known=before, field_ids=field_ids)

        with ThreadPoolExecutor(READS_AT_ONCE, thread_name_prefix="read-back") as pool:
            return list(pool.map(read, sorted(files, key=lambda file: file.path)))

    def _save(self, state: LakeTableState, added: list[FileSums], removed: list[str]) -> None:
        if self._states.get(state.table) != state or added or removed:
            self._store.save_lake(state, added, removed)
            self._states[state.table] = state

    def _judge(self, progress: Progress, names: Iterable[str]) -> None:
        stored = self._store.epoch(progress.lake_epoch)
        judged = [self._judged(name, progress.lake_epoch, stored.epoch if stored else None) for name in names]
        self._store.save_verdicts(progress, judged, self._clock())
        self._report(judged)

    def _judged(self, name: str, epoch: int, record: Epoch | None) -> Judged:
        verdicts = judge_table(
            self._store.source_sums(name, epoch),
            self._store.lake_sums(name),
            inconclusive=self._inconclusive(name, record),
            unreadable=self._store.unreadable(name),
            damaged=self._damaged(name),
        )
        return Judged(name, epoch, verdicts)

    def _damaged(self, name: str) -> str:
        """What is wrong with all of a lake table; empty when nothing is known to be."""
        if name in self._broken:
            return self._broken[name]
        state = self._states.get(name)
        if state is None or state.field_ids is None:
            return ""
        missing = state.field_ids.missing(column.name for column in self._definitions[name].columns)
        return f"the lake table has no column {', '.join(missing)}" if missing else ""

    def _inconclusive(self, name: str, record: Epoch | None) -> str:
        state = self._states.get(name)
        if name not in self._broken and (state is None or state.unreadable):
            return "the lake has not been read yet" if state is None else state.unreadable
        if record is None:
            return "the epoch is no longer known"
        cursor = record.snapshots.get(name)
        return "" if cursor is None or cursor.complete else f"snapshot at {cursor.percent} %"

    def _report(self, judged: list[Judged]) -> None:
        """Logs every verdict that is news, once."""
        for one in judged:
            for partition, verdict in one.verdicts.items():
                before = self._outcomes.get((one.table, partition))
                self._outcomes[one.table, partition] = verdict.outcome
                news = verdict.outcome is Outcome.MISMATCH or before is Outcome.MISMATCH
                if news and before is not verdict.outcome:
                    self._log.warning(
                        "verdict",
                        table=one.table,
                        partition=partition,
                        epoch=one.epoch,
                        verdict=verdict.outcome.value,
                        reason=verdict.reason or None,
                    )


def _is_counted(state: LakeTableState, view: SnapshotView) -> bool:
    return state.snapshot_id == view.snapshot_id and state.field_ids == view.field_ids


def _is_moved(before: FieldIds | None, after: FieldIds | None, table: TableSchema) -> bool:
    """Whether files that were counted may hold other values now, because other columns bear the table's names."""
    names = [column.name for column in table.columns]
    return before is not None and after is not None and before.is_moved(after, names)
