"""Differing rows over REST: their values are for callers with the token only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from api.application import create_app
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.differences import DifferenceKind, DiffState, PartitionDiff, RowDifference
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, Unavailable
from tests.api.conftest import GAMES, NOW, FakeLagReader, _AppTransport

TOKEN = "a token of some length"
ROW = RowDifference(
    DifferenceKind.CHANGED,
    {"id": 17},
    f"{17:032x}",
    0,
    ("date", "price"),
    {"id": 17, "date": dt.date(2031, 4, 2), "price": Decimal("1.50"), "octets": b"\xff"},
    {"id": 17, "date": None, "price": Decimal("1.51"), "octets": b"\xff"},
    ("s3://lake/1",),
)
FOUND = PartitionDiff(
    GAMES, "date_year=2032", DiffState.DIFFERS, 3, "", (ROW,), 4, SourcePosition("0-1-9", "binlog.000004", 77)
)
UNKNOWN = PartitionDiff(GAMES, "date_year=2033", DiffState.UNKNOWN, 3, "snapshot at 40 %")


class FakeDiff:
    """Hands out what a test puts in."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, int]] = []
        self.found = [FOUND, UNKNOWN]
        self.failure: Exception | None = None

    def __call__(self, table: str, partition: str | None, limit: int) -> list[PartitionDiff]:
        self.asked.append((table, partition, limit))
        if self.failure:
            raise self.failure
        return self.found


@pytest.fixture
def diff() -> FakeDiff:
    return FakeDiff()


@pytest.fixture
def client(seeded: SqlStateStore, lag_reader: FakeLagReader, diff: FakeDiff) -> Iterator[httpx.Client]:
    app = create_app(seeded, lag_reader, lambda: NOW, token=TOKEN, diff=diff)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(transport=_AppTransport(app), base_url="http://api", headers=headers) as made:
        yield made


def test_rows_are_shown_with_both_values_in_json(client: httpx.Client, diff: FakeDiff) -> None:
    answer = client.get(f"/v1/diffs/{GAMES}", params={"partition": "date_year=2032", "limit": 7}).json()
    assert diff.asked == [(GAMES, "date_year=2032", 7)]
    assert (answer["table"], answer["state"]) == (GAMES, "differs")
    first, second = answer["partitions"]
    assert first == {
        "partition": "date_year=2032",
        "state": "differs",
        "reason": None,
        "epoch": 3,
        "differing": 4,
        "source_position": {"gtid": "0-1-9", "file": "binlog.000004", "pos": 77},
        "rows": [
            {
                "kind": "changed",
                "key": {"id": 17},
                "key_id": "00000000000000000000000000000011",
                "copies": 0,
                "columns": ["date", "price"],
                "source": {"id": 17, "date": "2031-04-02", "price": "1.50", "octets": "ff"},
                "lake": {"id": 17, "date": None, "price": "1.51", "octets": "ff"},
                "files": ["s3://lake/1"],
                "note": None,
            }
        ],
    }
    assert (second["state"], second["reason"], second["rows"]) == ("unknown", "snapshot at 40 %", [])


def test_without_the_token_no_row_is_read(
    seeded: SqlStateStore, lag_reader: FakeLagReader, client: httpx.Client, diff: FakeDiff
) -> None:
    assert client.get(f"/v1/diffs/{GAMES}", headers={"Authorization": "Bearer other"}).status_code == 401
    app = create_app(seeded, lag_reader, lambda: NOW, diff=diff)
    with httpx.Client(transport=_AppTransport(app), base_url="http://api") as anybody:
        refused = anybody.get(f"/v1/diffs/{GAMES}")
    assert (refused.status_code, "set api.token" in refused.json()["error"]) == (403, True)
    assert diff.asked == []


def test_what_is_not_there_or_away_is_refused_with_a_reason(client: httpx.Client, diff: FakeDiff) -> None:
    assert client.get("/v1/diffs/ootp.no").status_code == 404
    assert client.get(f"/v1/diffs/{GAMES}?limit=0").status_code == 422
    diff.failure = ConfigError("there is no such partition", remedy="ask for another")
    assert client.get(f"/v1/diffs/{GAMES}?partition=x").status_code == 422
    diff.failure = Unavailable("other differing rows are being read")
    assert client.get(f"/v1/diffs/{GAMES}").status_code == 503


def test_an_application_without_a_differ_has_no_such_path(seeded: SqlStateStore, lag_reader: FakeLagReader) -> None:
    app = create_app(seeded, lag_reader, lambda: NOW)
    assert "/v1/diffs/{table}" not in app.openapi()["paths"]
