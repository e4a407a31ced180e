"""The lake side: the tables of the last lake commit, counted and judged."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from datafingerprint.cascades import of_unknown_rows
from datafingerprint.ledger import Progress
from datafingerprint.ports.lake import LakeView
from datafingerprint.ports.scratch import Scratch
from datafingerprint.ports.state import StateStore
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit
from services.fingerprinter.judge import Judge
from services.fingerprinter.lake_counter import COUNTS_AT_ONCE, TABLES_AT_ONCE, LakeCounter
from services.fingerprinter.source_sketches import CellsOf

Clock = Callable[[], float]
Definitions = Callable[[], Mapping[int, TableSchema]]
"""All definitions of tables, by number."""


class LakeSide:
    """Compares every table with its source at the epoch of the last lake commit.

    Args:
        view: The lake.
        scratch: Where long files are copied to while they are read.
        store: Where counts and verdicts are kept.
        definitions: All definitions of tables.
        log: For operators.
        clock: Unix time in seconds.
        alive: Called with every table that is looked at. The scratch files' own is called with every file.
        cells_of: The number of cells of a table's sketches; 0 for none.
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
        cells_of: CellsOf = lambda _: 0,
    ) -> None:
        self._known = definitions
        self._store = store
        self._log = log
        self._clock = clock
        self._counter = LakeCounter(view, scratch, store, log, clock, alive, cells_of)
        self._judge = Judge(store, self._counter, log, clock)
        self._definitions: dict[str, TableSchema] = {}
        self._to_look_at: deque[str] = deque()
        self._is_new = True

    @property
    def tables(self) -> list[str]:
        """The tables that are looked at."""
        return sorted(self._definitions)

    def take_read(self) -> set[str]:
        """Names the tables whose files were read or dropped since the last call."""
        return self._counter.take_read()

    def learn_definitions(self, progress: Progress) -> None:
        """Takes over the tables of the epoch of the last lake commit, with their definitions."""
        stored = self._store.epoch(progress.lake_epoch)
        versions = stored.epoch.versions if stored else {}
        known = self._known()
        self._definitions = {name: known[version] for name, version in versions.items()}

    def judge_commit(self, progress: Progress, commit: LakeCommit, offset: int) -> Progress:
        """Counts the snapshots that a lake commit names, and judges all tables at its epoch."""
        after = replace(progress, lake_epoch=commit.epoch, lake_commits_offset=offset)
        self.learn_definitions(after)
        self._counter.count_commit(self._definitions, commit.snapshots, commit.epoch, commit.set_aside)
        if commit.unknown:
            self._store.suspect([of_unknown_rows(name, commit.epoch) for name in commit.unknown])
        self._forget_left(after)
        self._judge.judge_commit(after, self._definitions)
        self._is_new = False
        return after

    def _forget_left(self, progress: Progress) -> None:
        """Forgets tables that had left the stream at the lake's epoch, with their verdicts."""
        left = sorted(self._counter.states.keys() - self._definitions.keys())
        stored = self._store.epoch(progress.epoch)
        followed = self._definitions.keys() | (stored.epoch.versions.keys() if stored else set())
        unknown = sorted(self._store.defined_tables() - followed)
        if left or unknown:
            self._store.forget(left, definitions=unknown)
            self._log.warning("tables left the stream", tables=left, epoch=progress.lake_epoch)
        self._counter.forget(left)
        self._judge.forget(left)

    def check_foreign_snapshots(self, progress: Progress, seconds: float = math.inf) -> bool:
        """Counts and judges tables whose present snapshot is not the counted one.

        A snapshot of a later epoch is left alone, because its lake commit follows. The first look judges all tables: a
        run that was killed may have stored a count without its verdict.

        Args:
            progress: How far the lake was judged.
            seconds: How long the look may take. It continues with the next call.

        Returns:
            Whether all tables have been looked at.
        """
        if self._is_new:
            known = self._counter.states.keys() | self._counter.broken.keys()
            self._judge_again(progress, [name for name in self._definitions if name in known])
            self._is_new = False
        if not self._to_look_at:
            self._to_look_at.extend(self._counter.changed_in_catalog(self._definitions))
        until = self._clock() + seconds
        while self._to_look_at:
            names = self._next(COUNTS_AT_ONCE if math.isinf(seconds) else 2 * TABLES_AT_ONCE)
            news = self._counter.look_at_snapshots(self._definitions, names, progress.lake_epoch)
            self._judge_again(progress, news)
            if self._clock() >= until:
                break
        return not self._to_look_at

    def _next(self, number: int) -> Sequence[str]:
        """Takes the next tables to look at, without those that have left the stream."""
        names = [self._to_look_at.popleft() for _ in range(min(number, len(self._to_look_at)))]
        return [name for name in names if name in self._definitions]

    def _judge_again(self, progress: Progress, names: Iterable[str]) -> None:
        """Judges tables at the epoch of the last commit.

        A table that a killed run has counted at a later epoch is left out: that epoch's lake commit is read again.
        """
        epoch = progress.lake_epoch
        counter = self._counter
        ready = [name for name in names if name in counter.broken or not counter.is_ahead(name, epoch)]
        self._judge.judge(progress, self._definitions, ready)

    def look_at_metadata(self, progress: Progress, names: Iterable[str] | None = None) -> None:
        """Reads metadata again that is no longer as it was read, and judges its tables.

        Args:
            progress: How far the lake was judged.
            names: The tables to look at; all if None.
        """
        tables = [self._definitions[name] for name in self._present_of(names)]
        epoch = progress.lake_epoch
        self._judge_again(progress, [table.table for table in tables if self._counter.look_at_metadata(table, epoch)])

    def look_at_etags(
        self,
        progress: Progress,
        reread_before: float,
        rereads: Callable[[int], int],
        names: Iterable[str] | None = None,
    ) -> None:
        """Reads files again whose ETag or size changed, and the few that were read longest ago.

        Args:
            progress: How far the lake was judged.
            reread_before: Files that were read before this Unix time are due.
            rereads: How many due files of a table are read, given the number of all its files.
            names: The tables to look at; all if None.
        """
        tables = [self._definitions[name] for name in self._present_of(names)]
        look = self._counter.look_at_files
        self._judge_again(progress, [table.table for table in tables if look(table, reread_before, rereads)])

    def _present_of(self, names: Iterable[str] | None) -> list[str]:
        return [name for name in (self._definitions if names is None else names) if name in self._definitions]
