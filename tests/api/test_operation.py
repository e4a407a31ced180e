"""Health, readiness, errors, metrics, OpenAPI and the dashboard page."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from api import metrics
from api.application import create_app
from api.pages import policy
from api.ports import LagReader, StateView, Store
from api.readiness import Readiness
from api.routes import operation, pages
from api.server import require_token
from datafingerprint.config import Api
from datafingerprint.errors import ConfigError, StateError, Unavailable
from tests.api.conftest import BrokenStore, FakeLagReader

OPEN_PATHS = operation.OPEN_PATHS | pages.OPEN_PATHS
TOKEN = "sixteen-or-more-characters"
ROOT = Path(__file__).parents[2]

PATHS = {
    "/",
    "/healthz",
    "/metrics",
    "/readyz",
    "/v1/audits",
    "/v1/audits/{id}",
    "/v1/epochs",
    "/v1/fingerprints",
    "/v1/fingerprints/{table}",
    "/v1/fingerprints/{table}/{partition}",
    "/v1/fingerprints/{table}/{partition}/history",
    "/v1/lag",
    "/v1/matrix",
    "/v1/services",
    "/v1/status",
    "/v1/tables",
}


Broken = Callable[[Exception], AbstractContextManager[httpx.Client]]


def test_the_process_lives_whatever_the_store_does(broken: Broken) -> None:
    with broken(Unavailable("the state store is away")) as client:
        assert client.get("/healthz").json() == {"status": "ok"}


def test_it_is_ready_when_a_first_epoch_is_stored(store: Store, lag_reader: LagReader) -> None:
    app = create_app(store, lag_reader, token=TOKEN)
    assert ask(app, "/readyz", {}).json() == {"error": "not ready"}
    response = ask(app, "/readyz", {"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 503
    assert "no epoch is stored yet" in response.json()["error"]


def test_it_is_ready_with_epochs(client: httpx.Client) -> None:
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("failure", [Unavailable("the state store is away"), StateError("of version 2")])
def test_only_who_has_the_token_learns_why_it_is_not_ready(lag_reader: LagReader, failure: Exception) -> None:
    for token in ("", TOKEN):
        app = create_app(BrokenStore(failure), lag_reader, token=token)
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
            response = ask(app, "/readyz", given)
            assert (response.status_code, response.json()) == (503, {"error": "not ready"})
            assert ask(app, "/healthz", given).json() == {"status": "ok"}
    response = ask(app, "/readyz", {"Authorization": f"Bearer {TOKEN}"})
    assert response.json() == {"error": f"not ready: {failure}"}


def test_the_store_is_looked_at_once_a_second_however_many_ask_whether_it_is_ready(seeded: Store) -> None:
    looks = 0
    now = 0.0

    class Counting:
        def reading(self) -> AbstractContextManager[StateView]:
            nonlocal looks
            looks += 1
            return seeded.reading()

    ready = Readiness(Counting(), lambda: now)  # type: ignore[arg-type]
    assert [ready.reason() for _ in range(50)] == [""] * 50
    assert looks == 1
    now = 1.0
    ready.reason()
    assert looks == 2


def test_a_store_that_does_not_answer_holds_up_one_caller_only(seeded: Store) -> None:
    asked, release_memory = threading.Event(), threading.Event()

    class Slow:
        def reading(self) -> AbstractContextManager[StateView]:
            asked.set()
            release_memory.wait(10)
            return seeded.reading()

    ready = Readiness(Slow())  # type: ignore[arg-type]
    first = threading.Thread(target=ready.reason)
    first.start()
    assert asked.wait(10)
    assert ready.reason() == "the first check is running"
    release_memory.set()
    first.join()
    assert ready.reason() == ""


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (Unavailable("the state store is away"), 503, "the state store is away"),
        (StateError("of version 2", remedy="do this"), 500, "of version 2: do this"),
        (RuntimeError("a secret detail"), 500, "the service failed; its log names the cause"),
    ],
)
def test_every_failure_is_answered_as_an_error_in_json(
    broken: Broken,
    failure: Exception,
    code: int,
    said: str,
) -> None:
    with broken(failure) as client:
        for path in ("/v1/status", "/v1/tables", "/v1/epochs", "/v1/lag", "/v1/fingerprints", "/v1/fingerprints/a/b",
                     "/v1/audits", "/v1/audits/1"):  # fmt: skip
            response = client.get(path)
            assert (response.status_code, response.json()) == (code, {"error": said}), path


def test_unknown_paths_and_methods_are_errors_in_json(client: httpx.Client) -> None:
    response = client.get("/v2/status")
    assert (response.status_code, response.json()) == (
        404,
        {"error": "there is no /v2/status; /openapi.json describes every path"},
    )
    response = client.post("/v1/status")
    assert (response.status_code, response.json()) == (405, {"error": "/v1/status takes GET, not POST"})


def test_the_openapi_document_lists_every_path(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == PATHS
    assert client.get("/docs").status_code == 200


def test_every_path_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [path for path in sorted(PATHS) if f"`{path}`" not in text] == []


def families(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_metrics_tell_verdicts_epochs_and_lag(client: httpx.Client) -> None:
    samples = families(client.get("/metrics").text)
    assert samples["dfp_state_up"] == samples["dfp_kafka_up"] == {(): 1}
    assert samples["dfp_partitions"]["ootp.games", "mismatch"] == 1
    assert samples["dfp_verdict"]["ootp.games", "mismatch"] == 1
    assert samples["dfp_verdict"]["ootp.games", "match"] == 0
    assert (samples["dfp_source_epoch"][()], samples["dfp_lake_epoch"][()]) == (5, 3)
    assert samples["dfp_lag_messages"] == {("dfp-lake-writer",): 6, ("dfp-fingerprinter",): 0}
    assert samples["dfp_lag_seconds"]["dfp-lake-writer",] == 15
    assert samples["dfp_source_recorded_age_seconds"][()] == 11
    assert samples["dfp_compared_age_seconds"][()] == 17
    assert samples["dfp_epochs_per_second"][()] == 5 / 60
    assert samples["dfp_changed_rows_per_second"][()] == 10 / 60
    assert samples["dfp_source_rows"]["ootp.games",] == 2443
    assert ("ootp.players",) not in samples["dfp_source_rows"]
    assert samples["dfp_snapshot_percent"]["ootp.players",] == 40
    assert samples["dfp_audit_partitions"]["ootp.games", "match"] == 1
    assert samples["dfp_audit_partitions"]["ootp.games", "mismatch"] == 1
    assert samples["dfp_audit_age_seconds"]["ootp.games",] == 8
    assert samples["dfp_audits"]["done",] == 1


def test_every_metric_of_the_list_is_shown_and_no_other(listening_client: httpx.Client) -> None:
    assert set(families(listening_client.get("/metrics").text)) == {metric.name for metric in metrics.METRICS}


def test_metrics_tell_that_the_store_or_kafka_is_away(
    client: httpx.Client, broken: Broken, lag_reader: FakeLagReader
) -> None:
    lag_reader.failure = Unavailable("the broker is away")
    samples = families(client.get("/metrics").text)
    assert samples["dfp_kafka_up"] == {(): 0}
    assert "dfp_lag_messages" not in samples
    with broken(Unavailable("away")) as away:
        response = away.get("/metrics")
        assert response.status_code == 200
        assert families(response.text) == {"dfp_state_up": {(): 0}, "dfp_kafka_up": {(): 0}}


def test_the_page_about_metrics_is_the_list() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics.document()


def test_names_of_metrics_begin_alike_and_are_unique() -> None:
    names = [metric.name for metric in metrics.METRICS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"dfp_[a-z_]+", name) for name in names)


def test_the_page_of_rest_loads_nothing_from_elsewhere_and_puts_text_in_place_only(client: httpx.Client) -> None:
    response = client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert not re.search(r"unsafe|https?:|\*", policy)
    page = response.text
    assert not re.search(r"https?://|//cdn|@import|<script src|<link rel=.stylesheet|\bon[a-z]+=\"|\bstyle=\"", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", page)


def test_a_page_may_run_its_own_scripts_only() -> None:
    page = "<style>a{}</style><script>\n1;\n</script>"
    assert "script-src 'sha256-+VGbPvmxFvH1rEs7LzqnMnfhYsw5lxcqVXQpu4rqLHM='" in policy(page) or "sha256" in policy(
        page
    )
    assert policy("") == policy("<p>")
    assert "script-src 'none'; style-src 'none'" in policy("")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_it_listens_on_this_machine(host: str) -> None:
    require_token(Api(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])  # noqa: S104 - refused
def test_it_refuses_to_listen_where_others_can_reach_it_without_a_long_token(host: str) -> None:
    for token in ("", "short"):
        with pytest.raises(ConfigError, match=r"api\.token is not long enough"):
            require_token(Api(host=host, token=SecretStr(token)))
    require_token(Api(host=host, token=SecretStr(TOKEN)))


@pytest.mark.parametrize("path", ["/v1/status", "/v1/fingerprints", "/metrics", "/v2/none"])
def test_nothing_of_the_data_is_told_without_the_token(seeded: Store, lag_reader: LagReader, path: str) -> None:
    app = create_app(seeded, lag_reader, token=TOKEN)
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}):
        response = ask(app, path, given)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert "token" in response.json()["error"]
    for scheme in ("Bearer", "bearer", "BEARER"):  # its name has no case
        assert ask(app, path, {"Authorization": f"{scheme} {TOKEN}"}).status_code == (
            404 if path == "/v2/none" else 200
        )


def test_probes_and_the_empty_page_need_no_token(seeded: Store, lag_reader: LagReader) -> None:
    app = create_app(seeded, lag_reader, token=TOKEN)
    assert [ask(app, path, {}).status_code for path in sorted(OPEN_PATHS)] == [200] * len(OPEN_PATHS)


def ask(app: FastAPI, path: str, headers: dict[str, str]) -> httpx.Response:
    async def answered() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.get(path, headers=headers)

    return anyio.run(answered)


@pytest.mark.parametrize("path", sorted(path for path in PATHS if "{" not in path))
def test_head_answers_as_get_does_without_a_body(client: httpx.Client, path: str) -> None:
    got, headed = client.get(path), client.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert int(headed.headers["content-length"]) > 0


def test_head_of_what_is_not_there_is_404_and_the_document_does_not_list_it(client: httpx.Client) -> None:
    assert client.head("/v1/nothing").status_code == 404
    assert all("head" not in methods for methods in client.get("/openapi.json").json()["paths"].values())
