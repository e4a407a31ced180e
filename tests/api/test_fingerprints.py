"""`/v1/fingerprints` tells both sides of every table and partition at one epoch, and never guesses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import FileSums, Judged, LakeTableState, Progress
from datafingerprint.verdict import Outcome, Verdict

GAMES = "ootp.games"
MATCHING = {"rows": 2431, "fingerprint": "9241175013205331968", "digest": "5f0c22d1b07e4a59803f3fb67151d000"}


def get(client: httpx.Client, path: str) -> Any:  # noqa: ANN401 - JSON
    response = client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_answer_has_the_form_that_the_design_promises(client: httpx.Client) -> None:
    answer = get(client, f"/v1/fingerprints/{GAMES}")
    parts = answer.pop("partitions")
    assert answer == {
        "table": GAMES,
        "epoch": 3,
        "as_of": "1970-01-12T13:46:43Z",
        "position": {"gtid": "0-1-3", "file": "binlog.000004", "pos": 7003},
        "verdict": "mismatch",
        "reason": "1 of 2 partitions differs; date_year=2032: the lake has 1 row too few",
        "source": {"rows": 2443, "fingerprint": "9241175013205331967", "digest": "5f0c22d1b07e4a60803f3fb67151cfff"},
        "lake": {"rows": 2442, "fingerprint": "9241175013205331974", "digest": "5f0c22d1b07e4a5e803f3fb67151d006"},
        "audit": {
            "verdict": "mismatch",
            "reason": "date_year=2032: the stream has 1 row too few",
            "partitions": 2,
            "oldest": "1970-01-12T13:46:52Z",
        },
    }
    found = parts[0].pop("audit")
    assert found == {
        "audit": 1,
        "verdict": "match",
        "hops": [],
        "reason": None,
        "checked_at": "1970-01-12T13:46:52Z",
        "epoch": 4,
        "position": {"gtid": "0-1-4", "file": "binlog.000004", "pos": 7004},
        "source": MATCHING,
        "stream": MATCHING,
    }
    assert parts[0] == {
        "partition": "date_year=2031",
        "verdict": "match",
        "reason": None,
        "epoch": 3,
        "since": "1970-01-12T13:46:50Z",
        "source": MATCHING,
        "lake": MATCHING,
    }
    assert (parts[1]["verdict"], parts[1]["audit"]["hops"]) == ("mismatch", ["capture"])


def test_the_whole_is_as_bad_as_its_worst_table(client: httpx.Client) -> None:
    answer = get(client, "/v1/fingerprints")
    assert (answer["verdict"], answer["epoch"]) == ("mismatch", 3)
    assert [item["table"] for item in answer["items"]] == ["ootp.<trades>", GAMES, "ootp.players"]


def test_a_table_that_is_empty_on_both_sides_matches_with_sums_of_zero(client: httpx.Client) -> None:
    answer = get(client, "/v1/fingerprints/ootp.<trades>")
    zero = {"rows": 0, "fingerprint": "0", "digest": "0" * 32}
    assert (answer["verdict"], answer["reason"], answer["source"], answer["lake"]) == ("match", None, zero, zero)


def test_a_table_without_verdicts_whose_first_reading_goes_on_is_inconclusive(client: httpx.Client) -> None:
    answer = get(client, "/v1/fingerprints/ootp.players")
    assert (answer["verdict"], answer["reason"]) == ("inconclusive", "snapshot at 40 %")
    assert (answer["source"], answer["lake"]) == (None, None)


def test_a_table_that_was_never_judged_is_inconclusive(empty_client: httpx.Client, seeded: SqlStateStore) -> None:
    with seeded._writing.begin() as connection:
        connection.exec_driver_sql("DELETE FROM judged_tables")
    answer = get(empty_client, "/v1/fingerprints")
    assert answer["verdict"] == "inconclusive"
    assert {item["reason"] for item in answer["items"]} == {
        "not compared yet: the lake has not reached an epoch with this table"
    }
    assert {(item["epoch"], item["as_of"]) for item in answer["items"]} == {(None, None)}


@pytest.mark.parametrize(
    ("state", "files", "reason"),
    [
        (LakeTableState("ootp.<trades>", 1, 3, is_foreign=True, unreadable="has delete files"), [], "has delete files"),
        (
            LakeTableState("ootp.<trades>", 1, 3, is_foreign=False, unreadable=""),
            [FileSums("p", "e", 1, {"-": Fingerprint(1, 1, 1)}, 1.0)],
            "the lake has rows that were not compared",
        ),
    ],
)
def test_an_empty_table_matches_only_when_its_lake_side_is_known_empty(
    client: httpx.Client, seeded: SqlStateStore, state: LakeTableState, files: list[FileSums], reason: str
) -> None:
    seeded.save_lake(state, files, [])
    answer = get(client, "/v1/fingerprints/ootp.<trades>")
    assert (answer["verdict"], answer["reason"]) == ("inconclusive", reason)


def test_an_empty_table_with_source_rows_at_the_epoch_is_not_called_empty(
    client: httpx.Client, seeded: SqlStateStore
) -> None:
    seeded.save_verdicts(Progress("stream", 5, 10, 3, 1), [Judged(GAMES, 3, {})], 1.0)
    assert get(client, f"/v1/fingerprints/{GAMES}")["verdict"] == "inconclusive"


def test_a_side_that_is_unknown_in_one_partition_is_unknown_for_the_table(
    client: httpx.Client, seeded: SqlStateStore
) -> None:
    one = Fingerprint(1, 1, 1)
    verdicts = {
        "a": Verdict(Outcome.INCONCLUSIVE, "because", one, None),
        "b": Verdict(Outcome.MATCH, "", one, one),
    }
    seeded.save_verdicts(Progress("stream", 5, 10, 3, 1), [Judged(GAMES, 3, verdicts)], 1.0)
    answer = get(client, f"/v1/fingerprints/{GAMES}")
    assert (answer["verdict"], answer["reason"]) == ("inconclusive", "because")
    assert answer["source"]["rows"] == 2
    assert answer["lake"] is None


def test_a_partition_is_found_by_its_name(client: httpx.Client) -> None:
    answer = get(client, f"/v1/fingerprints/{GAMES}/date_year=2031")
    assert (answer["table"], answer["partition"], answer["verdict"]) == (GAMES, "date_year=2031", "match")
    assert answer["as_of"] == "1970-01-12T13:46:43Z"


def test_partitions_of_two_fields_and_of_none_are_found_by_their_names(
    client: httpx.Client, seeded: SqlStateStore
) -> None:
    one = Verdict(Outcome.MATCH, "", Fingerprint(1, 1, 1), Fingerprint(1, 1, 1))
    judged = [Judged("ootp.players", 3, {"a=x/b=%2F": one}), Judged("ootp.<trades>", 3, {"-": one})]
    seeded.save_verdicts(Progress("stream", 5, 10, 3, 1), judged, 1.0)
    assert get(client, "/v1/fingerprints/ootp.players/a=x/b=%252F")["partition"] == "a=x/b=%2F"
    assert get(client, "/v1/fingerprints/ootp.<trades>/-")["partition"] == "-"


def test_what_is_not_there_is_told_with_what_is(client: httpx.Client) -> None:
    response = client.get("/v1/fingerprints/ootp.game")
    assert response.status_code == 404
    assert response.json() == {"error": "no table ootp.game; there are ootp.<trades>, ootp.games, ootp.players"}
    response = client.get(f"/v1/fingerprints/{GAMES}/date_year=1999")
    assert response.status_code == 404
    assert response.json() == {
        "error": "no partition date_year=1999 of ootp.games; there are date_year=2031, date_year=2032"
    }


def test_an_empty_store_answers_with_nothing_rather_than_a_match(empty_client: httpx.Client) -> None:
    assert get(empty_client, "/v1/fingerprints") == {"verdict": "inconclusive", "epoch": None, "items": []}
    response = empty_client.get("/v1/fingerprints/ootp.games")
    assert response.json() == {"error": "no table ootp.games; there are none yet"}
