"""The history of one partition, a page at a time."""

from __future__ import annotations

import httpx

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Progress, TableVerdicts
from datafingerprint.verdict import Outcome, Verdict
from tests.api.conftest import G2031, GAMES

PATH = f"/v1/fingerprints/{GAMES}/date_year=2031/history"


def test_the_change_points_are_given_newest_first_and_paged(client: httpx.Client, seeded: SqlStateStore) -> None:
    lost = Verdict(Outcome.MISMATCH, "short", G2031, Fingerprint(0, 0, 0))
    seeded.save_verdicts(
        Progress("stream", 5, 10, 4, 2), [TableVerdicts(GAMES, 4, {"date_year=2031": lost})], 1_000_020.0
    )
    answer = client.get(PATH).json()
    assert (answer["table"], answer["partition"], answer["next_before"]) == (GAMES, "date_year=2031", None)
    newest, oldest = answer["items"]
    assert (newest["at"], newest["epoch"], newest["verdict"]) == ("1970-01-12T13:47:00Z", 4, "mismatch")
    assert (newest["reason"], newest["source"]["rows"], newest["lake"]["rows"]) == ("short", G2031.rows, 0)
    assert (oldest["epoch"], oldest["verdict"], oldest["reason"]) == (3, "match", None)
    assert oldest["source"] == oldest["lake"]
    first = client.get(PATH, params={"limit": 1}).json()
    assert first["items"] == [newest]
    rest = client.get(PATH, params={"limit": 1, "before": first["next_before"]}).json()
    assert (rest["items"], rest["next_before"]) == ([oldest], None)


def test_an_unknown_partition_is_refused_and_a_page_is_bounded(client: httpx.Client) -> None:
    response = client.get(f"/v1/fingerprints/{GAMES}/date_year=1999/history")
    assert response.status_code == 404
    assert "no partition date_year=1999" in response.json()["error"]
    assert client.get(PATH, params={"limit": 1001}).status_code == 422
    assert client.get(PATH, params={"before": -1}).status_code == 422
