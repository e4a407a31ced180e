"""A gap is healed while everything runs: other tables never wait, and kills and refusals do no harm."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest
import structlog

from commands.resync.__main__ import run as resync
from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka.requests import KafkaRequests, ask
from datafingerprint.adapters.mysql.source import BinlogSource, Snapshot
from datafingerprint.changes import Op
from datafingerprint.epochs import Epoch
from datafingerprint.errors import DataFingerprintError, Unavailable
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.resync import ResyncRequest
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from services.cdc.capture import Capture
from services.cdc.snapshot_groups import GROUP_ROWS
from tests.flow.running import Flow

pytestmark = pytest.mark.live


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.start()
    small_flow.settle()
    return small_flow


@contextlib.contextmanager
def writing(flow: Flow) -> Iterator[None]:
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


def hide(flow: Flow, rows: int) -> None:
    """Rows that the binlog never shows, in the partitions of leagues 2 and 3."""
    with flow.stack.blueprint.warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        for start in range(100_000, 100_000 + rows, 500):
            values = ", ".join(f"({start + n}, {n % 2 + 2}, 'unseen')" for n in range(500))
            cursor.execute(f"INSERT INTO {flow.schema}.players (player_id, league_id, name) VALUES {values}")
        connection.commit()


def asked(flow: Flow, partition: str | None = None) -> ResyncRequest:
    return ResyncRequest(f"{flow.schema}.players", partition, time.time())


def audited(flow: Flow) -> dict[str | None, Outcome]:
    findings = audit(flow.settings, f"{flow.schema}.players", None, threading.Event())
    return {item.partition: item.outcome for item in findings}


def test_one_partition_comes_back_while_rows_are_written(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    hide(flow, 2_000)
    with writing(flow):
        assert audited(flow) == {
            "league_id=1": Outcome.MATCH,
            "league_id=2": Outcome.MISMATCH,
            "league_id=3": Outcome.MISMATCH,
        }
        assert resync(flow.settings, asked(flow, "league_id=2"), threading.Event()) == 0
        said = capsys.readouterr().out
        assert "players league_id=2: match at epoch" in said
        assert re.search(r"players  league_id=2 +match +\d+ rows \d+ +\d+ rows \d+", said)
        assert audited(flow) == {
            "league_id=1": Outcome.MATCH,
            "league_id=2": Outcome.MATCH,
            "league_id=3": Outcome.MISMATCH,
        }
        assert resync(flow.settings, asked(flow), threading.Event()) == 0
        assert set(audited(flow).values()) == {Outcome.MATCH}
    flow.match()
    flow.assert_equal()
    assert flow.service("cdc").text.count("event=stream resumed") == 0


def test_a_match_of_what_was_read_says_that_the_source_agrees(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that come behind the binlog's back after the reading are found by the audit at its end."""
    cdc, writer = flow.service("cdc"), flow.service("lake_writer")
    writer.kill()
    statuses: list[int] = []
    for no_audit, expected in ((True, 0), (False, 1)):
        seen = cdc.text.count("event=snapshot complete")
        request = asked(flow, "league_id=2")
        thread = threading.Thread(
            target=lambda: statuses.append(resync(flow.settings, request, threading.Event(), no_audit=no_audit))  # noqa: B023
        )
        thread.start()
        cdc.await_saying("event=snapshot complete", times=seen + 1)
        if not no_audit:
            hide(flow, 1_000)
        writer.start()
        thread.join(90)
        assert statuses == [expected]
        statuses.clear()
        writer.kill()
    said = capsys.readouterr().out
    assert said.count("players league_id=2: match at epoch") == 2
    assert "the stream has 500 rows too few" in said


def test_what_capture_reads_again_is_audited_by_the_auditor_that_serves(flow: Flow) -> None:
    flow.service("cdc").kill()
    once = flow.service(
        "cdc", "--resnapshot", f"{flow.schema}.players", "--partition", "league_id=2", "--once", label="a"
    )
    left_out = flow.service("cdc", "--resnapshot", f"{flow.schema}.notes", "--once", "--no-audit", label="b")
    everything = flow.service("cdc", "--resnapshot", "*", label="c")
    for item in (once, left_out):
        item.start()
        assert item.wait(60) == 0
    assert not left_out.says("event=audit requested")
    everything.start()
    everything.await_saying("event=audit requested")
    with flow.state() as store:
        asked_for = {str(entry.scope): entry.number for entry in store.audits(limit=10)}
        assert asked_for.keys() == {f"{flow.schema}.players league_id=2", "every table"}
        auditor = flow.service("auditor", "--serve")
        auditor.start()
        for number in asked_for.values():
            auditor.await_saying(f"event=audit done audit={number} outcome=match")
            assert {finding.outcome for finding in store.findings(number)} == {Outcome.MATCH}
    assert everything.is_running


def test_other_tables_go_on_and_kills_cost_nothing_while_a_table_is_read(flow: Flow) -> None:
    # Half of the rows are in the partition: six groups of a snapshot, of which the kill lets at least four happen.
    hide(flow, 12 * GROUP_ROWS)
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
    flow.match()
    flow.assert_equal()
    assert set(audited(flow).values()) == {Outcome.MATCH}
    lines = cdc.text.splitlines()
    start = max(n for n, line in enumerate(lines) if "event=snapshot started" in line)
    end = max(n for n, line in enumerate(lines) if "event=snapshot complete" in line)
    assert any("event=epoch published" in line for line in lines[start:end])


class BusySource(BinlogSource):
    """Somebody writes before every view that is opened."""

    write: Callable[[], object]

    def snapshot(self, tables: Sequence[TableSchema], partitions: Mapping[str, str] | None = None) -> Snapshot:
        self.write()
        return super().snapshot(tables, partitions)


class EndingLog(KafkaEpochLog):
    """Is gone before a table or partition can start from nothing."""

    def publish(self, draft: EpochDraft) -> Epoch:
        if any(Op.TRUNCATED.value in part.rows["op"].to_pylist() for part in draft.changes):
            raise Unavailable("the broker is gone")
        return super().publish(draft)


@pytest.mark.parametrize("how", ["is killed", "tries again"])
def test_a_request_is_not_lost_between_the_epoch_that_takes_it_up_and_the_reading(flow: Flow, how: str) -> None:
    """A request is not read again once an epoch records that it was taken up."""
    hide(flow, 1_000)
    flow.service("cdc").kill()
    ask(flow.settings.kafka, asked(flow, "league_id=2"))
    log = structlog.get_logger()
    source = BusySource(flow.settings, log)
    source.write = lambda: flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (32, 'before the view')")
    kafka, cdc, wanted = flow.settings.kafka, flow.settings.cdc, dict[str, str | None]()
    with contextlib.closing(KafkaRequests(kafka)) as requests:
        with contextlib.closing(EndingLog(kafka)) as ending, pytest.raises(Unavailable, match="the broker is gone"):
            Capture(source, ending, requests, cdc, log).run(threading.Event(), wanted)
        assert wanted == {f"{flow.schema}.players": "league_id=2"}
        if how == "tries again":
            with contextlib.closing(KafkaEpochLog(kafka)) as epoch_log:
                Capture(BinlogSource(flow.settings, log), epoch_log, requests, cdc, log).run(
                    threading.Event(), wanted, once=True
                )
    service = flow.service("cdc")
    seen = service.text.count("event=snapshot complete")
    service.start()
    if how == "is killed":
        service.await_saying("event=snapshot complete", times=seen + 1)
    flow.match()
    findings = audited(flow)
    assert (findings["league_id=1"], findings["league_id=2"]) == (Outcome.MATCH, Outcome.MATCH)


def test_what_cannot_be_done_is_refused_and_the_stream_goes_on(flow: Flow) -> None:
    ended = threading.Event()
    with pytest.raises(DataFingerprintError, match=r"table .*\.absent is not captured"):
        resync(flow.settings, ResyncRequest(f"{flow.schema}.absent", None, 0.0), ended)
    with pytest.raises(DataFingerprintError, match="has no partition league_id=99"):
        resync(flow.settings, asked(flow, "league_id=99"), ended)
    ask(flow.settings.kafka, ResyncRequest(f"{flow.schema}.absent", None, 0.0))
    flow.service("cdc").await_saying("event=request refused")
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (31, 'after')")
    flow.match()
    flow.assert_equal()
