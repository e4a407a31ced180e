"""A commit in pieces puts the same rows into the lake as one that holds everything in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.changes import Changes, reset
from datafingerprint.epochs import SourcePosition
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import Stamp
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema
from services.lake_writer import runs
from services.lake_writer.change_buffer import ChangeBuffer
from services.lake_writer.fold import fold
from services.lake_writer.rewrite import CommitResult, MergePolicy, apply
from services.lake_writer.runs import SortedRuns
from services.lake_writer.streaming_commit import StreamingCommit
from tests.datafingerprint.drawn import KEYED, MULTISET, History, Row, arrow, change_rows, histories, multiset
from tests.flow.memory import MemoryLakeTable, Store

SCRATCH = TemporaryScratch("")
EPOCH = 2


def stamp(epoch: int) -> Stamp:
    return Stamp("stream", epoch, SourcePosition(f"0-1-{epoch}", "binlog.000001", epoch * 100))


def lake_of(table: TableSchema, rows: Sequence[Row], file_rows: int) -> tuple[Store, MemoryLakeTable]:
    """A lake table that holds rows, in files of a few."""
    store = Store()
    lake_table = MemoryLakeTable(store, table)
    names = sorted({item for part in rows for item in [partition_of(table, part)]})
    added: list[object] = []
    for name in names:
        members = [row for row in rows if partition_of(table, row) == name]
        for start in range(0, len(members), file_rows):
            added += lake_table.write({name: arrow(table, members[start : start + file_rows])}, stamp(1))
    lake_table.commit(added, [], stamp(1))
    return store, lake_table


def partition_of(table: TableSchema, row: Row) -> str:
    return partitioning(table).name(row)


def held_of(parts: Sequence[tuple[int, Changes]], rows_max: int, *, at_once: bool = True) -> ChangeBuffer:
    """The changes as the writer holds them; with so few in memory, on disk.

    Args:
        parts: Changes and their Kafka partition.
        rows_max: How many rows are held in memory.
        at_once: Whether all are announced at first, as one epoch, or each before it comes.
    """
    held = ChangeBuffer(rows_max, SCRATCH)
    if at_once:
        held.expect(sum(item.rows.num_rows for _, item in parts))
    for partition, item in parts:
        if not at_once:
            held.expect(item.rows.num_rows)
        held.add(EPOCH, partition, item)
    return held


def applied_in_pieces(
    table: TableSchema, lake_table: MemoryLakeTable, held: ChangeBuffer, policy: MergePolicy
) -> CommitResult:
    with closing(held):
        commit = StreamingCommit(table, lake_table, stamp(EPOCH), policy, SCRATCH)
        return commit.apply(held.folded(table, 0), held.parts)


@pytest.fixture(autouse=True)
def short_runs() -> Iterator[None]:
    """Runs of a few rows, read in slices of one or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_RUN_BYTES", 100)
        patch.setattr(runs, "_SLICE_BYTES", 40)
        yield


@given(
    histories(),
    st.none() | st.sampled_from(["Part=a", "Part=null", "Part="]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([1, 2, 5, 1000]),
    st.builds(MergePolicy, st.integers(1, 3), st.sampled_from([2, 4, 1000])),
    st.booleans(),
)
@settings(max_examples=50, deadline=None)
def test_pieces_come_to_the_same_as_the_whole(
    history: History,
    partition: str | None,
    partitions: int,
    file_rows: int,
    rows_max: int,
    policy: MergePolicy,
    at_once: bool,
) -> None:
    table = history.table
    size = 7 if at_once else 1
    parts = [
        part for number in range(0, 7, size) for part in routed(history.changes(number, number + size), partitions)
    ]
    if partition is not None:
        parts += routed(reset(table, 1, partition=partition), partitions)
    parts += routed(history.changes(7), partitions)
    whole_store, whole = lake_of(table, history.initial, file_rows)
    expected = apply(table, whole, fold(table, parts), stamp(EPOCH), policy)
    store, lake_table = lake_of(table, history.initial, file_rows)
    result = applied_in_pieces(table, lake_table, held_of(parts, rows_max, at_once=at_once), policy)
    assert multiset(store.rows(table).to_pylist()) == multiset(whole_store.rows(table).to_pylist())
    if partition is None:
        assert multiset(store.rows(table).to_pylist()) == multiset(history.final)
    assert (result.rows_added, result.rows_removed) == (expected.rows_added, expected.rows_removed)
    assert (result.rows_missing, result.is_unknown) == (expected.rows_missing, expected.is_unknown)
    assert not result.is_unknown or partition is not None


@pytest.mark.parametrize(("table", "number"), [(KEYED, 50_000), (MULTISET, 6_000)])
def test_a_transaction_of_fifty_thousand_rows_passes_a_limit_of_a_thousand(
    table: TableSchema, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_RUN_BYTES", 50_000)
    monkeypatch.setattr(runs, "_SLICE_BYTES", 2_000)
    rows: list[Row] = [{"id": item, "Part": "ab"[item % 2], "n": item} for item in range(number)]
    random.Random(1).shuffle(rows)
    store, lake_table = lake_of(table, [], 1)
    policy = MergePolicy(8, 20_000)

    def carry_out(events: list[Row]) -> None:
        held = held_of([(0, change_rows(table, events))], 1_000)
        assert held.parts >= 10
        applied_in_pieces(table, lake_table, held, policy)

    carry_out([{"op": "c", "tx": 0, "before": None, "after": row} for row in rows])
    assert multiset(store.rows(table).to_pylist()) == multiset(rows)
    changed = [{**row, "n": -1, "Part": "abc"[row["id"] % 3]} for row in rows]
    carry_out([{"op": "u", "tx": 0, "before": old, "after": new} for old, new in zip(rows, changed, strict=True)])
    assert multiset(store.rows(table).to_pylist()) == multiset(changed)
    carry_out([{"op": "d", "tx": 0, "before": row, "after": None} for row in changed[1_000:]])
    assert multiset(store.rows(table).to_pylist()) == multiset(changed[:1_000])


def test_a_large_transaction_behind_others_lies_in_parts_as_short_as_one_alone() -> None:
    rows_max = 1_000
    with closing(ChangeBuffer(rows_max, SCRATCH)) as held:
        for first, last in ((0, 1_010), (1_010, 2_000), (2_000, 50_000)):
            held.expect(last - first)
            created = [
                {"op": "c", "tx": 0, "before": None, "after": {"id": number, "Part": "a", "n": number}}
                for number in range(first, last)
            ]
            held.add(EPOCH, 0, change_rows(KEYED, created))
        folded = [net.added.column("id").to_pylist() for net in held.folded(KEYED, 0)]
    assert sorted(item for part in folded for item in part) == list(range(50_000))
    assert max(len(part) for part in folded) <= rows_max


def test_rows_that_are_parted_anew_stay_behind_the_truncation_that_they_followed() -> None:
    def row(number: int) -> Row:
        return {"id": number, "Part": "a", "n": number}

    with closing(ChangeBuffer(10, SCRATCH)) as held:
        held.expect(41)
        events = [{"op": "c", "tx": 0, "before": None, "after": row(number)} for number in range(20)]
        events.append({"op": "t", "tx": 1, "before": None, "after": None})
        events += [{"op": "c", "tx": 2, "before": None, "after": row(number)} for number in range(20)]
        held.add(EPOCH, 0, change_rows(KEYED, events))
        before = held.parts
        held.expect(1_000)
        assert held.parts > before
        nets = list(held.folded(KEYED, 0))
    assert all(net.reset for net in nets)
    assert sorted(item for net in nets for item in net.added.column("id").to_pylist()) == list(range(20))


@given(st.lists(st.lists(st.integers(-5, 5), max_size=6), max_size=6), st.integers(20, 400), st.integers(1, 100))
@settings(max_examples=30, deadline=None)
def test_runs_give_back_every_row_by_partition_and_key(
    given_rows: list[list[int]], run_bytes: int, slice_bytes: int
) -> None:
    whole: list[Row] = [
        {"id": number, "Part": [None, "a", "b"][number % 3], "n": None} for part in given_rows for number in part
    ]
    with pytest.MonkeyPatch.context() as patch, closing(SortedRuns(KEYED, SCRATCH)) as sorting:
        patch.setattr(runs, "_RUN_BYTES", run_bytes)
        patch.setattr(runs, "_SLICE_BYTES", slice_bytes)
        for part in given_rows:
            sorting.add(arrow(KEYED, [{"id": item, "Part": [None, "a", "b"][item % 3], "n": None} for item in part]))
        result = [(name, pa.concat_tables(list(pieces)).to_pylist()) for name, pieces in sorting.by_partition()]
    assert [name for name, _ in result] == sorted({partition_of(KEYED, row) for row in whole})
    for name, rows in result:
        expected = [row["id"] for row in whole if partition_of(KEYED, row) == name]
        assert [row["id"] for row in rows] == sorted(expected)


def test_copies_that_leave_are_taken_once_over_all_files() -> None:
    row: Row = {"id": 1, "Part": "a", "n": 1}
    store, lake_table = lake_of(MULTISET, [row] * 5, 2)
    gone = [{"op": "d", "tx": 0, "before": row, "after": None}] * 3
    result = applied_in_pieces(
        MULTISET, lake_table, held_of([(0, change_rows(MULTISET, gone))], 1), MergePolicy(8, 100)
    )
    assert store.rows(MULTISET).num_rows == 2
    assert (result.rows_removed, result.rows_missing) == (3, 0)


@pytest.mark.parametrize(
    ("table", "op", "before", "is_unknown"),
    [
        (KEYED, "u", {"id": 1, "Part": "a", "n": 1}, False),
        (KEYED, "u", {"id": 1, "Part": "a", "n": 2}, True),
        (KEYED, "d", {"id": 1, "Part": "a", "n": 2}, True),
        (KEYED, "d", {"id": 7, "Part": "a", "n": 1}, True),
        (MULTISET, "d", {"id": 1, "Part": "a", "n": 1}, False),
        (MULTISET, "d", {"id": 1, "Part": "a", "n": 2}, True),
    ],
)
def test_rows_that_leave_and_were_not_there_so_are_told_either_way(
    table: TableSchema, op: str, before: Row, is_unknown: bool
) -> None:
    rows: list[Row] = [{"id": number, "Part": "a", "n": number} for number in (1, 2, 3)]
    events = [{"op": op, "tx": 0, "before": before, "after": {**before, "n": 9} if op == "u" else None}]
    parts = [(0, change_rows(table, events))]
    _, whole = lake_of(table, rows, 2)
    assert apply(table, whole, fold(table, parts), stamp(EPOCH), MergePolicy(8, 100)).is_unknown == is_unknown
    _, lake_table = lake_of(table, rows, 2)
    result = applied_in_pieces(table, lake_table, held_of(parts, 1), MergePolicy(8, 100))
    assert result.is_unknown == is_unknown
