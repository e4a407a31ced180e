"""Status, tables, epochs and lag are read from the stored state, also with Kafka away."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.errors import Unavailable
from datafingerprint.ledger import Progress
from tests.api.conftest import FakeLagReader


def get(client: httpx.Client, path: str) -> Any:  # noqa: ANN401 - JSON
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_status_tells_both_epochs_and_what_lies_between(client: httpx.Client) -> None:
    assert get(client, "/v1/status") == {
        "stream_id": "stream",
        "verdict": "mismatch",
        "epoch": 3,
        "source_epoch": 5,
        "position": {"gtid": "0-1-3", "file": "binlog.000004", "pos": 7003},
        "source_position": {"gtid": "0-1-5", "file": "binlog.000004", "pos": 7005},
        "as_of": "1970-01-12T13:46:43Z",
        "recorded_at": "1970-01-12T13:46:49Z",
        "recorded_age_s": 11.0,
        "source_age_s": 15.0,
        "standstill": None,
        "services": [],
        "tables": 3,
        "rows": 2455,
        "partitions": {"match": 1, "mismatch": 1, "inconclusive": 0},
        "without_partitions": {
            "count": 1,
            "first": [{"table": "ootp.players", "verdict": "inconclusive", "reason": "snapshot at 40 %"}],
        },
        "audit": {"match": 1, "mismatch": 1, "inconclusive": 0, "oldest": "1970-01-12T13:46:52Z"},
        "lag": {"messages": 6, "rows": 6, "epochs": 2, "seconds": 15.0},
        "snapshot": {"ootp.players": 40},
        "set_aside": {},
    }


def test_the_status_of_nothing_is_inconclusive(empty_client: httpx.Client) -> None:
    answer = get(empty_client, "/v1/status")
    assert (answer["verdict"], answer["epoch"], answer["source_epoch"], answer["as_of"]) == (
        "inconclusive",
        None,
        None,
        None,
    )


def test_epochs_without_rows_make_no_lag_of_rows_or_seconds(client: httpx.Client, seeded: SqlStateStore) -> None:
    seeded.save_verdicts(Progress("stream", 5, 10, 5, 2), [], 1.0)
    assert get(client, "/v1/status")["lag"] == {"messages": 6, "rows": 0, "epochs": 0, "seconds": 0.0}


def test_the_lag_of_each_group_comes_from_kafka_and_the_stored_epochs(client: httpx.Client) -> None:
    assert get(client, "/v1/lag") == {
        "kafka": "ok",
        "groups": {
            "dfp-lake-writer": {
                "messages": 6,
                "rows": 6,
                "epochs": 2,
                "seconds": 15.0,
                "topics": {"dfp.epochs": 4, "dfp.ootp.games": 2},
            },
            "dfp-fingerprinter": {
                "messages": 0,
                "rows": 0,
                "epochs": 0,
                "seconds": 0.0,
                "topics": {"dfp.epochs": 0},
            },
        },
    }


def test_what_the_fingerprinter_has_not_read_it_does_not_pretend_to_know(
    client: httpx.Client, lag_reader: FakeLagReader
) -> None:
    lag_reader.groups["dfp-fingerprinter"] = {"dfp.epochs": 2}
    groups = get(client, "/v1/lag")["groups"]["dfp-fingerprinter"]
    assert (groups["messages"], groups["rows"], groups["epochs"], groups["seconds"]) == (2, None, None, None)


def test_with_kafka_away_the_rest_is_still_told(client: httpx.Client, lag_reader: FakeLagReader) -> None:
    lag_reader.failure = Unavailable("the broker is away", where="127.0.0.1:9092")
    answer = get(client, "/v1/lag")
    assert answer["kafka"] == "unavailable: the broker is away at 127.0.0.1:9092"
    lake_writer = answer["groups"]["dfp-lake-writer"]
    assert (lake_writer["messages"], lake_writer["topics"], lake_writer["rows"]) == (None, None, 6)
    assert get(client, "/v1/status")["lag"]["messages"] is None


def test_tables_are_told_with_their_columns_and_progress(client: httpx.Client) -> None:
    items = {item["table"]: item for item in get(client, "/v1/tables")["items"]}
    assert items["ootp.games"] == {
        "table": "ootp.games",
        "key": ["id"],
        "partition": ["year(date)"],
        "columns": [
            {"name": "id", "type": "int(11)", "kind": "integer", "nullable": False},
            {"name": "date", "type": "date", "kind": "date", "nullable": True},
        ],
        "definition": 1,
        "rows": 2443,
        "snapshot": {"rows": 9, "rows_estimated": 9, "percent": 100, "complete": True},
        "lake": {"files": 1, "octets": 100, "unreadable": 0},
    }
    assert items["ootp.players"]["snapshot"]["percent"] == 40
    assert items["ootp.<trades>"]["lake"] is None


def test_epochs_are_told_in_pages(client: httpx.Client) -> None:
    first = get(client, "/v1/epochs?limit=2")
    assert [item["epoch"] for item in first["items"]] == [5, 4]
    assert first["items"][0] == {
        "epoch": 5,
        "committed_at": "1970-01-12T13:46:45Z",
        "recorded_at": "1970-01-12T13:46:49Z",
        "position": {"gtid": "0-1-5", "file": "binlog.000004", "pos": 7005},
        "rows": 6,
        "messages": 1,
        "transactions": 1,
        "tables": {"ootp.games": 6},
    }
    second = get(client, f"/v1/epochs?limit=3&before={first['next_before']}")
    assert [item["epoch"] for item in second["items"]] == [3, 2, 1]
    assert second["next_before"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=many", "before=0", "before=99999999999999999999"])
def test_a_parameter_that_is_not_fit_is_named(client: httpx.Client, query: str) -> None:
    response = client.get(f"/v1/epochs?{query}")
    assert response.status_code == 422
    assert response.json()["error"].startswith(f"{query.partition('=')[0]}: input should be")
