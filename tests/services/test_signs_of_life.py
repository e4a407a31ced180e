"""A step that takes long gives signs of life while it goes on, and none while it hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from datafingerprint.adapters.runtime import health_file as pulse
from datafingerprint.adapters.runtime.health_file import HealthFile
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.epochs import SourcePosition
from datafingerprint.ports.lake import DataFile, Stamp
from datafingerprint.schema import TableSchema
from deploy.embedded.waiting import await_condition
from services.fingerprinter.lake_counter import READS_AT_ONCE
from services.lake_writer import runs
from services.lake_writer.change_buffer import ChangeBuffer
from services.lake_writer.rewrite import MergePolicy
from services.lake_writer.streaming_commit import StreamingCommit
from tests.datafingerprint.drawn import KEYED, change_rows
from tests.flow.memory import MemoryLakeTable, Store
from tests.services.fingerprinter.watched_lake import TABLE, WatchedLake

WITHIN_S = 10.0
STAMP = Stamp("stream", 2, SourcePosition("0-1-2", "binlog.000001", 200))
ROWS = 20_000
PIECES_MIN = 8


@pytest.fixture
def health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is touched at each sign of life, not only once a second."""
    monkeypatch.setattr(pulse, "_EVERY_S", 0.0)
    monkeypatch.setattr(runs, "_RUN_BYTES", 50_000)
    monkeypatch.setattr(runs, "_SLICE_BYTES", 5_000)
    return tmp_path / "alive"


class Witness:
    """Takes the sign of life away, and looks whether it has been given again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.seen: list[bool] = []

    def look(self) -> None:
        self.seen.append(self._file.exists())
        self._file.unlink(missing_ok=True)


class WatchedTable(MemoryLakeTable):
    """Looks with every piece that is read from it or written to it."""

    def __init__(self, store: Store, table: TableSchema, witness: Witness) -> None:
        super().__init__(store, table)
        self._witness = witness

    def _watched(self, pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for piece in pieces:
            self._witness.look()
            yield piece

    def read_pieces(self, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        return self._watched(super().read_pieces(file, columns))

    def write_pieces(self, partition: str, pieces: Iterable[pa.Table], added_by: Stamp) -> Sequence[object]:
        return super().write_pieces(partition, self._watched(pieces), added_by)


def test_a_commit_in_pieces_gives_one_with_every_few_pieces(health: Path) -> None:
    witness = Witness(health)
    lake_table = WatchedTable(Store(), KEYED, witness)
    stop = HealthFile(str(health))
    scratch = TemporaryScratch("", stop.is_set)
    policy = MergePolicy(8, 10 * ROWS)
    for op, old, new in (("c", 0, 1), ("u", 1, 2)):
        before, after = ([{"id": n, "Part": "a", "n": n * times} for n in range(ROWS)] for times in (old, new))
        events = [
            {"op": op, "tx": 0, "before": first if old else None, "after": other}
            for first, other in zip(before, after, strict=True)
        ]
        with closing(ChangeBuffer(ROWS // 20, scratch)) as held:
            held.expect(ROWS)
            held.add(2, 0, change_rows(KEYED, events))
            witness.look()
            witness.seen.clear()
            StreamingCommit(KEYED, lake_table, STAMP, policy, scratch).apply(held.folded(KEYED, 0), held.parts)
        assert witness.seen[0]
        assert len(witness.seen) >= PIECES_MIN
        assert witness.seen.count(True) >= len(witness.seen) // 3, witness.seen


def test_counting_gives_one_with_every_file_and_none_while_it_hangs(tmp_path: Path, health: Path) -> None:
    witness, stop = Witness(health), HealthFile(str(health))
    lock, goes_on = threading.Lock(), threading.Event()
    arrived: list[None] = []

    def before_copy() -> None:
        arrived.append(None)
        with lock:
            witness.look()
            if len(witness.seen) == PIECES_MIN:
                goes_on.wait(WITHIN_S)

    with closing(WatchedLake(tmp_path, TABLE)) as lake:
        for number in range(2 * PIECES_MIN):
            lake.write(TABLE, {"id": number, "league": number, "runs": 1})
        lake.objects.before_copy = before_copy
        lake.alive = stop.is_set
        counting = threading.Thread(target=lake.side.judge_commit, args=(lake.store.progress(), lake.commits[-1], 1))
        counting.start()
        assert await_condition(lambda: len(arrived) == PIECES_MIN - 1 + READS_AT_ONCE, timeout_s=WITHIN_S)
        health.unlink(missing_ok=True)
        assert not await_condition(health.exists, timeout_s=0.3), "bytes that nobody sends are no sign of life"
        goes_on.set()
        counting.join(WITHIN_S)
        assert not counting.is_alive()
    assert len(witness.seen) == 2 * PIECES_MIN
    assert witness.seen.count(True) >= PIECES_MIN
