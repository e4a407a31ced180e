"""Whatever somebody else does to the lake: where its readers find other rows than the source's, it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datafingerprint.verdict import Outcome
from tests.services.fingerprinter.watched_lake import ROWS, TABLE, WatchedLake

MATCH = {"league=1": "match", "league=2": "match"}


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[WatchedLake]:
    """A table of six rows in two partitions, which match."""
    with closing(WatchedLake(tmp_path, TABLE)) as watched:
        watched.write(TABLE, *ROWS)
        watched.judge()
        assert watched.said() == MATCH
        yield watched


def test_a_file_that_is_added_a_second_time_doubles_its_rows_until_it_is_not_live_any_more(lake: WatchedLake) -> None:
    first, second = lake.paths()
    lake.iceberg().add_files([first], check_duplicate_files=False)
    assert len(lake.read()) == 9
    found = lake.look()["league=1"]
    assert (found.outcome, found.reason) == (Outcome.MISMATCH, "the lake has 3 rows too many")
    assert found.lake == found.source * 2 if found.source else None
    lake.restart()
    lake.write(TABLE, {"id": 7, "league": 2, "runs": 1})
    lake.judge()
    assert lake.said() == {"league=1": "the lake has 3 rows too many", "league=2": "match"}

    table = lake.lake.table(TABLE)
    (doubled,) = [file for file in table.files() if file.path == first]
    stamp = table.stamp
    assert stamp is not None
    rows = table.read(doubled)
    table.commit(table.write({"league=1": rows}, stamp), [doubled], stamp)
    assert len(lake.read()) == 7
    assert first not in lake.paths()
    assert second in lake.paths()
    lake.look()
    assert lake.said() == MATCH
