"""The net effect of changes, applied to the lake's rows, gives the source's rows."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.changes import Changes, conform_to, reset
from datafingerprint.errors import WireError
from datafingerprint.fingerprint import ZERO
from datafingerprint.ledger import SumKey, apply_changes
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import DataFile
from datafingerprint.routing import routed
from datafingerprint.schema import Column, Kind, TableSchema
from services.lake_writer.fold import NetChange, fold, without
from services.lake_writer.rewrite import candidates
from tests.datafingerprint.drawn import (
    KEYED,
    MULTISET,
    History,
    Row,
    arrow,
    change_rows,
    histories,
    multiset,
    slow_sums,
)


def lake_after(table: TableSchema, files: list[list[Row]], net: NetChange) -> Counter[tuple[Any, ...]]:
    """The rows of the lake once a net change is carried out, file after file."""
    left = net.removed_ids
    kept: list[Row] = []
    names = partitioning(table)
    for whole in files if not net.reset else []:
        # Files hold rows of one partition; here they are as if they had been split.
        file = [row for row in whole if names.name(row) not in net.reset_partitions]
        rest, still = without(table, arrow(table, file), left)
        kept += rest.to_pylist()
        left = left if table.key else still
    return multiset(kept + net.added.to_pylist())


def cut(rows: list[Row], size: int) -> list[list[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@given(histories(), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_old_rows_and_net_change_make_the_new_rows(history: History, partitions: int, file_rows: int) -> None:
    net = fold(history.table, [*routed(history.changes(), partitions), (0, history.changes(0, 0))])
    assert lake_after(history.table, cut(history.initial, file_rows), net) == multiset(history.final)


@given(
    histories(), st.sampled_from(["Part=a", "Part=null", "Part="]), histories(), st.integers(1, 4), st.integers(0, 14)
)
@settings(max_examples=200, deadline=None)
def test_a_partition_that_starts_from_nothing_is_what_is_read_after_it(
    history: History, partition: str, other: History, partitions: int, at: int
) -> None:
    """Rows of the partition are replaced by others; rows elsewhere are as the history left them."""
    table, names = history.table, partitioning(history.table)
    elsewhere = [row for row in history.final if names.name(row) != partition]
    taken = {row["id"] for row in elsewhere}
    read = [row for row in other.initial if names.name(row) == partition and (not table.key or row["id"] not in taken)]
    if table.key:
        read = list({row["id"]: row for row in read}.values())
    again = change_rows(table, [{"op": "r", "tx": 0, "before": None, "after": row} for row in read])
    parts = [
        *routed(history.changes(0, at), partitions),
        *routed(history.changes(at), partitions),
        *routed(reset(table, 1, partition=partition), partitions),
        *routed(again, partitions),
    ]
    if partitions == 1:
        assert sum(item.partition is not None for _, item in parts) == 1
    net = fold(table, parts)
    assert lake_after(table, [history.initial], net) == multiset(elsewhere + read)
    sums = {SumKey(table.table, name, 0): part for name, part in slow_sums(table, history.initial).items()}
    for kafka_partition, first in parts:
        sums |= apply_changes(sums, 0 if partitions == 1 else kafka_partition, first)
    if partitions == 1:
        result = {key.partition: part for key, part in sums.items() if part != ZERO}
        assert result == slow_sums(table, elsewhere + read)


@given(histories(resets=False), st.integers(0, 14))
@settings(max_examples=75, deadline=None)
def test_folding_in_two_steps_is_folding_at_once(history: History, at: int) -> None:
    first = fold(history.table, [(0, history.changes(0, at))])
    second = fold(history.table, [(0, history.changes(at))])
    middle = list(lake_after(history.table, [history.initial], first).elements())
    names = [column.name for column in history.table.columns]
    rows = [dict(zip(names, values, strict=True)) for values in middle]
    assert lake_after(history.table, [rows], second) == multiset(history.final)
    together = fold(history.table, [(0, history.changes(0, at)), (0, history.changes(at))])
    assert lake_after(history.table, [history.initial], together) == multiset(history.final)


NEW = Column("later", "int(11)", Kind.INTEGER, width_bytes=4)


@given(histories(), st.integers(0, 14), st.integers(1, 3), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_a_column_that_came_in_between_is_null_in_what_was_before_it(
    history: History, at: int, partitions: int, place: int
) -> None:
    """The rest of the history goes on in the new definition, and means the same rows."""
    columns = (*history.table.columns[:place], NEW, *history.table.columns[place:])
    table = replace(history.table, columns=columns)
    changed = history.changes()
    rest = conform_to(Changes(history.table, 1, changed.rows.slice(at)), table)
    parts = [*routed(Changes(history.table, 1, changed.rows.slice(0, at)), partitions), *routed(rest, partitions)]
    wide: list[Row] = [{**row, "later": None} for row in history.final]
    initial: list[Row] = [{**row, "later": None} for row in history.initial]
    names = [column.name for column in columns]
    expected = Counter(tuple(row[name] for name in names) for row in wide)
    assert lake_after(table, [initial], fold(table, parts)) == expected


def test_a_column_that_became_another_is_refused_unless_the_table_started_from_nothing_since() -> None:
    text = Column("n", "text", Kind.TEXT, charset="utf8mb4")
    table = replace(KEYED, columns=tuple(text if column.name == "n" else column for column in KEYED.columns))
    old = (0, change_rows(KEYED, [CREATED]))
    with pytest.raises(WireError, match=r"column n of s\.keyed has changed"):
        fold(table, [old])
    assert fold(table, [old, (0, reset(table, 2))]).reset
    assert fold(table, [old, (0, reset(table, 2))]).added.num_rows == 0


ROW: Row = {"id": 1, "Part": "a", "n": 1}
CREATED: Row = {"op": "c", "tx": 0, "before": None, "after": ROW}
DELETED: Row = {"op": "d", "tx": 0, "before": ROW, "after": None}
RESET: Row = {"op": "t", "tx": 0, "before": None, "after": None}


@pytest.mark.parametrize("table", [KEYED, MULTISET])
def test_what_comes_and_goes_leaves_nothing(table: TableSchema) -> None:
    net = fold(table, [(0, change_rows(table, [CREATED, DELETED]))])
    assert net.is_empty
    assert net.removed_ids.num_rows == 0


def test_a_keys_last_image_alone_enters() -> None:
    updates = [{"op": "u", "tx": tx, "before": {**ROW, "n": tx}, "after": {**ROW, "n": tx + 1}} for tx in range(3)]
    net = fold(KEYED, [(0, change_rows(KEYED, updates))])
    assert net.added.to_pylist() == [{**ROW, "n": 3}]
    assert net.removed.to_pylist() == [{**ROW, "n": 0}]


def test_a_multiset_counts_copies() -> None:
    net = fold(MULTISET, [(0, change_rows(MULTISET, [CREATED, CREATED, DELETED, CREATED]))])
    assert net.added.to_pylist() == [ROW, ROW]
    assert net.removed.num_rows == 0
    gone = fold(MULTISET, [(0, change_rows(MULTISET, [DELETED, DELETED]))])
    assert gone.removed_ids.column("copies").to_pylist() == [2]
    rest, left = without(MULTISET, arrow(MULTISET, [ROW] * 3), gone.removed_ids)
    assert rest.num_rows == 1
    assert left.num_rows == 0
    rest, left = without(MULTISET, arrow(MULTISET, [ROW]), gone.removed_ids)
    assert rest.num_rows == 0
    assert left.column("copies").to_pylist() == [1]


def test_nothing_removed_survives_a_reset() -> None:
    net = fold(KEYED, [(0, change_rows(KEYED, [DELETED, RESET, CREATED]))])
    assert net.reset
    assert net.added.to_pylist() == [ROW]
    assert net.removed.num_rows == 0


def test_a_row_without_copies_in_the_file_stays_to_be_found_elsewhere() -> None:
    net = fold(MULTISET, [(0, change_rows(MULTISET, [DELETED]))])
    rows = arrow(MULTISET, [{**ROW, "Part": None}])
    rest, left = without(MULTISET, rows, net.removed_ids)
    assert rest is rows
    assert left is net.removed_ids


WIDE = TableSchema(
    "s",
    "wide",
    (
        Column("d", "date", Kind.DATE),
        Column("i", "bigint(20)", Kind.INTEGER, width_bytes=8),
        Column("u", "bigint(20) unsigned", Kind.INTEGER, width_bytes=8, unsigned=True),
        Column("p", "varchar(3)", Kind.TEXT),
    ),
    (),
    ("p", "year(d)"),
)
WIDE_ROWS = st.fixed_dictionaries(
    {
        "d": st.none() | st.dates(dt.date(2030, 12, 28), dt.date(2031, 1, 3)),
        "i": st.none() | st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1]),
        "u": st.none() | st.sampled_from([0, 2**64 - 1]),
        "p": st.sampled_from([None, "a", "A"]),
    }
)
EPOCH_DAY = dt.date(1970, 1, 1)


def files_of(table: TableSchema, rows: list[Row], size: int) -> list[tuple[DataFile, list[Row]]]:
    """The rows in files of one partition each, with the bounds that a Parquet file would have."""
    by_partition: dict[str, list[Row]] = {}
    for row in rows:
        by_partition.setdefault(partitioning(table).name(row), []).append(row)
    result = []
    for partition, members in by_partition.items():
        for number, part in enumerate(cut(members, size)):
            bounds = {name: bound for name in ("d", "i") if (bound := bounds_of([row[name] for row in part]))}
            result.append((DataFile(f"{partition}/{number}", partition, len(part), 1, bounds), part))
    return result


def bounds_of(values: list[Any]) -> tuple[int, int] | None:
    known = [(value - EPOCH_DAY).days if isinstance(value, dt.date) else value for value in values if value is not None]
    return (min(known), max(known)) if known else None


@given(st.lists(WIDE_ROWS, max_size=12), st.data(), st.integers(1, 3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_file_that_holds_a_removed_row_is_passed_over(
    rows: list[Row], data: st.DataObject, size: int, keyed: bool
) -> None:
    table = TableSchema("s", "wide", WIDE.columns, ("d", "i") if keyed else (), WIDE.partition)
    removed = data.draw(st.lists(st.sampled_from(rows), max_size=4)) if rows else []
    files = files_of(table, rows, size)
    chosen = {file.path for file in candidates(table, arrow(table, removed), [file for file, _ in files])}
    for file, held in files:
        if any(row in held for row in removed):
            assert file.path in chosen


def test_files_of_other_partitions_or_outside_the_bounds_are_passed_over() -> None:
    rows: list[Row] = [
        {"d": dt.date(2031, 1, 1), "i": 5, "u": None, "p": "a"},
        {"d": dt.date(2031, 1, 1), "i": 6, "u": None, "p": "a"},
        {"d": dt.date(2031, 1, 1), "i": 5, "u": None, "p": "A"},
    ]
    files = [file for file, _ in files_of(WIDE, rows, 1)]
    chosen = candidates(WIDE, pa.Table.from_pylist(rows[:1], schema=WIDE.arrow), files)
    assert [file.path for file in chosen] == ["p=a/d_year=2031/0"]
