"""Real engines over the real lake add up to the running sums of the stream."""

from __future__ import annotations

import pytest

from datafingerprint.canonical import canonical, digest
from datafingerprint.errors import ConfigError
from datafingerprint.partitions import partitioning
from tests.datafingerprint.drawn import slow_sums
from tests.engines.asking import Engine, lake_rows, rendered_columns
from tests.engines.conftest import Warehouse, settle
from tests.engines.rows import MILLION

pytestmark = [
    pytest.mark.engines,
    # The clients of Presto and Spark leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

NAMES = ("duckdb", "trino", "presto", "spark")
TABLES = ("every_type", "as_stored", "instants", "by_text", "by_moment", "copies", "empty", "plain", "million")
REFUSED = {("presto", "every_type"): "dt_6", ("presto", "instants"): "ts_0", ("presto", "by_moment"): "dt_6"}
"""By engine and table the first column that it refuses."""

HALF = 1 << 63

all_engines = pytest.mark.parametrize("engine", NAMES, indirect=True)


@all_engines
@pytest.mark.parametrize("name", TABLES)
def test_an_engine_adds_up_to_the_running_sums(engine: Engine, name: str, warehouse: Warehouse) -> None:
    table, expected = warehouse.tables[name], warehouse.running(warehouse.tables[name])
    refused = REFUSED.get((engine.dialect.name, name))
    if refused:
        with pytest.raises(
            ConfigError, match=rf"{engine.dialect.name} cannot render columns? of .*: (.*, )?{refused} \("
        ):
            engine.sums(table)
        return
    assert engine.sums(table) == expected
    if name == "million":
        assert sum(part.rows for part in expected.values()) == MILLION
    if name == "every_type":
        assert any(part.hi >= HALF for part in expected.values())
        assert any(part.lo >= HALF for part in expected.values())


@all_engines
def test_every_column_that_is_not_refused_is_exact(engine: Engine, warehouse: Warehouse) -> None:
    table = rendered_columns(warehouse.tables["every_type"], engine.dialect)
    rows = lake_rows(warehouse.settings, warehouse.view, warehouse.tables["every_type"]).to_pylist()
    assert len(rows) > 300
    assert engine.sums(table) == slow_sums(table, rows)
    assert len(table.columns) > 30


@all_engines
@pytest.mark.parametrize("name", ["by_text", "plain"])
def test_a_partition_is_asked_for_by_its_name(engine: Engine, name: str, warehouse: Warehouse) -> None:
    table = warehouse.tables[name]
    for partition, expected in warehouse.running(table).items():
        assert engine.sums(table, partition) == {partition: expected}
    if name == "plain":
        assert engine.sums(table, "league_id=3") == {}


@all_engines
@pytest.mark.parametrize("name", ["by_text", "copies"])
def test_rows_are_listed_with_their_key_and_digest(engine: Engine, name: str, warehouse: Warehouse) -> None:
    table = warehouse.tables[name]
    rows = lake_rows(warehouse.settings, warehouse.view, table).to_pylist()
    parts = partitioning(table)
    assert engine.rows(table) == sorted(
        (parts.name(row), canonical(row, table.identity).decode(), digest(row, table.columns).hex()) for row in rows
    )


@all_engines
def test_an_older_snapshot_is_what_it_was(engine: Engine, warehouse: Warehouse) -> None:
    table = warehouse.tables["plain"]
    view = warehouse.view.current(table)
    assert view is not None
    before = engine.sums(table)
    number = max(row[0] for row in warehouse.flow.sql(f"SELECT id FROM {table.table}")) + 1
    warehouse.flow.sql(f"INSERT INTO {table.table} (id, league_id, name) VALUES ({number}, 1, 'later')")
    settle(warehouse.flow)
    after = engine.sums(table)
    assert after == warehouse.running(table)
    assert after["league_id=1"].rows == before["league_id=1"].rows + 1
    assert engine.sums(table, snapshot_id=view.snapshot_id) == before
