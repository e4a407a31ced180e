"""The source side: running sums of the published changes, kept per epoch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from datafingerprint.errors import WireError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import Advance, Progress, SumKey, apply_changes
from datafingerprint.ports import EpochReader, EpochRows, StateStore
from datafingerprint.remedies import OTHER_LAKE
from datafingerprint.schema import TableSchema

EPOCHS_AT_ONCE = 50
ROWS_AT_ONCE = 200_000


class SourceSide:
    """Reads epochs and stores, in one transaction each time, their sums and the offset behind them."""

    def __init__(self, reader: EpochReader, store: StateStore) -> None:
        self._reader = reader
        self._store = store
        self._sums: dict[SumKey, Fingerprint] = dict(store.running_sums())
        self._tables: frozenset[str] = frozenset()

    def advance(self, progress: Progress, timeout_s: float, stop: threading.Event) -> tuple[Progress, int]:
        """Takes up the epochs that are there; returns how far it came now, and how many epochs that were.

        Told to stop in the middle of an epoch it stores nothing, and is not to be asked again.

        Raises:
            ConflictError: another fingerprinter was first.
            WireError: the stream is not the one whose sums are stored.
        """
        batch, sums = self._batch(progress, timeout_s, stop)
        if not batch:
            return progress, 0
        last = batch[-1].epoch
        after = replace(progress, stream_id=last.stream_id, epoch=last.number, epochs_offset=batch[-1].epochs_offset)
        step = Advance(after, [one.epoch for one in batch], sums, self._definitions(batch))
        self._store.advance(progress, step)
        for one in batch:
            self._reader.acknowledge(one)
        return after, len(batch)

    def _batch(
        self, progress: Progress, timeout_s: float, stop: threading.Event
    ) -> tuple[Sequence[EpochRows], list[tuple[int, SumKey, Fingerprint]]]:
        """Epochs that were read, and the sums that they alter; every epoch is summed up while it is read."""
        batch: list[EpochRows] = []
        sums: list[tuple[int, SumKey, Fingerprint]] = []
        rows = 0
        while len(batch) < EPOCHS_AT_ONCE and rows < ROWS_AT_ONCE:
            found = self._reader.read(0.0 if batch else timeout_s)
            if found is None:
                break
            _require_stream(progress, found)
            altered = self._altered(found, stop)
            if altered is None:
                return [], []
            sums += [(found.epoch.number, key, value) for key, value in altered.items()]
            batch.append(found)
            rows += found.epoch.rows
        return batch, sums

    def _altered(self, one: EpochRows, stop: threading.Event) -> dict[SumKey, Fingerprint] | None:
        """The sums that an epoch alters, at their new values; the running sums are moved on. None when told to stop.

        What fails in the middle of an epoch is not stored: the next run begins with the sums that are.
        """
        altered: dict[SumKey, Fingerprint] = {}
        for kafka_partition, changes in one.changes:
            if stop.is_set():
                return None
            found = apply_changes(self._sums, kafka_partition, changes)
            self._sums.update(found)
            altered.update(found)
        return altered | self._emptied(frozenset(one.epoch.versions))

    def _emptied(self, tables: frozenset[str]) -> dict[SumKey, Fingerprint]:
        """Sums of tables that have left the stream: nothing is said of them, should they come back, they start so."""
        if tables == self._tables:
            return {}
        gone = {key: ZERO for key, value in self._sums.items() if value != ZERO and key.table not in tables}
        self._sums.update(gone)
        self._tables = tables
        return gone

    def _definitions(self, batch: Sequence[EpochRows]) -> dict[str, tuple[int, TableSchema]]:
        """The last definition of every table that an epoch names, also of those that have left the stream since."""
        known = self._reader.definitions()
        versions = {table: version for one in batch for table, version in one.epoch.versions.items()}
        return {table: (version, known[version]) for table, version in versions.items()}


def _require_stream(progress: Progress, found: EpochRows) -> None:
    if progress.stream_id not in (None, found.epoch.stream_id):
        raise WireError(
            f"the sums are of stream {progress.stream_id}, the epochs of {found.epoch.stream_id}",
            where="the state store",
            remedy=f"restore the topics of the old stream, or give the new one another {OTHER_LAKE}",
        )
