"""Incidents, events and alerts over REST: what was observed, what operators decide, and the stream of events."""

from __future__ import annotations

import json
from collections.abc import Iterator

import anyio
import httpx
import pytest

from api.application import create_app
from api.incidents import Streams
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.incidents import Decision, Rules, Subject, decide
from datafingerprint.ports.incidents import Observed
from tests.api.conftest import GAMES, NOW, FakeLagReader, _AppTransport

OWNER = "a test"


def observe(store: SqlIncidentStore, now: float = NOW, rules: Rules | None = None) -> None:
    """What the notifier does in one turn, without services."""

    def every(observed: Observed) -> Iterator[tuple[Subject, Decision]]:
        for subject in {**observed.open, **observed.troubles}:
            result = observed.open.get(subject), observed.troubles.get(subject)
            yield subject, decide(*result, rules or Rules(), now)

    assert store.hold(OWNER, now)
    store.apply(OWNER, now, every)


@pytest.fixture
def client(seeded: SqlStateStore, incidents: SqlIncidentStore) -> Iterator[httpx.Client]:
    app = create_app(seeded, FakeLagReader(), lambda: NOW, incident_reader=incidents)
    plain = {"Accept-Encoding": "identity"}
    with httpx.Client(transport=_AppTransport(app), base_url="http://api", headers=plain) as made:
        yield made


def test_a_table_with_a_mismatch_is_one_open_incident_with_its_partitions_and_events(
    client: httpx.Client, incidents: SqlIncidentStore
) -> None:
    assert client.get("/v1/incidents").json() == {"items": [], "next_before": None}
    observe(incidents)
    (item,) = client.get("/v1/incidents", params={"state": "open"}).json()["items"]
    assert (item["table"], item["class"], item["hop"], item["rows"]) == (GAMES, "source_gap", "capture", 2)
    detail = client.get(f"/v1/incidents/{item['id']}").json()
    classes = {part["class"] for part in detail["partitions"]}
    assert classes == {"source_gap", "rows_missing"}
    assert {part["partition"] for part in detail["partitions"]} == {"date_year=2032"}
    assert (detail["partition_count"], [event["kind"] for event in detail["events"]]) == (1, ["incident_opened"])
    assert client.get("/v1/incidents", params={"state": "closed"}).json()["items"] == []
    assert 'dfp_incidents_open{class="source_gap"} 1.0' in client.get("/metrics").text


def test_operators_acknowledge_and_silence_open_incidents_only(
    client: httpx.Client, incidents: SqlIncidentStore, seeded: SqlStateStore
) -> None:
    observe(incidents)
    said = client.post("/v1/incidents/1/acknowledge", json={"note": "we know"}).json()
    assert (said["note"], said["acknowledged_at"]) == ("we know", "1970-01-12T13:47:00Z")
    assert client.post("/v1/incidents/1/silence", json={"until": "1970-01-13T00:00:00Z"}).status_code == 200
    assert client.post("/v1/incidents/1/silence", json={"until": "1970-01-13T00:00:00"}).status_code == 422
    kinds = [event["kind"] for event in client.get("/v1/incidents/1").json()["events"]]
    assert kinds == ["incident_opened", "incident_acknowledged", "incident_silenced"]
    seeded.forget([GAMES], definitions=[])
    with incidents._writing() as connection:
        connection.exec_driver_sql("DELETE FROM last_findings")
    observe(incidents, NOW + 10)
    observe(incidents, NOW + 100)
    assert client.get("/v1/incidents/1").json()["state"] == "closed"
    assert client.post("/v1/incidents/1/acknowledge", json={}).status_code == 409
    assert client.post("/v1/incidents/2/acknowledge", json={}).status_code == 404


def test_events_are_paged_both_ways(client: httpx.Client, incidents: SqlIncidentStore) -> None:
    observe(incidents)
    whole = client.get("/v1/events").json()
    numbers = [event["id"] for event in whole["items"]]
    assert numbers == sorted(numbers, reverse=True)
    assert {event["kind"] for event in whole["items"]} == {"verdict", "audit", "incident_opened"}
    assert whole["last_id"] == numbers[0]
    first = client.get("/v1/events", params={"limit": 1}).json()
    assert first["next_before"] == numbers[0]
    rest = client.get("/v1/events", params={"before": first["next_before"]}).json()
    assert [*first["items"], *rest["items"]] == whole["items"]
    head = client.head("/v1/events", headers={"Accept": "text/event-stream"})
    assert (head.status_code, head.headers["content-type"]) == (200, "application/json")
    later = client.get("/v1/events", params={"after": numbers[-1]}).json()
    assert [event["id"] for event in later["items"]] == sorted(numbers)[1:]


@pytest.mark.usefixtures("seeded")
def test_a_stream_resumes_after_the_last_event_and_gives_what_happens_later(incidents: SqlIncidentStore) -> None:
    observe(incidents)
    pauses = 0

    async def sleep(_seconds: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 1:
            await anyio.to_thread.run_sync(lambda: incidents.acknowledge(1, "seen", NOW + 1))

    streams = Streams(sleep)

    async def read(after: int | None, count: int) -> list[str]:
        pieces = []
        stream = streams.stream(incidents, after)
        async for piece in stream:
            pieces.append(piece)
            if len(pieces) == count:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return pieces

    retry, first, second, acknowledged = anyio.run(read, 1, 4)
    assert retry.startswith("retry:")
    assert first.startswith("id: 2\nevent: ")
    assert second.startswith("id: 3\nevent: incident_opened\ndata: ")
    assert json.loads(acknowledged.partition("data: ")[2])["detail"] == {"note": "seen"}
    assert anyio.run(read, 3, 2)[1] == acknowledged
    # With nothing new, a comment keeps the connection open.
    assert anyio.run(read, None, 2)[1].startswith(":")
    assert streams.connected == 0


def test_alerts_list_receivers_without_secrets_and_a_test_is_written_for_all(
    client: httpx.Client, incidents: SqlIncidentStore
) -> None:
    assert client.get("/v1/alerts").json() == {"receivers": [], "messages": []}
    observe(incidents)
    incidents.set_receivers(OWNER, {"json-1": "json://user:****@host/"}, NOW)
    assert client.post("/v1/alerts/test").json() == {"receivers": ["json-1"]}
    incidents.begin_message(OWNER, "json-1", "a-message", NOW)
    (receiver,) = client.get("/v1/alerts").json()["receivers"]
    assert (receiver["state"], receiver["waiting"]) == ("sending", 1)
    message = incidents.messages()[0]
    incidents.end_attempt(OWNER, message, NOW, error="it refused", next_at=NOW + 5)
    (receiver,) = client.get("/v1/alerts").json()["receivers"]
    assert (receiver["state"], receiver["error"]) == ("failing", "it refused")
    incidents.end_attempt(OWNER, message, NOW + 5, error="", next_at=NOW + 5)
    shown = client.get("/v1/alerts").json()
    assert (shown["receivers"][0]["state"], shown["receivers"][0]["waiting"]) == ("idle", 0)
    assert (shown["messages"][0]["attempts"], shown["messages"][0]["sent_at"]) == (2, "1970-01-12T13:47:05Z")
