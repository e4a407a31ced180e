"""What stops capture in the binlog is passed by the command that its last line names, and all sums agree afterwards."""

from __future__ import annotations

import contextlib
import re
import shlex

import pytest

from deploy.embedded.waiting import await_condition
from tests.datafingerprint.binlog.following import execute
from tests.flow.running import Flow, Service

pytestmark = pytest.mark.live

STOPPED = 2
READ_ALL = "datafingerprint capture --resnapshot '*' --once"


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3"}
    small_flow.start()
    small_flow.settle()
    return small_flow


def run(flow: Flow, *statements: str) -> None:
    """In one session of the test's schema, which ends; a prepared XA transaction stays."""
    with contextlib.closing(flow.stack.blueprint.warehouse.connect()) as connection:
        connection.autocommit(value=True)
        connection.select_db(flow.schema)
        execute(connection, *statements)


def stopped_line(service: Service) -> str:
    assert service.wait(60) == STOPPED
    assert "Traceback" not in service.text
    return next(line for line in reversed(service.text.splitlines()) if "event=stopped" in line)


def follow_remedy(cdc: Service, line: str) -> None:
    """Runs capture as the line says, which reads and ends, and starts the service again."""
    command = re.search(r"datafingerprint capture (.*)$", line)
    assert command is not None, line
    read = cdc.text.count("event=snapshot complete")
    cdc.arguments = tuple(shlex.split(command[1]))
    cdc.start()
    assert cdc.wait(60) == 0
    assert cdc.says("event=snapshot complete", times=read + 1)
    cdc.arguments = ()
    cdc.start()


def require_agreement(flow: Flow) -> None:
    flow.settle()
    flow.await_that("all partitions match", lambda: bool(flow.verdicts()) and not flow.mismatches())
    flow.assert_all_match()
    flow.assert_equal()


def test_every_obstacle_in_the_binlog_is_passed_by_the_command_that_is_named(flow: Flow) -> None:
    cdc = flow.service("cdc")

    run(flow, "SET SESSION binlog_row_image = MINIMAL", "UPDATE players SET name = 'minimal' WHERE player_id = 101")
    cdc.await_saying("a row image lacks columns")
    cdc.await_saying(f"event=table is back table={flow.schema}.players")

    run(flow, "XA START 'x'", "DELETE FROM notes WHERE league_id = 1", "XA END 'x'", "XA PREPARE 'x'")
    run(flow, "XA COMMIT 'x'")
    line = stopped_line(cdc)
    assert "XA" in line
    assert "XA RECOVER" in line
    assert READ_ALL in line
    follow_remedy(cdc, line)

    # While one watched table is gone, and nobody is told of it any more.
    cdc.kill()
    run(flow, "UPDATE players SET name = 'unread' WHERE player_id = 103", "DROP TABLE notes", "FLUSH BINARY LOGS")
    purge(flow)
    cdc.arguments = ()
    cdc.start()
    line = stopped_line(cdc)
    assert re.search(r"purged binlogs before they were read|cannot continue from the last epoch", line), line
    assert READ_ALL in line
    follow_remedy(cdc, line)
    run(flow, "DELETE FROM players WHERE player_id = 104")
    require_agreement(flow)
    assert {table for table, _ in flow.verdicts()} == {f"{flow.schema}.players"}
    assert cdc.text.count("event=stream started") == 1


def test_an_alter_stops_capture_where_the_settings_say_so_and_the_command_of_the_line_goes_on(
    small_flow: Flow,
) -> None:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3", "DFP_SOURCE_ON_ALTER": "stop"}
    small_flow.start()
    small_flow.settle()
    cdc = small_flow.service("cdc")
    run(small_flow, "ALTER TABLE players COMMENT = 'neutral', ADD INDEX by_name (name)")
    run(small_flow, "UPDATE players SET name = 'before' WHERE player_id = 101")
    run(small_flow, "ALTER TABLE players MODIFY name VARCHAR(300)")
    run(small_flow, "UPDATE players SET name = 'after' WHERE player_id = 102")
    line = stopped_line(cdc)
    assert "source.on_alter is stop" in line
    assert f"--resnapshot {small_flow.schema}.players --once" in line

    follow_remedy(cdc, line)
    run(small_flow, "DELETE FROM players WHERE player_id = 104")
    require_agreement(small_flow)
    assert cdc.text.count("event=stopped") == 1
    assert cdc.text.count("event=stream started") == 1


def purge(flow: Flow) -> None:
    """Removes every binlog but the last; one that a killed reader still holds goes a little later."""
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:

        def is_gone() -> bool:
            cursor.execute("SHOW BINARY LOGS")
            *others, last = cursor.fetchall()
            cursor.execute(f"PURGE BINARY LOGS TO '{last[0]}'")
            return not others

        assert await_condition(is_gone, timeout_s=60)
