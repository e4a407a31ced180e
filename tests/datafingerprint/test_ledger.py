"""Running sums of the source agree with a model that keeps the rows themselves."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import SumKey, apply_changes, net_sums
from tests.datafingerprint.drawn import KEYED, History, Row, change_rows, histories, slow_sums

OTHER = SumKey("s.other", "Part=a", 0)
ELSEWHERE = SumKey("s.keyed", "Part=a", 7)


def present(sums: dict[SumKey, Fingerprint], table: str, kafka_partition: int = 0) -> dict[str, Fingerprint]:
    return {
        key.partition: value
        for key, value in sums.items()
        if key.table == table and key.kafka_partition == kafka_partition and value != ZERO
    }


def begun(history: History) -> dict[SumKey, Fingerprint]:
    table = history.table
    return {SumKey(table.table, name, 0): value for name, value in slow_sums(table, history.initial).items()}


@given(histories(), st.lists(st.integers(0, 14), max_size=3))
@settings(max_examples=150, deadline=None)
def test_sums_after_a_history_are_those_of_the_rows_that_are_left(history: History, cuts: list[int]) -> None:
    sums = begun(history)
    edges = [0, *sorted(cuts), len(history.events)]
    for start, stop in itertools.pairwise(edges):
        sums |= apply_changes(sums, 0, history.changes(start, stop))
    assert present(sums, history.table.table) == slow_sums(history.table, history.final)


@given(histories(resets=False))
@settings(max_examples=75, deadline=None)
def test_net_sums_are_the_difference_between_after_and_before(history: History) -> None:
    old, new = slow_sums(history.table, history.initial), slow_sums(history.table, history.final)
    expected = {name: new.get(name, ZERO) - old.get(name, ZERO) for name in old | new}
    sums = net_sums(history.changes())
    assert {name: part for name, part in sums.items() if part != ZERO} == {
        name: part for name, part in expected.items() if part != ZERO
    }


@given(histories())
@settings(max_examples=50, deadline=None)
def test_other_tables_and_other_kafka_partitions_are_left_alone(history: History) -> None:
    foreign = {OTHER: Fingerprint(3, 4, 5), ELSEWHERE: Fingerprint(6, 7, 8)}
    altered = apply_changes({**begun(history), **foreign}, 0, history.changes())
    assert not foreign.keys() & altered.keys()


ROW: Row = {"id": 1, "Part": "a", "n": None}


@pytest.mark.parametrize("after_reset", [[], [ROW]])
def test_a_reset_in_the_middle_forgets_what_came_before_it(after_reset: list[Row]) -> None:
    sums = {SumKey("s.keyed", "Part=b", 0): Fingerprint(1, 2, 3)}
    created = {"op": "c", "tx": 0, "before": None, "after": ROW}
    reset = {"op": "t", "tx": 0, "before": None, "after": None}
    events = [created, reset, {**created, "after": {**ROW, "id": 2}}, reset, *([created] if after_reset else [])]
    altered = apply_changes(sums, 0, change_rows(KEYED, events))
    assert altered[SumKey("s.keyed", "Part=b", 0)] == ZERO
    assert present(altered, "s.keyed") == slow_sums(KEYED, after_reset)
