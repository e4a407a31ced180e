"""A table that capture leaves out is shown everywhere, also one that was never captured."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from api.metrics import render
from api.status_text import status_text
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.ledger import Advance, Progress, TableVerdicts
from tests.api.conftest import GAMES, NOW, PLAYERS, FakeLagReader, epoch

REASONS = {PLAYERS: "a zero date stands in a key", "ootp.`old.log`": "it is a base table in MyISAM"}


@pytest.fixture
def told(seeded: SqlStateStore) -> SqlStateStore:
    """One more epoch that sets aside a judged table and a table that was never captured."""
    before = seeded.progress()
    last = replace(epoch(6, 0, complete=False), set_aside=REASONS)
    seeded.advance(before, Advance(replace(before, epoch=6, epochs_offset=12), [last], [], {}))
    return seeded


def test_the_status_names_them_with_their_reasons(told: SqlStateStore, client: httpx.Client) -> None:
    answer = client.get("/v1/status").json()
    assert answer["set_aside"] == REASONS
    assert answer["snapshot"] == {}
    assert told.progress().epoch == 6
    shown = str(status_text(answer, client.get("/v1/fingerprints").json()).renderables[0])
    assert "set aside: ootp.`old.log`: it is a base table in MyISAM" in shown


def test_their_verdict_is_inconclusive_with_the_reason(told: SqlStateStore, client: httpx.Client) -> None:
    items = {item["table"]: item for item in client.get("/v1/fingerprints").json()["items"]}
    assert told.progress().lake_epoch == 3
    assert (items["ootp.`old.log`"]["verdict"], items["ootp.`old.log`"]["reason"]) == (
        "inconclusive",
        "it is a base table in MyISAM",
    )
    assert items[GAMES]["verdict"] == "mismatch"
    (item,) = client.get("/v1/fingerprints", params={"table": "ootp.`old*"}).json()["items"]
    assert item["table"] == "ootp.`old.log`"


def test_the_reason_holds_at_the_epoch_that_was_judged(seeded: SqlStateStore, client: httpx.Client) -> None:
    """The lake reaches the epoch: an empty table that is set aside is no match either."""
    before = seeded.progress()
    last = replace(epoch(6, 0), set_aside=REASONS)
    seeded.advance(before, Advance(replace(before, epoch=6, epochs_offset=12), [last], [], {}))
    seeded.save_verdicts(Progress("stream", 6, 12, 6, 2), [TableVerdicts(PLAYERS, 6, {})], NOW)
    items = {item["table"]: item for item in client.get("/v1/fingerprints").json()["items"]}
    assert (items[PLAYERS]["verdict"], items[PLAYERS]["reason"]) == ("inconclusive", REASONS[PLAYERS])


def test_metrics_count_them(told: SqlStateStore, lag_reader: FakeLagReader) -> None:
    text = render(told, lag_reader, NOW, 30.0).decode()
    assert "dfp_tables_set_aside 2.0" in text
    assert 'dfp_verdict{table="ootp.`old.log`",verdict="inconclusive"} 1.0' in text


def test_a_table_that_awaits_its_snapshot_is_inconclusive_and_so_is_the_whole_but_it_is_not_set_aside(
    seeded: SqlStateStore, client: httpx.Client
) -> None:
    before = seeded.progress()
    last = replace(epoch(6, 0), awaiting_snapshot=("ootp.new",))
    seeded.advance(before, Advance(replace(before, epoch=6, epochs_offset=12), [last], [], {}))
    items = {item["table"]: item for item in client.get("/v1/fingerprints").json()["items"]}
    assert (items["ootp.new"]["verdict"], items["ootp.new"]["reason"]) == ("inconclusive", "its snapshot has not begun")
    answer = client.get("/v1/status").json()
    assert answer["verdict"] != "match"
    assert "ootp.new" in [table["table"] for table in answer["without_partitions"]["first"]]
    assert answer["set_aside"] == {}
