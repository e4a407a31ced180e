"""Work is bounded by time: what was read is stored every few seconds, and a long look leaves time for verdicts."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.changes import Op, changes
from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.epochs import SourcePosition
from datafingerprint.ledger import Progress
from datafingerprint.ports.stream import EpochDraft
from services.fingerprinter import fingerprinter as fingerprinter_module
from services.fingerprinter.fingerprinter import Fingerprinter
from services.fingerprinter.source_side import STORE_EVERY_S, SourceSide
from tests.flow.memory import Broker, MemoryEpochLog, MemoryEpochReader
from tests.flow.test_definitions_in_memory import STAYING
from tests.flow.test_in_memory import LOG, SCRATCH

EPOCHS = 12


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db")) as made:
        yield made


@pytest.fixture
def broker() -> Broker:
    made = Broker()
    for number in range(1, EPOCHS + 1):
        row = changes(STAYING, 1, Op.CREATED, 0, after=pa.Table.from_pylist([{"id": number}], schema=STAYING.arrow))
        position = SourcePosition(f"0-1-{number}", "binlog", number)
        versions, known = {STAYING.table: 1}, {1: STAYING}
        draft = EpochDraft("stream", number, position, 0.0, changes=[row], versions=versions, definitions=known)
        MemoryEpochLog(made).publish(draft)
    return made


class Slow(MemoryEpochReader):
    """Reading an epoch takes its time."""

    def __init__(self, broker: Broker, epoch_s: float) -> None:
        super().__init__(broker)
        self.epoch_s = epoch_s
        self.now = 0.0

    def read(self, timeout_s: float) -> Any:  # noqa: ANN401 - as the port
        self.now += self.epoch_s
        return super().read(timeout_s)


def test_slow_epochs_are_stored_every_few_seconds_and_a_killed_run_loses_no_more(
    broker: Broker, store: SqlStateStore
) -> None:
    progress, lives = Progress(), 0
    while progress.epoch < EPOCHS:
        reader = Slow(broker, STORE_EVERY_S / 2)
        last = (progress.stream_id, progress.epoch) if progress.stream_id else None
        reader.seek(progress.epochs_offset, last)
        side = SourceSide(reader, store, progress, pace=lambda: reader.now)  # noqa: B023 - within this turn only
        _, epochs = side.advance(progress, 0.0, threading.Event())
        assert 1 <= epochs <= 2
        progress, lives = store.progress(), lives + 1
    assert lives >= EPOCHS / 2
    assert store.source_sums(STAYING.table, EPOCHS)["-"].rows == EPOCHS


def test_fast_epochs_are_stored_together(broker: Broker, store: SqlStateStore) -> None:
    side = SourceSide(MemoryEpochReader(broker), store, Progress(), pace=lambda: 0.0)
    assert side.advance(Progress(), 0.0, threading.Event())[1] == EPOCHS


def test_what_was_whole_is_stored_when_it_is_told_to_stop(broker: Broker, store: SqlStateStore) -> None:
    class After(threading.Event):
        left = 5

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    SourceSide(MemoryEpochReader(broker), store, Progress()).advance(Progress(), 0.0, After())
    assert store.progress().epoch == 5
    assert store.source_sums(STAYING.table, 5)["-"].rows == 5


class SlowLake:
    """A lake side whose looks take their time; it knows what was looked at, and when."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.looks: list[tuple[str, float]] = []
        self.tables = [f"s.t{number}" for number in range(10)]

    def check_foreign_snapshots(self, _: Progress, _seconds: float) -> bool:
        self.looks.append(("foreign", self.now))
        self.now += 7.0
        return True

    def look_at_metadata(self, _: Progress, names: list[str]) -> None:
        self.looks.append((names[0], self.now))

    def look_at_etags(self, *_: object) -> None:
        self.now += 0.6


def test_a_look_that_takes_longer_than_its_interval_is_done_in_steps_and_pauses_after_its_end(
    store: SqlStateStore,
) -> None:
    lake: Any = SlowLake()
    port: Any = None
    settings = FingerprinterSettings(poll_s=5.0, etag_check_s=1.0)
    made = Fingerprinter(port, port, port, SCRATCH, store, settings, LOG, clock=lambda: lake.now)
    schedule = fingerprinter_module._Schedule(lake.now, lake.now, lake.now + 1e9, lake.now + 1e9)
    rounds = []
    for _ in range(2000):
        began = lake.now
        made._look_around(lake, Progress(), schedule)
        rounds.append(lake.now - began)
        lake.now += 0.2
    foreign = [at for what, at in lake.looks if what == "foreign"]
    assert all(later - earlier >= 14.0 for earlier, later in itertools.pairwise(foreign))
    assert sorted(rounds)[len(rounds) // 2] <= 1.2
    seen = [what for what, _ in lake.looks if what != "foreign"]
    assert seen[: len(lake.tables)] == lake.tables
    starts = [at for what, at in lake.looks if what == lake.tables[0]]
    ends = [at for what, at in lake.looks if what == lake.tables[-1]]
    assert len(starts) > 1
    assert all(start - end >= settings.etag_check_s for end, start in zip(ends, starts[1:], strict=False))
    # The look at files takes its first second at once, and from then on a small share of the time.
    took = 0.6 * len(lake.tables)
    assert ends[0] - starts[0] >= (took - 0.6 - fingerprinter_module.LOOK_S) / fingerprinter_module.LOOK_SHARE - 8.0
