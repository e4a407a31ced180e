"""How a REST catalog and Glue are asked: by settings, once, with a bound; and what their refusals become."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyiceberg.exceptions import UnauthorizedError

from datafingerprint.adapters.iceberg import rest_catalog
from datafingerprint.adapters.iceberg.catalog_entries import LOOK_SHARE, RareLook, RestEntries
from datafingerprint.adapters.iceberg.connection import LakeFileIO, open_connection
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.adapters.iceberg.rest_catalog import LakeRestCatalog, rest_properties
from datafingerprint.config import Settings, load_settings
from datafingerprint.errors import ConfigError, ConflictError, DataFingerprintError, LakeError, Unavailable
from tests.catalogs import remote_settings

TABLE = ("ootp", "players")
PATH = "/v1/namespaces/ootp/tables/players"


@dataclass
class Answers:
    """What a small server answers, and what it was asked.

    Attributes:
        given: Status, headers and body by method and path.
        asked: Each request as method, path, and headers.
    """

    given: dict[tuple[str, str], list[tuple[int, dict[str, str], Any]]] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def add(self, method: str, path: str, status: int, body: object = None, **headers: str) -> None:
        """One more answer; the last one is repeated."""
        self.given.setdefault((method, path), []).append((status, headers, body))

    def next(self, method: str, path: str) -> tuple[int, dict[str, str], Any]:
        answers = self.given.get((method, path)) or [(404, {}, _error(404, "no such thing"))]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def requests(self, path: str) -> list[dict[str, str]]:
        """The headers of each request of a path."""
        return [headers for _, asked, headers in self.asked if asked == path]


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "Kind", "code": code}}


@pytest.fixture
def answers() -> Answers:
    made = Answers()
    made.add("GET", "/v1/config", 200, {"defaults": {}, "overrides": {}})
    return made


@pytest.fixture
def url(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            path = self.path.partition("?")[0]
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answers.asked.append((self.command, path, dict(self.headers)))
            status, headers, body = answers.next(self.command, path)
            content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - the server's names

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def opened(settings: Settings) -> Iterator[LakeRestCatalog]:
    with closing(open_connection(settings)) as connection:
        assert isinstance(connection.catalog, LakeRestCatalog)
        yield connection.catalog


def test_a_known_version_is_asked_for_by_its_etag_and_costs_no_body(url: str, answers: Answers) -> None:
    answers.add("GET", PATH, 200, {"metadata-location": "s3://b/1.json"}, ETag="one")
    answers.add("GET", PATH, 304, None)
    answers.add("GET", PATH, 200, {"metadata-location": "s3://b/2.json"}, ETag="two")
    answers.add("GET", PATH, 404, _error(404, "gone"))
    answers.add("GET", PATH, 200, {"metadata-location": "s3://b/3.json"})
    with opened(remote_settings(url)) as catalog:
        seen = [catalog.metadata_location(TABLE) for _ in range(5)]
    assert seen == ["s3://b/1.json", "s3://b/1.json", "s3://b/2.json", None, "s3://b/3.json"]
    sent = [request.get("If-None-Match") for request in answers.requests(PATH)]
    assert sent == [None, "one", "one", "two", None]


def test_a_client_fetches_a_token_and_a_new_one_when_it_has_expired(url: str, answers: Answers) -> None:
    for token in ("first", "first", "second"):
        answers.add("POST", "/v1/oauth/tokens", 200, {"access_token": token, "token_type": "bearer"})
    answers.add("GET", PATH, 401, _error(401, "expired"))
    answers.add("GET", PATH, 200, {"metadata-location": "s3://b/1.json"})
    with opened(remote_settings(url, user="me", password="s3cret")) as catalog:
        assert catalog.metadata_location(TABLE) == "s3://b/1.json"
    assert [request["Authorization"] for request in answers.requests(PATH)] == ["Bearer first", "Bearer second"]


def test_a_token_that_stays_refused_is_an_error_after_one_more_attempt(url: str, answers: Answers) -> None:
    answers.add("GET", PATH, 401, _error(401, "no"))
    with opened(remote_settings(url, password="static")) as catalog, pytest.raises(UnauthorizedError):
        catalog.metadata_location(TABLE)
    assert [request["Authorization"] for request in answers.requests(PATH)] == ["Bearer static"] * 2


def test_a_commit_is_sent_once_whatever_the_server_answers(url: str, answers: Answers) -> None:
    for status, kind in ((409, ConflictError), (500, Unavailable), (503, Unavailable), (429, Unavailable),
                         (403, LakeError), (400, LakeError)):  # fmt: skip
        answers.given[("POST", PATH)] = [(status, {}, _error(status, "because"))]
        before = len(answers.requests(PATH))
        with opened(remote_settings(url)) as catalog, pytest.raises(kind), translated("commit", where="here"):
            catalog.commit_table(_Table(), (), ())
        assert len(answers.requests(PATH)) == before + 1, status


class _Table:
    """As much of a table as a commit asks for."""

    config: dict[str, str] = {}  # noqa: RUF012 - never written

    def name(self) -> tuple[str, str]:
        return TABLE


def test_a_server_that_accepts_and_never_answers_is_given_up(
    url: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_catalog, "READ_TIMEOUT_S", 0.2)
    release = threading.Event()
    answers.next = lambda *_: (release.wait(30), (500, {}, None))[1]  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match=r"opening the catalog: the catalog is away .*[Tt]imed out"):
        open_connection(remote_settings(url))
    release.set()


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (200, b"<html>", ConfigError, "names no Iceberg REST catalog"),
        (200, [], ConfigError, "names no Iceberg REST catalog"),
        (403, _error(403, "not you"), LakeError, r"the catalog refused \(Kind: not you\)"),
        (404, b"nothing", LakeError, "the catalog refused"),
        (500, _error(500, "broken"), Unavailable, "the catalog is away"),
        (503, b"", Unavailable, "the catalog is away"),
    ],
)
def test_what_the_first_answer_means(
    status: int, body: object, kind: type[DataFingerprintError], text: str, url: str, answers: Answers
) -> None:
    answers.given[("GET", "/v1/config")] = [(status, {}, body)]
    with pytest.raises(kind, match=text):
        open_connection(remote_settings(url))


def test_a_refused_client_is_told_without_its_secret(url: str, answers: Answers) -> None:
    answers.add("POST", "/v1/oauth/tokens", 401, {"error": "invalid_client", "error_description": "unknown"})
    with pytest.raises(LakeError, match=r"the catalog refused \(invalid_client: unknown\)") as raised:
        open_connection(remote_settings(url, user="me", password="s3cret"))
    assert "s3cret" not in f"{raised.value} {raised.value.remedy}"


def test_keys_of_the_server_never_replace_those_of_the_settings(url: str, answers: Answers) -> None:
    override = {"s3.access-key-id": "vended", "py-io-impl": "nothing"}
    answers.given[("GET", "/v1/config")] = [(200, {}, {"defaults": {}, "overrides": override})]
    with opened(remote_settings(url)) as catalog:
        io = catalog._load_file_io({"s3.access-key-id": "vended"}, "s3://bucket/x")
        assert isinstance(io, LakeFileIO)
        assert io.properties["s3.access-key-id"] == "key"


def test_a_look_lists_names_and_asks_for_each_table_once(url: str, answers: Answers) -> None:
    names = [f"t{number}" for number in range(20)]
    identifiers = [{"namespace": ["ootp"], "name": name} for name in names]
    answers.add("GET", "/v1/namespaces/ootp/tables", 200, {"identifiers": identifiers})
    for name in names[1:]:
        answers.add("GET", f"/v1/namespaces/ootp/tables/{name}", 200, {"metadata-location": f"s3://b/{name}"})
    with opened(remote_settings(url)) as catalog:
        answers.asked.clear()
        locations = RestEntries(catalog, lambda: 0.0).locations([("ootp", name) for name in names[:10]])
    # One of them was dropped between the list and its own request.
    assert locations == {("ootp", name): f"s3://b/{name}" for name in names[1:10]}
    assert len(answers.asked) == 1 + 10


def test_namespaces_of_others_that_may_not_be_listed_are_left_out_unless_they_are_named(
    url: str, answers: Answers
) -> None:
    answers.add("GET", "/v1/namespaces", 200, {"namespaces": [["ootp"], ["others"]]})
    answers.add("GET", "/v1/namespaces/ootp/tables", 200, {"identifiers": [{"namespace": ["ootp"], "name": "players"}]})
    answers.add("GET", "/v1/namespaces/others/tables", 403, _error(403, "not you"))
    answers.add("GET", PATH, 200, {"metadata-location": "s3://b/1.json"})
    with opened(remote_settings(url)) as catalog:
        assert RestEntries(catalog).locations(None) == {TABLE: "s3://b/1.json"}
        with pytest.raises(LakeError, match="the catalog refused"), translated("reading", where="here"):
            RestEntries(catalog).locations([("others", "theirs")])


def test_looks_take_a_tenth_of_the_time_at_most() -> None:
    now, looks = 0.0, 0

    def look(_names: object) -> dict[tuple[str, str], str]:
        nonlocal now, looks
        now += 2.0
        looks += 1
        return {TABLE: f"at {now}"}

    rare = RareLook(look, lambda: now)
    assert rare([TABLE]) == rare([TABLE]) == {TABLE: "at 2.0"}
    assert looks == 1
    # Other tables are asked for at once.
    rare([("ootp", "teams")])
    assert looks == 2
    begin, before = now, looks
    while now < begin + 1_000:
        now += 0.5
        rare([("ootp", "teams")])
    assert (looks - before) * 2.0 <= (now - begin) / LOOK_SHARE + 2.0
    assert looks - before >= 40


GLUE_ANSWERS: list[tuple[str, int, type[DataFingerprintError]]] = [
    ("ConcurrentModificationException", 400, ConflictError),
    ("ThrottlingException", 400, Unavailable),
    ("InternalServiceException", 500, Unavailable),
    ("AccessDeniedException", 400, LakeError),
]


@pytest.mark.parametrize(("code", "status", "kind"), GLUE_ANSWERS)
def test_what_an_answer_of_glue_means(code: str, status: int, kind: type[DataFingerprintError]) -> None:
    answer: Any = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(kind), translated("commit", where="here"):
        raise ClientError(answer, "UpdateTable")


def test_settings_become_the_options_of_a_rest_catalog() -> None:
    lake = {
        "catalog": "https://polaris.example/api/catalog/",
        "catalog_user": "id",
        "catalog_password": "secret",
        "catalog_warehouse": "games",
        "catalog_ca_file": "/etc/ca.pem",
        "catalog_options": ["scope=PRINCIPAL_ROLE:ALL", "oauth2-server-uri=https://login.example/token?x=1"],
    }
    settings = load_settings({"lake": lake}, {})
    assert rest_properties(settings.lake, settings.s3) == {
        "uri": "https://polaris.example/api/catalog",
        "credential": "id:secret",
        "warehouse": "games",
        "ssl": {"cabundle": "/etc/ca.pem"},
        "scope": "PRINCIPAL_ROLE:ALL",
        "oauth2-server-uri": "https://login.example/token?x=1",
        "header.X-Iceberg-Access-Delegation": "",
    }


def test_signed_requests_use_the_keys_of_the_store_and_are_never_repeated() -> None:
    options = ("rest.sigv4-enabled=true", "rest.signing-name=glue")
    settings = remote_settings("https://glue.eu-west-1.amazonaws.com/iceberg", *options)
    properties = rest_properties(settings.lake, settings.s3)
    assert properties["client.access-key-id"] == "key"
    assert properties["rest.sigv4.max-retries"] == "0"
    assert properties["rest.signing-name"] == "glue"


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"catalog": "https://h/p", "catalog_options": ["scope"]}, "an item without =", "write name=value"),
    ({"catalog": "https://h/p", "catalog_options": ["token=x"]}, "has the secret token", "set lake.catalog_user"),
    ({"catalog": "https://h/p", "catalog_options": ["s3.secret-access-key=x"]}, "has the secret s3", "set lake"),
    ({"catalog": "https://h/p", "catalog_options": ["header.X-Api-Key=x"]}, "has the secret header", "set lake"),
    (
        {"catalog": "https://h/p", "catalog_options": ["oauth2-server-uri=https://me:pw@h/token"]},
        "a login in the URL of oauth2-server-uri",
        "set lake.catalog_user",
    ),
    ({"catalog": "https://me:pw@h/p"}, "has a login in its URL", "set lake.catalog_user"),
    ({"catalog": "https://h/p", "catalog_password": "é"}, "an HTTP header cannot hold", "printable ASCII"),
    ({"catalog_warehouse": "w"}, "catalog_warehouse is for a REST catalog", "https://host/path"),
    ({"catalog_options": ["scope=x"]}, "catalog_options is for REST and Glue", "https://host/path"),
    ({"catalog": "glue://", "catalog_password": "x"}, "are not for Glue", r"the keys of \[s3\]"),
]


@pytest.mark.parametrize(("lake", "what", "remedy"), REFUSED)
def test_settings_that_a_kind_of_catalog_cannot_have_are_refused(lake: dict[str, Any], what: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=what) as raised:
        load_settings({"lake": lake}, {})
    assert remedy.replace("\\", "") in (raised.value.remedy or "")


def test_a_glue_account_is_sent_with_each_request() -> None:
    settings = remote_settings("glue://123456789012")
    with closing(open_connection(settings)) as connection:
        sent: list[dict[str, Any]] = []
        glue: Any = connection.catalog
        glue.glue.meta.events.register_last(
            "before-parameter-build.glue", lambda params, **_: sent.append(dict(params))
        )
        glue.glue.meta.events.register_last("before-send.glue", _refuse)
        with pytest.raises(DataFingerprintError), translated("reading", where="here"):
            connection.metadata_location(TABLE)
    assert sent[0]["CatalogId"] == "123456789012"


def _refuse(**_: object) -> None:
    raise ConnectionError("nothing is sent in this test")
