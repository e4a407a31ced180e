"""A lake whose catalog is in a PostgreSQL, as `deploy/trino` shows it, read by a real Trino."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from pyiceberg.catalog.sql import IcebergNamespaceProperties, IcebergTables

from datafingerprint.adapters.iceberg.connection import open_connection
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.config import Settings
from datafingerprint.sql.engines import LAKE_ENGINES
from deploy.embedded.ports import free_ports
from deploy.engines.system import System
from deploy.engines.trino import Trino
from tests.databases import by_hand
from tests.engines.asking import Engine, ask_trino
from tests.engines.conftest import Warehouse, require_fetched, started
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.engines


@pytest.fixture
def settings(warehouse: Warehouse, postgres: PostgresServer) -> Settings:
    """The flow's, with its catalog copied into a PostgreSQL, row by row."""
    given = warehouse.settings.lake.catalog
    copied = type(given)(postgres.new_database())
    moved = warehouse.settings.model_copy(
        update={"lake": warehouse.settings.lake.model_copy(update={"catalog": copied})}
    )
    open_connection(moved).close()
    with by_hand(given.get_secret_value()) as old, by_hand(copied.get_secret_value()) as new:
        for model in (IcebergTables, IcebergNamespaceProperties):
            rows = old.execute(sa.select(model.__table__)).mappings()
            new.execute(sa.insert(model), [dict(row) for row in rows])
    return moved


@pytest.fixture
def trino(settings: Settings, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A Trino on that catalog."""
    require_fetched()
    system = System(settings, request.config.getoption("--source"))
    server = Trino(tmp_path / "data", free_ports(1)[0], system)
    assert server.lake()["iceberg.jdbc-catalog.driver-class"] == "org.postgresql.Driver"
    with started(server, tmp_path / "log"), contextlib.closing(IcebergLakeView(settings)) as view:
        yield Engine(LAKE_ENGINES["trino"], ask_trino(server), view)


def test_trino_adds_up_to_the_running_sums_over_a_catalog_in_postgresql(trino: Engine, warehouse: Warehouse) -> None:
    for name in ("plain", "every_type", "empty"):
        table = warehouse.tables[name]
        assert trino.sums(table) == warehouse.running(table), name
        view = trino.view.current(table)
        if view is not None:
            assert trino.sums(table, snapshot_id=view.snapshot_id) == warehouse.running(table), name
