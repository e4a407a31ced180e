"""Changes are split over Kafka partitions so that what happens to one key stays together and in order."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.canonical import canonical
from datafingerprint.changes import Changes, Op
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import SumKey, apply_changes
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema
from tests.datafingerprint.drawn import KEYED, History, Row, change_rows, histories, slow_sums

PARTITIONS = st.integers(1, 5)


def partition_of(table: TableSchema, row: Row, partitions: int) -> int:
    hexadecimal = hashlib.md5(canonical(row, table.identity), usedforsecurity=False).hexdigest()
    return int(hexadecimal[:8], 16) % partitions


def events_of(changes: Changes) -> list[Row]:
    events: list[Row] = changes.rows.to_pylist()
    return events


@given(histories(), PARTITIONS)
@settings(max_examples=100, deadline=None)
def test_every_row_goes_to_the_partition_of_its_key(history: History, partitions: int) -> None:
    for partition, part in routed(history.changes(), partitions):
        for event in events_of(part):
            for image in (event["before"], event["after"]):
                assert image is None or partition_of(history.table, image, partitions) == partition


@given(histories(resets=False), PARTITIONS)
@settings(max_examples=100, deadline=None)
def test_the_changes_of_a_partition_can_be_carried_out_one_after_another(history: History, partitions: int) -> None:
    """Strictly: nothing is taken away that is not there, no key is put in twice. So their order is kept."""
    left: list[Row] = []
    parts = dict(routed(history.changes(), partitions))
    for partition in range(partitions):
        rows = [row for row in history.initial if partition_of(history.table, row, partitions) == partition]
        for event in events_of(parts[partition]) if partition in parts else []:
            if event["before"]:
                rows.remove(event["before"])
            if event["after"]:
                assert not history.table.key or event["after"]["id"] not in [row["id"] for row in rows]
                rows.append(event["after"])
        left += rows
    assert sorted(map(str, left)) == sorted(map(str, history.final))


@given(histories(), PARTITIONS)
@settings(max_examples=100, deadline=None)
def test_the_partitions_together_sum_to_the_whole(history: History, partitions: int) -> None:
    sums: dict[SumKey, Fingerprint] = {}
    parts = [(partition_of(history.table, row, partitions), row) for row in history.initial]
    for partition in range(partitions):
        rows = [row for where, row in parts if where == partition]
        sums |= {SumKey(history.table.table, name, partition): v for name, v in slow_sums(history.table, rows).items()}
    for partition, part in routed(history.changes(), partitions):
        sums |= apply_changes(sums, partition, part)
    merged: dict[str, Fingerprint] = {}
    for key, value in sums.items():
        merged[key.partition] = merged.get(key.partition, ZERO) + value
    result = {name: value for name, value in merged.items() if value != ZERO}
    assert result == slow_sums(history.table, history.final)


def test_an_update_that_moves_a_key_becomes_a_delete_here_and_an_insert_there() -> None:
    rows = [{"id": number, "Part": "a", "n": None} for number in range(20)]
    here = next(row for row in rows if partition_of(KEYED, row, 2) == 0)
    there = next(row for row in rows if partition_of(KEYED, row, 2) == 1)
    moved = change_rows(KEYED, [{"op": "u", "tx": 3, "before": here, "after": there}])
    result = {partition: events_of(part) for partition, part in routed(moved, 2)}
    assert result == {
        0: [{"op": Op.DELETED, "tx": 3, "before": here, "after": None}],
        1: [{"op": Op.CREATED, "tx": 3, "before": None, "after": there}],
    }


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_a_reset_goes_everywhere(partitions: int) -> None:
    reset = change_rows(KEYED, [{"op": "t", "tx": 0, "before": None, "after": None}])
    assert [partition for partition, _ in routed(reset, partitions)] == list(range(partitions))
    assert all(part.rows.num_rows == 1 for _, part in routed(reset, partitions))


@pytest.mark.parametrize("partitions", [1, 3])
def test_no_changes_go_nowhere(partitions: int) -> None:
    assert routed(change_rows(KEYED, []), partitions) == []
