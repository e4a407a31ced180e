"""`datafingerprint status` over HTTP: what it prints, and the status that it ends with."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result

from api.application import create_app
from commands.__main__ import exit_status, main
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Progress, TableVerdicts
from datafingerprint.verdict import judge_table
from tests.api.conftest import FakeLagReader

SAID: dict[str, Any] = {"verdict": "match", "audit": {"mismatch": 0}, "standstill": None}


@contextmanager
def served(store: SqlStateStore, lag_reader: FakeLagReader, now: float) -> Iterator[int]:
    """The application on a port of its own."""
    app = create_app(store, lag_reader, lambda: now)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def shown(
    seeded: SqlStateStore, lag_reader: FakeLagReader, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], Result]:
    """What the command says at a moment."""

    def ask(now: float) -> Result:
        with served(seeded, lag_reader, now) as port:
            monkeypatch.setenv("DFP_API_PORT", str(port))
            return CliRunner().invoke(main, ["status"])

    return ask


def verdict(result: Result) -> str:
    """The first word of what was printed; the application's own log lies between."""
    match = re.search(r"^(\w+)  \d+ partitions match", result.output, re.MULTILINE)
    assert match, result.output
    return match[1]


def test_a_partition_that_differs_is_status_1(shown: Callable[[float], Result]) -> None:
    result = shown(1_000_020.0)
    assert (result.exit_code, verdict(result)) == (1, "mismatch")


def test_a_match_beside_an_audit_that_found_the_source_different_is_status_1(
    shown: Callable[[float], Result], seeded: SqlStateStore
) -> None:
    sums = {"date_year=2031": Fingerprint(3, 1, 2), "date_year=2032": Fingerprint(4, 5, 6)}
    for table in ("ootp.games", "ootp.players"):
        seeded.save_verdicts(
            Progress("stream", 5, 10, 3, 1), [TableVerdicts(table, 3, judge_table(sums, sums))], 1_000_015.0
        )
    seeded.save_verdicts(Progress("stream", 5, 10, 3, 1), [TableVerdicts("ootp.<trades>", 3, {})], 1_000_015.0)
    result = shown(1_000_020.0)
    assert (result.exit_code, verdict(result)) == (1, "match")
    assert "1 partitions agree with the source, 1 do not" in result.output


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({}, 0),
        ({"verdict": "inconclusive"}, 1),
        ({"verdict": "mismatch"}, 1),
        ({"audit": {"mismatch": 1}}, 1),
        ({"standstill": "no epoch was stored for 3 d"}, 2),
        ({"standstill": "no epoch was stored for 3 d", "verdict": "inconclusive"}, 2),
        ({"standstill": "no epoch was stored for 3 d", "verdict": "mismatch"}, 1),
        ({"standstill": "no epoch was stored for 3 d", "audit": {"mismatch": 1}}, 1),
    ],
)
def test_a_difference_counts_most_and_then_that_nothing_new_is_known(said: dict[str, Any], status: int) -> None:
    assert exit_status(SAID | said) == status


def test_nobody_who_answers_is_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("DFP_API_PORT", str(taken.getsockname()[1]))
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 2
    assert "the REST service is away" in result.stderr
