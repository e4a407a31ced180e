"""The source's sketches: after any history those of the rows that are left, or none where that is not known."""

from __future__ import annotations

from collections import defaultdict

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.changes import reset
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import NO_SKETCH, SketchStep, StoredSketch, SumKey
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import Sketch
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.sketching import count_rows
from services.fingerprinter.source_sketches import SourceSketches
from tests.datafingerprint.drawn import KEYED, History, Row, arrow, change_rows, histories

CELLS = 24


class Kept:
    """What a store would keep: sums, and sketches with the steps of every epoch added to them."""

    def __init__(self, cells: int = CELLS) -> None:
        self.cells = cells
        self.sums: dict[SumKey, Fingerprint] = {}
        self.sketches: dict[SumKey, StoredSketch] = {}
        self.epoch = 0
        self.restart()

    def restart(self) -> None:
        """The service starts again, and knows what was stored."""
        known = {key: item.form for key, item in self.sketches.items()}
        self.side = SourceSketches(known, lambda _: self.cells)

    def take(self, history: History, start: int, stop: int | None) -> None:
        changes = history.changes(start, stop)
        self.sums.update(self.side.apply(self.sums, 0, changes))

    def store(self) -> list[SketchStep]:
        self.epoch += 1
        steps = self.side.steps(self.epoch)
        assert len({item.key for item in steps}) == len(steps), "two steps of one sketch in one epoch"
        for step in steps:
            before = self.sketches.pop(step.key, NO_SKETCH)
            if step.starts:
                after = step.change
            else:
                assert before.form == step.change.form
                sketch = Sketch.from_bytes(before.cells) + Sketch.from_bytes(step.change.cells)
                after = StoredSketch(before.form, sketch.to_bytes())
            if after != NO_SKETCH:
                self.sketches[step.key] = after
        return steps

    def by_partition(self) -> dict[str, Sketch]:
        return {key.partition: Sketch.from_bytes(item.cells) for key, item in self.sketches.items()}


def sketches_of(table: TableSchema, rows: list[Row], cells: int = CELLS) -> dict[str, Sketch]:
    result = arrow(table, rows)
    return dict(count_rows(result, table.columns, partitioning(table), SketchForm.of(table, cells)).sketches())


@given(histories(), st.lists(st.tuples(st.integers(0, 14), st.booleans()), max_size=4))
@settings(max_examples=200, deadline=None)
def test_after_a_history_sketches_are_those_of_the_rows_that_are_left(
    history: History, cuts: list[tuple[int, bool]]
) -> None:
    kept = Kept()
    at = 0
    initial = [{"op": "r", "tx": 0, "before": None, "after": row} for row in history.initial]
    kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(history.table, initial)))
    for cut, is_killed in sorted(cuts):
        kept.take(history, at, cut)
        at = max(at, cut)
        kept.store()
        if is_killed:
            kept.restart()
    kept.take(history, at, None)
    kept.store()
    assert kept.by_partition() == sketches_of(history.table, history.final)


@given(histories(resets=False), st.integers(0, 14))
@settings(max_examples=100, deadline=None)
def test_sums_that_had_no_sketch_have_one_once_they_are_those_of_no_rows(history: History, cut: int) -> None:
    """A store of a program without sketches: the partitions that had rows are told by none, others by theirs."""
    without = Kept(cells=0)
    initial = [{"op": "r", "tx": 0, "before": None, "after": row} for row in history.initial]
    without.sums.update(without.side.apply(without.sums, 0, change_rows(history.table, initial)))
    without.take(history, 0, cut)
    assert without.store() == []
    kept = Kept()
    kept.sums = dict(without.sums)
    kept.take(history, cut, None)
    kept.store()
    expected = sketches_of(history.table, history.final)
    assert all(sketch == expected[name] for name, sketch in kept.by_partition().items())
    had_rows = {key.partition for key, value in without.sums.items() if value != ZERO}
    assert expected.keys() - had_rows <= kept.by_partition().keys()


def one_row(number: int, part: str = "a") -> list[Row]:
    return [{"op": "c", "tx": 0, "before": None, "after": {"id": number, "Part": part, "n": 1}}]


def test_another_number_of_cells_ends_sketches_until_the_table_is_read_again() -> None:
    kept = Kept()
    kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(KEYED, one_row(1))))
    kept.store()
    kept.cells = 40
    kept.restart()
    kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(KEYED, one_row(2))))
    assert kept.store() == [SketchStep(2, SumKey("s.keyed", "Part=a", 0), NO_SKETCH, starts=True)]
    again = reset(KEYED, 1)
    rows = pa.concat_tables([again.rows, change_rows(KEYED, one_row(3)).rows])
    kept.sums.update(kept.side.apply(kept.sums, 0, type(again)(KEYED, 1, rows)))
    kept.store()
    assert kept.by_partition() == sketches_of(KEYED, [{"id": 3, "Part": "a", "n": 1}], 40)


def test_switched_off_and_on_again_no_sketch_lacks_what_came_meanwhile() -> None:
    kept = Kept()
    for cells in (CELLS, 0, CELLS):
        kept.cells = cells
        kept.restart()
        kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(KEYED, one_row(cells))))
        kept.store()
    assert kept.by_partition() == {}


def test_sums_without_a_sketch_are_named_until_one_is_taken_over() -> None:
    kept = Kept(cells=0)
    kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(KEYED, one_row(1) + one_row(2, "A"))))
    assert kept.side.lacking(kept.sums) == []
    kept.cells = CELLS
    first, second = (SumKey("s.keyed", f"Part={name}", 0) for name in ("a", "A"))
    assert set(kept.side.lacking(kept.sums)) == {first, second}
    form = SketchForm.of(KEYED, CELLS).text
    kept.sketches[first] = StoredSketch(form, sketches_of(KEYED, [{"id": 1, "Part": "a", "n": 1}])["Part=a"].to_bytes())
    kept.side.adopt({first: form})
    assert kept.side.lacking(kept.sums) == [second]
    kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(KEYED, one_row(3))))
    kept.store()
    assert kept.by_partition() == sketches_of(KEYED, [{"id": number, "Part": "a", "n": 1} for number in (1, 3)])


def test_a_reset_of_one_partition_leaves_the_others_alone() -> None:
    kept = Kept()
    kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(KEYED, one_row(1) + one_row(2, "A"))))
    kept.store()
    kept.sums.update(kept.side.apply(kept.sums, 0, reset(KEYED, 1, partition="Part=a")))
    kept.store()
    assert kept.by_partition() == sketches_of(KEYED, [{"id": 2, "Part": "A", "n": 1}])


def test_of_tables_that_left_sketches_end() -> None:
    kept = Kept()
    kept.sums.update(kept.side.apply(kept.sums, 0, change_rows(KEYED, one_row(1))))
    kept.store()
    gone = dict.fromkeys(kept.sums, ZERO)
    kept.sums.update(gone)
    kept.side.end(gone)
    kept.store()
    assert kept.sketches == {}
    assert defaultdict(int, {key: value.rows for key, value in kept.sums.items()}) == {next(iter(gone)): 0}
