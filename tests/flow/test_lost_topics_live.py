"""All of Kafka's topics are lost while the lake is not: nobody takes the new stream for the old one, and all say so."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient

from datafingerprint.config import load_settings
from datafingerprint.verdict import Verdict
from deploy.embedded.waiting import await_condition

pytestmark = pytest.mark.live

STOPPED = 2
WITHIN_S = 60.0
SERVICES, READERS = ("cdc", "lake_writer", "fingerprinter"), ("lake_writer", "fingerprinter")
OTHER = "another [lake] path and catalog, and another [state] url"
REMEDY = f"restore the topics, or begin anew under another [kafka] prefix, {OTHER.removeprefix('another ')}"


@pytest.fixture
def flow(small_flow: Any) -> Any:  # noqa: ANN401 - made by tests/flow/conftest.py, which cannot be imported
    small_flow.start()
    small_flow.match()
    return small_flow


def lose_topics(flow: Any) -> None:  # noqa: ANN401 - as above
    """What a broker whose volume is lost comes back with: nothing."""
    kafka = flow.settings.kafka

    def ours(admin: KafkaAdminClient) -> list[str]:
        return [name for name in admin.list_topics() if name.startswith(f"{kafka.prefix}.")]

    with contextlib.closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.delete_topics(ours(admin))
        assert await_condition(lambda: not ours(admin), timeout_s=30)


def problems(flow: Any, **more: str) -> dict[tuple[str, str], str]:  # noqa: ANN401 - as above
    """What the doctor calls a problem: by part and check, what is said and what mends it."""
    answer = subprocess.run(
        [sys.executable, "-m", "services", "doctor", "--json"],
        env={**flow.environment, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [one for one in json.loads(answer.stdout) if one["severity"] == "problem"]
    assert answer.returncode == (1 if found else 0)
    return {(one["part"], one["check"]): f"{one['said']}: {one['remedy']}" for one in found}


def refusing_line(service: Any) -> str:  # noqa: ANN401 - as above
    """Its last line, with which it has stopped."""
    assert service.wait(WITHIN_S) == STOPPED
    assert "Traceback" not in service.text
    line = service.text.splitlines()[-1]
    assert "event=stopped" in line
    return str(line)


def judgements(flow: Any) -> dict[tuple[str, str], Verdict]:  # noqa: ANN401 - as above
    """What is said of every partition; the epoch of a heartbeat moves on meanwhile."""
    return {where: one.verdict for where, one in flow.verdicts().items()}


def in_catalog(flow: Any) -> dict[str, int | None]:  # noqa: ANN401 - as above
    """The present snapshot of every lake table."""
    with contextlib.closing(flow.catalog()) as catalog:
        tables = [catalog.load_table((flow.schema, name)) for name in ("players", "notes")]
    return {table.name()[-1]: table.metadata.current_snapshot_id for table in tables}


def test_running_services_stop_when_the_broker_comes_back_with_nothing(flow: Any) -> None:  # noqa: ANN401
    judged, lake = judgements(flow), in_catalog(flow)
    lose_topics(flow)
    flow.sql(f"INSERT INTO {flow.schema}.players (player_id, league_id) VALUES (1000, 1)")
    for name in SERVICES:
        assert REMEDY in refusing_line(flow.service(name))
    assert "the broker has lost what it had acknowledged" in flow.service("cdc").text
    assert "event=stream begun" not in flow.service("cdc").text.partition("event=snapshot complete")[2]
    assert (judgements(flow), in_catalog(flow)) == (judged, lake)


def test_services_that_start_after_the_loss_refuse_the_new_stream_and_the_remedy_begins_anew(flow: Any) -> None:  # noqa: ANN401
    assert [flow.service(name).end() for name in SERVICES] == [0, 0, 0]
    judged, lake = judgements(flow), in_catalog(flow)
    lose_topics(flow)
    # The doctor tells before anything is started, by the lake alone too, and says how to go on.
    told = problems(flow)
    assert set(told) == {("catalog", "tables"), ("state store", "stream")}
    assert all(REMEDY in one for one in told.values())
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
    for name in READERS:
        flow.service(name).start()
        assert OTHER in refusing_line(flow.service(name))
    told = problems(flow)
    assert set(told) == {("catalog", "tables"), ("state store", "stream")}
    assert all(OTHER in one for one in told.values())
    assert (judgements(flow), in_catalog(flow)) == (judged, lake)
    # As the remedy says: the new stream gets a lake and sums of its own.
    before = dataclasses.replace(flow)
    begin_anew(flow)
    assert not problems(flow)
    flow.start(*READERS)
    flow.match()
    flow.assert_equal()
    assert in_catalog(before) == lake


def begin_anew(flow: Any) -> None:  # noqa: ANN401 - as above
    """Gives the flow another lake and state store."""
    flow.environment |= {
        "DFP_LAKE_PATH": f"{flow.settings.lake.path}-anew",
        "DFP_LAKE_CATALOG": f"sqlite:///{flow.directory}/anew_catalog.db",
        "DFP_STATE_URL": f"sqlite:///{flow.directory}/anew.db",
    }
    ours = {name: value for name, value in flow.environment.items() if name.startswith("DFP_")}
    flow.settings = load_settings({"tables": flow.settings.model_dump()["tables"]}, ours)
