"""Scans over REST: what is asked for, what is refused, and what a table's fingerprint shows of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from api.application import create_app
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.errors import ConfigError, Unavailable
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.scans import Scan, ScanState
from datafingerprint.verdict import judge_table
from tests.api.conftest import GAMES, NOW, FakeLagReader, _AppTransport

SUM = Fingerprint(3, 5, 2**64 - 1)
RUNNING = Scan(7, "trino", GAMES, None, 2**62, 3, 1_000_000.0)
DONE = replace(
    RUNNING,
    number=6,
    state=ScanState.DONE,
    ended_at=1_000_001.5,
    progress="100 %",
    verdicts=judge_table({"a": SUM}, {"a": SUM, "b": SUM}),
)


class FakeScans:
    """Hands out what a test puts in."""

    def __init__(self) -> None:
        self.known = {7: RUNNING, 6: DONE}
        self.asked: list[tuple[str, str, str | None]] = []
        self.cancelled: list[int] = []
        self.failure: Exception | None = None

    def ask(self, engine: str, table: str, partition: str | None) -> Scan:
        self.asked.append((engine, table, partition))
        if self.failure:
            raise self.failure
        return RUNNING

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)

    def scan(self, number: int) -> Scan | None:
        return self.known.get(number)

    def scans(self, *, limit: int) -> list[Scan]:
        return list(self.known.values())[:limit]

    def last_of(self, table: str) -> list[Scan]:
        return [DONE] if table == GAMES else []


@pytest.fixture
def scans() -> FakeScans:
    return FakeScans()


@pytest.fixture
def client(seeded: SqlStateStore, lag_reader: FakeLagReader, scans: FakeScans) -> Iterator[httpx.Client]:
    app = create_app(seeded, lag_reader, lambda: NOW, scans=scans)
    with httpx.Client(transport=_AppTransport(app), base_url="http://api") as made:
        yield made


def test_a_scan_is_asked_for_and_can_be_watched(client: httpx.Client, scans: FakeScans) -> None:
    begun = client.post("/v1/scans", json={"table": GAMES, "engine": "trino", "partition": "date_year=2031"})
    assert (begun.status_code, begun.json()["id"], begun.json()["state"]) == (202, 7, "running")
    assert begun.json()["snapshot"] == str(2**62)
    assert scans.asked == [("trino", GAMES, "date_year=2031")]
    assert client.get("/v1/scans/7").json() == begun.json()
    assert client.delete("/v1/scans/7").status_code == 202
    assert scans.cancelled == [7]


def test_a_scan_that_is_done_tells_both_sums_of_every_partition(client: httpx.Client) -> None:
    answer = client.get("/v1/scans/6").json()
    assert (answer["state"], answer["verdict"], answer["progress"]) == ("done", "mismatch", "100 %")
    first, second = answer["partitions"]
    assert first["running"] == first["counted"] == {"rows": 3, "fingerprint": SUM.value, "digest": SUM.digest}
    assert (second["verdict"], second["reason"]) == ("mismatch", "the lake has 3 rows too many")


def test_the_last_scans_are_listed_and_shown_with_the_table(client: httpx.Client) -> None:
    assert [item["id"] for item in client.get("/v1/scans").json()["items"]] == [7, 6]
    assert [item["id"] for item in client.get("/v1/scans?limit=1").json()["items"]] == [7]
    (shown,) = client.get(f"/v1/fingerprints/{GAMES}").json()["scans"]
    assert (shown["id"], shown["engine"], shown["verdict"], shown["epoch"]) == (6, "trino", "mismatch", 3)
    assert "partitions" not in shown


def test_what_cannot_be_done_is_one_sentence(client: httpx.Client, scans: FakeScans) -> None:
    assert client.get("/v1/scans/99").json() == {"error": "no scan 99"}
    assert client.post("/v1/scans", json={"table": GAMES}).json() == {"error": "engine: field required"}
    scans.failure = ConfigError("no engine x is in the settings", remedy="[engines.x]")
    refused = client.post("/v1/scans", json={"table": GAMES, "engine": "x"})
    assert (refused.status_code, refused.json()["error"]) == (422, "no engine x is in the settings: [engines.x]")
    scans.failure = Unavailable("the lake is away")
    assert client.post("/v1/scans", json={"table": GAMES, "engine": "x"}).status_code == 503
