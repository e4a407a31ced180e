"""The source goes on to another binlog file again and again, under load: nothing is lost and nothing doubled."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from datafingerprint.verdict import Outcome
from deploy.embedded.waiting import await_condition
from services.auditor.__main__ import run as audit
from tests.flow.running import Flow

pytestmark = pytest.mark.live

FILES = 60
SMALLEST = 4096
"""The least that either server takes as `max_binlog_size`: every few transactions fill a file."""


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3"}
    small_flow.start()
    small_flow.match()
    return small_flow


class Writer(threading.Thread):
    """Commits transactions of one and of many rows, and rolls some back, until it is stopped."""

    def __init__(self, flow: Flow, first: int) -> None:
        super().__init__()
        self.ended = threading.Event()
        self._flow = flow
        self._first = first

    def run(self) -> None:
        connection = self._flow.stack.blueprint.warehouse.connect()
        number = self._first
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(f"USE {self._flow.schema}")
            while not self.ended.is_set():
                number += 1
                many = ", ".join(f"({number * 100 + n}, {n % 3 + 1}, REPEAT('w', 40))" for n in range(number % 40 + 1))
                cursor.execute(f"INSERT INTO players (player_id, league_id, name) VALUES {many}")
                cursor.execute("INSERT INTO notes VALUES (%s, 'w')", (number % 3,))
                cursor.execute(
                    "DELETE FROM players WHERE player_id BETWEEN %s AND %s", (number * 100 - 390, number * 100 - 301)
                )
                if number % 7:
                    connection.commit()
                else:
                    connection.rollback()


@contextlib.contextmanager
def writing(flow: Flow) -> Iterator[None]:
    writers = [Writer(flow, first) for first in (1_000, 500_000)]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.ended.set()
            writer.join()


@contextlib.contextmanager
def small_files(flow: Flow) -> Iterator[None]:
    (before,) = flow.sql("SELECT @@GLOBAL.max_binlog_size")[0]
    flow.sql(f"SET GLOBAL max_binlog_size = {SMALLEST}")
    try:
        yield
    finally:
        flow.sql(f"SET GLOBAL max_binlog_size = {before}")


def files(flow: Flow) -> int:
    return len(flow.sql("SHOW BINARY LOGS"))


def require_agreement(flow: Flow) -> None:
    """Source, stream and lake, row for row and sum for sum."""
    flow.match()
    flow.assert_equal()
    assert {finding.outcome for finding in audit(flow.settings, None, None, threading.Event())} == {Outcome.MATCH}


def test_files_that_are_ended_by_hand_while_rows_are_written(flow: Flow) -> None:
    before = files(flow)
    with writing(flow):
        for _ in range(FILES):
            flow.sql("FLUSH BINARY LOGS")
    assert files(flow) >= before + FILES
    require_agreement(flow)
    # It was followed, not begun anew after a failure.
    assert flow.service("cdc").text.count("event=started") == 1


def test_files_that_are_full_after_a_few_transactions_through_kills_of_capture(flow: Flow) -> None:
    before, cdc = files(flow), flow.service("cdc")
    with small_files(flow), writing(flow):
        for round_ in range(1, 4):
            assert await_condition(lambda: files(flow) >= before + round_ * FILES, timeout_s=60)  # noqa: B023 - at once
            cdc.kill()
            published = cdc.text.count("event=epoch published")
            cdc.start()
            cdc.await_saying("event=epoch published", times=published + 1)
    require_agreement(flow)


def test_a_backlog_over_many_files_is_read_to_its_end(flow: Flow) -> None:
    """Heartbeats and idle rotations lie in it too: files without a transaction."""
    cdc, before = flow.service("cdc"), files(flow)
    assert cdc.end() == 0
    with small_files(flow), writing(flow):
        assert await_condition(lambda: files(flow) >= before + FILES, timeout_s=60)
    for _ in range(5):
        flow.sql("FLUSH BINARY LOGS")
    cdc.start()
    require_agreement(flow)
    flow.sql("FLUSH BINARY LOGS")
    flow.sql(f"DELETE FROM {flow.schema}.notes WHERE note = 'w'")
    require_agreement(flow)
    assert cdc.text.count("event=started") == 2  # the second start is the test's own
