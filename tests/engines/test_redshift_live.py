"""Redshift's statements: through its own driver on a stand-in, and as its dialect parses them.

The stand-in is a PostgreSQL. That proves the driver's way and ordinary SQL; Redshift itself was never asked.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest
import sqlglot

from commands.scan.__main__ import run
from datafingerprint.adapters.engines.drivers import engine_opener
from datafingerprint.config import EngineSettings, Settings
from datafingerprint.errors import ConfigError, Unavailable
from datafingerprint.partitions import partitioning
from datafingerprint.scanner import parse_sums
from datafingerprint.scans import Cancelled, ScanState
from datafingerprint.schema import TableSchema
from datafingerprint.sql import lake
from datafingerprint.sql.lake import TableLocation
from datafingerprint.sql.redshift import Redshift
from datafingerprint.verdict import Outcome
from deploy.embedded.part import HOST
from tests.datafingerprint.drawn import slow_sums
from tests.engines import redshift_stand_in
from tests.engines.asking import lake_rows, rendered_columns
from tests.engines.conftest import Warehouse
from tests.postgres_server import PASSWORD, USER, PostgresServer, programs

pytestmark = [
    pytest.mark.engines,
    # The clients of Presto and Spark leave sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

TABLES = ("every_type", "as_stored", "instants", "by_moment", "copies", "empty", "plain")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """The stand-in."""
    result = programs()
    pytest.importorskip("redshift_connector", reason="NOT RUN: Redshift's driver is not installed")
    if result is None:
        pytest.skip("NOT RUN: Redshift's statements on a stand-in, for no PostgreSQL is installed")
    with redshift_stand_in.postgres(result) as started:
        yield started


@pytest.mark.parametrize("name", TABLES)
def test_the_stand_in_adds_up_through_redshifts_driver(name: str, server: PostgresServer, warehouse: Warehouse) -> None:
    table = rendered_columns(warehouse.tables[name], Redshift())
    kept = redshift_stand_in.rows_without_zero_characters(
        lake_rows(warehouse.settings, warehouse.view, warehouse.tables[name])
    )
    rows = pa.Table.from_pylist(list(kept), schema=warehouse.tables[name].arrow)
    redshift_stand_in.fill(server, table, rows)
    with contextlib.ExitStack() as opened:
        port = opened.enter_context(redshift_stand_in.shim(server.port))
        settings = EngineSettings.model_validate({"kind": "redshift", "port": port, "user": USER, "password": PASSWORD})
        engine = opened.enter_context(engine_opener(warehouse.settings)("stand-in", settings))
        statement = lake.sums_by_partition(Redshift(), table, partitioning(table), TableLocation())
        result = engine.run((), statement, threading.Event(), lambda _text: None)
        assert parse_sums(Redshift(), result) == slow_sums(table, kept)
        with pytest.raises(ConfigError, match=r"engine stand-in refused the statement: .*nowhere"):
            engine.run((), "SELECT nothing FROM nowhere", threading.Event(), lambda _text: None)


@pytest.fixture
def settings(server: PostgresServer, warehouse: Warehouse) -> Iterator[Settings]:
    """The flow's, with the stand-in as an engine that has the table `plain` as the lake has it now."""
    table = warehouse.tables["plain"]
    server.psql(f'DROP TABLE IF EXISTS "{table.schema}"."{table.name}"', redshift_stand_in.DATABASE)
    redshift_stand_in.fill(server, table, lake_rows(warehouse.settings, warehouse.view, table))
    with redshift_stand_in.shim(server.port) as port:
        engine = EngineSettings.model_validate({"kind": "redshift", "port": port, "user": USER, "password": PASSWORD})
        yield warehouse.settings.model_copy(update={"engines": {"stand-in": engine}})


@pytest.mark.parametrize("partition", [None, "league_id=1"])
def test_a_scan_on_the_stand_in_matches(partition: str | None, settings: Settings, warehouse: Warehouse) -> None:
    table = warehouse.tables["plain"]
    result = run(settings, "stand-in", table.table, partition, threading.Event())
    assert (result.state, result.outcome) == (ScanState.DONE, Outcome.MATCH)
    expected = {name: part for name, part in warehouse.running(table).items() if partition in (None, name)}
    assert {name: item.lake for name, item in (result.verdicts or {}).items()} == expected


def test_a_statement_that_is_cancelled_ends_in_the_stand_in(settings: Settings) -> None:
    stop = threading.Event()
    with engine_opener(settings)("stand-in", settings.engines["stand-in"]) as engine:
        threading.Timer(1.0, stop.set).start()
        with pytest.raises(Cancelled):
            engine.run((), "SELECT pg_sleep(600)", stop, lambda _text: None)
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'"
        assert [tuple(row) for row in engine.run((), active, threading.Event(), lambda _text: None)] == [(0,)]


def test_a_redshift_that_takes_connections_and_says_nothing_is_given_up_in_time(warehouse: Warehouse) -> None:
    with socket.create_server((HOST, 0)) as silent:
        given = {"kind": "redshift", "port": silent.getsockname()[1], "connect_timeout_s": 0.5}
        opened = engine_opener(warehouse.settings)("silent", EngineSettings.model_validate(given))
        with pytest.raises(Unavailable, match=r"^engine silent cannot be reached \(.*time"), opened:
            pass


def test_the_limit_of_connecting_is_none_of_a_statement(settings: Settings) -> None:
    hasty = settings.engines["stand-in"].model_copy(update={"connect_timeout_s": 1.0})
    with engine_opener(settings)("stand-in", hasty) as engine:
        result = engine.run((), "SELECT 7 FROM pg_sleep(3)", threading.Event(), lambda _text: None)
    assert [tuple(row) for row in result] == [(7,)]


def test_every_statement_is_redshifts_sql(warehouse: Warehouse) -> None:
    for name in TABLES:
        table: TableSchema = rendered_columns(warehouse.tables[name], Redshift())
        for text in (
            lake.sums_by_partition(Redshift(), table, partitioning(table), TableLocation()),
            lake.digests(Redshift(), table, partitioning(table), TableLocation()),
        ):
            (parsed,) = sqlglot.parse(text, dialect="redshift")
            assert parsed is not None
            assert {item.name for item in parsed.find_all(sqlglot.exp.Table)} >= {table.name}
