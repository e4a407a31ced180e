"""The command and the REST service's runner on a real engine over the real store: how scans end, and what is stored."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import structlog

from datafingerprint.adapters.engines.runner import ScanRunner
from datafingerprint.adapters.state.scans import SqlScanStore
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.scans import Scan, ScanState
from datafingerprint.verdict import Outcome
from tests.services.counted_table import TABLE, CountedTable, counted_table, rows

pytestmark = pytest.mark.live

WITHIN_S = 60.0
MANY = 2_000_000
"""So many rows keep DuckDB busy for a while: a scan of them is there to be cancelled."""

UNKNOWN = {"league=1": Fingerprint(MANY, 1, 1)}

SCAN = ("scan", TABLE.table, "--engine", "duckdb")


@pytest.fixture
def games(stack_settings: Settings, stack_environment: dict[str, str]) -> Iterator[CountedTable]:
    with counted_table(stack_settings, stack_environment) as made:
        yield made


@pytest.fixture
def runner(games: CountedTable) -> Iterator[ScanRunner]:
    with contextlib.closing(ScanRunner(games.settings, games.state, structlog.stdlib.get_logger())) as made:
        yield made


def awaited(found: Callable[[], Scan | None]) -> Scan:
    """A scan when it has ended."""
    deadline = time.monotonic() + WITHIN_S
    while (scan := found()) is None or scan.state is ScanState.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return scan


def test_the_commands_exit_status_is_the_verdict(games: CountedTable) -> None:
    games.commit(rows(100))
    matched = games.run(*SCAN, "--json")
    assert matched.exit_code == 0, matched.output
    (part,) = json.loads(matched.stdout)["partitions"]
    assert (part["partition"], part["verdict"], part["counted"]) == ("league=1", "match", part["running"])
    assert games.run(*SCAN, "--partition", "league=1").exit_code == 0
    games.commit(rows(100), {"league=1": Fingerprint(100, 1, 1)})
    differing = games.run(*SCAN)
    assert differing.exit_code == 1
    assert "as many rows on both sides, but other values" in differing.stdout
    refused = games.run(*SCAN, "--partition", "league=01")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        "datafingerprint: ootp.games has no partition league=01: its partitions are named league=...\n"
    )


def test_a_snapshot_that_has_expired_is_refused_with_what_to_do(games: CountedTable) -> None:
    games.commit(rows(10))
    state = games.state.lake_tables()[TABLE.table]
    games.state.save_lake(type(state)(TABLE.table, 99, state.epoch, is_foreign=False, unreadable=""), [], [])
    refused = games.run(*SCAN)
    assert (refused.exit_code, refused.stderr) == (
        2,
        "datafingerprint: snapshot 99 of ootp.games has expired: scan again\n",
    )


def test_ctrl_c_ends_the_statement_and_stores_no_result(games: CountedTable) -> None:
    games.commit(rows(MANY), UNKNOWN)
    command = [sys.executable, "-m", "commands", *SCAN]
    with (
        contextlib.closing(SqlScanStore(games.settings.state.url.get_secret_value())) as store,
        subprocess.Popen(command, env={**games.environment}, stderr=subprocess.PIPE, text=True) as process,
    ):
        deadline = time.monotonic() + WITHIN_S
        while not store.scans(limit=1):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=WITHIN_S)
        (stored,) = store.scans(limit=9)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "datafingerprint: cancelled, at the engine too; no result is stored"
    assert (stored.state, stored.verdicts, stored.error) == (ScanState.CANCELLED, {}, "")


def test_a_second_ctrl_c_ends_a_scan_that_cannot_hear_the_first(games: CountedTable) -> None:
    games.commit(rows(10))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        # It takes the connection and never answers.
        environment = {**games.environment, "DFP_S3_ENDPOINT": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        command = [sys.executable, "-m", "commands", *SCAN]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            deaf.settimeout(WITHIN_S)
            client, _ = deaf.accept()
            with client:
                for _ in range(2):
                    process.send_signal(signal.SIGINT)
                    # Two signals that wait together are one.
                    time.sleep(0.5)
                _, said = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == ("datafingerprint: ended at once; the engine may continue, and no result is stored")


def test_a_scan_that_was_asked_for_goes_on_by_itself_and_is_shown_with_its_table(
    games: CountedTable, runner: ScanRunner
) -> None:
    games.commit(rows(100))
    asked = runner.ask("duckdb", TABLE.table, None)
    ended = awaited(lambda: runner.scan(asked.number))
    assert (ended.state, ended.outcome) == (ScanState.DONE, Outcome.MATCH)
    assert runner.last_of(TABLE.table) == [ended]
    with pytest.raises(ConfigError, match="no engine trino is in the settings"):
        runner.ask("trino", TABLE.table, None)


def test_one_that_is_cancelled_leaves_its_engine_free(games: CountedTable, runner: ScanRunner) -> None:
    games.commit(rows(MANY), UNKNOWN)
    first = runner.ask("duckdb", TABLE.table, None)
    with pytest.raises(ConfigError, match="1 scans run on duckdb already"):
        runner.ask("duckdb", TABLE.table, None)
    runner.cancel(first.number)
    ended = awaited(lambda: runner.scan(first.number))
    assert (ended.state, ended.verdicts, ended.error) == (ScanState.CANCELLED, {}, "")
    runner.ask("duckdb", TABLE.table, None)
    # What runs when the service ends is ended too.
    runner.close()
    with contextlib.closing(SqlScanStore(games.settings.state.url.get_secret_value())) as store:
        assert [scan.state for scan in store.scans(limit=9)] == [ScanState.CANCELLED, ScanState.CANCELLED]
