"""What the store of scans promises beyond what a scan alone asks of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from datafingerprint.adapters.state.scans import SqlScanStore
from datafingerprint.errors import ConfigError
from datafingerprint.scans import Scan, ScanState
from tests.databases import DATABASES, new_urls

AT_ONCE = 8


def scan(engine: str = "trino") -> Scan:
    return Scan(0, engine, "s.t", None, 7, 5, 100.0)


def begun_at_once(stores: list[SqlScanStore]) -> int:
    """How many of so many that begin a scan at the same moment may."""
    ready = threading.Barrier(len(stores))

    def begin(store: SqlScanStore) -> bool:
        store.scans(limit=1)
        ready.wait(30)
        try:
            store.begin(scan(), running_max=1)
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(len(stores)) as pool:
        return sum(pool.map(begin, stores))


@contextlib.contextmanager
def opened(url: str) -> Iterator[list[SqlScanStore]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(SqlScanStore(url))) for _ in range(AT_ONCE)]


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_urls(request, tmp_path)()


def test_of_scans_that_begin_at_once_no_more_run_than_may(url: str) -> None:
    with opened(url) as stores:
        assert begun_at_once(stores) == 1


def test_the_last_scan_that_counted_all_of_a_table_is_shown_beside_later_ones(url: str) -> None:
    with contextlib.closing(SqlScanStore(url)) as store:
        for state, partition, engine in (
            (ScanState.DONE, None, "trino"),
            (ScanState.DONE, None, "trino"),
            (ScanState.CANCELLED, None, "trino"),
            (ScanState.DONE, "n=1", "trino"),
            (ScanState.FAILED, None, "duckdb"),
        ):
            begun = store.begin(replace(scan(engine), partition=partition), running_max=9)
            store.end(replace(begun, state=state, ended_at=101.0))
        assert [item.number for item in store.last_of("s.t")] == [5, 4, 2]
