"""Tokens with roles over REST: who may do what, expiry, revocation, limits of failures, and the record of actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from api.access import REFRESH_S, Access
from api.application import create_app
from api.failures import ADDRESSES_MAX, FAILURES_MAX, WINDOW_S, FailureLimit, network
from api.guard import ADDRESS_CHARACTERS_MAX, address_of
from api.incidents import Streams
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.adapters.state.tokens import SqlTokenStore
from datafingerprint.errors import StateError, Unavailable
from datafingerprint.ports.tokens import Action
from datafingerprint.tokens import Role, Token, new_token
from tests.api.conftest import NOW, FakeLagReader, FakeServices, _AppTransport

SETTING = "sixteen-or-more-characters"
COMMAND = Action(NOW, "root", "", "", "COMMAND", "tokens create", "")


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def over(app: FastAPI) -> httpx.Client:
    # The transport hands on what is decoded already.
    return httpx.Client(transport=_AppTransport(app), base_url="http://api", headers={"Accept-Encoding": "identity"})


@dataclass
class Service:
    """The application over stored tokens, with a clock that a test moves."""

    store: SqlStateStore
    tokens: SqlTokenStore
    incidents: SqlIncidentStore
    now: float = NOW
    setting: str = SETTING
    secrets: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, role: Role, lifetime_s: float | None = None) -> str:
        secret, token = new_token(name, role, self.now, lifetime_s)
        assert self.tokens.create(token, COMMAND)
        return secret

    def client(self) -> httpx.Client:
        app = create_app(
            self.store,
            FakeLagReader(),
            lambda: self.now,
            token=self.setting,
            services=FakeServices(),
            incident_reader=self.incidents,
            tokens=self.tokens,
            actions=self.tokens,
        )
        return over(app)


@pytest.fixture
def service(seeded: SqlStateStore, incidents: SqlIncidentStore, tmp_path: Path) -> Iterator[Service]:
    with closing(SqlTokenStore(f"sqlite:///{tmp_path}/state.db")) as tokens:
        yield Service(seeded, tokens, incidents)


def test_a_viewer_reads_everything_and_changes_nothing(service: Service) -> None:
    viewer, operator = bearer(service.add("grafana", Role.VIEWER)), bearer(service.add("night", Role.OPERATOR))
    with service.client() as client:
        for path in ("/v1/status", "/v1/matrix", "/v1/audits", "/v1/incidents", "/metrics", "/v1/fingerprints"):
            assert client.get(path, headers=viewer).status_code == 200, path
        changes = [("POST", "/v1/audits"), ("DELETE", "/v1/audits/1"), ("POST", "/v1/alerts/test"),
                   ("POST", "/v1/incidents/1/acknowledge"), ("PUT", "/v1/anything")]  # fmt: skip
        for method, path in changes:
            answer = client.request(method, path, headers=viewer, json={})
            assert (answer.status_code, "grafana is a viewer's" in answer.text) == (403, True), path
        assert client.post("/v1/audits", headers=operator, json={}).status_code == 202
        assert client.post("/v1/audits", headers=bearer(SETTING), json={}).status_code == 202
        assert client.get("/v1/caller", headers=viewer).json() == {
            "name": "grafana", "role": "viewer", "expires_at": None, "needs_token": True,
        }  # fmt: skip
        assert client.get("/v1/caller", headers=bearer(SETTING)).json()["name"] == "api.token"
        assert client.get("/v1/caller").status_code == 401


def test_an_expired_token_is_refused_from_that_moment_and_named(service: Service) -> None:
    secret = service.add("short", Role.OPERATOR, 100.0)
    with service.client() as client:
        service.now = NOW + 99
        assert client.get("/v1/status", headers=bearer(secret)).status_code == 200
        service.now = NOW + 100
        with capture_logs() as lines:
            answer = client.get("/v1/status", headers=bearer(secret))
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"].startswith("the token has expired")
        assert [(line["event"], line["token"]) for line in lines if "token" in line] == [
            ("a token that is expired was refused", "short")
        ]
        for _ in range(FAILURES_MAX + 1):  # who holds an old token does not guess
            assert client.get("/v1/status", headers=bearer(secret)).status_code == 401


def test_a_revoked_token_is_refused_within_the_time_that_is_promised(service: Service) -> None:
    secret = service.add("lost", Role.VIEWER)
    with service.client() as client:
        assert client.get("/v1/status", headers=bearer(secret)).status_code == 200
        assert service.tokens.revoke("lost", COMMAND)
        assert not service.tokens.revoke("lost", COMMAND)
        service.now += REFRESH_S
        answer = client.get("/v1/status", headers=bearer(secret))
        assert (answer.status_code, answer.json()["error"][:21]) == (401, "the token was revoked")
        again = service.add("lost", Role.VIEWER)
        service.now += REFRESH_S
        assert client.get("/v1/status", headers=bearer(again)).status_code == 200
        assert client.get("/v1/status", headers=bearer(secret)).status_code == 401


def test_the_first_token_closes_the_service_and_the_last_one_does_not_open_it(service: Service) -> None:
    service.setting = ""
    with service.client() as client:
        assert client.get("/v1/status").status_code == 200
        assert client.get("/v1/caller").json()["role"] == "operator"
        assert 'content="none"' in client.get("/").text
        service.add("first", Role.VIEWER)
        service.now += REFRESH_S
        assert 'content="required"' in client.get("/").text
        assert client.get("/v1/status").status_code == 401
        assert service.tokens.revoke("first", COMMAND)
        service.now += REFRESH_S
        assert client.get("/v1/status").status_code == 401
        assert client.get("/healthz").status_code == 200


def test_a_stream_ends_with_the_token_that_opened_it(service: Service) -> None:
    secrets = {"kept": service.add("kept", Role.VIEWER), "short": service.add("short", Role.VIEWER, 30.0)}
    secrets["revoked"] = service.add("revoked", Role.VIEWER)
    access = Access(SETTING, service.tokens, lambda: service.now)
    open_s: dict[str, float] = {}

    async def read(name: str, header: str) -> None:
        begun = service.now

        async def sleep(seconds: float) -> None:
            service.now += seconds
            if service.now == begun + 10:
                service.tokens.revoke("revoked", COMMAND)

        stream = Streams(sleep).stream(
            service.incidents, 0, lambda: service.now - begun >= 60 or not access.still_accepts(header)
        )
        async for _ in stream:
            pass
        open_s[name] = service.now - begun

    for name, secret in {**secrets, "setting": SETTING, "wrong": "wrong"}.items():
        service.now = NOW
        anyio.run(read, name, f"Bearer {secret}")
    assert {**open_s, "revoked": 0.0} == {"kept": 60.0, "short": 30.0, "revoked": 0.0, "setting": 60.0, "wrong": 0.0}
    assert open_s["revoked"] <= 10 + REFRESH_S
    assert Access("", None, lambda: NOW).still_accepts("")


def test_a_viewers_secret_in_the_settings_makes_no_operator(service: Service) -> None:
    service.setting = service.add("viewer", Role.VIEWER)
    with service.client() as client:
        assert client.post("/v1/audits", headers=bearer(service.setting), json={}).status_code == 403


def test_wrong_tokens_are_limited_and_a_holder_is_not_locked_out(service: Service) -> None:
    holder = service.add("holder", Role.VIEWER)
    late = service.add("late", Role.VIEWER)
    with service.client() as client:
        assert client.get("/v1/status", headers=bearer(holder)).status_code == 200
        with capture_logs() as lines:
            codes = [client.get("/v1/status", headers=bearer(f"guess {n}")).status_code for n in range(FAILURES_MAX)]
        assert codes == [401] * FAILURES_MAX
        assert [line["event"] for line in lines].count("a wrong token was refused") == FAILURES_MAX
        assert not [line for line in lines if "guess" in str(line)]
        refused = client.get("/v1/status", headers=bearer("guess"))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, str(int(WINDOW_S)))
        assert client.get("/v1/status", headers=bearer(SETTING)).status_code == 429  # a guess is not even compared
        assert client.get("/v1/status", headers=bearer(late)).status_code == 200  # a created one cannot be guessed
        assert client.get("/v1/status", headers=bearer(holder)).status_code == 200
        assert client.get("/v1/status").status_code == 401
        assert client.get("/readyz", headers=bearer(late)).json()["status"] == "ok"
        service.now += WINDOW_S
        assert client.get("/v1/status", headers=bearer(SETTING)).status_code == 200
        for number in range(FAILURES_MAX + 1):
            client.get("/v1/status", headers=bearer(f"guess {number}"))
        assert client.get("/v1/status", headers=bearer(SETTING)).status_code == 200  # it was accepted before


def test_a_probe_is_no_way_to_guess(service: Service) -> None:
    with service.client() as client:
        for number in range(FAILURES_MAX):
            assert client.get("/readyz", headers=bearer(f"guess {number}")).status_code == 200
        assert client.get("/v1/status", headers=bearer("guess")).status_code == 429


def test_what_was_done_is_recorded_with_who_did_it(service: Service) -> None:
    viewer, operator = bearer(service.add("viewer", Role.VIEWER)), bearer(service.add("night", Role.OPERATOR))
    with service.client() as client, capture_logs() as lines:
        client.post("/v1/audits", headers=operator, json={"table": "ootp.games"})
        client.post("/v1/audits", headers=operator, json={"table": "ootp.nothing"})
        client.post("/v1/audits", headers=viewer, json={})
        client.get("/v1/status", headers=operator)
        assert client.get("/v1/actions", headers=viewer).status_code == 403
        answer = client.get("/v1/actions?limit=2", headers=operator).json()
        rest = client.get(f"/v1/actions?before={answer['next_before']}", headers=operator).json()
    assert [(item["who"], item["path"], item["status"]) for item in answer["items"]] == [
        ("night", "/v1/audits", 404),
        ("night", "/v1/audits", 202),
    ]
    assert answer["items"][1]["detail"] == '{"table":"ootp.games"}'
    assert [(item["method"], item["status"]) for item in rest["items"]] == [("COMMAND", None)] * 2
    assert [line["status"] for line in lines if line["event"] == "action"] == [202, 404]
    text = str([answer, rest, lines])
    assert not [secret for secret in (*viewer.values(), *operator.values(), SETTING) if secret in text]


class BrokenTokens:
    """Tokens that cannot be read, or actions that cannot be stored, while `failure` is set."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure
        self.known: list[Token] = []

    def tokens(self) -> Sequence[Token]:
        """See the port."""
        if self.failure:
            raise self.failure
        return self.known

    def begin(self, action: Action) -> int:
        """See the port."""
        del action
        if self.failure:
            raise self.failure
        return 1

    def end(self, number: int, status: int) -> None:
        """See the port."""

    def actions(self, *, limit: int, before: int | None = None) -> Sequence[Action]:
        """See the port."""
        del limit, before
        return []


@pytest.mark.parametrize(
    ("failure", "code"), [(Unavailable("away"), 503), (StateError("bad", where="x", remedy="y"), 500)]
)
def test_unknown_tokens_open_nothing(seeded: SqlStateStore, failure: Exception, code: int) -> None:
    tokens = BrokenTokens(failure)
    now = [NOW]
    app = create_app(seeded, FakeLagReader(), lambda: now[0], tokens=tokens, actions=tokens)
    with over(app) as client:
        assert client.get("/v1/status").status_code == code
        assert client.get("/healthz").status_code == 200
        assert 'content="required"' in client.get("/").text
        tokens.failure = None
        now[0] += REFRESH_S
        assert client.get("/v1/status").status_code == 200
        tokens.failure = failure
        now[0] += REFRESH_S
        assert client.get("/v1/status").status_code == 200  # as was known last
        answer = client.post("/v1/audits", json={})
        assert (answer.status_code, answer.json()["error"][:16]) == (code, "nothing was done")
        tokens.failure = None
        assert client.post("/v1/audits", json={}).status_code == 202


def test_the_token_of_the_settings_works_while_the_store_is_away(seeded: SqlStateStore) -> None:
    app = create_app(seeded, FakeLagReader(), lambda: NOW, token=SETTING, tokens=BrokenTokens(Unavailable("away")))
    with over(app) as client:
        assert client.get("/v1/status", headers=bearer(SETTING)).status_code == 200
        # It may be right: a dashboard that hears 401 forgets its token.
        assert client.get("/v1/status", headers=bearer("unknown")).status_code == 503
        codes = [client.get("/v1/status", headers=bearer(f"guess {n}")).status_code for n in range(FAILURES_MAX)]
        assert codes[-2:] == [503, 429]


@pytest.mark.parametrize("failure", [None, Unavailable("away")])
def test_a_service_that_others_reach_stays_closed_without_any_token(
    seeded: SqlStateStore, failure: Exception | None
) -> None:
    now = [NOW]
    tokens = BrokenTokens(failure)
    app = create_app(seeded, FakeLagReader(), lambda: now[0], is_reachable=True, tokens=tokens, actions=tokens)
    with over(app) as client:
        assert client.get("/v1/status").status_code == (503 if failure else 401)
        tokens.failure = None
        now[0] += REFRESH_S
        assert client.get("/v1/status").status_code == 401
        assert client.post("/v1/audits", json={}).status_code == 401
        assert 'content="required"' in client.get("/").text


def test_tokens_that_are_lost_with_the_state_store_do_not_open_the_service(seeded: SqlStateStore) -> None:
    now = [NOW]
    tokens = BrokenTokens(None)
    tokens.known = [new_token("night", Role.OPERATOR, NOW, None)[1]]
    app = create_app(seeded, FakeLagReader(), lambda: now[0], tokens=tokens, actions=tokens)
    with over(app) as client:
        assert client.get("/v1/status").status_code == 401
        tokens.known = []  # as after the tables were dropped, to fill the store again
        now[0] += REFRESH_S
        assert client.post("/v1/audits", json={}).status_code == 401


def test_callers_who_waited_for_a_slow_attempt_do_not_begin_the_next_one() -> None:
    now, attempts = [NOW], [0]

    class SlowTokens:
        def tokens(self) -> Sequence[Token]:
            attempts[0] += 1
            now[0] += 10.0
            raise Unavailable("away")

    access = Access("", SlowTokens(), lambda: now[0])
    access.refresh()
    access.refresh()
    assert attempts == [1]


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    limit = FailureLimit()
    for _ in range(FAILURES_MAX):
        limit.note("10.0.0.1", 7200.0)
    assert limit.wait_s("10.0.0.1", 7200.0) == WINDOW_S
    assert limit.wait_s("10.0.0.1", 3600.0) == 0


def test_what_a_proxy_says_of_an_address_takes_little_memory() -> None:
    # Uvicorn takes the text of X-Forwarded-For as it is.
    assert len(address_of({"type": "http", "client": ("x" * 60_000, 0)})) == ADDRESS_CHARACTERS_MAX


def test_a_clock_that_is_set_back_reads_the_tokens_again() -> None:
    tokens = BrokenTokens(None)
    now = [NOW]
    access = Access("", tokens, lambda: now[0])
    access.refresh()
    assert not access.is_stale
    now[0] -= 3600
    assert access.is_stale


def test_old_failures_are_forgotten_and_memory_is_bounded() -> None:
    limit = FailureLimit()
    for second in range(FAILURES_MAX):
        assert limit.wait_s("10.0.0.1", float(second)) == 0
        limit.note("10.0.0.1", float(second))
    assert limit.wait_s("10.0.0.1", 9.0) == WINDOW_S - 9
    assert limit.wait_s("10.0.0.2", 9.0) == 0
    assert limit.wait_s("10.0.0.1", WINDOW_S) == 0
    for number in range(ADDRESSES_MAX):
        limit.note(f"10.1.{number // 256}.{number % 256}", 50.0)
    assert limit.wait_s("10.0.0.1", 9.0) == 0
    assert len(limit._failures) == ADDRESSES_MAX


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:0:0:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_addresses_of_one_subscriber_count_together(address: str, counted_as: str) -> None:
    assert network(address) == counted_as


def test_the_openapi_document_describes_the_refusals(service: Service) -> None:
    with service.client() as client:
        paths: Mapping[str, Mapping[str, Mapping[str, object]]] = client.get("/openapi.json").json()["paths"]
    assert {"401", "403", "429"} <= set(dict(paths["/v1/status"]["get"]["responses"]))  # type: ignore[call-overload]
    assert "/v1/actions" in paths


ODD: list[list[tuple[str, str | bytes]]] = [
    [],
    [("Authorization", "")],
    [("Authorization", "Bearer")],
    [("Authorization", "Bearer ")],
    [("Authorization", "Basic " + SETTING)],
    [("Authorization", SETTING)],
    [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {SETTING}")],
    [("Authorization", "Bearer " + "x" * 1_000_000)],
    [("Authorization", b"Bearer \xe9\xff")],
    [("Authorization", f"Bearer {SETTING}\u00a0x".encode("latin-1"))],
    [("Proxy-Authorization", f"Bearer {SETTING}"), ("X-Forwarded-For", "127.0.0.1")],
    [("X-HTTP-Method-Override", "POST"), ("Cookie", f"token={SETTING}")],
]  # fmt: skip
"""Headers that must open nothing."""

OPEN = {"/", "/docs", "/openapi.json", "/healthz", "/readyz", "/incidents", "/pipeline"}


@pytest.mark.parametrize("number", range(len(ODD)))
def test_no_path_answers_nobody(service: Service, number: int) -> None:
    headers: Any = ODD[number]
    with service.client() as client:
        paths: Mapping[str, Mapping[str, object]] = client.get("/openapi.json").json()["paths"]
        assert len(paths) > 20
        closed = [path.replace("{id}", "1") for path in paths if path not in OPEN]
        methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "SUBSCRIBE")
        for method in methods if number == 0 else ("GET",):
            for path in closed:
                request = client.build_request(method, path, headers=headers)
                request.method = method
                code = client.send(request).status_code
                assert code in {401, 429}, (method, path, code)
        for hidden in ("//v1/status", "/static/../v1/status", "/static/%2e%2e/v1/status", "/tables/../v1/status",
                       "/v1/status/", "/%76%31/status", "/v1%2Fstatus", "/metrics/", "/incidents/..%2Fv1"):  # fmt: skip
            assert '"stream' not in client.get(hidden, headers=headers).text, hidden
    assert service.tokens.actions(limit=10) == []


def test_no_path_lets_a_viewer_change_anything(service: Service) -> None:
    viewer = service.add("viewer", Role.VIEWER)
    before = len(service.tokens.actions(limit=10))
    with service.client() as client:
        paths: Mapping[str, Mapping[str, object]] = client.get("/openapi.json").json()["paths"]
        for path in paths:
            for method, scheme in (("POST", "Bearer"), ("post", "bearer"), ("DELETE", "BEARER"), ("TRACE", "Bearer")):
                request = client.build_request(method, path.replace("{id}", "1"))
                request.method, request.headers["Authorization"] = method, f"{scheme} {viewer}"
                assert client.send(request).status_code == 403, (method, path)
    assert len(service.tokens.actions(limit=10)) == before
