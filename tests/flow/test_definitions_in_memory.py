"""Tables are made, dropped, truncated, altered and replaced through crashes: both sides agree at every commit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.changes import Changes, Op, changes, reset
from datafingerprint.column_types import column
from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epochs import SnapshotCursor, SourcePosition
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
from tests.flow.test_in_memory import LOG, SCRATCH, Turns, is_lake_behind, survived, wrapping

Row = dict[str, Any]

ID = column("id", "int(11)", nullable=False, charset=None)
STAYING = TableSchema("s", "staying", (ID,), ("id",))


def plain(name: str, *, is_text: bool) -> TableSchema:
    """A table whose column `v` is a number or a text, and whose key goes with that."""
    value = column("v", "varchar(9)" if is_text else "bigint(20)", nullable=True, charset="utf8mb4")
    return TableSchema("s", name, (ID, value), ("id",) if is_text else ())


class Changing:
    """A table that stays, and one that has had several definitions; each step is an epoch."""

    def __init__(self, directory: Path, partitions: int, spill_rows: int = 1000) -> None:
        self.spill_rows = spill_rows
        self.url = f"sqlite:///{directory}/state.db"
        self.broker, self.store = Broker(partitions), Store()
        self.definitions: dict[int, TableSchema] = {1: STAYING}
        self.number: int | None = None
        self.rows: dict[int, Row] = {}
        self.history: list[Counter[tuple[Any, ...]] | None] = []
        self.now = 1000.0

    @property
    def table(self) -> TableSchema | None:
        return None if self.number is None else self.definitions[self.number]

    def step(self, verb: str, number: int) -> None:
        """One epoch; steps that make no sense are epochs without changes."""
        parts: list[Changes] = []
        if verb == "make" or (verb == "replace" and self.table):
            self.rows = {}
            parts = [self._define(plain("changing", is_text=bool(number % 2)), is_reset=True)]
        elif self.table is None:
            pass
        elif verb == "drop":
            self.number, self.rows = None, {}
        elif verb == "truncate":
            self.rows = {}
            parts = [reset(self.table, self.number or 0)]
        elif verb == "widen":
            added = column(f"c{len(self.table.columns)}", "int(11)", nullable=True, charset=None)
            columns = [*self.table.columns]
            columns.insert(number % (len(columns) + 1), added)
            self._define(replace(self.table, columns=tuple(columns)), is_reset=False)
            self.rows = {at: {**dict.fromkeys([added.name]), **row} for at, row in self.rows.items()}
        elif verb == "put":
            parts = [self._put(number)]
        elif verb == "take" and number in self.rows:
            parts = [self._change(self.rows.pop(number), None)]
        self._publish(parts)

    def _define(self, table: TableSchema, *, is_reset: bool) -> Changes:
        self.number = max(self.definitions) + 1
        self.definitions[self.number] = table
        return reset(table, self.number) if is_reset else changes(table, self.number, Op.READ, 0, count=0)

    def _put(self, number: int) -> Changes:
        assert self.table is not None
        row: Row = {item.name: self.now for item in self.table.columns}
        row = {name: int(value) for name, value in row.items()}
        row |= {"id": number}
        if self.table.column("v").type == "varchar(9)":
            row["v"] = f"text {number}"
        before = self.rows.get(number)
        self.rows[number] = row
        return self._change(before, row)

    def _change(self, before: Row | None, after: Row | None) -> Changes:
        assert self.table is not None
        op = Op.UPDATED if before and after else Op.DELETED if before else Op.CREATED
        sides = [pa.Table.from_pylist([row], schema=self.table.arrow) if row else None for row in (before, after)]
        return changes(self.table, self.number or 0, op, 0, before=sides[0], after=sides[1])

    def _publish(self, parts: list[Changes]) -> None:
        number = len(self.broker.epochs) + 1
        versions = {STAYING.table: 1} | ({self.table.table: self.number} if self.table and self.number else {})
        row = changes(STAYING, 1, Op.CREATED, 0, after=pa.Table.from_pylist([{"id": number}], schema=STAYING.arrow))
        draft = EpochDraft(
            "stream", number, SourcePosition(f"0-1-{number}", "binlog", number), self.now, (), [row, *parts],
            {name: SnapshotCursor(0, 0, complete=True) for name in versions}, versions, self.definitions,
        )  # fmt: skip
        MemoryEpochLog(self.broker).publish(draft)
        self.history.append(None if self.table is None else Counter(self._canonical(row) for row in self.rows.values()))

    @staticmethod
    def _canonical(row: Row) -> tuple[Any, ...]:
        return tuple(sorted((name, value) for name, value in row.items() if value is not None))

    def finish(self) -> None:
        """Lives of both services without a fault, long enough to come to the last epoch and to go on for a while."""
        self.write(20, to_end=True)
        self.fingerprint(20, to_end=True)

    def write(self, turns: int, fault: tuple[int, bool] | None = None, *, to_end: bool = False) -> None:
        wrap = wrapping(fault)
        writer = LakeWriter(
            wrap(MemoryEpochReader(self.broker)), MemoryLake(self.store, wrap), wrap(MemoryLakeCommits(self.broker)),
            LakeSettings(flush_s=2.5, spill_rows=self.spill_rows), LOG, SCRATCH, clock=self.clock,
        )  # fmt: skip
        survived(lambda: writer.run(Turns(turns, lambda: to_end and is_lake_behind(self.broker))))

    def fingerprint(self, turns: int, fault: tuple[int, bool] | None = None, *, to_end: bool = False) -> None:
        wrap = wrapping(fault)
        store = SqlStateStore(self.url)
        try:
            fingerprinter = Fingerprinter(
                wrap(MemoryEpochReader(self.broker)), wrap(MemoryLakeCommits(self.broker)),
                wrap(MemoryLakeView(self.store)), SCRATCH, wrap(store), FingerprinterSettings(), LOG,
                clock=self.clock,
            )  # fmt: skip
            stop = Turns(turns, lambda: to_end and store.progress().lake_epoch < len(self.broker.epochs))
            survived(lambda: fingerprinter.run(stop))
            self.require_exact(store)
        finally:
            store.close()

    def require_exact(self, store: SqlStateStore) -> None:
        """At every epoch of the lake, the tables that it has match, and the others have no verdict."""
        epoch = store.progress().lake_epoch
        verdicts = {verdict.table: verdict.verdict for verdict in store.verdicts()}
        assert {verdict.outcome for verdict in verdicts.values()} <= {Outcome.MATCH}
        if epoch:
            there = self.history[epoch - 1]
            sums = [item.source.rows for name, item in verdicts.items() if name != STAYING.table and item.source]
            assert sums == ([there.total()] if there else [])

    def clock(self) -> float:
        self.now += 1.0
        return self.now

    def lake_rows(self) -> Counter[tuple[Any, ...]]:
        assert self.table is not None
        return Counter(self._canonical(row) for row in self.store.rows(self.table).to_pylist())


verbs = st.sampled_from(["put", "put", "put", "put", "take", "make", "drop", "truncate", "widen", "widen", "replace"])
faults = st.none() | st.tuples(st.integers(1, 40), st.booleans())
steps = st.one_of(
    st.tuples(verbs, st.integers(0, 3)),
    st.tuples(verbs, st.integers(0, 3)),
    st.tuples(verbs, st.integers(0, 3)),
    st.tuples(st.just("write"), faults),
    st.tuples(st.just("fingerprint"), faults),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(steps, min_size=6, max_size=20), st.sampled_from([1, 3]), st.sampled_from([2, 1000]))
def test_whatever_becomes_of_a_table_its_verdict_is_exact(
    story: list[tuple[str, Any]], partitions: int, spill_rows: int
) -> None:
    """Also where the lake writer lays most changes aside on disk."""
    with TemporaryDirectory() as directory:
        world = Changing(Path(directory), partitions, spill_rows)
        world.step("make", 1)
        for step, detail in story:
            if step == "write":
                world.write(6, detail)
            elif step == "fingerprint":
                world.fingerprint(4, detail)
            else:
                world.step(step, detail)
        world.finish()
        if world.table is not None:
            assert world.lake_rows() == Counter(world.history[-1])


def test_a_table_that_left_is_marked_keeps_its_rows_and_is_forgotten_by_the_verdicts(tmp_path: Path) -> None:
    world = Changing(tmp_path, 1)
    for step in ("make", "put", "widen", "put"):
        world.step(step, 1)
    world.write(10)
    world.fingerprint(10)
    world.step("put", 2)
    world.step("drop", 0)
    world.write(10)
    world.fingerprint(10)
    assert world.store.left["s.changing"].gtid == "0-1-6"
    assert sum(file.rows for file in world.store.snapshots["s.changing"][-1].files) == 2
    store = SqlStateStore(world.url)
    try:
        assert set(store.definitions()) == {STAYING.table}
        assert set(store.lake_tables()) == {STAYING.table}
        assert store.files("s.changing") == {}
        assert store.source_sums("s.changing", 6)["-"].rows == 0
        assert store.source_sums("s.changing", 5)["-"].rows == 2
    finally:
        store.close()
