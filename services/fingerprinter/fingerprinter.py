"""One run of the fingerprinter: both sides in turn, each step stored before the next."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from datafingerprint.audit import EPOCHS_KEPT
from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.ledger import Progress, SumKey
from datafingerprint.ports.lake import LakeView
from datafingerprint.ports.scratch import Scratch
from datafingerprint.ports.sketches import SketchStore
from datafingerprint.ports.state import StateStore
from datafingerprint.ports.stream import EpochReader, LakeCommitReader
from datafingerprint.wire import LakeCommit
from services.fingerprinter.lake_side import LakeSide
from services.fingerprinter.source_side import SourceSide
from services.fingerprinter.source_sketches import CellsOf, SourceSketches

POLL_S = 0.2
FOLD_EVERY_S = 60.0
REREADS_MIN = 1
ADOPTED_AT_ONCE = 400
"""Sums that are looked at in one transaction for whether the lake's sketch is theirs."""

LOOK_S = 1.0
"""Seconds that a look may take in one round, so that verdicts do not wait; the table at hand is finished."""

LOOK_SHARE = 0.02
"""Share of the time that the look at all files may take beyond its first second: with many tables it is spread."""

Clock = Callable[[], float]


@dataclass(slots=True)
class _FileLook:
    """A look at the files of all tables, done in steps.

    Attributes:
        tables: Tables that are still to be looked at.
        began_at: When it began, in Unix seconds.
        used_s: Seconds that it has taken so far.
    """

    tables: deque[str] = field(default_factory=deque)
    began_at: float = 0.0
    used_s: float = 0.0

    def is_ready(self, now: float) -> bool:
        """Whether the next step may be done."""
        return bool(self.tables) and now - self.began_at >= (self.used_s - LOOK_S) / LOOK_SHARE


@dataclass(slots=True)
class _Schedule:
    """When the periodic looks are due next, in Unix seconds.

    Each is counted from the end of the one before, so that a look that takes longer than its interval leaves time for
    the rest.

    Attributes:
        foreign_at: The look at snapshots.
        etags_at: The look at files.
        fold_at: When old values are forgotten.
        sketches_at: When sketches are folded and begun.
        files: The look at files that is under way.
        to_sketch: Sums without a sketch that are still to be looked at.
        is_sketching: Whether all sums have been looked at since the start.
    """

    foreign_at: float
    etags_at: float
    fold_at: float
    sketches_at: float
    files: _FileLook = field(default_factory=_FileLook)
    to_sketch: deque[SumKey] = field(default_factory=deque)
    is_sketching: bool = False


class Fingerprinter:
    """Keeps a verdict per partition at the newest lake commit, and judges later damage."""

    def __init__(
        self,
        reader: EpochReader,
        commits: LakeCommitReader,
        view: LakeView,
        scratch: Scratch,
        store: StateStore,
        settings: FingerprinterSettings,
        log: structlog.stdlib.BoundLogger,
        *,
        clock: Clock = time.time,
        alive: Callable[[], object] = lambda: None,
        ask: Callable[[str], object] = lambda _: None,
        sketches: SketchStore | None = None,
        cells_of: CellsOf = lambda _: 0,
    ) -> None:
        self._reader = reader
        self._commits = commits
        self._view = view
        self._scratch = scratch
        self._store = store
        self._settings = settings
        self._log = log
        self._clock = clock
        self._alive = alive
        self._ask = ask
        self._sketches = sketches
        self._cells_of = cells_of
        self._waiting: tuple[LakeCommit, int] | None = None

    def run(self, stop: threading.Event) -> None:
        """Works until it is stopped. A step that was not stored is done again by the next run.

        Raises:
            Unavailable: a part is away; run again.
            Stop: the stores do not belong together, or the topics are damaged.
        """
        progress = self._store.progress()
        self._reader.seek(progress.epochs_offset, progress.mark)
        self._commits.seek(progress.lake_commits_offset)
        self._log.info("fingerprinting", epoch=progress.epoch, lake_epoch=progress.lake_epoch)
        known = self._sketches.sketched() if self._sketches else {}
        cells_of: CellsOf = self._cells_of if self._sketches else lambda _: 0
        sketches = SourceSketches(known, cells_of)
        source = SourceSide(self._reader, self._store, progress, self._clock, self._ask, sketches=sketches)
        parts = self._view, self._scratch, self._store, self._reader.definitions, self._log
        lake = LakeSide(*parts, self._clock, self._alive, cells_of)
        lake.learn_definitions(progress)
        now = self._clock()
        schedule = _Schedule(now, now + self._settings.etag_check_s, now + FOLD_EVERY_S, now + FOLD_EVERY_S)
        self._waiting = None
        while not stop.is_set():
            progress, _ = source.advance(progress, POLL_S, stop)
            progress = self._judge_next(lake, progress)
            self._look_around(lake, progress, schedule)
            self._keep_sketches(source, lake, sketches, progress, schedule)

    def _keep_sketches(
        self, source: SourceSide, lake: LakeSide, sketches: SourceSketches, progress: Progress, schedule: _Schedule
    ) -> None:
        """Folds the steps of sketches, and begins sketches that are lacking.

        The work of one call is bounded. After a first look at all sums only those of tables with changes or newly read
        files are looked at.
        """
        began = self._clock()
        if self._sketches is None or began < schedule.sketches_at:
            return
        is_more = self._sketches.fold_sketches(progress.lake_epoch)
        if not schedule.to_sketch:
            news = source.take_changed() | lake.take_read()
            schedule.to_sketch.extend(source.unsketched(news if schedule.is_sketching else None))
            schedule.is_sketching = True
        keys = [schedule.to_sketch.popleft() for _ in range(min(ADOPTED_AT_ONCE, len(schedule.to_sketch)))]
        if keys:
            sketches.adopt(self._sketches.adopt_sketches(keys))
        is_more = is_more or bool(schedule.to_sketch)
        schedule.sketches_at = self._following(began, 0.0 if is_more else FOLD_EVERY_S)

    def _judge_next(self, lake: LakeSide, progress: Progress) -> Progress:
        """Judges the newest lake commit whose epoch the source side has reached.

        Older commits are passed over. Sums are running ones, so that what an older commit did wrong is wrong at the
        newest as well, unless a later commit has corrected it.
        """
        newest = self._newest(progress.epoch)
        if newest is None:
            return progress
        commit, offset = newest
        began = self._clock()
        after = lake.judge_commit(progress, commit, offset)
        self._commits.acknowledge(offset)
        self._log.debug("lake commit judged", epoch=commit.epoch, seconds=round(self._clock() - began, 3))
        return after

    def _newest(self, epoch: int) -> tuple[LakeCommit, int] | None:
        """Reads the last of the available commits up to an epoch, with the offset after it."""
        newest: tuple[LakeCommit, int] | None = None
        passed = 0
        while True:
            if self._waiting is None:
                self._waiting = self._commits.read(0.0)
            if self._waiting is None or self._waiting[0].epoch > epoch:
                break
            commit, offset = self._waiting
            if newest is not None:
                passed += 1
                commit = replace(commit, unknown=tuple(sorted({*newest[0].unknown, *commit.unknown})))
            newest, self._waiting = (commit, offset), None
        if newest is not None and passed:
            self._log.info("older lake commits are passed over", commits=passed, epoch=newest[0].epoch)
        return newest

    def _look_around(self, lake: LakeSide, progress: Progress, schedule: _Schedule) -> None:
        began = self._clock()
        if began >= schedule.foreign_at and lake.check_foreign_snapshots(progress, LOOK_S):
            schedule.foreign_at = self._following(began, self._settings.poll_s)
        if not schedule.files.tables and began >= schedule.etags_at:
            schedule.files = _FileLook(deque(lake.tables), began)
        self._look_at_files(lake, progress, schedule.files)
        if not schedule.files.tables and began >= schedule.etags_at:
            schedule.etags_at = self._clock() + self._settings.etag_check_s
        if began >= schedule.fold_at:
            self._store.fold(max(0, progress.lake_epoch - EPOCHS_KEPT))
            schedule.fold_at = self._following(began, FOLD_EVERY_S)

    def _following(self, began: float, interval_s: float) -> float:
        """When a look that has just ended is due again. It takes at most half of the time."""
        end = self._clock()
        return end + max(interval_s, end - began)

    def _look_at_files(self, lake: LakeSide, progress: Progress, look: _FileLook) -> None:
        """Continues a look at the files of all tables, for a bounded time."""
        began = now = self._clock()
        while look.is_ready(now) and now - began < LOOK_S:
            name = look.tables.popleft()
            lake.look_at_metadata(progress, [name])
            lake.look_at_etags(progress, self._clock() - self._settings.reread_s, self._rereads, [name])
            before, now = now, self._clock()
            look.used_s += now - before

    def _rereads(self, files: int) -> int:
        """How many of a table's files are read again at each look, so that `reread_s` holds for all."""
        looks = max(1.0, self._settings.reread_s / self._settings.etag_check_s)
        return REREADS_MIN + int(files / looks)
