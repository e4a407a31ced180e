"""The dashboard's addresses, files and policy, its summary without JavaScript, errors as pages, and the matrix."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI

from api.application import create_app
from api.matrix import Matrix
from api.pages import assets, filled
from api.ports import LagReader, Store
from api.summary import NAMED_MAX, summary_html
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.errors import Unavailable
from tests.api.conftest import BrokenStore
from tests.dashboard.large_state import fill

TOKEN = "sixteen-or-more-characters"
STATIC = Path(__file__).parents[2] / "api" / "static"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ADDRESSES = (
    "/",
    "/tables/ootp.games",
    "/tables/no.such%2Ftable",
    "/tables/ootp.games/date_year=2031/league_id=100",
    "/incidents",
    "/incidents/7",
    "/pipeline",
)
OWN_SCRIPTS = sorted(path for path in assets() if path.endswith(".js") and not path.startswith("vendor/"))


def ask(app: FastAPI, path: str, headers: dict[str, str]) -> httpx.Response:
    async def answered() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(path, headers=headers)

    return anyio.run(answered)


@pytest.mark.parametrize("path", ADDRESSES)
def test_each_view_has_an_address_that_can_be_loaded(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert '<script type="module" src="/static/main.js">' in response.text


def test_the_page_loads_its_own_files_only_and_has_nothing_inline(client: httpx.Client) -> None:
    response = client.get("/")
    policy = response.headers["content-security-policy"]
    assert "script-src 'self'; style-src 'self'; connect-src 'self'" in policy
    assert not re.search(r"unsafe|https?:|\*|data:", policy)
    assert not re.search(r"https?://|\bon[a-z]+=\"|\bstyle=\"|<style|<script>", response.text)
    for path in re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", response.text):
        assert client.get(path).status_code == 200, path


@pytest.mark.parametrize("path", OWN_SCRIPTS)
def test_a_module_imports_files_that_exist_and_writes_no_markup(path: str) -> None:
    text = (STATIC / path).read_text(encoding="utf-8")
    for name in re.findall(r"from \"([^\"]+)\"", text):
        assert name.startswith("."), f"{path} imports {name}, which no browser finds without an import map"
        assert ((STATIC / path).parent / name).resolve().is_file(), f"{path} imports {name}"
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://", text)


def test_every_vendored_file_is_listed_with_its_licence() -> None:
    licences = (STATIC / "vendor" / "LICENSES.txt").read_text(encoding="utf-8")
    assert re.findall(r"^== (\S+) [\d.]+ \(\S+\) ==$", licences, re.MULTILINE) == [
        "preact", "@preact/signals", "@preact/signals-core", "htm", "uplot",
    ]  # fmt: skip
    for path in (STATIC / "vendor").glob("*.js"):
        assert not re.search(r"\bfrom ?\"[@a-z]|sourceMappingURL", path.read_text(encoding="utf-8")), path.name


def test_a_file_is_sent_again_only_when_it_changed(client: httpx.Client) -> None:
    response = client.get("/static/main.js")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    again = client.get("/static/main.js", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/static/none.js", "/static/../pages.py", "/static/..%2Fpages.py", "/static/"])
def test_nothing_but_the_listed_files_is_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_reader_without_javascript_gets_the_verdict_and_what_differs(client: httpx.Client) -> None:
    summary = client.get("/").text.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "1 of 2 partitions in 3 tables equal the source, 1 differ, 0 cannot be decided yet" in summary
    assert "<li>ootp.games: mismatch. 1 of 2 partitions differs; date_year=2032" in summary


def test_names_are_text_in_the_summary(store: SqlStateStore) -> None:
    fill(store, 600, 1)
    summary = summary_html(Matrix(store), is_allowed=True)
    assert "ootp.&lt;script&gt;alert(1)&lt;/script&gt;: mismatch" in summary
    assert "<script" not in summary
    assert summary.count("<li>") == NAMED_MAX


def test_the_page_holds_no_data_where_a_token_is_needed(seeded: Store, lag_reader: LagReader) -> None:
    app = create_app(seeded, lag_reader, token=TOKEN)
    for path in ADDRESSES:
        response = ask(app, path, {})
        assert (response.status_code, "date_year=2032" in response.text) == (200, False)
        assert '<meta name="dfp-token" content="required">' in response.text
        assert "datafingerprint status" in response.text
    assert "date_year=2032" in ask(app, "/", {"Authorization": f"Bearer {TOKEN}"}).text


def test_the_page_is_served_while_the_state_store_is_away(lag_reader: LagReader) -> None:
    app = create_app(BrokenStore(Unavailable("the state store is away")), lag_reader)
    response = ask(app, "/", {})
    assert (response.status_code, "the state store is away" in response.text) == (200, True)


def test_an_unknown_address_is_a_page_with_ways_out_to_a_browser(client: httpx.Client) -> None:
    response = client.get("/tabels/<b>x", headers=BROWSER)
    assert (response.status_code, response.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "there is no /tabels/&lt;b&gt;x; /openapi.json describes every path" in response.text
    assert 'href="/"' in response.text
    assert client.get("/v1/nothing", headers=BROWSER).headers["content-type"] == "application/json"


def test_a_refused_address_is_a_page_to_a_browser_too(seeded: Store, lag_reader: LagReader) -> None:
    response = ask(create_app(seeded, lag_reader, token=TOKEN), "/nowhere", BROWSER)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert "This address needs the token" in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_a_template_escapes_what_is_not_markup() -> None:
    assert filled("{{a}} {{b_html}}", {"a": "<i>", "b_html": "<i>"}) == "&lt;i&gt; <i>"


def test_the_matrix_has_one_letter_for_each_partition(client: httpx.Client) -> None:
    response = client.get("/v1/matrix")
    assert response.json() == {
        "verdict": "mismatch",
        "items": [
            {
                "table": "ootp.<trades>", "verdict": "match", "reason": None, "rows": 0,
                "partitions": [], "verdicts": "",
            },
            {
                "table": "ootp.games", "verdict": "mismatch",
                "reason": "1 of 2 partitions differs; date_year=2032: the lake has 1 row too few", "rows": 2443,
                "partitions": ["date_year=2031", "date_year=2032"], "verdicts": "=x",
            },
            {
                "table": "ootp.players", "verdict": "inconclusive", "reason": "snapshot at 40 %", "rows": None,
                "partitions": [], "verdicts": "",
            },
        ],
    }  # fmt: skip
    again = client.get("/v1/matrix", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_matrix_of_nothing_is_inconclusive(empty_client: httpx.Client) -> None:
    assert empty_client.get("/v1/matrix").json() == {"verdict": "inconclusive", "items": []}


def test_the_matrix_agrees_with_the_fingerprints(client: httpx.Client) -> None:
    prints = client.get("/v1/fingerprints").json()
    matrix = client.get("/v1/matrix").json()
    assert matrix["verdict"] == prints["verdict"]
    assert [(item["table"], item["verdict"], item["reason"]) for item in matrix["items"]] == [
        (item["table"], item["verdict"], item["reason"]) for item in prints["items"]
    ]


def test_the_matrix_is_read_once_a_second_for_all_callers(seeded: SqlStateStore) -> None:
    now = 0.0
    matrix = Matrix(seeded, lambda: now)
    first = matrix.answer()
    now = 0.9
    assert matrix.answer() is first
    now = 1.0
    again = matrix.answer()
    assert again is not first
    now = 20.0
    assert matrix.answer(30.0) is again


def test_a_large_matrix_is_compressed(store: SqlStateStore, lag_reader: LagReader) -> None:
    fill(store, 40, 100)
    response = ask(create_app(store, lag_reader), "/v1/matrix", {"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) < len(response.content) / 10
