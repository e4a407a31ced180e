"""What cannot heal ends a service with status 2 and one line: what, where, what to do. The rest is retried."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
from collections.abc import Iterator, Sequence

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from datafingerprint import wire
from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog, _Ranges
from datafingerprint.changes import Changes
from datafingerprint.epochs import Epoch, OffsetRange
from datafingerprint.ports.stream import EpochDraft
from deploy.embedded.waiting import await_condition
from tests.flow.running import Flow, Service

pytestmark = pytest.mark.live

REFUSED = 2
WITHIN_S = 60.0
ENDS_WITHIN_S = 8.0
SERVICES = ("cdc", "lake_writer", "fingerprinter")


def refusal(flow: Flow, name: str, **more: str) -> str:
    """Runs a service that must refuse; returns its only line that is no ordinary progress."""
    service = flow.service(name, label=f"{name}-{len(flow.services)}")
    service.start(**more)
    assert service.wait(WITHIN_S) == REFUSED
    return refusing_line(service)


def refusing_line(service: Service) -> str:
    assert "Traceback" not in service.text
    lines = [line for line in service.text.splitlines() if " level=info " not in line]
    assert len(lines) == 1, lines
    return str(lines[0])


def test_a_wrong_password_is_refused_without_showing_it(small_flow: Flow) -> None:
    line = refusal(small_flow, "cdc", DFP_SOURCE_PASSWORD="not the one")
    assert "the source refuses us" in line
    assert f"where=127.0.0.1:{small_flow.settings.source.port}" in line
    assert "remedy=check [source] user, password, tls, grants" in line
    assert "not the one" not in line


@contextlib.contextmanager
def server_set_to(flow: Flow, variable: str, value: str) -> Iterator[None]:
    (before,) = flow.sql(f"SELECT @@GLOBAL.{variable}")[0]
    flow.sql(f"SET GLOBAL {variable} = {value}")
    try:
        yield
    finally:
        flow.sql(f"SET GLOBAL {variable} = {before}")


@pytest.mark.parametrize(("variable", "value"), [("binlog_row_metadata", "MINIMAL"), ("binlog_row_image", "MINIMAL")])
def test_a_server_that_logs_too_little_is_refused_with_the_statement_that_mends_it(
    small_flow: Flow,
    variable: str,
    value: str,
) -> None:
    with server_set_to(small_flow, variable, value):
        line = refusal(small_flow, "cdc")
    assert f"what=the source has {variable} = {value}" in line
    assert f"remedy=SET GLOBAL {variable} = FULL" in line


@pytest.mark.parametrize("name", ["lake_writer"])
def test_a_missing_bucket_is_refused(small_flow: Flow, name: str) -> None:
    line = refusal(small_flow, name, DFP_S3_BUCKET="no-such-bucket")
    assert "no-such-bucket" in line
    assert "remedy=" in line


@pytest.mark.parametrize("variable", ["DFP_S3_SECRET_KEY", "DFP_S3_ACCESS_KEY"])
def test_a_wrong_key_of_the_store_is_refused_without_showing_it(small_flow: Flow, variable: str) -> None:
    line = refusal(small_flow, "lake_writer", **{variable: "notthisone"})
    assert "where=" in line
    assert "remedy=" in line
    assert variable != "DFP_S3_SECRET_KEY" or "notthisone" not in line


@pytest.mark.parametrize("name", [*SERVICES, "generator"])
def test_an_unknown_variable_is_refused_with_the_nearest_known_one(small_flow: Flow, name: str) -> None:
    line = refusal(small_flow, name, DFP_KAFKA_PREFIXX="x")
    assert line == f"{name}: unknown variable DFP_KAFKA_PREFIXX: did you mean DFP_KAFKA_PREFIX?"


@pytest.mark.parametrize("name", [*SERVICES, "generator"])
def test_an_unknown_setting_is_refused_with_the_nearest_known_one(small_flow: Flow, name: str) -> None:
    config = small_flow.directory / "wrong.toml"
    config.write_text("[kafka]\nbootstraps = 'x'\n", encoding="utf-8")
    line = refusal(small_flow, name, DFP_CONFIG=str(config))
    assert line.startswith(f"{name}: unknown setting kafka.bootstraps")
    assert "bootstrap?" in line


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_a_broker_that_nobody_has_started_is_waited_for_and_the_wait_can_be_ended(small_flow: Flow) -> None:
    where = f"127.0.0.1:{unused_port()}"
    for name in SERVICES:
        small_flow.service(name).start(DFP_KAFKA_BOOTSTRAP=where)
    for name in SERVICES:
        small_flow.service(name).await_saying("event=unavailable", times=2, within_s=WITHIN_S)
        assert where in small_flow.service(name).text
    for name in SERVICES:
        service = small_flow.service(name)
        assert service.end(ENDS_WITHIN_S) == 0
        assert "Traceback" not in service.text
        assert all(" level=" in line for line in service.text.splitlines()), "lines that are not ours"


@pytest.mark.parametrize(("name", "ready"), [("cdc", "event=snapshot complete"), ("lake_writer", "event=writing")])
def test_the_second_of_a_kind_takes_over_and_the_first_stops(small_flow: Flow, name: str, ready: str) -> None:
    small_flow.service("cdc").start()
    first = small_flow.service(name)
    if not first.is_running:
        first.start()
    first.await_saying(ready)
    second = small_flow.service(name, label="second")
    second.start()
    # Where the broker answers the first one with an error that may heal, it starts again, and takes over in its turn.
    pair = (first, second)
    assert await_condition(lambda: not all(item.is_running for item in pair), timeout_s=WITHIN_S)
    gone, left = pair if not first.is_running else (second, first)
    assert gone.wait(WITHIN_S) == REFUSED
    line = refusing_line(gone)
    assert "another process has taken over" in line
    assert "remedy=run one " in line
    assert left.is_running
    assert left.end() == 0


def test_a_capture_whose_epoch_cannot_be_published_stops_at_once_and_not_with_the_next_one(small_flow: Flow) -> None:
    first, second = small_flow.service("cdc"), small_flow.service("cdc", label="second")
    first.start(DFP_CDC_HEARTBEAT_S="3600")
    first.await_saying("event=snapshot complete")
    # Under another number: of two replicas with the same one the source itself throws the first one out.
    second.start(DFP_CDC_HEARTBEAT_S="3600", DFP_SOURCE_SERVER_ID="4243")
    second.await_saying("event=stream resumed")
    assert first.is_running
    small_flow.sql(f"INSERT INTO {small_flow.schema}.notes VALUES (31, 'the only one')")
    assert first.wait(WITHIN_S) == REFUSED
    assert "another process has taken over" in refusing_line(first)
    second.await_saying("event=epoch published")
    assert second.end() == 0


def test_a_capture_that_the_source_refuses_leaves_the_one_that_runs_alone(small_flow: Flow) -> None:
    small_flow.start()
    small_flow.settle()
    refused = small_flow.service("cdc", label="wrong password")
    refused.start(DFP_SOURCE_PASSWORD="wrong")
    assert refused.wait(WITHIN_S) == REFUSED
    assert "the source refuses us" in refusing_line(refused)
    small_flow.sql(f"INSERT INTO {small_flow.schema}.notes VALUES (31, 'afterwards')")
    small_flow.settle()
    small_flow.assert_all_match()
    assert small_flow.service("cdc").is_running


class GarbageLog(KafkaEpochLog):
    """Publishes epochs whose only message is no record batch."""

    place = ""

    def _send_changes(self, producer: KafkaProducer, number: int, parts: Sequence[Changes]) -> _Ranges:
        assert not parts
        version, table = next((version, item) for version, item in self.definitions().items() if item.name == "players")
        topic = self._topics.of(table)
        headers = [(wire.HEADER_EPOCH, str(number).encode()), (wire.HEADER_SCHEMA, str(version).encode())]
        sent = producer.send(topic, b"no record batch", partition=0, headers=headers)
        producer.flush(timeout=WITHIN_S)
        offset = sent.get(timeout=WITHIN_S).offset
        self.place = f"{topic}:0:{offset}"
        return _Ranges({table.table: {0: OffsetRange(offset, offset + 1, 1, 1)}})


def following(last: Epoch) -> EpochDraft:
    return EpochDraft(
        last.stream_id,
        last.number + 1,
        last.position,
        last.committed_at,
        snapshots=last.snapshots,
        versions=last.versions,
    )


def test_a_message_that_is_no_batch_sets_its_table_aside_by_its_offset_and_a_snapshot_heals_it(
    small_flow: Flow,
) -> None:
    small_flow.start()
    small_flow.settle()
    cdc = small_flow.service("cdc")
    assert cdc.end() == 0
    with contextlib.closing(GarbageLog(small_flow.settings.kafka)) as log:
        last = log.open()
        assert last is not None
        log.publish(following(last))
        place = log.place
    writer = small_flow.service("lake_writer")
    writer.await_saying(f"event=table is set aside table={small_flow.schema}.players")
    line = next(line for line in writer.text.splitlines() if "event=table is set aside" in line)
    assert place in line
    assert f"{small_flow.schema}.players is not a record batch" in line
    cdc.start()
    cdc.await_saying("event=stream resumed")
    small_flow.sql(f"DELETE FROM {small_flow.schema}.notes")
    # The lake writer asks for the table by itself, and it is read again.
    small_flow.match()


def test_a_state_store_of_another_version_is_refused_and_left_as_it_is(small_flow: Flow) -> None:
    with small_flow.state() as store:
        store.progress()
    file = small_flow.settings.state.url.get_secret_value().removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE meta SET value = '999'")
        connection.commit()
    line = refusal(small_flow, "fingerprinter")
    assert "999" in line
    assert "remedy=" in line
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT value FROM meta").fetchall() == [("999",)]


def test_epochs_that_are_gone_while_the_lake_is_not_are_no_first_run(small_flow: Flow) -> None:
    small_flow.start()
    small_flow.settle()
    assert [small_flow.service(name).end() for name in SERVICES] == [0, 0, 0]
    files = small_flow.live_files("players")
    assert files
    kafka = small_flow.settings.kafka
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_topics([wire.Topics(kafka.prefix).epochs])
        assert await_condition(lambda: wire.Topics(kafka.prefix).epochs not in admin.list_topics(), timeout_s=30)
    for name in SERVICES:
        line = refusal(small_flow, name)
        assert "epochs topic" in line
        assert "remedy=" in line
        assert "with another [kafka] prefix, [lake] path and catalog, and another [state] url" in line
    assert small_flow.live_files("players") == files
