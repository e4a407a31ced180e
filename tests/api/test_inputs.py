"""No input gives a 5xx: described requests by schemathesis, any bytes by hypothesis, and those that once did."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from api.application import create_app
from api.guard import BODY_BYTES_MAX, TARGET_BYTES_MAX
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.column_types import column
from datafingerprint.epochs import Epoch, OffsetRange, SourcePosition
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Advance, Progress, SumKey, TableVerdicts
from datafingerprint.scans import Scan
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import judge_table
from deploy.embedded.waiting import await_condition
from tests.api.conftest import NOW, FakeLagReader, _AppTransport, seed
from tests.api.test_incidents import observe
from tests.api.test_resyncs import FakeRequests
from tests.api.test_scans import FakeScans

ODD = TableSchema("a/b", "t%2F", (column("id", "int(11)", nullable=False, charset=None),), ("id",), ("p", "q"))
PARTS = ("p=x/q=%2F", "p=%25/q=-")
SUM = Fingerprint(1, 2, 3)


class EmptyScans(FakeScans):
    """Knows no scan above its own, and every text that it gets is one that a database would take."""

    def ask(self, engine: str, table: str, partition: str | None) -> Scan:
        (engine + table + (partition or "")).encode()
        return super().ask(engine, table, partition)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """The small league, and a table whose name and partitions have slashes."""
    url = f"sqlite:///{tmp_path_factory.mktemp('inputs')}/state.db"
    with closing(SqlStateStore(url)) as store, closing(SqlIncidentStore(url)) as incidents:
        seed(store)
        observe(incidents)
        ranges = {ODD.table: {0: OffsetRange(0, 3, 1, 2)}}
        epoch = Epoch("stream", 6, SourcePosition("0-1-6", "binlog.000004", 7006), 1_000_006.0, ranges)
        sums = [(6, SumKey(ODD.table, part, 0), SUM) for part in PARTS]
        before, now = Progress("stream", 5, 10, 3, 1), Progress("stream", 6, 12, 3, 1)
        store.advance(before, Advance(now, [epoch], sums, {ODD.table: (4, ODD)}))
        verdicts = judge_table(dict.fromkeys(PARTS, SUM), dict.fromkeys(PARTS, SUM))
        store.save_verdicts(Progress("stream", 6, 12, 6, 2), [TableVerdicts(ODD.table, 6, verdicts)], NOW)
        yield create_app(
            store,
            FakeLagReader(),
            lambda: NOW,
            scans=EmptyScans(),
            incident_reader=incidents,
            resync_requests=FakeRequests(),
        )


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with httpx.Client(transport=_AppTransport(app), base_url="http://localhost") as made:
        yield made


CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.status_code_conformance,
]


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_every_described_request_has_a_described_answer(app: FastAPI, mode: schemathesis.GenerationMode) -> None:
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [
        get_all_operation.ok()
        for get_all_operation in described.get_all_operations()
        if isinstance(get_all_operation, Ok)
    ]
    assert len(operations) > 15
    for operation in operations:

        @settings(max_examples=10, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def answered(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS)

        if mode.is_positive or operation.query or operation.path_parameters or operation.body:
            answered()


def status_of(app: FastAPI, scope: dict[str, Any], *pieces: bytes) -> int:
    """The status of an answer to a request as a server would hand it over, its body in pieces."""
    statuses: list[int] = []
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Any) -> None:  # noqa: ANN401 - any message of ASGI
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    anyio.run(app, {"type": "http", "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), **scope},
              receive, send)  # fmt: skip
    (status,) = statuses
    return status


SEGMENTS = st.lists(st.one_of(st.sampled_from([b"v1", b"fingerprints", b"audits", b"scans", b"1"]), st.binary()))


KINDS = [b"application/json", b"application/json; charset=utf-16", b"text/plain", b"multipart/form-data", b""]


@settings(max_examples=150, derandomize=True)
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "BREW"]),
    segments=SEGMENTS,
    query=st.one_of(st.binary(), st.sampled_from([b"table=", b"cursor=", b"limit=", b"before="])),
    value=st.binary(),
    kind=st.sampled_from(KINDS),
    header=st.binary(),
    body=st.binary(),
)  # fmt: skip
def test_no_bytes_whatever_give_a_server_error(
    app: FastAPI,
    method: str,
    segments: list[bytes],
    query: bytes,
    value: bytes,
    kind: bytes,
    header: bytes,
    body: bytes,
) -> None:
    raw = b"/" + b"/".join(quote(segment).encode() for segment in segments)
    headers = [(b"host", b"localhost"), (b"content-type", kind), (b"if-none-match", header), (b"authorization", header)]
    path = raw.decode("latin-1")
    query += quote(value).encode()
    scope = {
        "method": method,
        "path": path,
        "raw_path": raw,
        "query_string": query,
        "headers": headers,
        "root_path": "",
    }
    assert status_of(app, scope, body) < 500


BIG = 2**63


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/scans/{BIG}",
        f"/v1/scans/{'9' * 5000}",
        f"/v1/audits/{BIG}",
        f"/v1/epochs?before={BIG}",
        f"/v1/epochs?limit={'9' * 5000}",
        "/v1/scans/%00",
        "/v1/fingerprints/%00",
        "/v1/fingerprints/%ED%A0%80",
        "/v1/fingerprints/ootp.games/%00",
        "/v1/fingerprints?table=%00",
        "/v1/fingerprints?cursor=%00",
        "/v1/fingerprints?cursor=//8=",
        "/v1/fingerprints?verdict=",
        "/v1/fingerprints?table=" + "x" * 513,
        f"/v1/fingerprints/{'x' * 600}",
        "/" + "x" * TARGET_BYTES_MAX,
    ],
)
def test_an_address_that_means_nothing_is_refused_with_a_reason(client: httpx.Client, path: str) -> None:
    for answer in (client.get(path), client.delete(path)):
        assert 400 <= answer.status_code < 500
        assert answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "body: no JSON, at character 1"),
        (b"", "field required"),
        (b"[]", "valid dictionary"),
        (b"1", "valid dictionary"),
        (b"null", "body"),
        (b"[" * 60_000, "body"),
        (b'{"table":' * 6_000, "body"),
        (b'{"table": ' + b"9" * 5_000 + b"}", "body"),
        (b'{"table": 1e999}', "valid string"),
        (b'{"table": "\\ud800"}', "unicode string"),
        (b'{"table": "ootp.games", "partition": "\\udfff"}', "unicode string"),
        (b'{"table": "a\\u0000b"}', "NUL"),
        (b'{"\\ud800": 1}', "unicode string"),
        (b'{"x": 1}', "x: extra inputs are not permitted"),
        (b'{"table": "' + b"x" * 600 + b'"}', "at most 512 characters"),
        (b"\xff\xfe", "body"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/audits", "/v1/scans"])
def test_a_body_that_cannot_be_meant_is_refused_with_a_reason(
    client: httpx.Client, path: str, body: bytes, said: str
) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert said in answer.json()["error"]


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_said_to_be_json_is_refused(client: httpx.Client, kind: str) -> None:
    for headers in ({"Content-Type": kind}, {}):
        answer = client.post("/v1/audits", content=b"{}", headers=headers)
        assert (answer.status_code, "send JSON" in answer.json()["error"]) == (422, True)


def test_a_body_is_no_longer_than_any_request_has_to_be(app: FastAPI, client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/audits", content=b"[" * (BODY_BYTES_MAX + 1), headers=headers)
    assert (answer.status_code, "longer than" in answer.json()["error"]) == (413, True)
    scope = {"method": "POST", "path": "/v1/audits", "query_string": b"", "headers": [(b"host", b"localhost")]}
    assert status_of(app, scope, *[b" " * 10_000] * 1_000) == 413  # its length is not announced
    allowed = client.post("/v1/audits", content=b"{}".ljust(BODY_BYTES_MAX), headers=headers)
    assert allowed.status_code == 202


@pytest.mark.parametrize("pattern", ["[" * 500, "*a" * 250, "*[!a]" * 100, "?*" * 250])
def test_a_pattern_takes_no_time(client: httpx.Client, pattern: str) -> None:
    began = time.process_time()
    assert client.get("/v1/fingerprints", params={"table": pattern}).status_code == 200
    assert time.process_time() - began < 1


def test_a_table_and_a_partition_are_found_whatever_is_in_their_names(client: httpx.Client) -> None:
    name = quote(ODD.table, safe="")
    assert "%2F" in name
    answer = client.get(f"/v1/fingerprints/{name}")
    assert (answer.status_code, answer.json()["table"]) == (200, ODD.table)
    for part in PARTS:
        for written in (quote(part, safe=""), quote(part, safe="/=")):
            answer = client.get(f"/v1/fingerprints/{name}/{written}")
            assert (answer.status_code, answer.json()["partition"]) == (200, part)
    listed = client.get("/v1/fingerprints", params={"table": "a/*"}).json()["items"]
    assert [item["table"] for item in listed] == [ODD.table]
    audit = client.post("/v1/audits", json={"table": ODD.table, "partition": PARTS[0]})
    assert (audit.status_code, audit.json()["table"], audit.json()["partition"]) == (202, ODD.table, PARTS[0])
    scan = client.post("/v1/scans", json={"table": ODD.table, "partition": PARTS[0], "engine": "trino"})
    assert scan.status_code == 202


def test_a_segment_is_found_however_it_is_encoded(client: httpx.Client) -> None:
    assert client.get("/v1/%66ingerprints/ootp%2Egames/date_year%3D2031").status_code == 200
    assert client.get("/v1%2Ffingerprints/ootp.games").status_code == 404


def test_a_real_server_hands_over_a_path_as_it_was_sent_and_ends_a_body_that_is_too_long(app: FastAPI) -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert await_condition(lambda: server.started, timeout_s=10)
        port = server.servers[0].sockets[0].getsockname()[1]

        def answered(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 - any body
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request(method, path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                return response.status, json.loads(response.read())

        status, result = answered("GET", f"/v1/fingerprints/{quote(ODD.table, safe='')}/{quote(PARTS[0])}")
        assert (status, result["table"], result["partition"]) == (200, ODD.table, PARTS[0])
        for path in ("/v1/scans/99999999999999999999", "/v1/fingerprints/%ff%00%2f", "/v1/fingerprints?table=%5b%ff"):
            assert answered("GET", path)[0] < 500
        assert answered("POST", "/v1/audits", (b"[" * 1_000 for _ in range(70)))[0] == 413  # in chunks
        assert answered("POST", "/v1/audits", b"{")[0] == 422
    finally:
        server.should_exit = True
        thread.join(10)
