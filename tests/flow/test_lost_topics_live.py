"""All of Kafka's topics are lost and the lake is not: every service refuses the new stream, and says why."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys

import pytest
from kafka.admin import KafkaAdminClient

from datafingerprint import wire
from datafingerprint.adapters.kafka.epoch_records import end_of_stream
from datafingerprint.config import load_settings
from datafingerprint.verdict import Verdict
from deploy.embedded.waiting import await_condition
from tests.flow.running import Flow, Service

pytestmark = pytest.mark.live

STOPPED = 2
WITHIN_S = 60.0
SERVICES, READERS = ("cdc", "lake_writer", "fingerprinter"), ("lake_writer", "fingerprinter")
OTHER = "another [lake] path and catalog, and another [state] url"
REMEDY = f"restore the topics, or start over with another [kafka] prefix, {OTHER.removeprefix('another ')}"


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.start()
    small_flow.match()
    return small_flow


def lose_topics(flow: Flow) -> None:
    """What a broker whose volume is lost comes back with: nothing but what services that run publish of themselves."""
    kafka = flow.settings.kafka

    def ours(admin: KafkaAdminClient) -> list[str]:
        states = wire.Topics(kafka.prefix).services
        return [name for name in admin.list_topics() if name.startswith(f"{kafka.prefix}.") and name != states]

    with contextlib.closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_topics(ours(admin))
        assert await_condition(lambda: not ours(admin), timeout_s=30)


def problems(flow: Flow, **more: str) -> dict[tuple[str, str], str]:
    """The doctor's problems: by part and check, the text and the remedy."""
    answer = subprocess.run(
        [sys.executable, "-m", "commands", "doctor", "--json"],
        env={**flow.environment, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    result = [load for load in json.loads(answer.stdout) if load["severity"] == "problem"]
    assert answer.returncode == (1 if result else 0)
    return {(item["part"], item["check"]): f"{item['said']}: {item['remedy']}" for item in result}


def refusing_line(service: Service) -> str:
    """Its last line, with which it has stopped."""
    assert service.wait(WITHIN_S) == STOPPED
    assert "Traceback" not in service.text
    line = service.text.splitlines()[-1]
    assert "event=stopped" in line
    return str(line)


def judgements(flow: Flow) -> dict[tuple[str, str], Verdict]:
    """What is said of every partition; the epoch of a heartbeat moves on meanwhile."""
    return {where: item.verdict for where, item in flow.verdicts().items()}


def in_catalog(flow: Flow) -> dict[str, int | None]:
    """The present snapshot of every lake table."""
    with contextlib.closing(flow.catalog()) as catalog:
        tables = [catalog.load_table((flow.schema, name)) for name in ("players", "notes")]
    return {table.name()[-1]: table.metadata.current_snapshot_id for table in tables}


def test_running_services_stop_when_the_broker_comes_back_with_nothing(flow: Flow) -> None:
    judged, lake = judgements(flow), in_catalog(flow)
    lose_topics(flow)
    flow.sql(f"INSERT INTO {flow.schema}.players (player_id, league_id) VALUES (1000, 1)")
    for name in SERVICES:
        assert REMEDY in refusing_line(flow.service(name))
    assert "the broker has lost an acknowledged epoch" in flow.service("cdc").text
    assert "event=stream started" not in flow.service("cdc").text.partition("event=snapshot complete")[2]
    assert (judgements(flow), in_catalog(flow)) == (judged, lake)


def test_services_that_start_after_the_loss_refuse_the_new_stream_and_the_remedy_begins_anew(flow: Flow) -> None:
    assert [flow.service(name).end() for name in SERVICES] == [0, 0, 0]
    judged, lake = judgements(flow), in_catalog(flow)
    with flow.state() as store:
        offset = store.progress().epochs_offset
    lose_topics(flow)
    # The doctor tells before anything is started, by the lake alone too, and says how to go on.
    told = problems(flow)
    assert set(told) == {("catalog", "tables"), ("state store", "stream")}
    assert all(REMEDY in sample for sample in told.values())
    other_state = {"DFP_STATE_URL": f"sqlite:///{flow.directory}/other_state.db"}
    assert set(problems(flow, **other_state)) == {("catalog", "tables")}
    # Neither reader waits in silence for epochs that begin anew.
    for name in READERS:
        flow.service(name).start()
        assert REMEDY in refusing_line(flow.service(name))
    flow.sql(f"INSERT INTO {flow.schema}.players (player_id, league_id) VALUES (1000, 1)")
    cdc = flow.service("cdc")
    cdc.start()
    cdc.await_saying("event=snapshot complete", times=2)
    # Until then the fingerprinter only says that its offset is beyond the end.
    assert await_condition(lambda: (end_of_stream(flow.settings.kafka) or (0, None))[0] > offset, timeout_s=WITHIN_S)
    for name in READERS:
        flow.service(name).start()
        assert OTHER in refusing_line(flow.service(name))
    told = problems(flow)
    assert set(told) == {("catalog", "tables"), ("state store", "stream")}
    assert all(OTHER in sample for sample in told.values())
    assert (judgements(flow), in_catalog(flow)) == (judged, lake)
    # As the remedy says: the new stream gets a lake and sums of its own.
    before = dataclasses.replace(flow)
    start_empty(flow)
    assert not problems(flow)
    flow.start(*READERS)
    flow.match()
    flow.assert_equal()
    assert in_catalog(before) == lake


def start_empty(flow: Flow) -> None:
    """Gives the flow another lake and state store."""
    flow.environment |= {
        "DFP_LAKE_PATH": f"{flow.settings.lake.path}-anew",
        "DFP_LAKE_CATALOG": f"sqlite:///{flow.directory}/anew_catalog.db",
        "DFP_STATE_URL": f"sqlite:///{flow.directory}/anew.db",
    }
    ours = {name: value for name, value in flow.environment.items() if name.startswith("DFP_")}
    flow.settings = load_settings({"tables": flow.settings.model_dump()["tables"]}, ours)
