"""Tables are added and read again while the stream goes on, and a kill in between costs nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from tests.flow.running import Flow

pytestmark = pytest.mark.live

ROWS = 25_000
"""Several groups of snapshot steps, so that a kill between two of them is possible."""


class Writer(threading.Thread):
    """Changes rows of `players` until it is stopped, so that changes happen during every snapshot."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.ended = threading.Event()
        self._flow = flow

    def run(self) -> None:
        connection = self._flow.stack.blueprint.warehouse.connect()
        number = 10_000
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"USE {self._flow.schema}")
            while not self.ended.wait(0.005):
                number += 1
                cursor.execute("INSERT INTO players (player_id, league_id, name) VALUES (%s, 1, 'w')", (number,))
                cursor.execute("UPDATE players SET rating = rating + 1 WHERE player_id = 201")
                cursor.execute("DELETE FROM players WHERE player_id = %s", (number - 5,))
                connection.commit()


@contextlib.contextmanager
def writing(flow: Flow) -> Iterator[None]:
    writer = Writer(flow)
    writer.start()
    try:
        yield
    finally:
        writer.ended.set()
        writer.join()


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.start()
    small_flow.settle()
    return small_flow


def require_agreement(flow: Flow) -> None:
    """Source, stream and lake, row for row and sum for sum."""
    flow.match()
    flow.assert_equal()
    assert {finding.outcome for finding in audit(flow.settings, None, None, threading.Event())} == {Outcome.MATCH}


def test_a_table_that_is_made_while_capture_runs_is_read_and_followed(flow: Flow) -> None:
    with writing(flow):
        flow.sql(f"CREATE TABLE {flow.schema}.passing (id INT PRIMARY KEY)")
        flow.sql(f"INSERT INTO {flow.schema}.passing VALUES (1)")
        flow.sql(f"CREATE TABLE {flow.schema}.later (id INT PRIMARY KEY, note VARCHAR(20))")
        flow.sql(f"INSERT INTO {flow.schema}.later VALUES (1, 'first'), (2, 'second')")
        flow.service("cdc").await_saying(f"event=table is captured from now on table={flow.schema}.later")
        flow.service("cdc").await_saying("event=snapshot complete", times=2)
        flow.sql(f"UPDATE {flow.schema}.later SET note = 'changed' WHERE id = 2")
    require_agreement(flow)
    assert f"{flow.schema}.later" in {table for table, _ in flow.verdicts()}


def test_rows_that_were_never_logged_come_back_by_reading_the_table_again_through_kills(flow: Flow) -> None:
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        for start in range(100_000, 100_000 + ROWS, 500):
            values = ", ".join(f"({start + n}, {n % 3 + 1}, 'unseen')" for n in range(500))
            cursor.execute(f"INSERT INTO {flow.schema}.players (player_id, league_id, name) VALUES {values}")
        connection.commit()
    flow.service("cdc").kill()
    with writing(flow):
        again = flow.service("cdc", "--resnapshot", f"{flow.schema}.players", label="again")
        again.start(DFP_CDC_SNAPSHOT_ROWS="200")
        again.await_saying("event=snapshot read", times=3)
        again.kill()
        cdc = flow.service("cdc")
        seen = cdc.text.count("event=snapshot read")
        cdc.start(DFP_CDC_SNAPSHOT_ROWS="200")
        cdc.await_saying("event=snapshot read", times=seen + 3)
        cdc.kill()
        cdc.start()
        complete = cdc.text.count("event=snapshot complete")
        cdc.await_saying("event=snapshot complete", times=complete + 1)
    require_agreement(flow)


def test_one_partition_is_read_again_and_the_others_are_left_alone(flow: Flow) -> None:
    name = f"{flow.schema}.players"
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute(
            f"INSERT INTO {name} (player_id, league_id, name) VALUES (9001, 2, 'unseen'), (9003, 3, 'unseen')"
        )
        cursor.execute(f"DELETE FROM {name} WHERE player_id = 205")
        connection.commit()
    elsewhere = {path for path in flow.live_files("players") if "league_id=2/" not in path}
    flow.service("cdc").kill()
    again = flow.service("cdc", "--resnapshot", name, "--partition", "league_id=2", "--once", label="again")
    again.start()
    assert again.wait(60) == 0
    assert "rows=20 " in next(line for line in again.text.splitlines() if "event=snapshot complete" in line)
    flow.service("cdc").start()
    flow.match()
    assert elsewhere <= set(flow.live_files("players"))
    result = {finding.partition: finding.reason for finding in audit(flow.settings, name, None, threading.Event())}
    assert result == {"league_id=1": "", "league_id=2": "", "league_id=3": "the stream has 1 row too few"}


def test_what_happened_to_other_partitions_before_one_is_read_again_is_not_passed_over(flow: Flow) -> None:
    """Only the one partition starts again. The others continue at the stream's position."""
    name = f"{flow.schema}.players"
    flow.service("cdc").kill()
    for statement in (
        f"INSERT INTO {name} (player_id, league_id, name) VALUES (9001, 1, 'n'), (9002, 2, 'n'), (9003, 3, 'n')",
        f"UPDATE {name} SET league_id = 2 WHERE player_id = 101",
        f"UPDATE {name} SET league_id = 1 WHERE player_id = 201",
        f"UPDATE {name} SET name = 'other' WHERE player_id = 301",
        f"DELETE FROM {name} WHERE player_id IN (102, 202, 302)",
    ):
        flow.sql(statement)
    again = flow.service("cdc", "--resnapshot", name, "--partition", "league_id=2", "--once", label="again")
    again.start()
    assert again.wait(60) == 0
    flow.service("cdc").start()
    flow.match()
    flow.assert_equal()
    result = {finding.partition: finding.reason for finding in audit(flow.settings, name, None, threading.Event())}
    assert result == {"league_id=1": "", "league_id=2": "", "league_id=3": ""}
