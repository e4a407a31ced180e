"""The source is killed while it logs a large transaction: nothing of it is captured, and capture goes on by itself."""

from __future__ import annotations

import contextlib
import struct
import threading
from pathlib import Path

import pymysql
import pytest

from tests.flow.running import Flow

pytestmark = pytest.mark.live

ROWS, ROW_BYTES = 90, 1_000_000
"""Large enough that the server still writes the log when it is killed."""
_HEADER = struct.Struct("<IBIIIH")


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3"}
    small_flow.sql(f"CREATE TABLE {small_flow.schema}.big (id INT PRIMARY KEY, v LONGTEXT)")
    small_flow.start()
    small_flow.settle()
    return small_flow


def binlog(flow: Flow) -> Path:
    """The file that is being written."""
    return max(path for path in flow.stack.blueprint.warehouse.data.glob("binlog.0*"))


def kill_in_commit(flow: Flow) -> Path:
    """Ends the server when it has logged some MB of a transaction; returns the file."""
    file = binlog(flow)
    connection = flow.stack.blueprint.warehouse.connect()
    with connection.cursor() as cursor:
        for number in range(ROWS):
            cursor.execute(f"INSERT INTO {flow.schema}.big VALUES ({number}, REPEAT('x', {ROW_BYTES}))")
    before = file.stat().st_size
    committing = threading.Thread(target=commit, args=(connection,))
    committing.start()
    while file.stat().st_size < before + 5 * ROW_BYTES and committing.is_alive():
        pass
    flow.stack.kill("source")
    committing.join()
    return file


def commit(connection: pymysql.Connection) -> None:
    with contextlib.suppress(pymysql.Error, OSError):
        connection.commit()


def cut_between_events(file: Path) -> None:
    """Takes the last event away when it is not whole."""
    octets = file.read_bytes()
    at = 4
    while at + _HEADER.size <= len(octets) and at + _HEADER.unpack_from(octets, at)[3] <= len(octets):
        at += _HEADER.unpack_from(octets, at)[3]
    with file.open("r+b") as opened:
        opened.truncate(at)


@pytest.mark.parametrize(
    "cut",
    [
        "in the middle of an event",
        pytest.param("between two events", marks=pytest.mark.only("mariadb")),
    ],
)
def test_a_transaction_that_the_source_was_killed_in_leaves_nothing_and_stops_nobody(flow: Flow, cut: str) -> None:
    cdc = flow.service("cdc")
    assert cdc.end() == 0
    # Read in the same connection as what is cut off: capture is behind.
    flow.sql(f"UPDATE {flow.schema}.players SET name = 'before' WHERE league_id = 1")
    file = kill_in_commit(flow)
    if cut == "between two events":
        cut_between_events(file)
    flow.stack.start_part("source")
    assert flow.sql(f"SELECT COUNT(*) FROM {flow.schema}.big") == [(0,)]
    flow.sql(f"UPDATE {flow.schema}.players SET name = 'after' WHERE league_id = 2")
    flow.sql(f"INSERT INTO {flow.schema}.big VALUES (1, 'small')")
    cdc.start()
    flow.settle()
    flow.assert_all_match()
    flow.assert_equal()
