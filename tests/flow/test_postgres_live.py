"""Catalog and state store in a PostgreSQL: from capture to the verdict, through a crash of that server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.postgres_server import PostgresServer, programs, started

pytestmark = pytest.mark.live


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, which is crashed."""
    found = programs()
    if found is None:
        pytest.skip("NOT RUN: a flow over a PostgreSQL, for none is installed")
    with started(found) as one:
        yield one


@pytest.fixture
def stack_environment(stack_environment: dict[str, str], server: PostgresServer) -> dict[str, str]:
    """As for every test, with catalog and state store in two databases."""
    urls = {"DFP_LAKE_CATALOG": server.new_database(), "DFP_STATE_URL": server.new_database()}
    return {**stack_environment, **urls}


def command(flow: Any, *words: str) -> tuple[int, str]:  # noqa: ANN401 - made by tests/flow/conftest.py
    """Exit status and standard output of `datafingerprint`."""
    done = subprocess.run(
        [sys.executable, "-m", "services", *words], env=flow.environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout or done.stderr


def test_all_of_it_works_on_postgresql_and_a_crash_of_it_costs_nothing(small_flow: Any, server: PostgresServer) -> None:  # noqa: ANN401
    flow = small_flow
    flow.start()
    flow.match()
    assert flow.assert_equal() == 69
    flow.assert_all_match()

    server.stop("immediate")
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (1, 'while it is away'), (2, NULL)")
    for name in ("lake_writer", "fingerprinter"):
        flow.service(name).await_saying("event=unavailable")
    server.start()
    flow.match()
    assert flow.assert_equal() == 71
    flow.assert_all_match()
    for name in ("cdc", "lake_writer", "fingerprinter"):
        assert "Traceback" not in flow.service(name).text

    table = f"{flow.schema}.players"
    status, said = command(flow, "audit", table, "--json")
    assert (status, {one["verdict"] for one in json.loads(said)}) == (0, {"match"}), said
    status, said = command(flow, "scan", table, "--engine", "duckdb", "--json")
    assert (status, json.loads(said)["verdict"]) == (0, "match"), said
    status, said = command(flow, "doctor")
    assert status == 0, said
    for name in ("cdc", "lake_writer", "fingerprinter"):
        assert flow.service(name).end() == 0


def test_a_password_that_the_catalog_refuses_stops_the_writer_with_one_line(
    small_flow: Any,  # noqa: ANN401
    server: PostgresServer,
) -> None:
    flow = small_flow
    name = flow.environment["DFP_LAKE_CATALOG"].rpartition("/")[2]
    wrong = {"DFP_LAKE_CATALOG": server.url(name, password="another-one")}
    flow.service("lake_writer").start(**wrong)
    assert flow.service("lake_writer").wait(60) == 2
    assert "the catalog refused (connection failed" in flow.service("lake_writer").text
    assert "another-one" not in flow.service("lake_writer").text
