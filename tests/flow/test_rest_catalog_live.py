"""The lake's tables in a real REST catalog: from capture to the verdict, through crashes of writer and catalog."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.catalog.server import RestCatalogServer
from deploy.embedded.ports import free_ports
from deploy.embedded.stack import EmbeddedStack
from tests.catalogs import RunningCatalog, require_rest_server, running_catalog
from tests.flow.running import Flow

pytestmark = pytest.mark.live

SEED = 20310402
ROUNDS = 12
CLOSE = {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.2"}
"""Small epochs and commits, so that a kill meets one half-way."""


@pytest.fixture
def server(stack: EmbeddedStack, tmp_path: Path) -> Iterator[RunningCatalog]:
    """A REST catalog of the test's own over the stack's store, which is crashed."""
    require_rest_server()
    s3 = stack.blueprint.s3
    part = RestCatalogServer(tmp_path / "rest-catalog", free_ports(1)[0], f"s3://{s3.bucket}/rest", s3)
    with running_catalog(part) as server:
        yield server


@pytest.fixture
def stack_environment(stack_environment: dict[str, str], server: RunningCatalog) -> dict[str, str]:
    """As for every test, with the REST catalog and a login to it."""
    login = {"DFP_LAKE_CATALOG_USER": "writer", "DFP_LAKE_CATALOG_PASSWORD": "s3cret-of-the-client"}
    return {**stack_environment, **server.part.environment(), **login}


def command(flow: Flow, *words: str) -> tuple[int, str]:
    """Exit status and output of `datafingerprint`."""
    done = subprocess.run(
        [sys.executable, "-m", "commands", *words], env=flow.environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout or done.stderr


def change(flow: Flow, number: int) -> None:
    flow.sql(f"UPDATE {flow.schema}.players SET rating = rating + 1 WHERE league_id = {1 + number % 3}")
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES ({number}, 'round {number}')")
    flow.sql(f"DELETE FROM {flow.schema}.players WHERE player_id = {101 + number}")


def test_kills_of_writer_and_catalog_at_any_moment_lose_nothing_and_double_nothing(
    small_flow: Flow, server: RunningCatalog
) -> None:
    dice = random.Random(SEED)
    flow = small_flow
    flow.environment |= CLOSE
    flow.start()
    flow.match()
    writer = flow.service("lake_writer")
    for number in range(ROUNDS):
        change(flow, number)
        # A moment within the commit that these changes cause: no condition names it, which is the point.
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.child.wait(dice.uniform(0.2, 1.5))
        if number % 3 == 2:
            server.kill()
            change(flow, 50 + number)
            writer.await_saying("event=unavailable")
            server.start()
        else:
            writer.kill()
            writer.start()
    flow.settle()
    assert flow.assert_equal() > 0
    flow.assert_all_match()
    assert "s3cret-of-the-client" not in flow.logs()

    # A table that is created while the flow runs.
    flow.sql(f"CREATE TABLE {flow.schema}.late (id INT PRIMARY KEY, word VARCHAR(9))")
    flow.sql(f"INSERT INTO {flow.schema}.late VALUES (1, 'one')")
    flow.settle()
    flow.assert_equal()

    status, said = command(flow, "audit", f"{flow.schema}.players", "--json")
    assert (status, {load["verdict"] for load in json.loads(said)}) == (0, {"match"}), said
    status, said = command(flow, "scan", f"{flow.schema}.players", "--engine", "duckdb", "--json")
    assert (status, json.loads(said)["verdict"]) == (0, "match"), said
    status, said = command(flow, "doctor")
    assert status == 0, said
    assert "rest, 3 tables" in said
    for name in ("cdc", "lake_writer", "fingerprinter"):
        assert flow.service(name).end() == 0


def test_a_foreign_commit_by_the_rest_api_is_a_mismatch_and_a_resync_repairs_it(small_flow: Flow) -> None:
    flow = small_flow
    flow.start()
    flow.match()
    with contextlib.closing(flow.catalog()) as catalog:
        catalog.load_table((flow.schema, "players")).delete("player_id = 101")
    flow.await_that("the loss is found", lambda: bool(flow.mismatches()))
    status, said = command(flow, "resync", f"{flow.schema}.players")
    assert status == 0, said
    flow.settle()
    flow.assert_equal()


def test_other_partition_fields_replace_the_table_in_the_rest_catalog(small_flow: Flow) -> None:
    """The new table takes the old one's place. Its entry was removed and added again, with a new identity."""
    flow = small_flow
    flow.start()
    flow.match()
    with contextlib.closing(flow.catalog()) as catalog:
        before = catalog.load_table((flow.schema, "players")).metadata.table_uuid
        with catalog.load_table((flow.schema, "players")).update_spec() as spec:
            spec.remove_field("league_id")
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    flow.service("lake_writer").await_saying("event=table is set aside")
    status, said = command(flow, "resync", f"{flow.schema}.players")
    assert status == 0, said
    flow.settle()
    flow.assert_equal()
    with contextlib.closing(flow.catalog()) as catalog:
        assert catalog.load_table((flow.schema, "players")).metadata.table_uuid != before


def test_a_catalog_that_is_away_at_the_start_is_waited_for(small_flow: Flow, server: RunningCatalog) -> None:
    flow = small_flow
    server.kill()
    writer = flow.service("lake_writer")
    writer.start()
    writer.await_saying("the catalog is away")
    server.start()
    flow.start("cdc", "fingerprinter")
    flow.match()


def test_a_server_that_is_no_catalog_stops_the_writer_with_one_line(small_flow: Flow) -> None:
    flow = small_flow
    flow.service("lake_writer").start(DFP_LAKE_CATALOG=flow.settings.s3.endpoint + "/nothing")
    assert flow.service("lake_writer").wait(60) == 2
    said = flow.service("lake_writer").text
    assert "Traceback" not in said
    assert "catalog" in said
