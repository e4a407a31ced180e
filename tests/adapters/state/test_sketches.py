"""Sketches in the state store: both sides of a partition at the lake's epoch, however often steps are folded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.state import sketches as sketches_module
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.column_types import column
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import (
    NO_SKETCH,
    Advance,
    FileSums,
    LakeTableState,
    Progress,
    SketchStep,
    StoredSketch,
    SumKey,
)
from datafingerprint.ports.sketches import SketchedPartition, SketchStore
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import Entries, Sketch, of_entries
from tests.adapters.state.test_store import epoch
from tests.databases import DATABASES, NewUrl, by_hand, new_urls

GAMES = TableSchema("ootp", "games", (column("id", "int(11)", nullable=False, charset=None),), ("id",))
TABLE = GAMES.table
FORM = "1 8 numbers id:4"
ONE = Fingerprint(1, 5, 6)
KEYS = [SumKey(TABLE, name, number) for name in ("a=1", "a=2") for number in (0, 1)]


@pytest.fixture(params=DATABASES)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    return new_urls(request, tmp_path)


@pytest.fixture
def store(new_url: NewUrl) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(new_url())) as opened:
        yield opened


def sketch(*rows: int) -> Sketch:
    words = np.array([[0, row, row * 77, row * 99] for row in rows], np.uint64).reshape(-1, 4).T.copy()
    return of_entries(Entries(*words), 8)


def stored(item: Sketch, form: str = FORM) -> StoredSketch:
    return StoredSketch(form, item.to_bytes())


def advance(store: SqlStateStore, *steps: SketchStep, value: Fingerprint = ONE) -> None:
    before = store.progress()
    number = before.epoch + 1
    sums = [(number, step.key, ZERO if step.change == NO_SKETCH else value) for step in steps]
    after = Progress("s", number, number)
    changed = [replace(step, epoch=number) for step in steps]
    store.advance(before, Advance(after, [epoch(number)], sums, {TABLE: (1, GAMES)}, sketches=changed))


def begin(key: SumKey, *rows: int) -> SketchStep:
    return SketchStep(0, key, stored(sketch(*rows)), starts=True)


def change(key: SumKey, *rows: int) -> SketchStep:
    return SketchStep(0, key, stored(sketch(*rows)), starts=False)


def end(key: SumKey) -> SketchStep:
    return SketchStep(0, key, NO_SKETCH, starts=True)


def count(store: SqlStateStore, at: int, *files: FileSums, removed: tuple[str, ...] = ()) -> None:
    store.save_lake(LakeTableState(TABLE, 7, at, is_foreign=False, unreadable=""), files, removed)
    store.save_verdicts(replace(store.progress(), lake_epoch=at), [], 1.0)


def file(path: str, *rows: int, partition: str = "a=1", form: str = FORM, has_sketch: bool = True) -> FileSums:
    sketches = {partition: stored(sketch(*rows), form)} if has_sketch else {}
    return FileSums(path, "etag", 1, {partition: ONE if rows else ZERO}, 1.0, sketches=sketches)


def look(store: SqlStateStore, partition: str = "a=1") -> SketchedPartition:
    with store.reading() as view:
        result = view.sketched_partition(TABLE, partition)
    assert result is not None
    return result


def test_it_is_a_sketch_store(store: SqlStateStore) -> None:
    port: SketchStore = store
    assert port.sketched() == {}
    assert port.fold_sketches(5) is False


def test_the_difference_is_that_of_both_sides_at_the_lakes_epoch(store: SqlStateStore) -> None:
    advance(store, begin(KEYS[0], 1, 2), begin(KEYS[1], 3))
    advance(store, change(KEYS[0], 4))
    count(store, 1, file("x", 1), file("y", 3, 9), file("z", 5, partition="a=2"))
    states = look(store)
    assert (states.epoch, states.snapshot_id, states.form, states.unavailable) == (1, 7, FORM, "")
    assert (states.source, states.lake) == (ONE * 2, ONE * 2)
    assert states.difference == sketch(2) - sketch(9)
    count(store, 2, file("w", 4), removed=("x",))
    assert look(store).difference == sketch(1, 2) - sketch(9)
    assert look(store, "a=2").difference == -sketch(5)
    with store.reading() as view:
        assert view.sketched_partition("no.table", "-") is None


class Model:
    """The slow obvious way: every step of every epoch."""

    def __init__(self) -> None:
        self.steps: list[list[SketchStep]] = [[]]

    def at(self, number: int) -> dict[SumKey, Sketch]:
        result: dict[SumKey, Sketch] = {}
        for step in (item for steps in self.steps[: number + 1] for item in steps):
            if step.change == NO_SKETCH:
                result.pop(step.key, None)
            elif step.starts:
                result[step.key] = Sketch.from_bytes(step.change.cells)
            else:
                result[step.key] += Sketch.from_bytes(step.change.cells)
        return result


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    epochs=st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(KEYS), st.tuples(st.sampled_from("bce"), st.integers(1, 9)), max_size=3),
            st.booleans(),
            st.booleans(),
        ),
        max_size=8,
    ),
    at_once=st.integers(1, 3),
)
def test_at_every_epoch_that_the_lake_comes_to_sketches_are_those_of_the_naive_model(
    new_url: NewUrl,
    monkeypatch: pytest.MonkeyPatch,
    epochs: list[tuple[dict[SumKey, tuple[str, int]], bool, bool]],
    at_once: int,
) -> None:
    monkeypatch.setattr(sketches_module, "STEPS_AT_ONCE", at_once)
    model, lake_epoch = Model(), 0
    with closing(SqlStateStore(new_url())) as store:
        for drawn, is_judged, is_folded in epochs:
            known = model.at(len(model.steps))
            steps = [
                (end(key) if what == "e" else change(key, row) if what == "c" and key in known else begin(key, row))
                for key, (what, row) in drawn.items()
                if what != "e" or key in known
            ]
            advance(store, *steps)
            model.steps.append(steps)
            assert store.sketched() == dict.fromkeys(model.at(len(model.steps)), FORM)
            if is_judged:
                lake_epoch = len(model.steps) - 1
                count(store, lake_epoch)
            while is_folded and store.fold_sketches(lake_epoch):
                pass
            expected = model.at(lake_epoch)
            for name in ("a=1", "a=2") if lake_epoch else ():
                parts = [item for key, item in expected.items() if key.partition == name]
                states = look(store, name)
                assert states.unavailable == ""
                assert states.difference is not None
                assert states.difference == parts[0] if len(parts) == 1 else True
                if not parts:
                    assert states.difference.is_zero
                if len(parts) > 1:
                    assert states.difference == parts[0] + parts[1]


def test_steps_that_are_folded_leave_one_row_and_those_of_sums_of_nothing_none(
    new_url: NewUrl,
) -> None:
    url = new_url()
    with closing(SqlStateStore(url)) as store:
        advance(store, begin(KEYS[0], 1), begin(KEYS[2], 1))
        for number in range(20):
            advance(store, change(KEYS[0], number))
        advance(store, end(KEYS[2]))
        assert store.fold_sketches(store.progress().epoch) is False
        assert store.sketched() == {KEYS[0]: FORM}
    with by_hand(url) as connection:
        for name, rows in (("source_sketches", 1), ("sketch_steps", 0)):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == rows


def test_a_side_without_sketches_is_named_and_an_empty_one_needs_none(store: SqlStateStore) -> None:
    advance(store, begin(KEYS[0], 1))
    advance(store, end(KEYS[0]))
    assert look(store).unavailable == "the lake has not been read yet"
    count(store, 1, file("x", 1), file("y", 2, has_sketch=False))
    assert "of 1 of 2 files" in look(store).unavailable
    count(store, 2, file("y"), removed=("x",))
    assert look(store).unavailable == ""
    before = store.progress()
    after = Progress("s", 3, 3)
    store.advance(before, Advance(after, [epoch(3)], [(3, KEYS[0], ONE)], {TABLE: (1, GAMES)}))
    count(store, 3)
    states = look(store)
    assert states.difference is None
    assert states.unavailable.startswith("no sketch yet of the source")


def test_sketches_of_two_forms_are_not_compared(store: SqlStateStore) -> None:
    advance(store, begin(KEYS[0], 1))
    count(store, 1, file("x", 1, form="1 8 numbers id:8"))
    assert look(store).unavailable.startswith("no sketch yet of one form on both sides")


def without_sketches(store: SqlStateStore, *sums: tuple[SumKey, Fingerprint]) -> int:
    """An epoch as a program without sketches has stored it."""
    before = store.progress()
    number = before.epoch + 1
    changed = [(number, key, value) for key, value in sums]
    store.advance(before, Advance(Progress("s", number, number), [epoch(number)], changed, {TABLE: (1, GAMES)}))
    return number


def test_a_sum_without_a_sketch_takes_over_that_of_the_lakes_files_where_both_are_equal(store: SqlStateStore) -> None:
    number = without_sketches(store, (KEYS[0], ONE * 2), (KEYS[2], ONE))
    count(store, number, file("x", 1), file("y", 2), file("z", 3, partition="a=2", has_sketch=False))
    assert store.adopt_sketches(KEYS[:3]) == {KEYS[0]: FORM}
    assert store.sketched() == {KEYS[0]: FORM}
    assert look(store).difference == sketch()
    count(store, number, file("x", 9))
    assert look(store).difference == sketch(1) - sketch(9)
    store.fold_sketches(number)
    advance(store, change(KEYS[0], 5), value=ONE * 3)
    count(store, number + 1)
    assert look(store).difference == sketch(1, 5) - sketch(9)


def test_no_sketch_is_taken_over_where_sums_differ_or_several_kafka_partitions_hold_rows(store: SqlStateStore) -> None:
    number = without_sketches(store, (KEYS[0], ONE), (KEYS[2], ONE), (KEYS[3], ONE))
    count(store, number, file("x", 1), file("y", 2), file("z", 3, partition="a=2"), file("w", 4, partition="a=2"))
    assert store.adopt_sketches(KEYS) == {}
    assert store.sketched() == {}


def test_a_sketch_that_is_taken_over_ahead_of_the_lake_holds_from_its_epoch_on(store: SqlStateStore) -> None:
    number = without_sketches(store, (KEYS[0], ONE * 2))
    count(store, number, file("x", 1))
    without_sketches(store, (KEYS[0], ONE))
    assert store.adopt_sketches(KEYS[:1]) == {KEYS[0]: FORM}
    assert look(store).unavailable.startswith("no sketch yet of the source")
    count(store, number + 1)
    assert look(store).difference == sketch()


def test_files_and_tables_take_their_sketches_with_them(store: SqlStateStore) -> None:
    advance(store, begin(KEYS[0], 1))
    count(store, 1, file("x", 1), file("y", 1))
    count(store, 1, removed=("x",))
    assert look(store).difference is not None
    assert look(store).difference.is_zero  # type: ignore[union-attr]
    store.forget([TABLE], definitions=[])
    assert look(store).unavailable == "the lake has not been read yet"


@pytest.mark.parametrize("name", ["source_sketches", "sketch_steps", "file_sketches"])
def test_a_damaged_sketch_names_no_rows(new_url: NewUrl, name: str) -> None:
    url = new_url()
    with closing(SqlStateStore(url)) as store:
        advance(store, begin(KEYS[0], 1))
        store.fold_sketches(1)
        advance(store, change(KEYS[0], 2))
        count(store, 2, file("x", 1))
        assert look(store).difference == sketch(2)
    with by_hand(url) as connection:
        connection.exec_driver_sql(f"UPDATE {name} SET checksum = checksum + 1")
    with closing(SqlStateStore(url)) as store:
        assert look(store).unavailable == f"the state store is damaged: a row of {name} is not what was written"


@pytest.mark.parametrize("name", ["source_sketches", "sketch_steps"])
def test_a_damaged_sketch_ends_when_it_is_folded_and_the_others_do_not(new_url: NewUrl, name: str) -> None:
    url = new_url()
    with closing(SqlStateStore(url)) as store:
        advance(store, begin(KEYS[0], 1), begin(KEYS[2], 5))
        store.fold_sketches(1)
        advance(store, change(KEYS[0], 2), change(KEYS[2], 6))
        count(store, 2, file("x", 1), file("y", 5, partition="a=2"))
    with by_hand(url) as connection:
        connection.exec_driver_sql(f"UPDATE {name} SET checksum = checksum + 1 WHERE partition_name = 'a=1'")
    with closing(SqlStateStore(url)) as store:
        assert store.fold_sketches(2) is False
        assert store.sketched() == {KEYS[2]: FORM}
        assert look(store).unavailable.startswith("no sketch yet of the source")
        assert look(store, "a=2").difference == sketch(6)


@pytest.mark.parametrize("version", ["5", "6"])
def test_a_store_of_a_version_without_sketches_gets_their_tables_and_keeps_its_files(
    new_url: NewUrl, version: str
) -> None:
    url = new_url()
    with closing(SqlStateStore(url)) as store:
        advance(store, begin(KEYS[0], 1))
        count(store, 1, file("x", 1))
    with by_hand(url) as connection:
        for name in ("file_sketches", "sketch_steps", "source_sketches"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql(f"UPDATE meta SET value = '{version}'")
    with closing(SqlStateStore(url)) as store:
        assert store.sketched() == {}
        assert store.running_sums() == {KEYS[0]: ONE}
        assert list(store.files(TABLE)) == ["x"]
        assert store.adopt_sketches(KEYS) == {}
        assert look(store).unavailable.startswith("no sketch yet of the source")
        count(store, 1, file("x", 1))
        assert store.adopt_sketches(KEYS) == {KEYS[0]: FORM}
        assert look(store).difference == sketch()
