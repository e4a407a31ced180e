"""Which tables share a view and which partitions a statement: everything once, and no more rows together than set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.audit import Load
from datafingerprint.column_types import column
from datafingerprint.config import Audit
from datafingerprint.schema import TableSchema
from services.auditor.pace import reason_to_pause, rest_s
from services.auditor.plan import batches, units

names = st.text("abc", min_size=1, max_size=3)


def table(name: str) -> TableSchema:
    return TableSchema("s", name, (column("id", "int", nullable=False, charset=None),), ("id",))


@given(st.dictionaries(names, st.integers(0, 30)), st.sets(names), st.sets(names), st.integers(1, 40))
def test_every_partition_that_is_left_is_in_one_unit_and_unknown_ones_come_first(
    rows: dict[str, int], known: set[str], done: set[str], rows_max: int
) -> None:
    result = units(rows, known, done, rows_max)
    order = [name for unit in result for name in unit.partitions or ()]
    assert sorted(order) == sorted(set(rows) - done)
    assert [name in known for name in order] == sorted(name in known for name in order)
    for unit in result:
        assert unit.partitions is not None
        assert unit.rows == sum(rows[name] for name in unit.partitions)
        assert unit.rows <= rows_max or len(unit.partitions) == 1


@given(st.dictionaries(names, st.integers(0, 30)), st.integers(1, 40))
def test_every_table_is_in_one_batch_in_its_order_and_big_ones_are_alone(rows: dict[str, int], rows_max: int) -> None:
    tables = [table(name) for name in rows]
    by_name = {f"s.{name}": many for name, many in rows.items()}
    result = batches(tables, by_name, rows_max)
    assert [item for batch in result for item in batch] == tables
    for batch in result:
        assert sum(by_name[item.table] for item in batch) <= rows_max or len(batch) == 1


def test_it_pauses_for_a_busy_server_and_for_a_replica_that_is_behind_or_stands_still() -> None:
    settings = Audit(threads_running_max=10, lag_s_max=5.0)
    assert reason_to_pause(Load(10), settings) == ""
    assert reason_to_pause(Load(11), settings) == "11 threads run on the server, above 10"
    assert reason_to_pause(Load(1, is_replica=True, lag_s=5.0), settings) == ""
    assert reason_to_pause(Load(1, is_replica=True, lag_s=6.0), settings) == "the replica is 6 s behind, above 5"
    assert reason_to_pause(Load(1, is_replica=True), settings) == "the replica does not replicate"


@given(st.integers(0, 10**9), st.floats(0, 1e4), st.floats(1, 1e7))
def test_with_its_rest_no_step_is_faster_than_set(rows: int, took_s: float, rows_s_max: float) -> None:
    rest = rest_s(rows, took_s, rows_s_max)
    assert rest >= 0
    assert rows <= (took_s + rest) * rows_s_max * (1 + 1e-9)
    assert rest_s(rows, took_s, 0) == 0
