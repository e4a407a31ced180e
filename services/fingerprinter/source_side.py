"""The source side: running sums of the published changes, kept per epoch."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from datafingerprint.cascades import Suspicions
from datafingerprint.changes import NO_TRUNCATION, Changes, Op, last_truncation
from datafingerprint.epochs import Epoch, SnapshotCursor
from datafingerprint.errors import Unavailable, WireError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import Advance, Progress, SketchStep, SumKey
from datafingerprint.ports.state import StateStore
from datafingerprint.ports.stream import EpochReader, EpochRows
from datafingerprint.recovery import NEW_STATE, OTHER_LAKE
from datafingerprint.schema import TableSchema
from datafingerprint.set_aside import LOST, SetAside
from services.fingerprinter.source_sketches import SourceSketches

EPOCHS_AT_ONCE = 50
ROWS_AT_ONCE = 200_000
STORE_EVERY_S = 2.0
"""Seconds after which what was read is stored, between two epochs: an epoch's sums are whole at its end only."""

PATIENCE_S = 15.0
"""How long the lake writer has to ask for a re-snapshot of a table with a hole, which it meets as well."""

NOTHING_READ = SnapshotCursor(0, 0, complete=False)

Clock = Callable[[], float]


class SourceSide:
    """Reads epochs and stores their sums together with the offset after them.

    A table whose rows were not all there has no sums until an epoch starts it from nothing. The stored epochs say so,
    and that it is not complete.

    Args:
        reader: Passes over holes.
        store: Where sums are kept.
        progress: How far the sums have come.
        clock: Unix time in seconds.
        ask: Asks capture for a re-snapshot of a table.
        pace: Seconds that pass.
        sketches: Collects what changes in sketches; absent where none are kept.
    """

    def __init__(
        self,
        reader: EpochReader,
        store: StateStore,
        progress: Progress,
        clock: Clock = time.time,
        ask: Callable[[str], object] = lambda _: None,
        pace: Clock = time.monotonic,
        sketches: SourceSketches | None = None,
    ) -> None:
        self._reader = reader
        self._store = store
        self._clock = clock
        self._ask = ask
        self._pace = pace
        self._sketches = sketches or SourceSketches({}, lambda _: 0)
        stored = store.epoch(progress.epoch)
        self._aside = SetAside(stored.epoch.holes if stored else {}, clock(), patience_s=PATIENCE_S)
        self._last: Epoch | None = None
        self._changed: set[str] = set()
        self._sums: dict[str, dict[SumKey, Fingerprint]] = {}
        for key, value in store.running_sums().items():
            self._sums.setdefault(key.table, {})[key] = value
        self._tables: frozenset[str] = frozenset()
        self._stored = {name: number for name, (number, _) in store.definitions().items()}

    def advance(self, progress: Progress, timeout_s: float, stop: threading.Event) -> tuple[Progress, int]:
        """Takes up the available epochs.

        If it is stopped in the middle of an epoch, it stores those before, and must not be called again.

        Returns:
            The progress, and the number of epochs.

        Raises:
            ConflictError: another fingerprinter was first.
            WireError: the stream is not the one whose sums are stored.
        """
        suspicions = Suspicions()
        steps: list[SketchStep] = []
        batch, sums = self._batch(progress, timeout_s, stop, suspicions, steps)
        if not batch:
            self._ask_again()
            return progress, 0
        last = batch[-1].epoch
        after = replace(
            progress,
            stream_id=last.stream_id,
            epoch=last.number,
            epochs_offset=batch[-1].epochs_offset,
            epoch_digest=last.mark.digest,
        )
        epochs = [epoch_rows.epoch for epoch_rows in batch]
        definitions = self._definitions(batch)
        self._store.advance(progress, Advance(after, epochs, sums, definitions, suspicions, steps))
        self._stored |= {name: number for name, (number, _) in definitions.items()}
        for epoch_rows in batch:
            self._reader.acknowledge(epoch_rows)
        return after, len(batch)

    def unsketched(self, tables: Iterable[str] | None = None) -> list[SumKey]:
        """The sums of some tables, or of all, that have no sketch and are to have one."""
        names = self._sums.keys() if tables is None else self._sums.keys() & set(tables)
        return [key for name in sorted(names) for key in self._sketches.lacking(self._sums[name])]

    def take_changed(self) -> set[str]:
        """Names the tables whose sums were changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def _ask_again(self) -> None:
        """Asks for a re-snapshot of tables with a hole, unless one is under way."""
        last = self._last
        if last is None or not self._aside.is_due(self._clock()):
            return
        for name in self._aside.due(self._clock()):
            cursor = last.snapshots.get(name)
            if cursor is None or cursor.complete:
                with contextlib.suppress(Unavailable):  # it is asked again later
                    self._ask(name)

    def _batch(
        self,
        progress: Progress,
        timeout_s: float,
        stop: threading.Event,
        suspicions: Suspicions,
        steps: list[SketchStep],
    ) -> tuple[Sequence[EpochRows], list[tuple[int, SumKey, Fingerprint]]]:
        """Reads epochs, and the sums that they alter; each epoch is summed up while it is read.

        What they change in sketches is added to `steps`.
        """
        batch: list[EpochRows] = []
        sums: list[tuple[int, SumKey, Fingerprint]] = []
        rows = 0
        until = self._pace() + STORE_EVERY_S
        while not batch or (len(batch) < EPOCHS_AT_ONCE and rows < ROWS_AT_ONCE and self._pace() < until):
            epoch_rows = self._reader.read(0.0 if batch else timeout_s)
            if epoch_rows is None:
                break
            _require_stream(progress, epoch_rows)
            restarted: set[str] = set()
            altered = self._altered(epoch_rows, stop, restarted)
            if altered is None:
                break
            suspicions.add(epoch_rows.epoch.number, epoch_rows.epoch.suspects, restarted)
            sums += [(epoch_rows.epoch.number, key, value) for key, value in altered.items()]
            steps += self._sketches.steps(epoch_rows.epoch.number)
            self._last = epoch_rows.epoch
            batch.append(self._marked(epoch_rows))
            rows += epoch_rows.epoch.rows
        return batch, sums

    def _altered(
        self, epoch_rows: EpochRows, stop: threading.Event, restarted: set[str]
    ) -> dict[SumKey, Fingerprint] | None:
        """Computes the new values of the sums that an epoch alters, and keeps them as running sums.

        An epoch that fails in the middle is not stored, so that the next run begins with the sums before it. Tables
        that start from nothing are added to `restarted`.

        Returns:
            The new values; None if it was stopped.
        """
        altered: dict[SumKey, Fingerprint] = {}
        whole: set[str] = set()
        for kafka_partition, changes in epoch_rows.changes:
            if stop.is_set():
                return None
            if _begins_anew(changes):
                restarted.add(changes.table.table)
            of_table = self._sums.setdefault(changes.table.table, {})
            new = self._sketches.apply(of_table, kafka_partition, changes)
            of_table.update(new)
            altered.update(new)
            self._changed.add(changes.table.table)
            if changes.partition is None and last_truncation(changes) != NO_TRUNCATION:
                whole.add(changes.table.table)
        self._set_aside(epoch_rows, whole)
        return altered | self._emptied(frozenset(epoch_rows.epoch.versions))

    def _set_aside(self, epoch_rows: EpochRows, whole: set[str]) -> None:
        """Updates which tables have a hole, by what an epoch starts from nothing, drops or lacks."""
        for name in self._aside.reasons:
            if name in whole or name not in epoch_rows.epoch.versions:
                self._aside.remove(name)
        for name, reason in epoch_rows.holes.items():
            self._aside.add(name, f"{LOST}: {reason}", self._clock())

    def _marked(self, epoch_rows: EpochRows) -> EpochRows:
        """An epoch as it is stored: with the tables whose sums are not known at its end."""
        holes = self._aside.reasons
        if not holes:
            return epoch_rows
        cursors = {name: epoch_rows.epoch.snapshots.get(name) for name in holes}
        unfinished = {name: NOTHING_READ for name, cursor in cursors.items() if cursor is None or cursor.complete}
        return replace(
            epoch_rows,
            epoch=replace(epoch_rows.epoch, holes=holes, snapshots={**epoch_rows.epoch.snapshots, **unfinished}),
        )

    def _emptied(self, tables: frozenset[str]) -> dict[SumKey, Fingerprint]:
        """Sets the sums of tables that have left the stream to zero."""
        if tables == self._tables:
            return {}
        gone: dict[SumKey, Fingerprint] = {}
        for name in self._sums.keys() - tables:
            gone |= {key: ZERO for key, value in self._sums.pop(name).items() if value != ZERO}
        self._sketches.end(gone)
        self._tables = tables
        return gone

    def _definitions(self, batch: Sequence[EpochRows]) -> dict[str, tuple[int, TableSchema]]:
        """The definitions that are not stored yet, also of tables that have left the stream since.

        The lake side forgets those of tables that left. One that comes back has a definition of another number.
        """
        known = self._reader.definitions()
        versions = {table: version for epoch_rows in batch for table, version in epoch_rows.epoch.versions.items()}
        return {
            table: (version, known[version])
            for table, version in versions.items()
            if self._stored.get(table) != version
        }


def _begins_anew(changes: Changes) -> bool:
    """Whether the whole table starts from nothing; that is the first of its changes in an epoch."""
    rows = changes.rows
    return changes.partition is None and rows.num_rows > 0 and rows.column("op")[0].as_py() == Op.TRUNCATED.value


def _require_stream(progress: Progress, epoch_rows: EpochRows) -> None:
    if progress.stream_id not in (None, epoch_rows.epoch.stream_id):
        raise WireError(
            f"the sums are of stream {progress.stream_id}, the epochs of {epoch_rows.epoch.stream_id}",
            where="the state store",
            remedy=f"{NEW_STATE}; otherwise restore the topics, or give the new stream another {OTHER_LAKE}",
        )
