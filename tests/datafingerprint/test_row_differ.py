"""Differing rows are named with their kind and values, from rows of both sides that are found by key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pytest

from datafingerprint.differences import DifferenceKind, DiffState, PartitionDiff, RowDifference, SideRows, Wanted
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, LakeError, Unavailable
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import StoredVerdict
from datafingerprint.partitions import partitioning
from datafingerprint.ports.sketches import SketchedPartition
from datafingerprint.row_differ import OVERFLOW, RowDiffer, overall
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.sketching import count_rows
from datafingerprint.verdict import Outcome, Verdict
from tests.datafingerprint.drawn import arrow

Row = dict[str, Any]

COLUMNS = (
    Column("id", "int(11)", Kind.INTEGER, width_bytes=4, nullable=False),
    Column("name", "varchar(40)", Kind.TEXT, nullable=False),
    Column("runs", "int(11)", Kind.INTEGER, width_bytes=4),
)
NUMBERED = TableSchema("s", "numbered", COLUMNS, ("id",))
NAMED = TableSchema("s", "named", COLUMNS, ("name",))
BOTH = TableSchema("s", "both", COLUMNS, ("id", "name"))
KEYLESS = TableSchema("s", "keyless", COLUMNS)
TABLES = [NUMBERED, NAMED, BOTH, KEYLESS]
POSITION = SourcePosition("0-1-9", "binlog.1", 9)


def row(number: int, runs: int = 0) -> Row:
    return {"id": number, "name": f"n{number}" + "x" * 20 * (number % 2), "runs": runs}


@dataclass
class Sides:
    """A source and a lake with one partition, both as they were at the epoch, and as they are now."""

    table: TableSchema
    at_epoch: list[Row]
    lake: list[Row]
    source: list[Row] | None = None
    outcome: Outcome = Outcome.MISMATCH
    cells: int = 40
    unavailable: str = ""
    lake_failure: Exception | None = None
    source_failure: Exception | None = None
    asked: list[tuple[str, frozenset[int]]] = field(default_factory=list)

    @contextmanager
    def reading(self) -> Iterator[Sides]:
        yield self

    def definitions(self) -> dict[str, tuple[int, TableSchema]]:
        return {self.table.table: (1, self.table)}

    def verdicts(self, table: str | None = None) -> Sequence[StoredVerdict]:
        verdict = Verdict(self.outcome, "snapshot at 40 %" * (self.outcome is Outcome.INCONCLUSIVE), None, None)
        return [StoredVerdict(self.table.table, "-", 7, verdict, 1.0)] if table in (None, self.table.table) else []

    def sketched_partition(self, table: str, partition: str) -> SketchedPartition:
        assert table == self.table.table
        form = SketchForm.of(self.table, self.cells)
        counted = [
            count_rows(arrow(self.table, rows), self.table.columns, partitioning(self.table), form)
            for rows in (self.at_epoch, self.lake)
        ]
        nothing = Fingerprint(0, 0, 0)
        source_sum, lake_sum = (side.sums.get(partition, nothing) for side in counted)
        empty = next(iter(counted[0].sketches()))[1] * 0
        source, lake = (dict(item.sketches()).get(partition, empty) for item in counted)
        result = SketchedPartition(self.table, 7, 11, source_sum, lake_sum, form.text, source - lake, "")
        return replace(result, difference=None, unavailable=self.unavailable) if self.unavailable else result

    def find_in_lake(self, wanted: Wanted, snapshot_id: int) -> SideRows:
        assert snapshot_id == 11
        self.asked.append(("lake", wanted.keys))
        if self.lake_failure:
            raise self.lake_failure
        return SideRows(wanted.matching(arrow(self.table, self.lake), "s3://lake/file"))

    def find_in_source(self, wanted: Wanted) -> SideRows:
        self.asked.append(("source", wanted.keys))
        if self.source_failure:
            raise self.source_failure
        now = self.at_epoch if self.source is None else self.source
        return SideRows(wanted.matching(arrow(self.table, now)), POSITION)

    def diff(self, limit: int = 100, redact: tuple[str, ...] = ()) -> PartitionDiff:
        differ = RowDiffer(self.reading, self.find_in_lake, self.find_in_source, lambda _: redact)
        (result,) = differ.diff(self.table.table, "-", limit)
        return result

    def rows(self) -> list[RowDifference]:
        difference = self.diff()
        assert (difference.state, difference.reason, difference.count) == (DiffState.DIFFERS, "", len(difference.rows))
        return sorted(difference.rows, key=lambda item: ((item.source or item.lake or {}).get("id", 0), item.kind))


ROWS = [row(number) for number in range(20)]


@pytest.mark.parametrize("table", [NUMBERED, NAMED, BOTH], ids=lambda table: table.name)
def test_a_changed_a_missing_an_extra_and_a_doubled_row_are_told_apart(table: TableSchema) -> None:
    lake = [*ROWS[:3], row(3, 99), *ROWS[5:], row(70), ROWS[9]]
    changed, missing, doubled, extra = Sides(table, ROWS, lake).rows()
    assert (changed.kind, changed.columns, changed.copies) == (DifferenceKind.CHANGED, ("runs",), 0)
    assert (changed.source, changed.lake, changed.files) == (row(3), row(3, 99), ("s3://lake/file",))
    assert (missing.kind, missing.source, missing.lake, missing.copies) == ("missing_in_lake", row(4), None, -1)
    assert (doubled.kind, doubled.source, doubled.lake, doubled.copies) == ("duplicated", None, row(9), 1)
    assert (extra.kind, extra.source, extra.lake, extra.copies) == ("extra_in_lake", None, row(70), 1)
    for item in (changed, missing, doubled, extra):
        assert item.key == {name: (item.source or item.lake or {})[name] for name in table.key}
        assert item.note == ""


def test_a_changed_row_of_a_table_without_a_key_is_one_missing_and_one_extra() -> None:
    rows = Sides(KEYLESS, [*ROWS, ROWS[4]], [*ROWS[:3], row(3, 99), *ROWS[4:], ROWS[9]]).rows()
    assert [(item.kind.value, item.key, item.copies, item.source or item.lake) for item in rows] == [
        ("extra_in_lake", None, 1, row(3, 99)),
        ("missing_in_lake", None, -1, row(3)),
        ("missing_in_lake", None, -1, row(4)),
        ("duplicated", None, 1, row(9)),
    ]


def test_without_a_key_the_rows_that_are_most_alike_are_told_as_such() -> None:
    lake = [row(3) | {"runs": 99}, *ROWS[4:], {"id": 500, "name": "quite another", "runs": 5}]
    rows = Sides(KEYLESS, [ROWS[3], *ROWS[4:], row(600)], lake).rows()
    assert [(item.kind.value, item.columns, bool(item.note)) for item in rows] == [
        ("extra_in_lake", ("runs",), True),
        ("missing_in_lake", ("runs",), True),
        ("extra_in_lake", (), False),
        ("missing_in_lake", (), False),
    ]


def test_another_version_of_a_row_beside_the_right_one_is_a_duplicate_of_its_key() -> None:
    (result,) = Sides(NUMBERED, ROWS, [*ROWS, row(3, 99)]).rows()
    assert (result.kind, result.lake) == (DifferenceKind.DUPLICATED, row(3, 99))


def test_only_rows_that_differ_are_asked_for_and_the_source_only_for_those_it_has() -> None:
    sides = Sides(NUMBERED, ROWS, [*ROWS[1:], row(70)])
    sides.diff()
    assert sides.asked == [("lake", frozenset({0, 70})), ("source", frozenset({0}))]


def test_a_row_that_has_changed_since_is_told_so() -> None:
    changed = Sides(NUMBERED, ROWS, ROWS[1:], source=[row(0, 5), *ROWS[1:]]).rows()
    assert [(name.source, name.note) for name in changed] == [(None, "the source's row has changed since this epoch")]
    gone = Sides(NUMBERED, ROWS, ROWS[1:], source=ROWS[1:]).rows()
    assert [item.note for item in gone] == ["the source's row is no longer there, or has changed since this epoch"]


def test_keys_are_named_while_a_side_is_away() -> None:
    failures = {"lake_failure": LakeError("the file is gone"), "source_failure": Unavailable("nobody answers")}
    changed, extra = Sides(NUMBERED, ROWS, [row(0, 9), *ROWS[1:], row(70)], **failures).diff().rows  # type: ignore[arg-type]
    assert (changed.kind, changed.key, changed.source, changed.lake) == ("changed", {"id": 0}, None, None)
    assert "the lake's row was not read: the file is gone" in changed.note
    assert "the source's row was not read: nobody answers" in changed.note
    assert (extra.kind, extra.key) == ("extra_in_lake", {"id": 70})


def test_redacted_columns_are_named_but_not_shown_in_any_output() -> None:
    difference = Sides(NUMBERED, ROWS, [row(0, 9), *ROWS[1:]]).diff(redact=("runs", "id"))
    (changed,) = difference.rows
    assert changed.columns == ("runs",)
    text = json.dumps(difference.to_json())
    assert text.count("(redacted)") == 6
    assert '"runs": 9' not in text


def test_no_more_rows_are_named_than_asked_for_but_all_are_counted() -> None:
    sides = Sides(NUMBERED, ROWS, ROWS[5:])
    difference = sides.diff(limit=2)
    assert (len(difference.rows), difference.count) == (2, 5)
    assert sides.asked == [("lake", frozenset({0, 1})), ("source", frozenset({0, 1}))]


def test_a_partition_that_agrees_differs_in_nothing_and_nobody_is_asked() -> None:
    sides = Sides(NUMBERED, ROWS, ROWS, outcome=Outcome.MATCH)
    assert sides.diff() == PartitionDiff("s.numbered", "-", DiffState.SAME, 7)
    assert sides.asked == []
    assert RowDiffer(sides.reading, sides.find_in_lake, sides.find_in_source).diff(None, None, 5) == []


def test_what_cannot_be_named_says_why() -> None:
    many = [row(number) for number in range(300)]
    assert Sides(NUMBERED, many, []).diff().reason == OVERFLOW
    lacking = Sides(NUMBERED, ROWS, [], unavailable="no sketch yet of the source").diff()
    assert (lacking.state, lacking.reason) == (DiffState.DIFFERS, "unavailable: no sketch yet of the source")
    waiting = Sides(NUMBERED, ROWS, [], outcome=Outcome.INCONCLUSIVE).diff()
    assert (waiting.state, waiting.reason) == (DiffState.UNKNOWN, "snapshot at 40 %")
    assert [overall(item) for item in ([waiting, lacking], [waiting], [])] == [
        DiffState.DIFFERS,
        DiffState.UNKNOWN,
        DiffState.SAME,
    ]


@pytest.mark.parametrize(
    ("table", "partition", "said"),
    [
        ("s.other", None, "table s.other is not captured: captured tables: s.numbered"),
        ("s.numbered", "year=1", "s.numbered has no partition year=1"),
    ],
)
def test_names_that_are_not_there_are_refused(table: str, partition: str | None, said: str) -> None:
    sides = Sides(NUMBERED, ROWS, ROWS)
    with pytest.raises(ConfigError, match=said):
        RowDiffer(sides.reading, sides.find_in_lake, sides.find_in_source).diff(table, partition, 5)


def test_a_partition_without_rows_names_the_command_that_lists_those_that_have_some() -> None:
    sides = Sides(replace(NUMBERED, partition=("runs",)), ROWS, ROWS)
    with pytest.raises(ConfigError, match="has no rows in a partition runs=99: see datafingerprint status"):
        RowDiffer(sides.reading, sides.find_in_lake, sides.find_in_source).diff("s.numbered", "runs=99", 5)


def test_rows_of_another_partition_with_like_halves_of_keys_are_not_taken() -> None:
    form = SketchForm.of(NUMBERED, 40)
    wanted = Wanted(NUMBERED, "-", form, frozenset({1 << 64 | 3}))
    assert wanted.matching(arrow(NUMBERED, ROWS)) == []
    assert wanted.matching(pa.Table.from_pylist([], NUMBERED.arrow)) == []
