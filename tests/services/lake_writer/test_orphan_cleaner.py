"""Which files go, and when: each condition alone keeps a file."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from datafingerprint.config import Lake
from datafingerprint.errors import TableDamageError, Unavailable
from datafingerprint.ports.lake import ObjectInfo, References
from services.lake_writer.orphan_cleaner import SHARE, CleanupResult, OrphanCleaner

TABLE = ("s", "t")
GRACE_S = 100.0


@dataclass
class Bucket:
    """A table's objects in memory; the order of calls is kept."""

    objects: dict[str, ObjectInfo] = field(default_factory=dict)
    referenced: set[str] = field(default_factory=set)
    committed_at: float = 1_000.0
    calls: list[str] = field(default_factory=list)
    away: threading.Event = field(default_factory=threading.Event)
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    read: threading.Event = field(default_factory=threading.Event)
    names: list[tuple[str, str]] = field(default_factory=lambda: [TABLE])
    broken: frozenset[tuple[str, str]] = frozenset()

    def versions(self) -> dict[tuple[str, str], str]:
        self.asked.release()
        if self.away.is_set():
            raise Unavailable("the store is away", where="here")
        return dict.fromkeys(self.names, f"{self.committed_at}.metadata.json")

    def stored(self, table: tuple[str, str]) -> dict[str, ObjectInfo]:
        self.calls.append("stored")
        return dict(self.objects)

    def references(self, table: tuple[str, str]) -> References:
        self.calls.append("references")
        if table in self.broken:
            raise TableDamageError(f"{table[1]} is gone", remedy="restore it")
        self.read.set()
        return References(frozenset(self.referenced), self.committed_at)

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            del self.objects[path]


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def sweeper(bucket: Bucket, clock: Clock, sweep_s: float = 0.001) -> OrphanCleaner:
    settings = Lake(sweep_s=sweep_s, grace_s=GRACE_S)
    return OrphanCleaner(bucket, settings, structlog.stdlib.get_logger(), clock=clock)


def test_a_file_goes_only_when_it_has_been_unreferenced_for_the_grace_time() -> None:
    bucket, clock = Bucket({"old": ObjectInfo(0.0, 7), "live": ObjectInfo(0.0, 5)}, {"live"}), Clock()
    item = sweeper(bucket, clock)
    assert item.sweep(TABLE) == CleanupResult(0, 0, waiting=1)
    clock.now = GRACE_S - 1
    assert item.sweep(TABLE) == CleanupResult(0, 0, waiting=1)
    clock.now = GRACE_S
    assert item.sweep(TABLE) == CleanupResult(1, 7, waiting=0)
    assert set(bucket.objects) == {"live"}


def test_a_file_that_a_commit_may_still_name_stays_until_another_commit_has_made_that_impossible() -> None:
    bucket, clock = Bucket({"new": ObjectInfo(950.0, 7)}), Clock()
    item = sweeper(bucket, clock)
    item.sweep(TABLE)
    clock.now = 10 * GRACE_S
    assert item.sweep(TABLE).files == 0
    bucket.committed_at = 950.0 + GRACE_S + 1
    assert item.sweep(TABLE).files == 1


def test_the_grace_time_begins_anew_for_a_file_that_was_referenced_in_between() -> None:
    bucket, clock = Bucket({"back": ObjectInfo(0.0, 7)}), Clock()
    item = sweeper(bucket, clock)
    item.sweep(TABLE)
    bucket.referenced = {"back"}
    clock.now = GRACE_S / 2
    item.sweep(TABLE)
    bucket.referenced = set()
    clock.now = GRACE_S
    assert item.sweep(TABLE) == CleanupResult(0, 0, waiting=1)


def test_the_bucket_is_listed_before_the_metadata_is_read() -> None:
    bucket = Bucket()
    sweeper(bucket, Clock()).sweep(TABLE)
    assert bucket.calls == ["stored", "references"]


def test_a_store_that_is_away_is_asked_again() -> None:
    bucket, stop = Bucket(), threading.Event()
    bucket.away.set()
    thread = threading.Thread(target=sweeper(bucket, Clock()).run, args=(stop,))
    thread.start()
    assert bucket.asked.acquire(timeout=5)
    assert bucket.asked.acquire(timeout=5)
    bucket.away.clear()
    assert bucket.read.wait(5)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()


def test_tables_that_cannot_be_read_keep_no_other_from_being_searched_and_are_told_in_one_line() -> None:
    names = [("s", "first"), TABLE, ("s", "last")]
    bucket, stop = Bucket({"old": ObjectInfo(0.0, 7)}, names=names, broken=frozenset({names[0], names[2]})), Once()
    with structlog.testing.capture_logs() as said:
        OrphanCleaner(bucket, Lake(grace_s=1e-9), structlog.get_logger(), clock=Clock()).run(stop)
    assert bucket.objects == {"old": ObjectInfo(0.0, 7)}
    assert bucket.calls == ["stored", "references"] * 3
    assert said == [
        {
            "log_level": "warning",
            "event": "old files were not removed",
            "tables": ["s.first", "s.last"],
            "reason": "first is gone: restore it; last is gone: restore it",
        }
    ]


class Once(threading.Event):
    """Lets one search be made."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        return self.waits > 1


def test_a_table_without_a_commit_since_a_search_that_left_nothing_is_not_searched_again() -> None:
    bucket = Bucket({"live": ObjectInfo(0.0, 5)}, {"live"}, names=[("s", f"t{number}") for number in range(50)])
    item = sweeper(bucket, Clock())
    stop = threading.Event()
    item._clean_all(stop)
    assert bucket.calls.count("stored") == 50
    item._clean_all(stop)
    assert bucket.calls.count("stored") == 50
    bucket.committed_at += 1
    bucket.objects["left"] = ObjectInfo(0.0, 7)
    item._clean_all(stop)
    assert bucket.calls.count("stored") == 100
    item._clean_all(stop)  # the file waits for its grace time in each table
    assert bucket.calls.count("stored") == 150


def test_a_search_of_many_tables_takes_a_small_share_of_the_time() -> None:
    class Slow(Bucket):
        def references(self, table: tuple[str, str]) -> References:
            clock.now += 1.0
            return super().references(table)

    class Pauses(threading.Event):
        waited = 0.0

        def wait(self, timeout: float | None = None) -> bool:
            self.waited += timeout or 0.0
            return False

    clock, pauses = Clock(), Pauses()
    bucket = Slow(names=[("s", f"t{number}") for number in range(10)])
    sweeper(bucket, clock)._clean_all(pauses)
    assert bucket.calls.count("stored") == 10
    assert pauses.waited >= 7 / SHARE
