"""An audit names the partition and the hop, and raises no false alarm while rows are being written."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest
from pydantic import SecretStr

from datafingerprint.audit import Finding, Hop
from datafingerprint.errors import ConfigError, SourceError
from datafingerprint.verdict import Outcome
from deploy.embedded.stack import EmbeddedStack
from services.auditor.__main__ import run
from tests.flow.running import Flow

pytestmark = pytest.mark.live

ROWS_A_SECOND = 2_000
BATCH = 20
AUDITS = 6


@pytest.fixture
def flow(standing_flow: Flow) -> Flow:
    """The module's flow: settled, and every partition matches."""
    standing_flow.settle()
    standing_flow.await_that("all match", lambda: not standing_flow.mismatches())
    return standing_flow


def audited(flow: Flow, table: str | None = None, partition: str | None = None, **more: Any) -> list[Finding]:  # noqa: ANN401
    name = f"{flow.schema}.{table}" if table else None
    settings = flow.settings.model_copy(update={"audit": flow.settings.audit.model_copy(update=more)})
    return run(settings, name, partition, threading.Event())


def unlogged(flow: Flow, *statements: str) -> None:
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute(f"USE {flow.schema}")
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def test_all_three_sums_agree_on_every_partition(flow: Flow) -> None:
    findings = audited(flow)
    assert {(finding.table.rpartition(".")[2], finding.partition) for finding in findings} == {
        ("notes", "-"),
        *(("players", f"league_id={league}") for league in (1, 2, 3)),
    }
    for finding in findings:
        assert (finding.outcome, finding.hops, finding.reason) == (Outcome.MATCH, (), "")
        assert finding.source == finding.stream
        assert finding.source is not None
        assert finding.source.rows > 0
    (alone,) = audited(flow, "players", "league_id=2")
    assert (alone.partition, alone.outcome) == ("league_id=2", Outcome.MATCH)
    assert alone.source == next(finding.source for finding in findings if finding.partition == "league_id=2")


def test_rows_that_never_reached_the_binlog_are_a_gap_of_capture(flow: Flow) -> None:
    unlogged(
        flow,
        "INSERT INTO players (player_id, league_id, name) VALUES (9001, 2, 'unseen'), (9002, 2, 'unseen')",
        "UPDATE players SET name = 'otherwise' WHERE player_id = 301",
        "DELETE FROM players WHERE player_id = 101",
    )
    try:
        result = {finding.partition: finding for finding in audited(flow, "players")}
        assert {name: (item.hops, item.reason) for name, item in result.items()} == {
            "league_id=1": ((Hop.CAPTURE,), "the stream has 1 row too many"),
            "league_id=2": ((Hop.CAPTURE,), "the stream has 2 rows too few"),
            "league_id=3": ((Hop.CAPTURE,), "as many rows in source and stream, but other values"),
        }
        (alone,) = audited(flow, "players", "league_id=2")
        assert alone.hops == (Hop.CAPTURE,)
    finally:
        unlogged(
            flow,
            "DELETE FROM players WHERE player_id > 9000",
            "UPDATE players SET name = 'player 301' WHERE player_id = 301",
            "INSERT INTO players VALUES (101, 1, 'player 101', 101 / 7e0, '2001-01-31')",
        )
    assert {finding.outcome for finding in audited(flow, "players")} == {Outcome.MATCH}


def test_a_file_that_is_gone_is_a_gap_of_the_lake(flow: Flow) -> None:
    path = next(path for path in flow.live_files("players") if "league_id=3/" in path)
    whole = flow.get_object(path)
    flow.delete_object(path)
    try:
        flow.await_that("a mismatch", lambda: bool(flow.mismatches()))
        result = {finding.partition: finding for finding in audited(flow, "players")}
    finally:
        flow.put_object(path, whole)
    assert {name for name, item in result.items() if item.hops} == {"league_id=3"}
    assert result["league_id=3"].hops == (Hop.LAKE,)
    assert result["league_id=3"].source == result["league_id=3"].stream
    flow.await_that("all match again", lambda: not flow.mismatches())


class Writer(threading.Thread):
    """Writes rows at a steady rate, and rolls some of them back, until it is stopped."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.rows = 0
        self._flow = flow

    def run(self) -> None:
        connection = self._flow.stack.blueprint.warehouse.connect()
        began = time.monotonic()
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"USE {self._flow.schema}")
            while not self.ended.wait(max(0.0, began + self.rows / ROWS_A_SECOND - time.monotonic())):
                values = ", ".join(f"({100_000 + self.rows + n}, {n % 3 + 1}, 'w', {n} / 3)" for n in range(BATCH))
                cursor.execute(f"INSERT INTO players (player_id, league_id, name, rating) VALUES {values}")
                cursor.execute("DELETE FROM players WHERE player_id = %s", (100_000 + self.rows,))
                connection.commit()
                self.rows += BATCH


def test_there_is_no_false_alarm_while_rows_are_being_written(flow: Flow) -> None:
    writer = Writer(flow)
    writer.start()
    try:
        flow.await_that("rows are written", lambda: writer.rows > ROWS_A_SECOND)
        for at in range(AUDITS):
            before = writer.rows
            # All in one statement; every partition alone, in ranges of its key; and rows that are fetched.
            more = ({}, {"range_rows": 500, "rows_s_max": 0}, {"fetch": True})[at % 3]
            for finding in audited(flow, "players", **more):
                assert Hop.CAPTURE not in finding.hops, finding
                assert finding.source == finding.stream
            assert writer.rows > before
    finally:
        writer.ended.set()
        writer.join()


def test_what_cannot_be_audited_is_refused_before_it_is_asked(flow: Flow, stack: EmbeddedStack) -> None:
    with pytest.raises(
        ConfigError, match=r"table audit_live\.nothing is not captured: captured tables: audit_live\.notes"
    ):
        audited(flow, "nothing")
    with pytest.raises(ConfigError, match="a partition needs its table"):
        audited(flow, None, "x=1")
    with stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'poor'@'127.0.0.1' IDENTIFIED BY 'x'")
    poor = {"user": "poor", "password": SecretStr("x")}
    settings = flow.settings.model_copy(update={"source": flow.settings.source.model_copy(update=poor)})
    try:
        with pytest.raises(SourceError):
            run(settings, None, None, threading.Event())
    finally:
        with stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
            cursor.execute("DROP USER 'poor'@'127.0.0.1'")
