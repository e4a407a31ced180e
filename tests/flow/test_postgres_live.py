"""Catalog and state store in a PostgreSQL: from capture to the verdict, through a crash of that server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.flow.running import Flow
from tests.postgres_server import PostgresServer, programs, started

pytestmark = pytest.mark.live

ODD = "p@ss/w:rd#1%41?&"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, which is crashed."""
    result = programs()
    if result is None:
        pytest.skip("NOT RUN: a flow over a PostgreSQL, for none is installed")
    with started(result) as item:
        yield item


@pytest.fixture
def stack_environment(stack_environment: dict[str, str], server: PostgresServer) -> dict[str, str]:
    """As for every test, with catalog and state store in two databases, and a password that no URL would hold."""
    server.psql(f"CREATE ROLE odd LOGIN SUPERUSER PASSWORD '{ODD}'")
    login = {f"DFP_{name}": value for section in ("LAKE_CATALOG", "STATE")
             for name, value in ((f"{section}_USER", "odd"), (f"{section}_PASSWORD", ODD))}  # fmt: skip
    urls = {name: without_login(server.new_database()) for name in ("DFP_LAKE_CATALOG", "DFP_STATE_URL")}
    return {**stack_environment, **login, **urls}


def without_login(url: str) -> str:
    """The URL with neither user nor password."""
    return f"postgresql://{url.rpartition('@')[2]}"


def command(flow: Flow, *words: str) -> tuple[int, str]:
    """Exit status and standard output of `datafingerprint`."""
    done = subprocess.run(
        [sys.executable, "-m", "commands", *words], env=flow.environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout or done.stderr


def test_all_of_it_works_on_postgresql_and_a_crash_of_it_costs_nothing(
    small_flow: Flow, server: PostgresServer
) -> None:
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
        assert not [part for part in ("Traceback", ODD, "w:rd", "p@ss") if part in flow.service(name).text]

    table = f"{flow.schema}.players"
    status, said = command(flow, "audit", table, "--json")
    assert (status, {load["verdict"] for load in json.loads(said)}) == (0, {"match"}), said
    status, said = command(flow, "scan", table, "--engine", "duckdb", "--json")
    assert (status, json.loads(said)["verdict"]) == (0, "match"), said
    status, said = command(flow, "doctor")
    assert status == 0, said
    for name in ("cdc", "lake_writer", "fingerprinter"):
        assert flow.service(name).end() == 0


def test_a_password_that_the_catalog_refuses_stops_the_writer_with_one_line(
    small_flow: Flow,
) -> None:
    flow = small_flow
    flow.service("lake_writer").start(DFP_LAKE_CATALOG_PASSWORD="another-one")
    assert flow.service("lake_writer").wait(60) == 2
    assert "the catalog refused (connection failed" in flow.service("lake_writer").text
    assert "another-one" not in flow.service("lake_writer").text
