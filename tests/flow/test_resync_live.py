"""A gap is mended while everything runs: the other tables never wait, kills cost nothing, refusals harm nobody."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from datafingerprint.adapters.kafka_requests import ask
from datafingerprint.errors import DataFingerprintError
from datafingerprint.requests import Reread
from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from services.resync.__main__ import run as resync

pytestmark = pytest.mark.live


@pytest.fixture
def flow(small_flow: Any) -> Any:  # noqa: ANN401 - made by tests/flow/conftest.py, which cannot be imported
    small_flow.start()
    small_flow.settle()
    return small_flow


@contextlib.contextmanager
def writing(flow: Any) -> Iterator[None]:  # noqa: ANN401 - as above
    """Changes rows of both tables, also from one partition to another, until the block ends."""
    ended = threading.Event()

    def write() -> None:
        with contextlib.closing(flow.stack.blueprint.warehouse.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"USE {flow.schema}")
            number = 20_000
            while not ended.wait(0.002):
                number += 1
                cursor.execute("INSERT INTO players (player_id, league_id, name) VALUES (%s, 2, 'w')", (number,))
                cursor.execute("UPDATE players SET league_id = 3 - league_id WHERE player_id = 101")
                cursor.execute("UPDATE players SET rating = rating + 1 WHERE player_id = 201")
                cursor.execute("DELETE FROM players WHERE player_id = %s", (number - 5,))
                cursor.execute("INSERT INTO notes VALUES (%s, 'meanwhile')", (number,))
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


def hide(flow: Any, rows: int) -> None:  # noqa: ANN401 - as above
    """Rows that the binlog never shows, in the partitions of leagues 2 and 3."""
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        for start in range(100_000, 100_000 + rows, 500):
            values = ", ".join(f"({start + n}, {n % 2 + 2}, 'unseen')" for n in range(500))
            cursor.execute(f"INSERT INTO {flow.schema}.players (player_id, league_id, name) VALUES {values}")
        connection.commit()


def asked(flow: Any, partition: str | None = None) -> Reread:  # noqa: ANN401 - as above
    return Reread(f"{flow.schema}.players", partition, time.time())


def audited(flow: Any) -> dict[str | None, Outcome]:  # noqa: ANN401 - as above
    found = audit(flow.settings, f"{flow.schema}.players", None, threading.Event())
    return {one.partition: one.outcome for one in found}


def test_one_partition_comes_back_while_rows_are_written(flow: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN401
    hide(flow, 2_000)
    with writing(flow):
        assert audited(flow) == {
            "league_id=1": Outcome.MATCH,
            "league_id=2": Outcome.MISMATCH,
            "league_id=3": Outcome.MISMATCH,
        }
        assert resync(flow.settings, asked(flow, "league_id=2"), threading.Event()) == 0
        assert "players league_id=2: match at epoch" in capsys.readouterr().out
        assert audited(flow) == {
            "league_id=1": Outcome.MATCH,
            "league_id=2": Outcome.MATCH,
            "league_id=3": Outcome.MISMATCH,
        }
        assert resync(flow.settings, asked(flow), threading.Event()) == 0
        assert set(audited(flow).values()) == {Outcome.MATCH}
    flow.settle()
    flow.assert_all_match()
    flow.assert_equal()
    assert flow.service("cdc").text.count("event=stream resumed") == 0


def test_other_tables_go_on_and_kills_cost_nothing_while_a_table_is_read(flow: Any) -> None:  # noqa: ANN401 - as above
    hide(flow, 3_000)
    cdc = flow.service("cdc")
    cdc.kill()
    cdc.start(DFP_CDC_SNAPSHOT_ROWS="100")
    with writing(flow):
        ask(flow.settings.kafka, asked(flow, "league_id=3"))
        cdc.await_saying("event=request taken up")
        cdc.await_saying("event=snapshot read", times=cdc.text.count("event=snapshot read") + 4)
        cdc.kill()
        seen = cdc.text.count("event=snapshot complete")
        cdc.start(DFP_CDC_SNAPSHOT_ROWS="100", DFP_CDC_EPOCH_S="0.05")
        cdc.await_saying("event=snapshot complete", times=seen + 1)
    flow.settle()
    flow.assert_all_match()
    flow.assert_equal()
    assert set(audited(flow).values()) == {Outcome.MATCH}
    lines = cdc.text.splitlines()
    start = max(n for n, line in enumerate(lines) if "event=snapshot started" in line)
    end = max(n for n, line in enumerate(lines) if "event=snapshot complete" in line)
    assert any("event=epoch published" in line for line in lines[start:end])


def test_what_cannot_be_done_is_refused_and_the_stream_goes_on(flow: Any) -> None:  # noqa: ANN401 - as above
    ended = threading.Event()
    with pytest.raises(DataFingerprintError, match=r"no table .*\.absent is under watch"):
        resync(flow.settings, Reread(f"{flow.schema}.absent", None, 0.0), ended)
    with pytest.raises(DataFingerprintError, match="has no partition league_id=99"):
        resync(flow.settings, asked(flow, "league_id=99"), ended)
    ask(flow.settings.kafka, Reread(f"{flow.schema}.absent", None, 0.0))
    flow.service("cdc").await_saying("event=request refused")
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (31, 'after')")
    flow.settle()
    flow.assert_all_match()
    flow.assert_equal()
