"""One statement over warehouse and lake finds exactly the partition in which a row was altered."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pyarrow as pa
import pytest

from datafingerprint.fingerprint import Fingerprint
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sql import comparison, lake
from datafingerprint.sql.comparison import PrestoSource
from datafingerprint.sql.lake import TableLocation
from datafingerprint.sql.mysql import Dialect
from tests.datafingerprint.drawn import slow_sums
from tests.engines.asking import Engine, lake_rows
from tests.engines.conftest import Warehouse

pytestmark = [
    pytest.mark.engines,
    # The clients of Presto and Spark leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


ANCIENT = {"day", "zero_day", "dt_0", "dt_3"}
"""Columns of `every_type` with days that Presto's connector reads in another calendar, or that are none."""


def compared(engine: Engine, table: TableSchema, server: str, partition: str | None = None) -> list[list[object]]:
    engine.before()
    parts = partitioning(table)
    if engine.dialect.name == "trino":
        text = comparison.in_trino(table, parts, TableLocation(), Dialect(server), partition)
    else:
        text = comparison.in_presto(table, parts, TableLocation(), partition)
    return [list(row) for row in engine.run(text)]


@pytest.mark.parametrize(
    "name",
    ["every_type", "as_stored", "instants", "by_text", "by_char", "by_moment", "copies", "empty", "plain", "million"],
)
def test_trino_finds_no_difference_where_there_is_none(
    trino: Engine, name: str, warehouse: Warehouse, request: pytest.FixtureRequest
) -> None:
    assert compared(trino, warehouse.tables[name], request.config.getoption("--source")) == []


@pytest.mark.parametrize("name", ["by_char", "copies", "empty", "plain", "million"])
def test_presto_finds_no_difference_where_there_is_none(
    presto: Engine, name: str, warehouse: Warehouse, request: pytest.FixtureRequest
) -> None:
    assert compared(presto, warehouse.tables[name], request.config.getoption("--source")) == []


def test_presto_reads_every_type_of_the_source_that_it_does_not_refuse(presto: Engine, warehouse: Warehouse) -> None:
    whole, source = warehouse.tables["every_type"], PrestoSource("source")
    columns = tuple(column for column in whole.columns if not source.refusal(column) and column.name not in ANCIENT)
    assert len(columns) > 20
    table = replace(whole, columns=columns, partition=())
    result = presto.run(lake.sums_by_partition(source, table, partitioning(table), TableLocation()))
    rows = lake_rows(warehouse.settings, warehouse.view, whole).to_pylist()
    assert {str(name): Fingerprint(int(count), int(hi), int(lo)) for name, count, hi, lo in result} == slow_sums(
        table, rows
    )


def test_presto_compares_what_its_driver_does_not_decode_otherwise(presto: Engine, warehouse: Warehouse) -> None:
    whole, source = warehouse.tables["as_stored"], PrestoSource("source")
    kept = tuple(column for column in whole.columns if not source.refusal(column))
    assert [item.name for item in kept] == ["id", "CamelCase", "plain"]
    assert compared(presto, replace(whole, columns=kept), "") == []


def test_presto_asks_for_a_partition_by_a_char_by_its_name(presto: Engine, warehouse: Warehouse) -> None:
    table, source = warehouse.tables["by_char"], PrestoSource("source")
    for name, part in warehouse.running(table).items():
        statement = lake.sums_by_partition(source, table, partitioning(table), TableLocation(), name)
        assert [list(map(str, row)) for row in presto.run(statement)] == [
            [name, *map(str, (part.rows, part.hi, part.lo))]
        ]


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
