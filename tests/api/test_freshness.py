"""What is not known of the present is never shown as 0: capture, fingerprinter or Kafka may stand still."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.freshness import Freshness, duration
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import Unavailable
from datafingerprint.ledger import Advance, Progress, StoredEpoch
from tests.api.conftest import FakeLagReader

DAYS_3 = 3 * 86_400.0
NOTHING_KNOWN = {"messages": 6, "rows": None, "epochs": None, "seconds": None}

Later = Callable[[float], AbstractContextManager[httpx.Client]]


def get(client: httpx.Client, path: str) -> Any:  # noqa: ANN401 - JSON
    return client.get(path).json()


def test_with_the_fingerprinter_dead_no_lag_is_told(client_after: Later, lag_reader: FakeLagReader) -> None:
    lag_reader.groups["dfp-fingerprinter"] = {"dfp.epochs": 518_400, "dfp.ootp.games": 900_000}
    with client_after(DAYS_3) as client:
        status = get(client, "/v1/status")
        assert status["standstill"] == (
            "no epoch was stored for 3 d: epochs wait in Kafka, and the fingerprinter stands still, or is busy with a "
            "large commit of the lake"
        )
        assert status["lag"] == NOTHING_KNOWN
        assert (status["recorded_age_s"], status["source_age_s"]) == (DAYS_3 + 11, DAYS_3 + 15)
        group = get(client, "/v1/lag")["groups"]["dfp-lake-writer"]
        assert (group["rows"], group["epochs"], group["seconds"]) == (None, None, None)
        told = {family.name: family.samples for family in text_string_to_metric_families(client.get("/metrics").text)}
        assert not [item for item in told.get("dfp_lag_seconds", []) if item.labels["group"] == "dfp-lake-writer"]
        assert told["dfp_source_age_seconds"][0].value == DAYS_3 + 15


def test_with_capture_dead_the_lake_is_only_told_to_have_what_was_published(client_after: Later) -> None:
    with client_after(100.0) as client:
        status = get(client, "/v1/status")
        assert status["standstill"] == (
            "no epoch was stored for 1 min 51 s: capture publishes nothing: it stands still, or is busy with a large "
            "transaction"
        )
        assert status["lag"] == NOTHING_KNOWN
        group = get(client, "/v1/lag")["groups"]["dfp-lake-writer"]
        assert (group["rows"], group["epochs"], group["seconds"]) == (6, 2, 115.0)


def test_with_kafka_away_it_is_not_told_who_stands_still(client_after: Later, lag_reader: FakeLagReader) -> None:
    lag_reader.failure = Unavailable("the broker is away")
    with client_after(100.0) as client:
        assert get(client, "/v1/status")["standstill"] == (
            "no epoch was stored for 1 min 51 s: capture or the fingerprinter stands still "
            "(Kafka: unavailable: the broker is away)"
        )
        assert get(client, "/v1/lag")["groups"]["dfp-lake-writer"]["rows"] is None


def test_a_capture_that_reads_what_was_committed_hours_ago_leaves_the_lag_unknown(
    client: httpx.Client, seeded: SqlStateStore
) -> None:
    late = Epoch("stream", 6, SourcePosition("0-1-6", "binlog.000004", 7006), 1_000_020.0 - 7_200)
    seeded.advance(Progress("stream", 5, 10, 3, 1), Advance(Progress("stream", 6, 12), [late], [], {}))
    status = get(client, "/v1/status")
    assert (status["standstill"], status["source_age_s"], status["lag"]["rows"]) == (None, 7_200, None)
    # What is published is another matter: all of it was read.
    assert get(client, "/v1/lag")["groups"]["dfp-lake-writer"]["rows"] == 6


def test_before_the_first_epoch_nothing_is_known(empty_client: httpx.Client) -> None:
    status = get(empty_client, "/v1/status")
    assert "no epoch was stored yet" in status["standstill"]
    assert (status["recorded_at"], status["recorded_age_s"], status["lag"]["rows"]) == (None, None, None)


@pytest.mark.parametrize(("recorded", "committed", "recent"), [(30, 30, True), (31, 30, False), (30, 31, False)])
def test_both_ages_count(recorded: float, committed: float, *, recent: bool) -> None:
    last = StoredEpoch(Epoch("stream", 1, SourcePosition("", "", 4), 0.0), 0.0)
    seen = Freshness(last, 100.0, 30.0)
    aged = replace(last, epoch=replace(last.epoch, committed_at=100.0 - committed), recorded_at=100.0 - recorded)
    assert not seen.is_recent
    assert replace(seen, last=aged).is_recent is recent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (111, "1 min 51 s"), (7_200, "2 h"), (93_784, "1 d 2 h")],
)
def test_a_duration_is_said_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
