"""Resyncs over REST: what capture is asked, and how far epochs say that it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import httpx
import pytest

from api.application import create_app
from api.resyncs import ResyncState, resync_state
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.epochs import READ_AGAIN, Epoch, SnapshotCursor
from datafingerprint.errors import Unavailable
from datafingerprint.ledger import Advance, TableVerdicts
from datafingerprint.resync import PendingRequest, RequestStatus, ResyncRequest
from datafingerprint.verdict import judge_table
from tests.api.conftest import G2031, G2032, GAMES, NOW, PLAYERS, FakeLagReader, _AppTransport, epoch

P2031, P2032 = "date_year=2031", "date_year=2032"


class FakeRequests:
    """The requests topic; its first offset is not 0, as after a cleared topic."""

    def __init__(self) -> None:
        self.log = {offset: ResyncRequest("ootp.gone", None, 1.0) for offset in range(3)}
        self.failure: Exception | None = None

    def ask(self, request: ResyncRequest) -> int:
        if self.failure:
            raise self.failure
        self.log[len(self.log)] = request
        return len(self.log) - 1

    def request(self, offset: int) -> ResyncRequest | None:
        return self.log.get(offset)

    def last(self, limit: int) -> Sequence[PendingRequest]:
        return [PendingRequest(offset, self.log[offset]) for offset in sorted(self.log, reverse=True)][:limit]


@pytest.fixture
def requests() -> FakeRequests:
    return FakeRequests()


@pytest.fixture
def client(seeded: SqlStateStore, lag_reader: FakeLagReader, requests: FakeRequests) -> Iterator[httpx.Client]:
    app = create_app(seeded, lag_reader, lambda: NOW, resync_requests=requests)
    with httpx.Client(transport=_AppTransport(app), base_url="http://api") as made:
        yield made


def test_a_dry_run_counts_what_is_stored_and_asks_nobody(client: httpx.Client, requests: FakeRequests) -> None:
    before = dict(requests.log)
    plan = client.get("/v1/resyncs/plan", params={"table": GAMES}).json()
    assert plan == {"table": GAMES, "partition": None, "partitions": 2, "rows": 2443, "lake_rows": 2442}
    plan = client.get("/v1/resyncs/plan", params={"table": GAMES, "partition": P2032}).json()
    assert plan == {"table": GAMES, "partition": P2032, "partitions": 1, "rows": 12, "lake_rows": 11}
    for wanted in ({"table": "ootp.nothing"}, {"table": GAMES, "partition": "date_year=1"}):
        assert client.get("/v1/resyncs/plan", params=wanted).status_code == 404
    assert client.get("/v1/resyncs/plan").status_code == 422
    assert requests.log == before


def advance(store: SqlStateStore, number: int, answers: RequestStatus, *, complete: bool) -> None:
    """One more epoch that is summed up; games are read up to 40 % or to their end."""
    before = store.progress()
    snapshots = {**epoch(number, 0).snapshots, GAMES: SnapshotCursor(4, 10, complete=complete)}
    stored = replace(epoch(number, 0), answers=answers, snapshots=snapshots)
    store.advance(before, Advance(replace(before, epoch=number, epochs_offset=number), [stored], [], {}))


def compare(store: SqlStateStore, number: int, *, is_equal: bool = True) -> None:
    """The lake is compared at an epoch."""
    source = {P2031: G2031, P2032: G2032}
    verdicts = judge_table(source, source if is_equal else {P2031: G2031})
    store.save_verdicts(replace(store.progress(), lake_epoch=number), [TableVerdicts(GAMES, number, verdicts)], NOW)


def test_a_resync_is_queued_read_and_done_when_the_lake_was_compared(
    client: httpx.Client, seeded: SqlStateStore, requests: FakeRequests
) -> None:
    asked = client.post("/v1/resyncs", json={"table": GAMES, "partition": P2032})
    assert (asked.status_code, asked.json()["id"], asked.json()["state"]) == (202, 3, "queued")
    assert asked.headers["location"] == "/v1/resyncs/3"
    assert requests.log[3] == ResyncRequest(GAMES, P2032, NOW)
    assert client.get("/v1/resyncs/3").json() == asked.json()
    advance(seeded, 6, RequestStatus(4), complete=False)
    running = client.get("/v1/resyncs/3").json()
    assert (running["state"], running["percent"], running["rows"], running["verdict"]) == ("running", 40, 4, None)
    advance(seeded, 7, RequestStatus(4), complete=True)
    assert client.get("/v1/resyncs/3").json()["state"] == "running"
    compare(seeded, 6)
    assert client.get("/v1/resyncs/3").json()["state"] == "running"
    compare(seeded, 7, is_equal=False)
    done = client.get("/v1/resyncs/3").json()
    assert (done["state"], done["verdict"], done["epoch"]) == ("done", "mismatch", 7)
    advance(seeded, 8, RequestStatus(4), complete=True)
    compare(seeded, 8)
    assert client.get("/v1/resyncs/3").json()["verdict"] == "match"


def test_a_refusal_is_shown_long_after_the_epoch_that_says_so(client: httpx.Client, seeded: SqlStateStore) -> None:
    client.post("/v1/resyncs", json={"table": GAMES})
    client.post("/v1/resyncs", json={"table": GAMES})
    advance(seeded, 6, RequestStatus(4, {3: "games has changed"}), complete=True)
    for number in (7, 8, 9):
        advance(seeded, number, RequestStatus(5), complete=True)
    compare(seeded, 9)
    refused, done = client.get("/v1/resyncs/3").json(), client.get("/v1/resyncs/4").json()
    assert (refused["state"], refused["reason"]) == ("failed", "capture refused: games has changed")
    assert (done["state"], done["verdict"]) == ("done", "match")


def test_the_last_resyncs_are_listed(client: httpx.Client) -> None:
    client.post("/v1/resyncs", json={"table": PLAYERS})
    listed = client.get("/v1/resyncs?limit=2").json()["items"]
    assert [(entry["id"], entry["table"]) for entry in listed] == [(3, PLAYERS), (2, "ootp.gone")]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"table": "ootp.game"}, 404, "no table ootp.game; there are"),
        ({"table": GAMES, "partition": "x"}, 404, f"no partition x of {GAMES}; there are {P2031}, {P2032}"),
        ({"partition": "x"}, 422, "table: field required"),
    ],
)
def test_what_there_is_not_is_not_read_again(
    client: httpx.Client, requests: FakeRequests, body: object, status: int, text: str
) -> None:
    refused = client.post("/v1/resyncs", json=body)
    assert (refused.status_code, refused.json()["error"][: len(text)]) == (status, text)
    assert len(requests.log) == 3
    assert client.get("/v1/resyncs/99").status_code == 404


def test_a_broker_that_is_away_is_503(client: httpx.Client, requests: FakeRequests) -> None:
    requests.failure = Unavailable("the broker is away")
    assert client.post("/v1/resyncs", json={"table": GAMES}).status_code == 503


def at(*, complete: bool, offset: int = 4, aside: str = "") -> Epoch:
    """An epoch that has answered the requests before an offset."""
    snapshots = {GAMES: SnapshotCursor(4, 10, complete=complete)}
    set_aside = {GAMES: aside} if aside else {}
    return replace(epoch(9, 0), answers=RequestStatus(offset), snapshots=snapshots, set_aside=set_aside)


def test_a_table_that_cannot_be_read_fails_the_resync() -> None:
    whole = at(complete=True)
    assert resync_state(3, GAMES, None, None, "") == ResyncState("queued")
    assert resync_state(4, GAMES, whole, whole, "") == ResyncState("queued")
    assert resync_state(3, GAMES, at(complete=False, aside="why"), None, "").reason == f"{GAMES} is set aside: why"
    assert resync_state(3, GAMES, at(complete=False, aside=f"why{READ_AGAIN}"), None, "").state == "running"
    assert resync_state(3, "ootp.x", whole, whole, "").reason == "ootp.x left the stream: it was dropped or renamed"
    assert resync_state(3, GAMES, whole, at(complete=True, offset=3), "").state == "running"
    assert resync_state(3, GAMES, at(complete=False), whole, "").state == "running"
