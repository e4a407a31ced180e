"""The lake's sketches: whatever is done to the files, the difference to the source names just the rows that differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from datafingerprint.canonical import digest
from datafingerprint.sketch import RowVersion
from tests.services.fingerprinter.watched_lake import ROWS, TABLE, Row, WatchedLake, local

ONE, TWO = "league=1", "league=2"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[WatchedLake]:
    """A table of two partitions, which match."""
    with closing(WatchedLake(tmp_path, TABLE)) as watched:
        watched.write(TABLE, *ROWS)
        watched.judge()
        yield watched


def version(row: Row) -> RowVersion:
    return RowVersion(row["id"] % (1 << 64), int.from_bytes(digest(row, TABLE.columns)))


def test_nothing_differs_where_the_partition_matches_also_after_more_commits_and_merges(lake: WatchedLake) -> None:
    assert (lake.differing(TABLE, ONE), lake.differing(TABLE, TWO)) == ({}, {})
    lake.write(TABLE, {"id": 10, "league": 1, "runs": 1})
    lake.judge()
    lake.merge(TABLE)
    lake.judge()
    assert (lake.differing(TABLE, ONE), lake.differing(TABLE, TWO)) == ({}, {})


def test_rows_that_another_engine_changed_added_and_deleted_are_named(lake: WatchedLake) -> None:
    added = {"id": 77, "league": 1, "runs": 5}
    changed = ROWS[2] | {"runs": 99}
    table = lake.iceberg()
    table.overwrite(pa.Table.from_pylist([changed], schema=table.schema().as_arrow()), "id == 2")
    table.append(pa.Table.from_pylist([added], schema=table.schema().as_arrow()))
    table.delete("id == 4")
    lake.look()
    expected = {version(ROWS[2]): 1, version(ROWS[4]): 1, version(changed): -1, version(added): -1}
    assert lake.differing(TABLE, ONE) == expected
    assert lake.differing(TABLE, TWO) == {}
    lake.restart()
    assert lake.differing(TABLE, ONE) == expected


def test_a_file_that_is_live_twice_has_every_row_once_too_often(lake: WatchedLake) -> None:
    path = next(path for path in lake.paths() if "league=2" in path)
    lake.iceberg().add_files([path], check_duplicate_files=False)
    lake.look()
    assert lake.differing(TABLE, TWO) == {version(row): -1 for row in ROWS if row["league"] == 2}


def test_a_file_that_is_gone_lacks_its_rows(lake: WatchedLake) -> None:
    path = next(path for path in lake.paths() if "league=2" in path)
    local(path).unlink()
    lake.look()
    assert lake.differing(TABLE, TWO) == {version(row): 1 for row in ROWS if row["league"] == 2}


def test_more_differences_than_the_sketch_holds_are_an_overflow(lake: WatchedLake) -> None:
    table = lake.iceberg()
    rows = [{"id": number, "league": 1, "runs": 0} for number in range(100, 300)]
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    lake.look()
    assert lake.differing(TABLE, ONE) == "overflow"
    assert lake.differing(TABLE, TWO) == {}
