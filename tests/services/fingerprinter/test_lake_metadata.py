"""Metadata of the lake that is gone or altered is a mismatch of its table, as no engine reads it, until it is back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datafingerprint.adapters.iceberg.stamps import STREAM_ID
from datafingerprint.errors import LakeError
from datafingerprint.verdict import Outcome
from tests.services.fingerprinter.watched_lake import ROWS, TABLE, WatchedLake, local, table_of

OTHER = table_of(("id", "bigint(20)"), ("league", "int(11)"), ("runs", "int(11)"), name="players")
BOTH = {f"ootp.{name} league={league}": "match" for name in ("games", "players") for league in (1, 2)}


def metadata_file(lake: WatchedLake) -> Path:
    return local(lake.iceberg().metadata_location)


def manifest_list(lake: WatchedLake) -> Path:
    snapshot = lake.iceberg().current_snapshot()
    assert snapshot is not None
    return local(snapshot.manifest_list)


def manifest(lake: WatchedLake) -> Path:
    """The older of two."""
    table = lake.iceberg()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return local(min(snapshot.manifests(table.io), key=lambda item: item.sequence_number).manifest_path)


OBJECTS = {"metadata file": metadata_file, "manifest list": manifest_list, "manifest": manifest}

Find = Callable[[WatchedLake], Path]


@pytest.fixture(params=OBJECTS)
def find(request: pytest.FixtureRequest) -> Find:
    return OBJECTS[request.param]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[WatchedLake]:
    """Two tables of two partitions each, which match; the first has had two commits."""
    with closing(WatchedLake(tmp_path, TABLE, OTHER)) as watched:
        watched.write(TABLE, *ROWS[:4])
        watched.write(TABLE, *ROWS[4:])
        watched.write(OTHER, *ROWS)
        watched.judge()
        assert watched.said() == BOTH
        yield watched


def assert_broken(lake: WatchedLake, said: str) -> None:
    """Of the first table it is said in all partitions, and nothing of the other one."""
    verdicts = lake.verdicts()
    assert {name: item.outcome for name, item in verdicts.items()} == {
        name: Outcome.MISMATCH if name.startswith("ootp.games") else Outcome.MATCH for name in BOTH
    }
    assert {item.reason for name, item in verdicts.items() if name.startswith("ootp.games")} == {said}


def test_an_object_that_is_deleted_is_a_mismatch_that_names_it_until_it_is_back(lake: WatchedLake, find: Find) -> None:
    path = find(lake)
    kept = path.with_suffix(".kept")
    path.rename(kept)
    with pytest.raises((OSError, LakeError)):
        lake.read()
    lake.look()
    said = f"object file://{path} of the lake's metadata is gone: "
    (why,) = {item.reason for name, item in lake.verdicts().items() if name.startswith("ootp.games")}
    assert why.startswith(said)
    assert_broken(lake, why)
    lake.look()
    assert_broken(lake, why)
    lake.restart()
    assert_broken(lake, why)
    lake.look()
    assert_broken(lake, why)
    shutil.move(kept, path)
    lake.look()
    assert lake.said() == BOTH


def test_an_object_that_is_made_garbage_is_a_mismatch_that_names_it_until_it_is_back(
    lake: WatchedLake, find: Find
) -> None:
    path = find(lake)
    whole = path.read_bytes()
    path.write_bytes(b"garbage" + whole[7 : len(whole) // 2])
    lake.look()
    (why,) = {item.reason for name, item in lake.verdicts().items() if name.startswith("ootp.games")}
    assert why.startswith(f"object file://{path} of the lake's metadata cannot be decoded (")
    assert_broken(lake, why)
    path.write_bytes(whole)
    lake.look()
    assert lake.said() == BOTH


def test_a_manifest_in_the_place_of_another_names_other_files(lake: WatchedLake) -> None:
    """Readers find what it names, though neither the snapshot nor a data file is another one."""
    table = lake.iceberg()
    snapshot = table.current_snapshot()
    assert snapshot is not None
    older, newer = (
        local(item.manifest_path)
        for item in sorted(snapshot.manifests(table.io), key=lambda item: item.sequence_number)
    )
    whole = older.read_bytes()
    older.write_bytes(newer.read_bytes())
    assert len(lake.read()) != len(ROWS)
    lake.look()
    outcomes = {name: item.outcome for name, item in lake.verdicts().items()}
    assert Outcome.MISMATCH in outcomes.values()
    assert {outcomes[name] for name in BOTH if name.startswith("ootp.players")} == {Outcome.MATCH}
    older.write_bytes(whole)
    lake.look()
    assert lake.said() == BOTH


def test_one_table_that_cannot_be_read_keeps_no_other_from_being_judged(lake: WatchedLake, find: Find) -> None:
    """Neither a fingerprinter that starts, nor one that runs, nor at a commit of the table itself."""
    path = find(lake)
    last = lake.write(TABLE, {"id": 20, "league": 1, "runs": 1})
    newer = find(lake)
    kept = newer.with_suffix(".kept")
    newer.rename(kept)
    lake.restart()
    lake.judge()
    assert lake.store.progress().lake_epoch == last
    assert_broken(lake, next(iter(lake.verdicts().values())).reason)
    assert str(newer) in lake.said()["ootp.games league=1"]
    assert path.exists() or path == newer
    shutil.move(kept, newer)
    lake.look()
    assert lake.said() == BOTH


def test_a_table_whose_metadata_is_gone_before_it_was_ever_counted_is_counted_when_it_is_back(tmp_path: Path) -> None:
    with closing(WatchedLake(tmp_path, TABLE, OTHER)) as lake:
        lake.write(TABLE, *ROWS)
        lake.write(OTHER, *ROWS)
        path = manifest_list(lake)
        kept = path.with_suffix(".kept")
        path.rename(kept)
        lake.judge()
        assert_broken(lake, next(iter(lake.verdicts().values())).reason)
        shutil.move(kept, path)
        lake.look()
        assert lake.said() == BOTH


def test_a_snapshot_whose_stamp_is_damaged_leaves_only_its_own_table_undecided(lake: WatchedLake) -> None:
    """Its rows can be read, but not told of which epoch they are."""
    nothing = TABLE.arrow.empty_table()
    lake.iceberg().append(nothing, snapshot_properties={STREAM_ID: "stream"})
    for _ in range(2):
        lake.look()
        verdicts = lake.verdicts()
        assert {item.reason for name, item in verdicts.items() if name.startswith("ootp.players")} == {""}
        (said,) = {(item.outcome, item.reason) for name, item in verdicts.items() if name.startswith("ootp.games")}
        assert said[0] is Outcome.INCONCLUSIVE
        assert said[1].startswith("a stamp is damaged at snapshot ")
        lake.restart()
    table = lake.iceberg()
    (before, _) = table.snapshots()[-2:]
    table.manage_snapshots().set_current_snapshot(before.snapshot_id).commit()
    lake.look()
    assert lake.said() == BOTH
