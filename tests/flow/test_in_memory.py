"""The whole flow in one process: random histories, crashes at any call, and both sides agree at every commit."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint import wire
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.changes import Changes, Op, changes
from datafingerprint.column_types import column
from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome
from services.fingerprinter.fingerprinter import Fingerprinter
from services.lake_writer.writer import LakeWriter
from tests.flow.memory import (
    Broker,
    MemoryEpochLog,
    MemoryEpochReader,
    MemoryLake,
    MemoryLakeCommits,
    MemoryLakeView,
    Store,
)

COLUMNS = (
    column("id", "int(11)", nullable=False, charset=None),
    column("year", "smallint(6)", nullable=True, charset=None),
    column("name", "varchar(50)", nullable=True, charset="utf8mb4"),
)
KEYED = TableSchema("s", "keyed", COLUMNS, ("id",), ("year",))
LOOSE = TableSchema("s", "loose", COLUMNS, (), ("year",))
TABLES = {1: KEYED, 2: LOOSE}
SCRATCH = TemporaryScratch("")
LOG = structlog.wrap_logger(structlog.ReturnLogger())
TURNS_MAX = 2000
"""Turns after which one that is still behind will never catch up."""

Row = tuple[int, int | None, str | None]
Drop = Callable[[Epoch, Changes], Changes]


class Crash(BaseException):
    """The process is gone."""


class Faulty:
    """A port whose process dies before or after one of its calls."""

    def __init__(self, port: Any, left: list[int], *, after: bool) -> None:  # noqa: ANN401 - any port
        self._port, self._left, self._after = port, left, after

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        answer = getattr(self._port, name)
        if not callable(answer):
            return answer

        def call(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as the method
            self._left[0] -= 1
            if self._left[0] == 0 and not self._after:
                raise Crash
            result = answer(*given, **named)
            if self._left[0] == 0:
                raise Crash
            return result

        return call


class Turns(threading.Event):
    """A stop signal that comes after so many turns of a loop; those in which it `is_behind` do not count."""

    def __init__(self, turns: int, is_behind: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._turns = turns
        self._is_behind = is_behind
        self._left = TURNS_MAX

    def is_set(self) -> bool:
        self._left -= 1
        if self._left < 0 or not self._is_behind():
            self._turns -= 1
        return self._turns < 0


class World:
    """Source, broker, lake and state store; the services come and go."""

    def __init__(self, directory: Path, partitions: int, spill_rows: int = 100_000) -> None:
        self.spill_rows = spill_rows
        self.url = f"sqlite:///{directory}/state.db"
        self.broker, self.store = Broker(partitions), Store()
        self.keyed: dict[int, Row] = {}
        self.loose: Counter[Row] = Counter()
        self.history: list[tuple[Counter[Row], Counter[Row]]] = []
        self.now = 1000.0

    def publish(self, operations: Sequence[tuple[str, Row, Row]], suspects: dict[str, str] | None = None) -> None:
        """One epoch of operations on both tables, those that make sense."""
        parts = [change for operation in operations for change in self._carried_out(*operation)]
        number = len(self.broker.epochs) + 1
        complete = {table.table: SnapshotCursor(0, 0, complete=True) for table in TABLES.values()}
        grouped = [
            item for table in TABLES.values() for item in merged([part for part in parts if part.table is table])
        ]
        draft = EpochDraft(
            "stream", number, SourcePosition(f"0-1-{number}", "binlog", number), self.now, (), grouped,
            complete, {table.table: version for version, table in TABLES.items()}, TABLES,
            suspects=suspects or {},
        )  # fmt: skip
        MemoryEpochLog(self.broker).publish(draft)
        self.history.append((Counter(self.keyed.values()), Counter(self.loose)))

    def _carried_out(self, verb: str, old: Row, new: Row) -> Iterator[Changes]:
        if verb == "reset":
            self.keyed.clear()
            self.loose.clear()
            yield from (changes(table, version, Op.TRUNCATED, 0, count=1) for version, table in TABLES.items())
        elif verb == "put":
            before = self.keyed.get(new[0])
            self.keyed[new[0]] = new
            yield change(KEYED, before, new)
            self.loose[new] += 1
            yield change(LOOSE, None, new)
        elif verb == "take":
            if old[0] in self.keyed:
                yield change(KEYED, self.keyed.pop(old[0]), None)
            if self.loose[old]:
                self.loose[old] -= 1
                yield change(LOOSE, old, None)
        elif self.loose[old]:
            self.loose[old] -= 1
            self.loose[new] += 1
            yield change(LOOSE, old, new)

    def finish(self) -> None:
        """Lives of both services without a fault, long enough to come to the last epoch and to go on for a while."""
        self.write(20, to_end=True)
        self.fingerprint(20, to_end=True)

    def write(
        self, turns: int, fault: tuple[int, bool] | None = None, drop: Drop | None = None, *, to_end: bool = False
    ) -> None:
        """One life of the lake writer."""
        wrap = wrapping(fault)
        lake_settings = LakeSettings(flush_s=0.0001, merge_files=2, spill_rows=self.spill_rows)
        reader = wrap(MemoryEpochReader(self.broker, drop))
        lake = MemoryLake(self.store, wrap)
        commits = wrap(MemoryLakeCommits(self.broker))
        writer = LakeWriter(reader, lake, commits, lake_settings, LOG, SCRATCH, clock=self.clock)
        survived(lambda: writer.run(Turns(turns, lambda: to_end and is_lake_behind(self.broker))))

    def fingerprint(self, turns: int, fault: tuple[int, bool] | None = None, *, to_end: bool = False) -> None:
        """One life of the fingerprinter."""
        wrap = wrapping(fault)
        store = SqlStateStore(self.url)
        try:
            fingerprinter = Fingerprinter(
                wrap(MemoryEpochReader(self.broker)), wrap(MemoryLakeCommits(self.broker)),
                wrap(MemoryLakeView(self.store)), SCRATCH, wrap(store), FingerprinterSettings(), LOG, clock=self.clock,
            )  # fmt: skip
            stop = Turns(turns, lambda: to_end and store.progress().lake_epoch < len(self.broker.epochs))
            survived(lambda: fingerprinter.run(stop))
            if fault is None:
                self.require_matches(store)
        finally:
            store.close()

    def require_matches(self, store: SqlStateStore) -> None:
        """At every epoch of the lake, every verdict is a match of the rows at that epoch."""
        epoch = store.progress().lake_epoch
        verdicts = store.verdicts()
        assert {verdict.verdict.outcome for verdict in verdicts} <= {Outcome.MATCH}
        if epoch:
            rows = sum(verdict.verdict.source.rows for verdict in verdicts if verdict.verdict.source)
            assert rows == sum(part.total() for part in self.history[epoch - 1])

    def clock(self) -> float:
        self.now += 1.0
        return self.now

    def lake_rows(self, table: TableSchema) -> Counter[Row]:
        return Counter(tuple(row.values()) for row in self.store.rows(table).to_pylist())


def change(table: TableSchema, before: Row | None, after: Row | None) -> Changes:
    """One row's change."""
    version = 1 if table is KEYED else 2
    op = Op.UPDATED if before and after else Op.DELETED if before else Op.CREATED
    return changes(table, version, op, 0, before=rows_of(table, before), after=rows_of(table, after))


def rows_of(table: TableSchema, row: Row | None) -> pa.Table | None:
    if row is None:
        return None
    return pa.table([[value] for value in row], schema=table.arrow)


def merged(parts: list[Changes]) -> list[Changes]:
    if not parts:
        return []
    return [Changes(parts[0].table, parts[0].version, pa.concat_tables([part.rows for part in parts]))]


def wrapping(fault: tuple[int, bool] | None) -> Callable[[Any], Any]:
    if fault is None:
        return lambda port: port
    left = [fault[0]]
    return lambda port: Faulty(port, left, after=fault[1])


def is_lake_behind(broker: Broker) -> bool:
    """Whether there are epochs after the last lake commit."""
    commits = broker.lake_commits
    last = wire.decode_lake_commit(commits[-1], "memory").epoch if commits else 0
    return last < len(broker.epochs)


def survived(run: Callable[[], None]) -> None:
    """Runs a life of a service to its end, whichever that is."""
    try:
        run()
    except Crash:
        return


rows = st.tuples(st.integers(0, 5), st.sampled_from([2030, 2031, None]), st.sampled_from(["a", "", None]))
operations = st.lists(
    st.tuples(st.sampled_from(["put", "put", "put", "take", "move", "reset"]), rows, rows), max_size=6
)
faults = st.none() | st.tuples(st.integers(1, 40), st.booleans())
steps = st.one_of(
    st.tuples(st.just("publish"), operations),
    st.tuples(st.just("write"), faults),
    st.tuples(st.just("fingerprint"), faults),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(steps, min_size=4, max_size=14), st.sampled_from([1, 3]), st.sampled_from([1, 4, 100_000]))
def test_whoever_crashes_wherever_the_lake_is_the_source_and_all_matches(
    story: list[tuple[str, Any]], partitions: int, spill_rows: int
) -> None:
    with TemporaryDirectory() as directory:
        world = World(Path(directory), partitions, spill_rows)
        for step, detail in story:
            if step == "publish":
                world.publish(detail)
            elif step == "write":
                world.write(6, detail)
            else:
                world.fingerprint(4, detail)
        world.finish()
        assert world.lake_rows(KEYED) == Counter(world.keyed.values())
        assert world.lake_rows(LOOSE) == +world.loose


def test_a_change_that_the_writer_did_not_get_is_a_mismatch_of_just_its_partition(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.publish([("put", (0, 2030, "x"), (number, 2030 + number % 2, "x")) for number in range(4)])

    def drop(epoch: Epoch, found: Changes) -> Changes:
        if epoch.number == 2 and found.table == KEYED:
            return Changes(found.table, found.version, found.rows.slice(0, 0))
        return found

    world.publish([("put", (0, 2030, "x"), (9, 2031, "lost"))])
    world.write(10, drop=drop)
    store = SqlStateStore(world.url)
    try:
        Fingerprinter(
            MemoryEpochReader(world.broker), MemoryLakeCommits(world.broker), MemoryLakeView(world.store), SCRATCH,
            store, FingerprinterSettings(), LOG, clock=world.clock,
        ).run(Turns(10))  # fmt: skip
        result = {(verdict.table, verdict.partition): verdict.verdict.outcome for verdict in store.verdicts()}
        reasons = [
            verdict.verdict.reason for verdict in store.verdicts() if verdict.verdict.outcome is Outcome.MISMATCH
        ]
    finally:
        store.close()
    assert result.pop(("s.keyed", "year=2031")) is Outcome.MISMATCH
    assert set(result.values()) == {Outcome.MATCH}
    assert reasons == ["the lake has 1 row too few"]


def test_a_table_that_may_have_changed_unlogged_is_no_match_until_it_was_checked_or_begun_anew(tmp_path: Path) -> None:
    world, sample = World(tmp_path, 2), (1, 2030, "a")
    world.publish([("put", sample, sample)])
    world.publish([], suspects={KEYED.table: "rows of p were deleted"})
    world.write(10)

    def outcomes() -> set[tuple[str, Outcome]]:
        store = SqlStateStore(world.url)
        fingerprinter = Fingerprinter(
            MemoryEpochReader(world.broker), MemoryLakeCommits(world.broker), MemoryLakeView(world.store), SCRATCH,
            store, FingerprinterSettings(), LOG, clock=world.clock,
        )  # fmt: skip
        survived(lambda: fingerprinter.run(Turns(10)))
        with contextlib.closing(store):
            return {(verdict.table, verdict.verdict.outcome) for verdict in store.verdicts()}

    assert outcomes() == {(KEYED.table, Outcome.INCONCLUSIVE), (LOOSE.table, Outcome.MATCH)}
    world.publish([("reset", sample, sample), ("put", sample, sample)])
    world.write(10)
    assert outcomes() == {(KEYED.table, Outcome.MATCH), (LOOSE.table, Outcome.MATCH)}
