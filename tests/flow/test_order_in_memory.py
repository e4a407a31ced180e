"""One clock for both sides: a verdict is of exactly one epoch, whichever side is ahead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Fingerprinter as FingerprinterSettings
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epoch_chain import record_digest
from datafingerprint.ledger import Progress, TableVerdicts
from datafingerprint.ports.lake import DataFile
from datafingerprint.ports.stream import EpochRows
from datafingerprint.verdict import Outcome
from datafingerprint.wire import LakeCommit
from services.fingerprinter.fingerprinter import Fingerprinter
from services.lake_writer.writer import LakeWriter
from tests.flow.memory import MemoryEpochReader, MemoryLake, MemoryLakeCommits, MemoryLakeView, Snapshot
from tests.flow.test_in_memory import KEYED, LOG, LOOSE, Crash, Row, Turns, World

ENOUGH = 30


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, 1)


def put(world: World, *rows: Row) -> None:
    """One epoch in which these rows are put into both tables."""
    world.publish([("put", rows[0], row) for row in rows])


def found(world: World) -> tuple[Progress, set[tuple[str, str]]]:
    """How far the fingerprinter has come, and the partitions that do not match."""
    with contextlib.closing(SqlStateStore(world.url)) as store:
        differing = {
            (verdict.table, verdict.partition)
            for verdict in store.verdicts()
            if verdict.verdict.outcome is not Outcome.MATCH
        }
        return store.progress(), differing


class RememberingStore(SqlStateStore):
    """Remembers every verdict that was ever given, those that were soon replaced as well."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.given: list[tuple[str, str, Outcome]] = []

    def save_verdicts(
        self, progress: Progress, judged: Sequence[TableVerdicts], now: float, unchanged: Sequence[str] = ()
    ) -> None:
        super().save_verdicts(progress, judged, now, unchanged)
        self.given += [
            (item.table, name, verdict.outcome) for item in judged for name, verdict in item.verdicts.items()
        ]


def judge(world: World, turns: int = ENOUGH, reader: MemoryEpochReader | None = None) -> list[tuple[str, str, Outcome]]:
    """One life of the fingerprinter; the verdicts that it gave."""
    with contextlib.closing(RememberingStore(world.url)) as store:
        Fingerprinter(
            reader or MemoryEpochReader(world.broker),
            MemoryLakeCommits(world.broker),
            MemoryLakeView(world.store),
            TemporaryScratch(""),
            store,
            FingerprinterSettings(),
            LOG,
            clock=world.clock,
        ).run(Turns(turns))
        return store.given


def write(world: World, commits: MemoryLakeCommits, rows_at_once: int, turns: int = ENOUGH) -> None:
    """One life of the lake writer, which commits whenever so many rows have come."""
    settings = LakeSettings(flush_s=1e9, flush_rows=rows_at_once)
    reader, lake = MemoryEpochReader(world.broker), MemoryLake(world.store)
    LakeWriter(reader, lake, commits, settings, LOG, TemporaryScratch(""), clock=world.clock).run(Turns(turns))


class Unpublished(MemoryLakeCommits):
    """The process ends when the tables are committed, before the record says so."""

    def publish(self, commit: LakeCommit) -> None:
        raise Crash


class Behind(MemoryEpochReader):
    """A reader that has come no further than an epoch."""

    last = 1

    def read(self, timeout_s: float) -> EpochRows | None:
        return super().read(timeout_s) if self._offset < self.last else None


def test_the_lake_is_judged_at_its_own_epoch_though_the_source_is_further_ahead(world: World) -> None:
    put(world, (1, 2030, "a"), (2, 2031, "b"))
    world.write(ENOUGH)
    for number in range(3, 9):
        put(world, (number, 2030, "later"))
    judge(world)
    progress, differing = found(world)
    assert (progress.epoch, progress.lake_epoch, differing) == (7, 1, set())


def test_a_lake_commit_waits_for_a_source_side_that_is_behind(world: World) -> None:
    for number in range(1, 4):
        put(world, (number, 2030, "a"))
    world.write(ENOUGH)
    judge(world, reader=Behind(world.broker))
    progress, differing = found(world)
    assert (progress.epoch, progress.lake_epoch, differing) == (1, 1, set())
    judge(world)
    progress, differing = found(world)
    assert (progress.lake_epoch, differing) == (3, set())


def test_tables_that_a_crash_left_ahead_are_not_called_an_earlier_epoch(world: World) -> None:
    """The next life reads the epochs one by one; it publishes none before the one that a table has already."""
    put(world, (1, 2030, "a"))
    put(world, (2, 2030, "b"))
    with pytest.raises(Crash):
        write(world, Unpublished(world.broker), rows_at_once=4)  # both epochs, in one commit per table
    for _ in range(4):
        write(world, MemoryLakeCommits(world.broker), rows_at_once=1, turns=1)
        judge(world)
        assert found(world)[1] == set()
    put(world, (3, 2030, "c"))
    write(world, MemoryLakeCommits(world.broker), rows_at_once=1)
    judge(world)
    progress, differing = found(world)
    assert (progress.lake_epoch, differing) == (3, set())
    assert world.lake_rows(LOOSE) == world.loose


def test_a_first_snapshot_without_its_record_is_not_judged_with_the_record_before(world: World) -> None:
    """The record of an empty lake names no snapshots; those that came since are of a later epoch."""
    world.publish([])
    world.write(ENOUGH)
    put(world, (1, 2030, "a"))
    with pytest.raises(Crash):
        write(world, Unpublished(world.broker), rows_at_once=1)
    judge(world)
    progress, differing = found(world)
    assert (progress.lake_epoch, differing) == (1, set())


def commit_as_another(world: World, files: Iterable[DataFile]) -> None:
    """What another client leaves: no stamp of its own, so that of the nearest ancestor counts."""
    history = world.store.snapshots[KEYED.table]
    history.append(Snapshot(next(world.store.names) + 1000, tuple(files), history[-1].stamp))


def publish_stale(world: World) -> None:
    """An epoch without rows, and the record of a running writer for it: it names the snapshots that it last saw."""
    world.publish([])
    commits = MemoryLakeCommits(world.broker)
    last = commits.open()
    assert last is not None
    digest = record_digest(world.broker.epochs[last.epochs_offset])
    commits.publish(replace(last, epoch=last.epoch + 1, epochs_offset=last.epochs_offset + 1, epoch_digest=digest))


def test_damage_by_another_client_shows_in_every_verdict_until_it_is_mended(world: World) -> None:
    """Nor do lake commits hide it that still name the writer's snapshot below it."""
    put(world, (1, 2030, "a"), (2, 2031, "b"))
    world.write(ENOUGH)
    whole = world.store.snapshots[KEYED.table][-1].files
    commit_as_another(world, [file for file in whole if file.partition != "year=2031"])
    judge(world)
    publish_stale(world)
    for epoch in (None, [("move", (1, 2030, "a"), (7, 2030, "a"))], [("put", (1, 2030, "a"), (3, 2030, "c"))]):
        if epoch is not None:
            world.publish(epoch)
            world.write(ENOUGH)
        given = [outcome for table, name, outcome in judge(world) if (table, name) == (KEYED.table, "year=2031")]
        assert set(given) == {Outcome.MISMATCH}
        assert found(world)[1] == {(KEYED.table, "year=2031")}
    files = world.store.snapshots[KEYED.table][-1].files
    commit_as_another(world, [*files, *[file for file in whole if file.partition == "year=2031"]])
    judge(world)
    assert found(world)[1] == set()


def lie(world: World, files: Iterable[DataFile]) -> None:
    """The writer has put other files under its last stamp than it should have."""
    history = world.store.snapshots[KEYED.table]
    history[-1] = replace(history[-1], files=tuple(files))


def backlog(world: World, first: int, last: int) -> None:
    """Lake commits that are not judged yet, of one epoch each."""
    for number in range(first, last + 1):
        put(world, (number, 2030 + number % 2, "a"))
        write(world, MemoryLakeCommits(world.broker), rows_at_once=1)


def test_of_a_backlog_the_newest_commit_is_judged(world: World) -> None:
    backlog(world, 1, 12)
    given = judge(world, turns=100)
    progress, differing = found(world)
    assert (progress.lake_epoch, progress.lake_commits_offset, differing) == (12, 12, set())
    assert sorted(given) == sorted(set(given)), "every partition is judged once"


def test_a_difference_that_an_older_commit_of_a_backlog_began_shows_at_the_newest(world: World) -> None:
    backlog(world, 1, 3)
    lie(world, world.store.snapshots[KEYED.table][-1].files[:-1])
    backlog(world, 4, 6)
    judge(world)
    progress, differing = found(world)
    assert progress.lake_epoch == 6
    assert {table for table, _ in differing} == {KEYED.table}


def test_a_commit_that_the_source_side_has_not_come_to_is_not_passed_over_to(world: World) -> None:
    """Nor does one that has to wait keep the newest before it from being judged."""
    backlog(world, 1, 6)
    reader = Behind(world.broker)
    reader.last = 4
    judge(world, reader=reader)
    progress, differing = found(world)
    assert (progress.epoch, progress.lake_epoch, progress.lake_commits_offset, differing) == (4, 4, 4, set())
    judge(world)
    progress, differing = found(world)
    assert (progress.lake_epoch, progress.lake_commits_offset, differing) == (6, 6, set())
