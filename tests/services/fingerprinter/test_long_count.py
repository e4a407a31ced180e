"""Counting that takes longer than a snapshot's files are kept finds what readers find, and no damage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from pyiceberg.table import Table

from datafingerprint.verdict import Outcome
from tests.services.fingerprinter.watched_lake import ROWS, TABLE, WatchedLake, local

MATCH = {"league=1": "match", "league=2": "match"}
EXPIRED = "the lake's snapshot of this epoch has expired"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[WatchedLake]:
    """A table of two partitions that nobody has counted yet."""
    with closing(WatchedLake(tmp_path, TABLE)) as watched:
        watched.write(TABLE, *ROWS)
        yield watched


def meanwhile(lake: WatchedLake, times: int) -> None:
    """Each of so many times that its two files are read, the table is written anew, and the old files are swept."""
    reads, lock = count(), threading.Lock()

    def merge() -> None:
        with lock:
            if (number := next(reads)) % 2 == 0 and number < 2 * times:
                lake.merge(TABLE)

    lake.objects.before_copy = merge


def judge_first(lake: WatchedLake) -> None:
    """The first commit is judged, and no other one yet."""
    lake.side.judge_commit(lake.store.progress(), lake.commits[0], 1)


@pytest.mark.parametrize("times", [1, 2])
def test_files_that_expire_while_they_are_read_are_no_damage(lake: WatchedLake, times: int) -> None:
    meanwhile(lake, times)
    judge_first(lake)
    assert lake.said() == dict.fromkeys(MATCH, EXPIRED)
    assert lake.store.files(TABLE.table).keys() == set(lake.paths())
    lake.look()
    assert {verdict.outcome for verdict in lake.verdicts().values()} == {Outcome.INCONCLUSIVE}
    lake.judge()
    assert lake.said() == MATCH


def test_files_that_expire_after_they_were_counted_are_no_damage(lake: WatchedLake) -> None:
    """The fingerprinter is behind: the commit that they left with is not judged yet."""
    lake.judge()
    lake.merge(TABLE)
    lake.look()
    assert lake.said() == MATCH
    lake.side.look_at_etags(lake.store.progress(), reread_before=lake.now, rereads=lambda _: 9)
    assert lake.said() == MATCH
    lake.judge()
    assert lake.said() == MATCH


def test_a_file_of_the_present_snapshot_that_is_gone_stays_damage(lake: WatchedLake) -> None:
    """Also when others have expired meanwhile."""

    def merge_and_lose() -> None:
        lake.objects.before_copy = lambda: None
        lake.merge(TABLE)
        local(lake.paths()[0]).unlink()

    lake.objects.before_copy = merge_and_lose
    judge_first(lake)
    lake.judge()
    lost = lake.paths()[0]
    assert lake.said() == {"league=1": f"file {lost} is gone: {lost}", "league=2": "match"}


def test_a_file_that_another_engine_had_removed_is_not_missed(lake: WatchedLake) -> None:
    """Its snapshot is of no later epoch, so it is judged at once."""

    def delete() -> None:
        lake.objects.before_copy = lambda: None
        table: Table = lake.iceberg()
        old = lake.paths()[0]
        table.delete("league == 1")
        local(old).unlink()

    lake.objects.before_copy = delete
    judge_first(lake)
    assert lake.said() == {"league=1": "the lake has 3 rows too few", "league=2": "match"}
