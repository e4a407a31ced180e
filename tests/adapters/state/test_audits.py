"""Audits in the state store: one owner at a time, nothing is lost when it dies, and findings outlive their audit."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datafingerprint.adapters.runtime.process_names import process_name
from datafingerprint.adapters.state import audits as state_audits
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audit import Finding, Hop, MeasuredAt
from datafingerprint.audits import LEASE_S, AuditProgress, AuditState, AuditStore, Origin, Scope
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConflictError
from datafingerprint.fingerprint import MODULUS, Fingerprint
from datafingerprint.verdict import Outcome
from tests.databases import DATABASES, NewUrl, by_hand, new_urls

GAMES = Scope("ootp.games")
BIG = Fingerprint(3, MODULUS - 1, MODULUS // 2)
AT = MeasuredAt(SourcePosition("0-1-7", "binlog.000001", 2**40), 12, 1_000.5)


@pytest.fixture(params=DATABASES)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    return new_urls(request, tmp_path)


@pytest.fixture
def url(new_url: NewUrl) -> str:
    return new_url()


@pytest.fixture
def store(url: str) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(url)) as opened:
        yield opened


def finding(partition: str | None = "-", outcome: Outcome = Outcome.MATCH, table: str = "ootp.games") -> Finding:
    hops = (Hop.CAPTURE, Hop.LAKE) if outcome is Outcome.MISMATCH else ()
    return Finding(table, partition, outcome, hops, "because" if hops else "", BIG, None if hops else BIG, AT)


def taken(store: AuditStore, scope: Scope = GAMES, owner: str = "a", now: float = 10.0) -> int:
    return store.begin_audit(scope, Origin.COMMAND, owner, now).number


def partitions(store: AuditStore, table: str | None = None) -> list[tuple[str, str | None, int]]:
    return [
        (last_finding.finding.table, last_finding.finding.partition, last_finding.audit)
        for last_finding in store.last_findings(table)
    ]


def test_what_is_asked_for_is_handed_to_one_who_runs_it_in_the_order_of_asking(store: SqlStateStore) -> None:
    port: AuditStore = store
    first = port.queue_audit(Scope(), Origin.REQUEST, 1.0)
    second = port.queue_audit(Scope("ootp.games", "date_year=2031"), Origin.SCHEDULE, 2.0)
    earlier, later = port.take_audit("a", 3.0), port.take_audit("b", 4.0)
    assert earlier is not None
    assert later is not None
    assert (earlier.number, earlier.scope, earlier.origin, earlier.owner) == (first, Scope(), Origin.REQUEST, "a")
    assert (earlier.state, earlier.asked_at, earlier.started_at, earlier.ended_at) == (
        AuditState.RUNNING,
        1.0,
        3.0,
        None,
    )
    assert (later.number, later.scope) == (second, Scope("ootp.games", "date_year=2031"))
    assert port.take_audit("c", 5.0) is None
    assert [audit.number for audit in port.audits(limit=9)] == [second, first]
    assert [audit.number for audit in port.audits(limit=9, before=second)] == [first]


def test_of_two_who_take_at_once_one_gets_it(url: str, store: SqlStateStore) -> None:
    store.queue_audit(GAMES, Origin.REQUEST, 1.0)
    gate, result = threading.Barrier(2), list[object]()

    def run(owner: str) -> None:
        with closing(SqlStateStore(url)) as own:
            own.progress()
            gate.wait()
            result.append(own.take_audit(owner, 2.0))

    threads = [threading.Thread(target=run, args=(owner,)) for owner in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(item is None for item in result) == [False, True]


def test_asking_again_while_it_waits_asks_for_nothing_more(store: SqlStateStore) -> None:
    first = store.queue_audit(GAMES, Origin.REQUEST, 1.0)
    assert store.queue_audit(GAMES, Origin.SCHEDULE, 2.0) == first
    assert store.queue_audit(Scope(), Origin.REQUEST, 2.0) != first
    store.take_audit("a", 3.0, first)
    assert store.queue_audit(GAMES, Origin.REQUEST, 4.0) != first


def test_what_a_killed_service_left_is_gone_on_with_at_once_and_what_a_command_left_after_the_lease(
    store: SqlStateStore,
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = process_name().split(":")
    owner = ":".join([own[0], str(child.pid), *own[2:]])
    scheduled = store.begin_audit(GAMES, Origin.SCHEDULE, owner, 10.0).number
    store.begin_audit(Scope(), Origin.COMMAND, owner, 10.0)
    try:
        assert store.take_audit(process_name(), 11.0) is None
    finally:
        child.communicate()
    again = store.take_audit(process_name(), 11.0)
    assert again is not None
    assert again.number == scheduled
    assert store.take_audit(process_name(), 11.0) is None
    assert store.take_audit("elsewhere", 10.1 + LEASE_S) is not None


def test_what_its_owner_left_is_gone_on_with_when_the_lease_is_over_and_not_before(store: SqlStateStore) -> None:
    number = taken(store, now=10.0)
    store.advance_audit(number, "a", 11.0, AuditProgress(1, 2, 3), [finding("date_year=2031")])
    assert store.take_audit("b", 11.0 + LEASE_S) is None
    again = store.take_audit("b", 11.1 + LEASE_S)
    assert again is not None
    assert (again.number, again.owner, again.started_at) == (number, "b", 10.0)
    assert again.progress == AuditProgress(1, 2, 3)
    assert store.findings(number) == [finding("date_year=2031")]
    changes: list[Callable[[], object]] = [
        lambda: store.hold_audit(number, "a", 30.0),
        lambda: store.advance_audit(number, "a", 30.0, AuditProgress(2, 2, 4), [finding("date_year=2032")]),
        lambda: store.end_audit(number, "a", 30.0, AuditState.DONE),
    ]
    for change in changes:
        with pytest.raises(ConflictError, match="somebody else"):
            change()
    assert store.findings(number) == [finding("date_year=2031")]


def test_what_is_released_or_its_own_is_taken_at_once(store: SqlStateStore) -> None:
    number = taken(store, now=10.0)
    assert store.take_audit("a", 10.1) is not None
    store.release_audit(number, "a")
    assert store.take_audit("b", 10.2) is not None


def test_a_pause_is_told_with_its_reason_and_ends_with_the_next_step(store: SqlStateStore) -> None:
    number = taken(store)
    store.advance_audit(number, "a", 11.0, AuditProgress(), paused="60 threads run")
    paused = store.audit(number)
    assert paused is not None
    assert (paused.state, paused.reason) == (AuditState.PAUSED, "60 threads run")
    store.hold_audit(number, "a", 12.0)
    store.advance_audit(number, "a", 13.0, AuditProgress(0, 4, 0))
    going_on = store.audit(number)
    assert going_on is not None
    assert (going_on.state, going_on.reason, going_on.seen_at) == (AuditState.RUNNING, "", 13.0)


def test_the_outcome_is_the_worst_of_the_findings(store: SqlStateStore) -> None:
    number = taken(store)
    worst = []
    for at, outcome in enumerate((Outcome.MATCH, Outcome.INCONCLUSIVE, Outcome.MISMATCH, Outcome.MATCH)):
        store.advance_audit(number, "a", 11.0, AuditProgress(), [finding(f"n={at}", outcome)])
        stored = store.audit(number)
        worst.append(stored.outcome if stored else None)
    assert worst == [Outcome.MATCH, Outcome.INCONCLUSIVE, Outcome.MISMATCH, Outcome.MISMATCH]
    assert store.findings(number)[2] == finding("n=2", Outcome.MISMATCH)


def test_what_is_cancelled_or_over_belongs_to_nobody(store: SqlStateStore) -> None:
    number = taken(store)
    assert store.cancel_audit(number, 12.0)
    assert not store.cancel_audit(number, 13.0)
    assert not store.cancel_audit(number + 1, 13.0)
    with pytest.raises(ConflictError, match="cancelled"):
        store.hold_audit(number, "a", 14.0)
    assert store.take_audit("a", 99.0, number) is None
    cancelled = store.audit(number)
    assert cancelled is not None
    assert (cancelled.state, cancelled.ended_at) == (AuditState.CANCELLED, 12.0)
    with store.reading() as view:
        assert view.audit_counts() == {**dict.fromkeys(AuditState, 0), AuditState.CANCELLED: 1}


def test_the_last_finding_of_a_partition_is_kept_until_a_whole_audit_no_longer_finds_it(store: SqlStateStore) -> None:
    first = taken(store)
    store.advance_audit(first, "a", 11.0, AuditProgress(), [finding("n=1"), finding("n=2")])
    store.advance_audit(first, "a", 11.0, AuditProgress(), [finding("-", table="ootp.teams")])
    store.end_audit(first, "a", 12.0, AuditState.DONE)
    assert partitions(store) == [("ootp.games", "n=1", first), ("ootp.games", "n=2", first), ("ootp.teams", "-", first)]
    item = taken(store, Scope("ootp.games", "n=2"))
    store.advance_audit(item, "a", 13.0, AuditProgress(), [finding("n=2")])
    store.end_audit(item, "a", 14.0, AuditState.DONE)
    assert partitions(store, "ootp.games") == [("ootp.games", "n=1", first), ("ootp.games", "n=2", item)]
    undecided = taken(store)
    store.advance_audit(undecided, "a", 15.0, AuditProgress(), [finding(None, Outcome.INCONCLUSIVE)])
    store.end_audit(undecided, "a", 16.0, AuditState.DONE)
    assert partitions(store, "ootp.games") == [
        ("ootp.games", None, undecided), ("ootp.games", "n=1", first), ("ootp.games", "n=2", item),
    ]  # fmt: skip
    whole = taken(store)
    store.advance_audit(whole, "a", 17.0, AuditProgress(), [finding("n=1")])
    store.end_audit(whole, "a", 18.0, AuditState.DONE)
    assert partitions(store) == [("ootp.games", "n=1", whole), ("ootp.teams", "-", first)]
    empty = taken(store)
    store.end_audit(empty, "a", 19.0, AuditState.DONE)
    assert partitions(store) == [("ootp.teams", "-", first)]
    assert {table: audit.number for table, audit in store.last_ended().items()} == {"ootp.games": empty}


def test_a_failed_audit_forgets_nothing(store: SqlStateStore) -> None:
    first = taken(store)
    store.advance_audit(first, "a", 11.0, AuditProgress(), [finding("n=1")])
    store.end_audit(first, "a", 12.0, AuditState.DONE)
    failed = taken(store)
    store.end_audit(failed, "a", 13.0, AuditState.FAILED, "the source refuses us")
    assert partitions(store) == [("ootp.games", "n=1", first)]
    ended = store.last_ended()["ootp.games"]
    assert (ended.number, ended.state, ended.reason) == (failed, AuditState.FAILED, "the source refuses us")


def test_the_oldest_that_are_over_are_forgotten_with_their_findings(
    store: SqlStateStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_audits, "AUDITS_KEPT", 3)
    unfinished = taken(store)
    for at in range(5):
        number = taken(store, Scope("ootp.games", f"n={at}"), now=20.0 + at)
        store.advance_audit(number, "a", 30.0, AuditProgress(), [finding(f"n={at}")])
        store.end_audit(number, "a", 31.0, AuditState.DONE)
    kept = [audit.number for audit in store.audits(limit=99)]
    assert kept == [number, number - 1, number - 2, unfinished]
    assert len(store.last_findings()) == 5
    with by_hand(url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit_findings").scalar_one() == 3
