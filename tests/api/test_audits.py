"""`/v1/audits` queues audits for the auditor, shows their progress, and refuses invalid requests."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audits import AuditProgress

GAMES = "ootp.games"


def ask(client: httpx.Client, **wanted: Any) -> Any:  # noqa: ANN401 - JSON
    response = client.post("/v1/audits", json=wanted)
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/v1/audits/{response.json()['id']}"
    return response.json()


def test_what_is_asked_for_waits_in_the_store_for_the_auditor(client: httpx.Client, seeded: SqlStateStore) -> None:
    answer = ask(client, table=GAMES, partition="date_year=2031")
    assert answer == {
        "id": 2,
        "table": GAMES,
        "partition": "date_year=2031",
        "origin": "request",
        "state": "queued",
        "reason": None,
        "verdict": None,
        "partitions_done": 0,
        "partitions": 0,
        "rows": 0,
        "asked_at": "1970-01-12T13:47:00Z",
        "started_at": None,
        "seen_at": None,
        "ended_at": None,
    }
    taken = seeded.take_audit("auditor", 1_000_030.0)
    assert taken is not None
    assert (taken.number, taken.scope.table, taken.scope.partition) == (2, GAMES, "date_year=2031")
    seeded.advance_audit(2, "auditor", 1_000_031.0, AuditProgress(0, 1, 0), paused="60 threads run")
    result = client.get("/v1/audits/2").json()
    assert (result["state"], result["reason"], result["partitions"], result["findings"]) == (
        "paused",
        "60 threads run",
        1,
        [],
    )


def test_asking_twice_is_asking_once_while_it_waits(client: httpx.Client) -> None:
    assert ask(client)["id"] == ask(client)["id"]
    assert ask(client, table=GAMES)["id"] != ask(client)["id"]


def test_an_audit_tells_every_finding_with_both_sums(client: httpx.Client) -> None:
    answer = client.get("/v1/audits/1").json()
    assert (answer["state"], answer["verdict"], answer["partitions_done"], answer["rows"]) == (
        "done",
        "mismatch",
        2,
        2443,
    )
    findings = answer["findings"][1]
    assert (findings["table"], findings["partition"], findings["hops"]) == (GAMES, "date_year=2032", ["capture"])
    assert (findings["source"]["rows"], findings["stream"]["rows"]) == (12, 11)
    assert findings["position"] == {"gtid": "0-1-4", "file": "binlog.000004", "pos": 7004}


def test_audits_come_newest_first_and_in_pages(client: httpx.Client) -> None:
    ask(client)
    ask(client, table=GAMES)
    first = client.get("/v1/audits", params={"limit": 2}).json()
    assert ([item["id"] for item in first["items"]], first["next_before"]) == ([3, 2], 2)
    rest = client.get("/v1/audits", params={"limit": 2, "before": 2}).json()
    assert ([item["id"] for item in rest["items"]], rest["next_before"]) == ([1], None)


def test_one_that_waits_can_be_cancelled_and_one_that_is_over_cannot(
    client: httpx.Client, seeded: SqlStateStore
) -> None:
    number = ask(client)["id"]
    assert client.delete(f"/v1/audits/{number}").json()["state"] == "cancelled"
    assert seeded.take_audit("auditor", 1_000_030.0) is None
    response = client.delete("/v1/audits/1")
    assert (response.status_code, response.json()) == (409, {"error": "audit 1 is over: it is done"})


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        ({"table": "ootp.game"}, 404, "no table ootp.game; there are ootp.<trades>, ootp.games, ootp.players"),
        (
            {"table": GAMES, "partition": "date_year=1999"},
            404,
            "no partition date_year=1999 of ootp.games; there are date_year=2031, date_year=2032",
        ),
        ({"partition": "date_year=2031"}, 422, "partition: a partition needs its table"),
        ({"tabel": GAMES}, 422, "tabel: extra inputs are not permitted"),
        ({"table": 5}, 422, "table: input should be a valid string"),
    ],
)
def test_what_cannot_be_audited_is_refused_and_nothing_is_queued(
    client: httpx.Client, seeded: SqlStateStore, wanted: dict[str, Any], code: int, said: str
) -> None:
    response = client.post("/v1/audits", json=wanted)
    assert (response.status_code, response.json()) == (code, {"error": said})
    assert seeded.take_audit("auditor", 1_000_030.0) is None


def test_an_audit_that_is_not_there_is_told_with_those_that_are(client: httpx.Client) -> None:
    for call in (client.get, client.delete):
        response = call("/v1/audits/7")
        assert (response.status_code, response.json()) == (404, {"error": "no audit 7; there are 1"})


def test_a_page_of_another_site_cannot_ask_for_one(client: httpx.Client, seeded: SqlStateStore) -> None:
    """A browser sends such bodies to anybody without asking first; JSON it does not."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert client.post("/v1/audits", content="{}", headers={"content-type": kind}).status_code == 422
    assert client.post("/v1/audits").status_code == 422
    assert seeded.audit(2) is None


def test_the_state_of_the_audits_is_part_of_the_system(client: httpx.Client) -> None:
    assert client.get("/v1/status").json()["audit"] == {
        "match": 1, "mismatch": 1, "inconclusive": 0, "oldest": "1970-01-12T13:46:52Z",
    }  # fmt: skip
