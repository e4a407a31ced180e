"""The API shows for every service whether it works, and never a lag of 0 while one does not."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from api.status_text import services_table
from datafingerprint.errors import Unavailable
from datafingerprint.liveness import ServiceState

Fake = Any
"""The fakes of conftest, which cannot be imported."""


def get(client: httpx.Client, path: str) -> Any:  # noqa: ANN401 - JSON
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def up(client: httpx.Client) -> dict[str, float]:
    """The gauge of each service."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith("dfp_service_up{")]
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}


def test_services_that_work_are_no_standstill(listening_client: httpx.Client) -> None:
    answer = get(listening_client, "/v1/services")
    assert answer["kafka"] == "ok"
    assert [(item["service"], item["state"], item["message"]) for item in answer["items"]] == [
        ("cdc", "running", "working"),
        ("lake_writer", "running", "working"),
        ("fingerprinter", "running", "working"),
    ]
    assert answer["items"][0] == {
        "service": "cdc",
        "state": "running",
        "since": "1970-01-12T13:45:30Z",
        "message": "working",
        "remedy": None,
        "host": "here",
        "pid": 0,
        "version": "1",
        "started_at": "1970-01-12T13:45:20Z",
        "heard_at": "1970-01-12T13:46:59Z",
    }
    status = get(listening_client, "/v1/status")
    assert status["standstill"] is None
    assert status["services"] == answer["items"]
    assert up(listening_client) == {"cdc": 1.0, "fingerprinter": 1.0, "lake_writer": 1.0}


def test_a_service_that_stopped_is_told_with_its_last_line_and_remedy(
    listening_client: httpx.Client, services: Fake
) -> None:
    services.said["lake_writer"] = (ServiceState.STOPPED, "it is another lake", "name another one")
    status = get(listening_client, "/v1/status")
    assert status["standstill"] == (
        "lake_writer stopped since 1970-01-12 13:45:30 UTC: it is another lake (name another one)"
    )
    # What it has not reached is known; that it would be 0 s old if there were nothing is not.
    assert status["lag"] == {"messages": 6, "rows": 6, "epochs": 2, "seconds": 15.0}
    assert up(listening_client) == {"cdc": 1.0, "fingerprinter": 1.0, "lake_writer": 0.0}


@pytest.mark.parametrize("name", ["cdc", "fingerprinter"])
def test_behind_one_that_is_silent_nobody_knows_how_far_the_lake_is_behind(
    listening_client: httpx.Client, services: Fake, name: str
) -> None:
    services.silent_s[name] = 9.0
    status = get(listening_client, "/v1/status")
    assert status["standstill"].startswith(f"{name} silent since 1970-01-12 13:46:51 UTC: last heard while running")
    assert status["lag"] == {"messages": 6, "rows": None, "epochs": None, "seconds": None}
    assert up(listening_client)[name] == 0.0


def test_one_that_retries_for_long_is_told_and_one_that_retries_for_a_moment_is_not(
    listening_client: httpx.Client, services: Fake
) -> None:
    services.said["cdc"] = (ServiceState.RETRYING, "the source is away", "")
    assert "cdc retrying since" in get(listening_client, "/v1/status")["standstill"]


def test_a_service_that_no_verdict_needs_is_no_standstill(listening_client: httpx.Client, services: Fake) -> None:
    services.said["auditor"] = (ServiceState.STOPPED, "it is denied", "GRANT SELECT")
    assert get(listening_client, "/v1/status")["standstill"] is None
    assert get(listening_client, "/v1/services")["items"][-1]["remedy"] == "GRANT SELECT"
    assert up(listening_client)["auditor"] == 0.0


def test_one_that_was_never_heard_is_named_and_judged_by_nothing(
    listening_client: httpx.Client, services: Fake
) -> None:
    del services.said["lake_writer"]
    (missing,) = [item for item in get(listening_client, "/v1/services")["items"] if item["service"] == "lake_writer"]
    assert (missing["state"], missing["since"]) == ("unknown", None)
    assert get(listening_client, "/v1/status")["standstill"] is None
    assert "lake_writer" not in up(listening_client)


def test_with_the_broker_away_no_state_is_pretended(listening_client: httpx.Client, services: Fake) -> None:
    services.away = "the broker is away"
    del services.said["lake_writer"]
    answer = get(listening_client, "/v1/services")
    assert answer["kafka"] == "the broker is away"
    assert {(item["state"], item["message"]) for item in answer["items"]} == {("unknown", "the broker is away")}
    assert len(answer["items"]) == 3
    assert get(listening_client, "/v1/status")["standstill"] == "the broker is away"
    assert up(listening_client) == {}


def test_the_services_are_told_while_the_store_is_away(broken: Fake) -> None:
    with broken(Unavailable("the state store is away")) as client:
        assert get(client, "/v1/services") == {"kafka": "ok", "items": []}


def test_a_table_of_services_is_plain_text() -> None:
    item = {"service": "cdc", "state": "odd", "since": None, "message": None, "remedy": None}
    assert services_table([item]).row_count == 1
