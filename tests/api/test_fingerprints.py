"""`/v1/fingerprints` shows both sides of every table and partition at one epoch, with the verdict."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import FileSums, LakeTableState, Progress, TableVerdicts
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
    assert answer.pop("next_cursor") is None
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
        "scans": [],
    }
    audit = parts[0].pop("audit")
    assert audit == {
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
    seeded.save_verdicts(Progress("stream", 5, 10, 3, 1), [TableVerdicts(GAMES, 3, {})], 1.0)
    assert get(client, f"/v1/fingerprints/{GAMES}")["verdict"] == "inconclusive"


def test_a_side_that_is_unknown_in_one_partition_is_unknown_for_the_table(
    client: httpx.Client, seeded: SqlStateStore
) -> None:
    fingerprint = Fingerprint(1, 1, 1)
    verdicts = {
        "a": Verdict(Outcome.INCONCLUSIVE, "because", fingerprint, None),
        "b": Verdict(Outcome.MATCH, "", fingerprint, fingerprint),
    }
    seeded.save_verdicts(Progress("stream", 5, 10, 3, 1), [TableVerdicts(GAMES, 3, verdicts)], 1.0)
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
    verdict = Verdict(Outcome.MATCH, "", Fingerprint(1, 1, 1), Fingerprint(1, 1, 1))
    judged = [
        TableVerdicts("ootp.players", 3, {"a=x/b=%2F": verdict}),
        TableVerdicts("ootp.<trades>", 3, {"-": verdict}),
    ]
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
    nothing: dict[str, object] = {"verdict": "inconclusive", "epoch": None, "items": [], "next_cursor": None}
    assert get(empty_client, "/v1/fingerprints") == nothing
    response = empty_client.get("/v1/fingerprints/ootp.games")
    assert response.json() == {"error": "no table ootp.games; there are none yet"}


def tables(answer: Any) -> list[str]:  # noqa: ANN401 - as above
    return [item["table"] for item in answer["items"]]


def test_a_verdict_chooses_tables_and_their_partitions_and_the_whole_keeps_its_own(client: httpx.Client) -> None:
    answer = get(client, "/v1/fingerprints?verdict=mismatch")
    assert (answer["verdict"], tables(answer)) == ("mismatch", [GAMES])
    assert [part["partition"] for part in answer["items"][0]["partitions"]] == ["date_year=2032"]
    assert get(client, "/v1/fingerprints?verdict=match")["verdict"] == "mismatch"
    item = get(client, f"/v1/fingerprints/{GAMES}?verdict=match")
    assert (item["verdict"], [part["partition"] for part in item["partitions"]]) == ("mismatch", ["date_year=2031"])


def test_a_pattern_chooses_tables(client: httpx.Client) -> None:
    assert tables(get(client, "/v1/fingerprints?table=ootp.p*")) == ["ootp.players"]
    assert tables(get(client, "/v1/fingerprints?table=nothing.*")) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_hold_every_table_once_in_order(client: httpx.Client, limit: int) -> None:
    result: list[str] = []
    cursor = ""
    while True:
        page = get(client, f"/v1/fingerprints?limit={limit}{cursor}")
        assert 0 < len(page["items"]) <= limit
        result += tables(page)
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert result == ["ootp.<trades>", GAMES, "ootp.players"]


def test_pages_hold_every_partition_once_in_order(client: httpx.Client) -> None:
    first = get(client, f"/v1/fingerprints/{GAMES}?limit=1")
    second = get(client, f"/v1/fingerprints/{GAMES}?limit=1&cursor={first['next_cursor']}")
    assert [part["partition"] for page in (first, second) for part in page["partitions"]] == [
        "date_year=2031",
        "date_year=2032",
    ]
    assert second["next_cursor"] is None
    assert first["source"] == second["source"]


@pytest.mark.parametrize(
    ("query", "said"),
    [("limit=0", "limit"), ("limit=1001", "limit"), ("verdict=maybe", "verdict"), ("cursor=%21", "cursor")],
)
@pytest.mark.parametrize("path", ["/v1/fingerprints", f"/v1/fingerprints/{GAMES}"])
def test_what_cannot_be_asked_for_is_refused_by_name(client: httpx.Client, path: str, query: str, said: str) -> None:
    response = client.get(f"{path}?{query}")
    assert response.status_code == 422
    assert response.json()["error"].startswith(f"{said}: ")


@pytest.mark.parametrize("path", ["", f"/{GAMES}", f"/{GAMES}/date_year=2031", "?verdict=match&limit=1"])
def test_an_answer_that_the_caller_has_is_not_sent_again(
    client: httpx.Client, seeded: SqlStateStore, path: str
) -> None:
    url = f"/v1/fingerprints{path}"
    etag = client.get(url).headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(url, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    verdict = Verdict(Outcome.INCONCLUSIVE, "no longer", None, None)
    judged = TableVerdicts(GAMES, 4, {"date_year=2031": verdict})
    seeded.save_verdicts(Progress("stream", 5, 10, 4, 2), [judged], 1_000_011.0)
    changed = client.get(url, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
