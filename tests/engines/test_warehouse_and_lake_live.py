"""One statement over warehouse and lake finds exactly the partition in which a row was altered."""

from __future__ import annotations

import contextlib

import pyarrow as pa
import pytest

from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sql import comparison
from datafingerprint.sql.lake import Place
from datafingerprint.sql.mysql import Dialect
from tests.engines.asking import Engine
from tests.engines.conftest import Warehouse

pytestmark = [
    pytest.mark.engines,
    # The clients of Presto and Spark leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def compared(engine: Engine, table: TableSchema, server: str, partition: str | None = None) -> list[list[object]]:
    engine.before()
    parts = partitioning(table)
    if engine.dialect.name == "trino":
        text = comparison.in_trino(table, parts, Place(), Dialect(server), partition)
    else:
        text = comparison.in_presto(table, parts, Place(), partition)
    return [list(row) for row in engine.run(text)]


@pytest.mark.parametrize(
    "name", ["every_type", "instants", "by_text", "by_moment", "copies", "empty", "plain", "million"]
)
def test_trino_finds_no_difference_where_there_is_none(
    trino: Engine, name: str, warehouse: Warehouse, request: pytest.FixtureRequest
) -> None:
    assert compared(trino, warehouse.tables[name], request.config.getoption("--source")) == []


@pytest.mark.parametrize("name", ["copies", "empty", "plain", "million"])
def test_presto_finds_no_difference_where_there_is_none(
    presto: Engine, name: str, warehouse: Warehouse, request: pytest.FixtureRequest
) -> None:
    assert compared(presto, warehouse.tables[name], request.config.getoption("--source")) == []


def test_a_row_altered_in_the_lake_is_found_in_its_partition(
    trino: Engine, presto: Engine, warehouse: Warehouse, request: pytest.FixtureRequest
) -> None:
    table = warehouse.tables["plain"]
    server = request.config.getoption("--source")
    # The writer would find that somebody else was at the table; what it does then is for other tests.
    warehouse.flow.service("lake_writer").end()
    before = warehouse.running(table)
    with contextlib.closing(warehouse.flow.catalog()) as catalog:
        loaded = catalog.load_table((table.schema, table.name))
        row = loaded.scan(row_filter="id = 9").to_arrow()
        assert row.num_rows == 1
        place = row.schema.get_field_index("name")
        with loaded.transaction() as transaction:
            transaction.delete("id = 9")
            altered = pa.array(["altered"], row.schema.field(place).type)
            transaction.append(row.set_column(place, row.schema.field(place), altered))
    for engine in (trino, presto):
        ((partition, rows, lake_rows, fingerprint, lake_fingerprint),) = compared(engine, table, server)
        assert (partition, rows, lake_rows) == ("league_id=1", before[str(partition)].rows, before[str(partition)].rows)
        assert int(str(fingerprint)) == before[str(partition)].lo != int(str(lake_fingerprint))
        assert compared(engine, table, server, "league_id=2") == []
        assert len(compared(engine, table, server, "league_id=1")) == 1
