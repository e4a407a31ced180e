"""A fingerprinter that is killed between the files that it counted and their verdicts: the next one finds the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.services.fingerprinter.watched_lake import ROWS, TABLE, WatchedLake, local

MATCH = {"league=1": "match", "league=2": "match"}


class KilledError(Exception):
    """Nothing is done from here on."""


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[WatchedLake]:
    """A table of two partitions, which match."""
    with closing(WatchedLake(tmp_path, TABLE)) as watched:
        watched.write(TABLE, *ROWS)
        watched.judge()
        assert watched.said() == MATCH
        yield watched


@contextmanager
def killed_before_the_verdicts(lake: WatchedLake) -> Iterator[None]:
    """Everything up to the verdicts is stored; then the process is gone, and the next one starts."""

    def gone(*_: object) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake.store, "save_verdicts", gone)
        with pytest.raises(KilledError):
            yield
    lake.restart()


def test_what_another_engine_did_is_judged_by_the_next_one(lake: WatchedLake) -> None:
    lake.iceberg().delete("league == 2")
    with killed_before_the_verdicts(lake):
        lake.look()
    assert lake.said() == MATCH
    lake.look()
    assert lake.said() == {"league=1": "match", "league=2": "the lake has 3 rows too few"}


def test_a_file_that_was_found_damaged_is_judged_by_the_next_one(lake: WatchedLake) -> None:
    first, _ = lake.paths()
    local(first).unlink()
    with killed_before_the_verdicts(lake):
        lake.look()
    lake.look()
    assert lake.said() == {"league=1": f"file {first} is gone: {first}", "league=2": "match"}


def test_files_of_a_commit_are_not_judged_at_the_commit_before(lake: WatchedLake) -> None:
    """The second commit's files are stored; its record is read again later than the looks are made."""
    lake.write(TABLE, {"id": 10, "league": 1, "runs": 1}, {"id": 11, "league": 2, "runs": 1})
    with killed_before_the_verdicts(lake):
        lake.judge()
    lake.look()
    assert lake.said() == MATCH
    damaged = lake.paths()[0]
    octets = local(damaged).read_bytes()
    local(damaged).unlink()
    lake.look()
    assert lake.said() == MATCH, "the present files were judged against the sums of the commit before"
    lake.judge()
    assert lake.said() == {"league=1": f"file {damaged} is gone: {damaged}", "league=2": "match"}
    local(damaged).write_bytes(octets)
    lake.look()
    assert lake.said() == MATCH
