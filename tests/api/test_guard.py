"""What a request must pass before a route sees it: its host, origin and token; and the headers of every answer."""

from __future__ import annotations

import anyio
import httpx
import pytest
from fastapi import FastAPI

from api.application import create_app
from api.guard import SECURITY_HEADERS, Hosts, canonical_path, host_of
from api.ports import LagReader, Store
from api.routes.operation import OPEN_PATHS
from datafingerprint.errors import Unavailable
from tests.api.conftest import BrokenStore

TOKEN = "sixteen-or-more-characters"
HERE = Hosts("127.0.0.1")


def send(app: FastAPI, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    async def answered() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers)

    return anyio.run(answered)


@pytest.mark.parametrize(
    ("hosts", "known", "others"),
    [
        (HERE, ["localhost", "127.0.0.1", "127.0.0.9", "::1", "LOCALHOST"], ["10.0.0.1", "evil.example", ""]),
        (Hosts("10.0.0.1"), ["10.0.0.1", "localhost"], ["10.0.0.2", "evil.example"]),
        (Hosts("0.0.0.0"), ["10.0.0.2", "fe80::1", "localhost"], ["evil.example", "0.0.0.0.evil.example"]),  # noqa: S104
        (Hosts("::"), ["10.0.0.2", "::1"], ["evil.example"]),
        (Hosts("warehouse.example"), ["warehouse.example"], ["evil.example"]),
        (Hosts(allowed=["Proxy.example", "[fe80::1]"]), ["proxy.example", "fe80::1"], ["a.proxy.example", "example"]),
        (Hosts(allowed=["*"]), ["evil.example", ""], []),
    ],
)  # fmt: skip
def test_it_is_known_under_its_own_names(hosts: Hosts, known: list[str], others: list[str]) -> None:
    assert [name for name in known if not hosts.has(name)] == []
    assert [name for name in others if hosts.has(name)] == []


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost:8000", "localhost"),
        ("[::1]:8000", "::1"),
        ("localhost", "localhost"),
        ("localhost:x", ""),
        ("user@localhost", ""),
        ("localhost/docs?", ""),
        ("localhost#", ""),
        ("[::1", ""),
        ("", ""),
    ],
)
def test_a_host_is_told_from_its_port(authority: str, host: str) -> None:
    assert host_of(authority) == host


def test_a_name_that_leads_here_is_not_enough(seeded: Store, lag_reader: LagReader) -> None:
    app = create_app(seeded, lag_reader, hosts=HERE)
    for path in ("/v1/status", "/", "/docs", "/healthz", "/openapi.json", "/nowhere"):
        response = send(app, "GET", path, {"Host": "evil.example:8000"})
        assert (response.status_code, "api.allowed_hosts" in response.json()["error"]) == (421, True)
    assert send(app, "GET", "/v1/status", {"Host": "localhost:8000"}).status_code == 200
    allowed = create_app(seeded, lag_reader, hosts=Hosts("127.0.0.1", ["dfp.example"]))
    assert send(allowed, "GET", "/v1/status", {"Host": "dfp.example"}).status_code == 200


def test_a_page_of_another_site_changes_nothing(seeded: Store, lag_reader: LagReader) -> None:
    app = create_app(seeded, lag_reader, hosts=HERE)
    for origin in ("https://evil.example", "null", "http://evil.example:8000", "file://localhost", ""):
        assert send(app, "DELETE", "/v1/audits/1", {"Origin": origin}).status_code == 403
    assert send(app, "DELETE", "/v1/audits/1", {"Origin": "http://localhost:8000"}).status_code == 409
    assert send(app, "DELETE", "/v1/audits/1", {}).status_code == 409


@pytest.mark.parametrize(
    "host", ["localhost/docs?", "localhost/docs#", "x/openapi.json?", "localhost\\docs?", "//docs"]
)
@pytest.mark.parametrize("hosts", [HERE, None])
def test_no_host_makes_a_path_an_open_one(seeded: Store, lag_reader: LagReader, host: str, hosts: Hosts | None) -> None:
    app = create_app(seeded, lag_reader, token=TOKEN, hosts=hosts)
    assert send(app, "GET", "/v1/status", {"Host": host}).status_code in (401, 421)


@pytest.mark.parametrize("path", ["/v1/status?/docs", "/docs/x", "/docs%2F..%2Fv1%2Fstatus", "/v1/%73tatus"])
def test_no_spelling_of_a_path_goes_round_the_token(seeded: Store, lag_reader: LagReader, path: str) -> None:
    app = create_app(seeded, lag_reader, token=TOKEN, hosts=HERE)
    assert send(app, "GET", path, {}).status_code == 401


def test_every_answer_has_the_headers_that_keep_browsers_careful(seeded: Store, lag_reader: LagReader) -> None:
    app = create_app(seeded, lag_reader, token=TOKEN, hosts=HERE)
    broken = create_app(BrokenStore(RuntimeError("x")), lag_reader)
    away = create_app(BrokenStore(Unavailable("x")), lag_reader)
    token = {"Authorization": f"Bearer {TOKEN}"}
    answers = [
        *(send(app, "GET", path, {}) for path in sorted(OPEN_PATHS)),
        send(app, "GET", "/v1/status", {}),
        send(app, "GET", "/v1/status", token),
        send(app, "GET", "/v1/fingerprints", token),
        send(app, "GET", "/nowhere", token),
        send(app, "GET", "/", {"Host": "evil.example"}),
        send(broken, "GET", "/v1/status", {}),
        send(away, "GET", "/v1/status", {}),
    ]
    assert {answer.status_code for answer in answers} == {200, 401, 404, 421, 500, 503}
    for answer in answers:
        assert [name for name in SECURITY_HEADERS if name.lower() not in answer.headers] == []
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert len(answer.headers.get_list("content-security-policy")) == 1


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        (b"/v1/a%2Fb.t", "/v1/a%2Fb.t"),
        (b"/v1/%66oo", "/v1/foo"),
        (b"/a%252F/%ff", "/a%252F/%FF"),
        (b"/p=x/q=%2f?x=/", "/p=x/q=%2F"),
        ("/é".encode(), "/%C3%A9"),
    ],
)
def test_a_path_has_one_spelling_in_which_separators_stay_apart(raw: bytes, canonical: str) -> None:
    assert canonical_path({"raw_path": raw, "path": "ignored"}) == canonical


def test_a_server_that_hands_over_no_raw_path_is_taken_by_its_word() -> None:
    assert canonical_path({"path": "/v1/é x"}) == "/v1/%C3%A9%20x"
