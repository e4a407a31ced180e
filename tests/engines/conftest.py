"""One flow over tables of every type, and the engines that read its lake, for all tests of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.config import Settings
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.schema import TableSchema
from datafingerprint.sql.engines import LAKE_ENGINES
from deploy.embedded.part import Part, describe_failure
from deploy.embedded.ports import free_ports
from deploy.embedded.process import Process
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.waiting import await_condition
from deploy.engines.presto import Presto
from deploy.engines.system import ENGINES, System
from deploy.engines.trino import Trino
from tests.engines.asking import Engine, ask_presto, ask_trino, duckdb_run, spark_run, tell_presto
from tests.engines.rows import AS_BYTES, PARTITIONS, fill
from tests.flow.running import Flow, build_flow, ending

SCHEMA = "engines"
SETTLED_WITHIN_S = 400.0
READY_WITHIN_S = 240.0


@dataclass(frozen=True)
class Warehouse:
    """A flow that has settled.

    Attributes:
        flow: Its services, which still run.
        tables: The captured tables, by name alone.
        view: Its lake.
    """

    flow: Flow
    tables: Mapping[str, TableSchema]
    view: IcebergLakeView

    @property
    def settings(self) -> Settings:
        """Where everything is."""
        return self.flow.settings

    def running(self, table: TableSchema) -> dict[str, Fingerprint]:
        """The running sums of the source, by partition."""
        with self.flow.state() as store:
            sums = store.source_sums(table.table, store.progress().lake_epoch)
        return {name: part for name, part in sums.items() if part.rows}


@pytest.fixture(scope="session")
def warehouse(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Warehouse]:
    """Tables of every type, a million rows, partitions that became empty; all in the lake, and all match."""
    directory = tmp_path_factory.mktemp("engines")
    environment = {
        **stack.environment(),
        "DFP_SOURCE_TABLES": f"{SCHEMA}.*",
        "DFP_GENERATOR_SCHEMA_NAME": SCHEMA,
        "DFP_KAFKA_PREFIX": SCHEMA,
        "DFP_LAKE_PATH": SCHEMA,
        "DFP_LAKE_CATALOG": f"sqlite:///{directory}/catalog.db",
        "DFP_STATE_URL": f"sqlite:///{directory}/state.db",
        "DFP_FINGERPRINTER_POLL_S": "0.5",
    }
    with ending(build_flow(stack, environment, directory, PARTITIONS, AS_BYTES), request) as flow:
        flow.sql(f"CREATE DATABASE {SCHEMA}")
        with contextlib.closing(stack.blueprint.warehouse.connect()) as connection:
            fill(connection, SCHEMA, request.config.getoption("--source"))
        flow.start()
        settle(flow)
        # A partition that had rows: no engine may name it.
        flow.sql(f"DELETE FROM {SCHEMA}.plain WHERE league_id = 3")
        settle(flow)
        with flow.state() as store:
            tables = {definition.name: definition for _, definition in store.definitions().values()}
        with contextlib.closing(IcebergLakeView(flow.settings)) as view:
            yield Warehouse(flow, tables, view)


def settle(flow: Flow) -> None:
    """Waits until every partition matches at the source's position: a million rows take a while."""
    gtid = flow.source_gtid
    flow.await_that(
        "all match", lambda: flow.judged_gtid() == gtid and not flow.mismatches(), within_s=SETTLED_WITHIN_S
    )


@contextlib.contextmanager
def started(part: Part, log: Path) -> Iterator[None]:
    """A part that does its work."""
    part.prepare()
    process = Process(part.command(), log)
    try:
        await_condition(lambda: not process.is_running or part.is_ready(), timeout_s=READY_WITHIN_S, pause_s=0.5)
        assert process.is_running, describe_failure(f"{part.name} ended while it was starting", log)
        assert part.is_ready(), describe_failure(f"{part.name} is not ready after {READY_WITHIN_S:.0f} s", log)
        yield
    finally:
        process.stop()


@pytest.fixture(scope="session")
def system(warehouse: Warehouse, request: pytest.FixtureRequest) -> System:
    """What engines are told."""
    return System(warehouse.settings, request.config.getoption("--source"))


def require_fetched() -> None:
    """Leaves a test out where Trino, Presto and Spark could not be fetched: `.ci/run` goes on without them."""
    if not (ENGINES.parent / "stamps" / "engines").exists():
        pytest.skip("NOT RUN: Trino, Presto and Spark, for they are not installed (./run install engines)")


@pytest.fixture(scope="session")
def trino_server(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trino]:
    """A real Trino."""
    require_fetched()
    folder = tmp_path_factory.mktemp("trino")
    server = Trino(folder / "data", free_ports(1)[0], system)
    with started(server, folder / "log"):
        yield server


@pytest.fixture(scope="session")
def presto_server(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Presto]:
    """A real PrestoDB."""
    require_fetched()
    folder = tmp_path_factory.mktemp("presto")
    server = Presto(folder / "data", free_ports(1)[0], system)
    with started(server, folder / "log"):
        yield server


@pytest.fixture(scope="session")
def trino(trino_server: Trino, warehouse: Warehouse) -> Engine:
    """Trino, asked by its client."""
    return Engine(LAKE_ENGINES["trino"], ask_trino(trino_server), warehouse.view)


@pytest.fixture(scope="session")
def presto(presto_server: Presto, warehouse: Warehouse) -> Engine:
    """Presto, asked by its client, and told of the lake's present state before."""
    tables = list(warehouse.tables.values())
    tell_presto(presto_server, warehouse.settings, tables)
    assert await_condition(presto_server.is_ready, timeout_s=READY_WITHIN_S, pause_s=0.5), "no node reads a table"
    return Engine(
        LAKE_ENGINES["presto"],
        ask_presto(presto_server),
        warehouse.view,
        lambda: tell_presto(presto_server, warehouse.settings, tables),
    )


@pytest.fixture(scope="session")
def duckdb(warehouse: Warehouse) -> Iterator[Engine]:
    """DuckDB over the live files in S3."""
    with duckdb_run(warehouse.settings) as run:
        yield Engine(LAKE_ENGINES["duckdb"], run, warehouse.view)


@pytest.fixture(scope="session")
def spark(system: System, warehouse: Warehouse) -> Iterator[Engine]:
    """A local Spark."""
    require_fetched()
    with spark_run(system) as run:
        yield Engine(LAKE_ENGINES["spark"], run, warehouse.view)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine that a test names as its parameter."""
    result: Engine = request.getfixturevalue(request.param)
    return result
