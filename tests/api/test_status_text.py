"""`datafingerprint status` shows the same as the API, as plain text where there are no colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx
from rich.console import Console

from api.status_text import behind, status_text


def printed(client: httpx.Client, *, partitions: bool = False) -> str:
    console = Console(file=io.StringIO(), width=200, no_color=True)
    answers = client.get("/v1/status").json(), client.get("/v1/fingerprints").json()
    with console.capture() as capture:
        console.print(status_text(*answers, partitions=partitions))
    return capture.get()


def test_it_names_the_verdict_both_epochs_and_the_partition_that_differs(client: httpx.Client) -> None:
    text = printed(client)
    assert text.startswith("mismatch  1 partitions match, 1 mismatch, 0 inconclusive\n")
    assert "lake at epoch 3 of 5, 6 rows and 15.0 s behind" in text
    assert "first reading of ootp.players: 40 %" in text
    assert "date_year=2032" in text
    assert "date_year=2031" not in text
    assert "ootp.<trades>" in text


def test_it_names_every_partition_when_asked(client: httpx.Client) -> None:
    assert "date_year=2031" in printed(client, partitions=True)


def test_it_speaks_of_an_empty_store_too(empty_client: httpx.Client) -> None:
    assert printed(empty_client).startswith("inconclusive  0 partitions match")


def test_it_says_that_nothing_new_is_known_and_why(client_after: Callable[[float], Any], lag_reader: Any) -> None:  # noqa: ANN401 - the fake of conftest
    lag_reader.groups["dfp-fingerprinter"] = {"dfp.epochs": 2}
    with client_after(3 * 86_400.0) as client:
        text = printed(client)
    assert "lake at epoch 3 of 5, how far behind the source is not known\n" in text
    assert "\nno epoch was stored for 3 d: epochs wait in Kafka, and the fingerprinter stands still" in text


def test_it_says_how_old_the_source_s_sums_are_while_they_catch_up() -> None:
    status = {"lag": {"rows": None, "seconds": None}, "source_age_s": 7_260.0, "standstill": None}
    assert behind(status) == "how far behind the source is not known: what is summed up of it is 2 h 1 min old"
