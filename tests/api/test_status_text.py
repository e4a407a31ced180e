"""`datafingerprint status` shows the same as the API, as plain text where there are no colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx
from rich.console import Console

from api.status_text import behind, status_text
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.ledger import Progress
from datafingerprint.liveness import CHAIN, ServiceState
from tests.api.conftest import FakeLagReader, FakeServices


def printed(client: httpx.Client, *, partitions: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200, no_color=True)
    answers = client.get("/v1/status").json(), client.get("/v1/fingerprints").json()
    with console.capture() as capture:
        console.print(status_text(*answers, partitions=partitions))
    return capture.get()


def test_it_names_the_verdict_both_epochs_and_the_partition_that_differs(client: httpx.Client) -> None:
    text = printed(client)
    assert text.startswith("mismatch  1 partitions match, 1 mismatch, 0 inconclusive\n")
    assert "\n1 table without partitions: ootp.players inconclusive (snapshot at 40 %)\n" in text
    assert "lake at epoch 3 of 5, 6 rows and 15.0 s behind" in text
    assert "snapshot of ootp.players: 40 %" in text
    assert "date_year=2032" in text
    assert "date_year=2031" not in text
    assert "ootp.<trades>" in text


def test_it_names_every_partition_when_asked(client: httpx.Client) -> None:
    assert "date_year=2031" in printed(client, partitions=True)


def test_it_speaks_of_an_empty_store_too(empty_client: httpx.Client) -> None:
    assert printed(empty_client).startswith("inconclusive  0 partitions match")


def test_the_position_of_a_server_without_a_transaction_is_shown_as_unknown(client: httpx.Client) -> None:
    status = client.get("/v1/status").json()
    status["position"]["gtid"] = ""
    console = Console(file=io.StringIO(), width=200, no_color=True)
    with console.capture() as capture:
        console.print(status_text(status, client.get("/v1/fingerprints").json()))
    assert f"compared as of {status['as_of']} at -\n" in capture.get()


def test_it_says_that_nothing_new_is_known_and_why(
    client_after: Callable[[float], Any], lag_reader: FakeLagReader
) -> None:
    lag_reader.groups["dfp-fingerprinter"] = {"dfp.epochs": 2}
    with client_after(3 * 86_400.0) as client:
        text = printed(client)
    assert "\n1 table without partitions: ootp.players inconclusive (snapshot at 40 %)\n" in text
    assert "lake at epoch 3 of 5, how far behind the source is not known\n" in text
    assert "\nno epoch was stored for 3 d: epochs wait in Kafka, and the fingerprinter stands still" in text


def test_it_says_how_old_the_source_s_sums_are_while_they_catch_up() -> None:
    status = {"lag": {"rows": None, "seconds": None}, "source_age_s": 7_260.0, "standstill": None}
    assert behind(status) == "how far behind the source is not known: the newest sums are 2 h 1 min old"


def test_it_names_a_few_of_many_tables_that_no_partition_stands_for(client: httpx.Client) -> None:
    status = client.get("/v1/status").json()
    item = {"table": "a.b", "verdict": "inconclusive", "reason": None}
    status["without_partitions"] = {"count": 1000, "first": [{**item, "table": f"a.t{n}"} for n in range(20)]}
    console = Console(file=io.StringIO(), width=200, no_color=True)
    with console.capture() as capture:
        console.print(status_text(status, {"items": []}))
    assert "\n1000 tables without partitions: a.t0 inconclusive, " in capture.get()
    assert "a.t4 inconclusive and 995 more\n" in capture.get()
    assert "a.t5" not in capture.get()


def test_it_shows_every_service_and_says_first_which_does_not_work(
    listening_client: httpx.Client,
    services: FakeServices,
) -> None:
    services.silent_s["lake_writer"] = 20.0
    services.said["auditor"] = (ServiceState.STOPPED, "it is denied", "GRANT SELECT")
    text = printed(listening_client)
    assert "\nlake_writer silent since 1970-01-12 13:46:40 UTC: last heard while running: working\n" in text
    lines = [line.split() for line in text.splitlines()]
    shown = {line[0]: line[1] for line in lines if line and line[0] in (*CHAIN, "auditor")}
    assert shown == {"cdc": "running", "lake_writer": "silent", "fingerprinter": "running", "auditor": "stopped"}
    assert "it is denied: GRANT SELECT" in text


def test_an_idle_lake_behind_a_lake_writer_that_is_gone_is_not_said_to_be_0_s_behind(
    listening_client: httpx.Client,
    seeded: SqlStateStore,
    services: FakeServices,
) -> None:
    seeded.save_verdicts(Progress("stream", 5, 10, 5, 2), [], 1.0)
    assert "0 rows and 0.0 s behind" in printed(listening_client)
    services.silent_s["lake_writer"] = 20.0
    assert "s behind" not in printed(listening_client).replace("rows behind what was captured", "")
