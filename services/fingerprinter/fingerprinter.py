"""One run of the fingerprinter: both sides in turn, each step stored before the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from datafingerprint.audit import EPOCHS_KEPT
from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.ledger import Progress
from datafingerprint.ports import EpochReader, LakeCommitReader, LakeView, StateStore
from datafingerprint.scratch import Scratch
from datafingerprint.wire import LakeCommit
from services.fingerprinter.lake_side import LakeSide
from services.fingerprinter.source_side import SourceSide

POLL_S = 0.2
FOLD_EVERY_S = 60.0
REREADS_MIN = 1

Clock = Callable[[], float]


@dataclass(slots=True)
class _Schedule:
    """When the periodic looks are due next, in Unix seconds."""

    foreign_at: float
    etags_at: float
    fold_at: float


class Fingerprinter:
    """Implements the promise of the service: a verdict per partition at the newest lake commit, and on later damage."""

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
        self._waiting: tuple[LakeCommit, int] | None = None

    def run(self, stop: threading.Event) -> None:
        """Works until told to stop; whatever it was doing is done again, from what is stored, by the next run.

        Raises:
            Unavailable: a part is away; run again.
            Stop: the stores do not belong together, or the topics are damaged.
        """
        progress = self._store.progress()
        last = (progress.stream_id, progress.epoch) if progress.stream_id else None
        self._reader.seek(progress.epochs_offset, last)
        self._commits.seek(progress.lake_commits_offset)
        self._log.info("fingerprinting", epoch=progress.epoch, lake_epoch=progress.lake_epoch)
        source = SourceSide(self._reader, self._store)
        lake = LakeSide(
            self._view, self._scratch, self._store, self._reader.definitions, self._log, self._clock, self._alive
        )
        lake.learn_definitions(progress)
        now = self._clock()
        schedule = _Schedule(now, now + self._settings.etag_check_s, now + FOLD_EVERY_S)
        self._waiting = None
        while not stop.is_set():
            progress, _ = source.advance(progress, POLL_S, stop)
            progress = self._judge_next(lake, progress)
            self._look_around(lake, progress, schedule)

    def _judge_next(self, lake: LakeSide, progress: Progress) -> Progress:
        """Judges the newest lake commit whose epoch the source side has come to.

        Those before it are passed over: sums are running ones, so that whatever an older commit did wrong is wrong at
        the newest as well, unless a later one has mended it.
        """
        taken = self._newest(progress.epoch)
        if taken is None:
            return progress
        commit, offset = taken
        began = self._clock()
        after = lake.judge_commit(progress, commit, offset)
        self._commits.acknowledge(offset)
        self._log.debug("lake commit judged", epoch=commit.epoch, seconds=round(self._clock() - began, 3))
        return after

    def _newest(self, epoch: int) -> tuple[LakeCommit, int] | None:
        """The last of the commits that are there up to an epoch, with the offset after it."""
        newest, passed = None, 0
        while True:
            if self._waiting is None:
                self._waiting = self._commits.read(0.0)
            if self._waiting is None or self._waiting[0].epoch > epoch:
                break
            passed += newest is not None
            newest, self._waiting = self._waiting, None
        if newest is not None and passed:
            self._log.info("older lake commits are passed over", commits=passed, epoch=newest[0].epoch)
        return newest

    def _look_around(self, lake: LakeSide, progress: Progress, schedule: _Schedule) -> None:
        now = self._clock()
        if now >= schedule.foreign_at:
            lake.look_for_foreign(progress)
            schedule.foreign_at = now + self._settings.poll_s
        if now >= schedule.etags_at:
            lake.look_at_metadata(progress)
            lake.look_at_etags(progress, now - self._settings.reread_s, self._rereads())
            schedule.etags_at = now + self._settings.etag_check_s
        if now >= schedule.fold_at:
            self._store.fold(max(0, progress.lake_epoch - EPOCHS_KEPT))
            schedule.fold_at = now + FOLD_EVERY_S

    def _rereads(self) -> int:
        """How many files of a table are read again at each look, so that all are within the time set."""
        looks = max(1.0, self._settings.reread_s / self._settings.etag_check_s)
        most = max((len(self._store.files(name)) for name in self._store.lake_tables()), default=0)
        return REREADS_MIN + int(most / looks)
