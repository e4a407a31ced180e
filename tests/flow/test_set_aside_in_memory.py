"""One table's trouble concerns it alone, through crashes: the others match at every commit, and it returns exact."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.changes import Changes, Op, changes, reset
from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epochs import SnapshotCursor, SourcePosition
from datafingerprint.ledger import StoredVerdict
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome
from services.fingerprinter.fingerprinter import Fingerprinter
from services.lake_writer.writer import LakeWriter
from tests.flow.memory import MemoryEpochLog, MemoryEpochReader, MemoryLake, MemoryLakeCommits, MemoryLakeView
from tests.flow.test_definitions_in_memory import STAYING, Changing, faults, plain, verbs
from tests.flow.test_in_memory import LOG, SCRATCH, Turns, is_lake_behind, survived, wrapping

CHANGING = "s.changing"


class Troubled(Changing):
    """A table that is made again before its rows are read, has holes in its topic, and trouble in the lake."""

    def __init__(self, directory: Path, partitions: int, spill_rows: int = 1000) -> None:
        super().__init__(directory, partitions, spill_rows)
        self.is_read = True
        self.lost: dict[tuple[int, str], str] = {}
        self.asked: list[str] = []

    def step(self, verb: str, number: int) -> None:
        if verb == "remake" and self.table:
            # As capture says it: the new definition in force, not read yet, and no `t`.
            self.rows, self.is_read = {}, False
            self._define(plain("changing", is_text=bool(number % 2)), is_reset=False)
            self._publish([])
        elif verb == "reread" and self.table:
            self._reread(self.table)
        elif verb == "lose" and self.table and self.is_read:
            self.lost[len(self.broker.epochs) + 1, CHANGING] = "messages are missing"
            super().step("put", number)
        elif verb == "trouble" and self.table:
            self.store.trouble[CHANGING] = "another engine changed its partition fields"
            super().step("put", number)
        elif verb == "delete files" and self.table:
            self.store.unlisted.add(CHANGING)
            super().step("put", number)
        elif self.is_read or verb in ("drop", "make"):
            # What happens to a table before it is read is in what is read.
            self.is_read = True
            super().step(verb, number)

    def _reread(self, table: TableSchema) -> None:
        self.is_read = True
        rows = pa.Table.from_pylist(list(self.rows.values()), schema=table.arrow)
        number = self.number or 0
        self._publish([reset(table, number), changes(table, number, Op.READ, 0, after=rows)])

    def _publish(self, parts: list[Changes]) -> None:
        number = len(self.broker.epochs) + 1
        versions = {STAYING.table: 1} | ({CHANGING: self.number} if self.table and self.number else {})
        row = changes(STAYING, 1, Op.CREATED, 0, after=pa.Table.from_pylist([{"id": number}], schema=STAYING.arrow))
        cursors = {name: SnapshotCursor(0, 0, complete=name != CHANGING or self.is_read) for name in versions}
        position = SourcePosition(f"0-1-{number}", "binlog", number)
        MemoryEpochLog(self.broker).publish(
            EpochDraft("stream", number, position, self.now, (), [row, *parts], cursors, versions, self.definitions)
        )

    def write(self, turns: int, fault: tuple[int, bool] | None = None, *, to_end: bool = False) -> None:
        wrap = wrapping(fault)
        writer = LakeWriter(
            wrap(MemoryEpochReader(self.broker, lost=self.lost)), MemoryLake(self.store, wrap),
            wrap(MemoryLakeCommits(self.broker)), LakeSettings(flush_s=2.5, spill_rows=self.spill_rows), LOG, SCRATCH,
            clock=self.clock, ask=self.asked.append,
        )  # fmt: skip
        survived(lambda: writer.run(Turns(turns, lambda: to_end and is_lake_behind(self.broker))))

    def fingerprint(self, turns: int, fault: tuple[int, bool] | None = None, *, to_end: bool = False) -> None:
        wrap = wrapping(fault)
        store = SqlStateStore(self.url)
        try:
            fingerprinter = Fingerprinter(
                wrap(MemoryEpochReader(self.broker, lost=self.lost)), wrap(MemoryLakeCommits(self.broker)),
                wrap(MemoryLakeView(self.store)), SCRATCH, wrap(store), FingerprinterSettings(), LOG,
                clock=self.clock, ask=self.asked.append,
            )  # fmt: skip
            stop = Turns(turns, lambda: to_end and store.progress().lake_epoch < len(self.broker.epochs))
            survived(lambda: fingerprinter.run(stop))
            verdicts = store.verdicts()
            assert {verdict.verdict.outcome for verdict in verdicts} <= {Outcome.MATCH, Outcome.INCONCLUSIVE}
            assert {verdict.verdict.outcome for verdict in verdicts if verdict.table == STAYING.table} <= {
                Outcome.MATCH
            }
        finally:
            store.close()

    def history_of_rows(self) -> Counter[tuple[Any, ...]]:
        return Counter(self._canonical(row) for row in self.rows.values())

    def verdicts(self) -> dict[str, StoredVerdict]:
        store = SqlStateStore(self.url)
        try:
            return {verdict.table: verdict for verdict in store.verdicts()}
        finally:
            store.close()


troubles = st.sampled_from(["remake", "remake", "reread", "reread", "lose", "trouble", "delete files", "drop", "make"])
steps = st.one_of(
    st.tuples(verbs, st.integers(0, 3)),
    st.tuples(troubles, st.integers(0, 3)),
    st.tuples(st.just("write"), faults),
    st.tuples(st.just("fingerprint"), faults),
)


@settings(max_examples=60, deadline=None)
@example([("put", 1)] * 20, 3, 1000)  # more epochs than the services read in a few turns
@given(st.lists(steps, min_size=6, max_size=20), st.sampled_from([1, 3]), st.sampled_from([2, 1000]))
def test_whatever_is_wrong_with_one_table_the_other_matches_and_a_reset_makes_all_exact(
    story: list[tuple[str, Any]], partitions: int, spill_rows: int
) -> None:
    with TemporaryDirectory() as directory:
        world = Troubled(Path(directory), partitions, spill_rows)
        world.step("make", 1)
        for step, detail in story:
            if step == "write":
                world.write(6, detail)
            elif step == "fingerprint":
                world.fingerprint(4, detail)
            else:
                world.step(step, detail)
        world.step("reread", 0)
        world.step("put", 1)
        world.finish()
        verdicts = world.verdicts()
        assert verdicts[STAYING.table].epoch == len(world.broker.epochs)
        if world.table is not None:
            assert verdicts[CHANGING].verdict.outcome is Outcome.MATCH
            assert world.lake_rows() == world.history_of_rows()


@pytest.fixture
def world(tmp_path: Path) -> Troubled:
    made = Troubled(tmp_path, 2)
    for step, number in (("make", 0), ("put", 1), ("put", 2)):
        made.step(step, number)
    made.write(20)
    made.fingerprint(20)
    return made


def test_a_table_made_anew_keeps_its_old_rows_until_its_new_ones_are_read(world: Troubled) -> None:
    world.step("remake", 1)
    world.write(20)
    world.fingerprint(20)
    told = world.verdicts()[CHANGING].verdict
    assert (told.outcome, "the lake table differs" in told.reason) == (Outcome.INCONCLUSIVE, True)
    assert sum(file.rows for file in world.store.snapshots[CHANGING][-1].files) == 2
    assert world.verdicts()[STAYING.table].epoch == 4
    world.write(20)
    assert world.asked == []
    world.rows = {7: {"id": 7, "v": "seven"}}
    world.step("reread", 0)
    world.write(20)
    world.fingerprint(20)
    assert world.verdicts()[CHANGING].verdict.outcome is Outcome.MATCH
    assert world.lake_rows() == world.history_of_rows()


def test_a_table_made_anew_without_rows_is_carried_on_once_it_was_read(world: Troubled) -> None:
    """Nothing goes and nothing comes, and yet the lake table has to become another one."""
    world.step("truncate", 0)
    world.write(20)
    world.step("remake", 1)
    world.step("reread", 0)
    world.write(20)
    world.step("put", 1)
    world.finish()
    assert world.verdicts()[CHANGING].verdict.outcome is Outcome.MATCH
    assert world.lake_rows() == world.history_of_rows()


def test_delete_files_are_gone_with_a_reread_that_finds_no_row(world: Troubled) -> None:
    world.step("delete files", 3)
    world.write(20)
    assert CHANGING in world.store.unlisted
    world.rows = {}
    world.step("reread", 0)
    world.write(20)
    assert not world.store.unlisted
    world.step("put", 1)
    world.finish()
    assert world.verdicts()[CHANGING].verdict.outcome is Outcome.MATCH
    assert world.lake_rows() == world.history_of_rows()


def test_a_hole_is_told_by_both_sides_and_a_reread_is_asked_for(world: Troubled) -> None:
    world.step("lose", 3)
    world.step("put", 4)
    world.fingerprint(20)
    world.write(40)
    assert set(world.asked) == {CHANGING}
    world.fingerprint(40)
    told = world.verdicts()[CHANGING].verdict
    assert told.outcome is Outcome.INCONCLUSIVE
    assert told.reason == (
        "changes of the table are missing in Kafka, and it is to be read again: messages are missing"
    )
    world.step("reread", 0)
    world.write(20)
    world.fingerprint(20)
    assert world.verdicts()[CHANGING].verdict.outcome is Outcome.MATCH
    assert world.lake_rows() == world.history_of_rows()


def test_a_hole_that_only_the_fingerprinter_meets_is_asked_for_by_it_in_time(world: Troubled) -> None:
    world.step("lose", 3)
    world.fingerprint(60)
    assert set(world.asked) == {CHANGING}


def test_delete_files_set_a_table_aside_until_they_are_gone_and_then_it_is_asked_for(world: Troubled) -> None:
    world.step("delete files", 3)
    for _ in range(2):
        world.write(60)
        world.fingerprint(20)
        told = world.verdicts()[CHANGING].verdict
        assert (told.outcome, "has delete files" in told.reason) == (Outcome.INCONCLUSIVE, True)
        assert world.asked == []
    world.store.unlisted.clear()
    world.step("put", 4)
    world.write(60)
    assert CHANGING in world.asked
    world.step("reread", 0)
    world.write(20)
    world.fingerprint(20)
    assert world.verdicts()[CHANGING].verdict.outcome is Outcome.MATCH


def test_a_commit_that_fails_for_a_reason_of_its_own_sets_its_table_aside_alone(world: Troubled) -> None:
    class Breaking(MemoryLake):
        def table(self, table: TableSchema) -> Any:  # noqa: ANN401 - as the fake
            made = super().table(table)
            if table.table == CHANGING:
                made.commit = self.refuse
            return made

        def refuse(self, *_: object) -> int:
            raise KeyError("a column that no library knows")

    world.step("put", 3)
    writer = LakeWriter(
        MemoryEpochReader(world.broker), Breaking(world.store), MemoryLakeCommits(world.broker),
        LakeSettings(flush_s=2.5), LOG, SCRATCH, clock=world.clock, ask=world.asked.append,
    )  # fmt: skip
    writer.run(Turns(20))
    world.fingerprint(20)
    told = world.verdicts()
    assert told[STAYING.table].verdict.outcome is Outcome.MATCH
    assert told[STAYING.table].epoch == 4
    assert (told[CHANGING].verdict.outcome, told[CHANGING].verdict.reason) == (
        Outcome.INCONCLUSIVE,
        "the lake writer cannot write the table (KeyError: 'a column that no library knows')",
    )
