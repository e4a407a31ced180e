"""Steps of a snapshot are grouped by number, rows, bytes and time, in their order, and no table's rows with its end."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest

from datafingerprint.errors import DecodeError
from datafingerprint.ports.source import SnapshotRows, UnreadTable
from services.cdc.snapshot_groups import GROUP_ROWS, TABLES_MAX, batches, grouped


def step(name: str, rows: int = 1) -> SnapshotRows:
    return SnapshotRows(name, pa.table({"a": list(range(rows))}), rows, last=True)


def sizes(*steps: SnapshotRows | UnreadTable, seconds: float = 0.0) -> list[int]:
    ticks = itertools.count()
    groups = list(grouped(steps, lambda: seconds * next(ticks)))
    assert list(itertools.chain.from_iterable(groups)) == list(steps)
    return [len(group) for group in groups]


def test_small_tables_share_a_group_up_to_its_size() -> None:
    steps = [step(f"t{number}") for number in range(2 * TABLES_MAX + 7)]
    assert sizes(*steps) == [TABLES_MAX, TABLES_MAX, 7]
    assert sizes() == []


def test_a_group_ends_with_the_step_that_makes_it_large_or_old() -> None:
    assert sizes(step("a"), step("b", GROUP_ROWS), step("c")) == [2, 1]
    assert sizes(step("a"), step("b"), step("c"), seconds=1.0) == [1, 1, 1]


def test_rows_of_a_table_are_not_grouped_with_the_news_that_it_could_not_be_read() -> None:
    unread = UnreadTable("b", DecodeError("a zero date"))
    assert sizes(step("a"), step("b"), unread, step("c")) == [2, 2]
    assert sizes(step("a"), unread, step("c")) == [3]


@pytest.mark.parametrize(("count", "expected"), [(0, [0]), (3, [3]), (100, [100]), (201, [100, 100, 1])])
def test_items_are_sliced_into_batches(count: int, expected: list[int]) -> None:
    assert [len(some) for some in batches(list(range(count)))] == expected
