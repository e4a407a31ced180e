"""The history of verdicts: what becomes a point, what is kept, and what an older store gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.adapters.state import history as removing
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.adapters.state.tables import SCHEMA_VERSION
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.history import DAY_S, HistoryPoint, HistoryRules, is_point_due
from datafingerprint.ledger import Progress, TableVerdicts
from datafingerprint.verdict import Outcome, Verdict
from tests.databases import DATABASES, NewUrl, by_hand, new_urls

TABLE = "s.t"
RULES = HistoryRules(days=90, every_s=600, points_max=1_000)
NOON = 20_000 * DAY_S + DAY_S / 2


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def sums(number: int) -> Fingerprint:
    return Fingerprint(number, 2**64 - 1 - number, number)


def match(number: int) -> Verdict:
    return Verdict(Outcome.MATCH, "", sums(number), sums(number))


def mismatch(number: int, lake: int) -> Verdict:
    return Verdict(Outcome.MISMATCH, "the lake is short", sums(number), sums(lake))


UNKNOWN = Verdict(Outcome.INCONCLUSIVE, "because", sums(1), None)


@pytest.fixture(params=DATABASES)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    return new_urls(request, tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(new_url: NewUrl, clock: Clock) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(new_url(), clock, RULES)) as made:
        yield made


def judge(store: SqlStateStore, epoch: int, now: float, **verdicts: Verdict) -> None:
    store.save_verdicts(Progress("s", epoch, epoch, epoch, 1), [TableVerdicts(TABLE, epoch, verdicts)], now)


def history(store: SqlStateStore, partition: str = "a", limit: int = 1_000) -> list[HistoryPoint]:
    return list(store.history(TABLE, partition, limit=limit))


def test_a_change_of_the_verdict_is_a_point_at_once_and_sums_are_one_only_now_and_then(kept: SqlStateStore) -> None:
    judge(kept, 1, NOON, a=match(1), b=match(7))
    judge(kept, 2, NOON + 1, a=match(2), b=match(7))
    judge(kept, 3, NOON + 2, a=mismatch(3, 2), b=match(7))
    judge(kept, 4, NOON + 3, a=mismatch(4, 2), b=match(7))
    judge(kept, 5, NOON + 4, a=UNKNOWN, b=match(7))
    judge(kept, 6, NOON + 604, a=Verdict(Outcome.INCONCLUSIVE, "because", sums(9), None), b=match(7))
    at = [NOON + 604, NOON + 4, NOON + 2, NOON]
    assert [point.at_ms for point in history(kept)] == [round(moment * 1000) for moment in at]
    assert [point.epoch for point in history(kept)] == [6, 5, 3, 1]
    assert [point.verdict for point in history(kept)][1:] == [UNKNOWN, mismatch(3, 2), match(1)]
    assert [point.verdict for point in history(kept, "b")] == [match(7)]


def test_pages_are_read_backwards(kept: SqlStateStore) -> None:
    for number in range(7):
        judge(kept, number + 1, NOON + 1_000 * number, a=match(number))
    whole = history(kept)
    pages: list[HistoryPoint] = []
    before = None
    while page := kept.history(TABLE, "a", limit=3, before_ms=before):
        pages += page
        before = page[-1].at_ms
    assert pages == whole
    assert len(whole) == 7


def test_without_days_nothing_is_recorded(new_url: NewUrl) -> None:
    with closing(SqlStateStore(new_url(), history=HistoryRules(days=0))) as store:
        judge(store, 1, NOON, a=match(1))
        judge(store, 2, NOON + 1, a=mismatch(1, 0))
        assert history(store) == []


def test_after_a_day_the_last_point_of_a_day_and_outcome_is_kept_and_after_ninety_none(
    kept: SqlStateStore, clock: Clock
) -> None:
    steps = [match(1), mismatch(2, 1), match(3), mismatch(4, 3), match(5)]
    for number, verdict in enumerate(steps):
        judge(kept, number + 1, NOON + number, a=verdict)
    kept.fold(0)
    assert len(history(kept)) == 5
    clock.now = NOON + DAY_S + 100
    judge(kept, 6, clock.now, a=match(6))
    kept.fold(0)
    assert [point.verdict for point in history(kept)] == [match(6), match(5), mismatch(4, 3)]
    clock.now = NOON + 90 * DAY_S + 50
    kept.fold(0)
    assert [point.verdict for point in history(kept)] == [match(6)]
    clock.now += 2 * DAY_S
    kept.fold(0)
    assert history(kept) == []


def test_no_more_points_than_the_bound_stay_and_the_oldest_go(new_url: NewUrl, clock: Clock) -> None:
    with closing(SqlStateStore(new_url(), clock, HistoryRules(points_max=3))) as store:
        for number in range(3):
            judge(store, number + 1, NOON + number, a=match(1) if number % 2 else UNKNOWN, b=UNKNOWN)
        assert [len(history(store, name)) for name in "ab"] == [3, 1]
        store.fold(0)
        assert [[point.epoch for point in history(store, name)] for name in "ab"] == [[3, 2], [1]]
        clock.now += 4_000
        judge(store, 4, clock.now, a=match(1), b=match(1))
        store.fold(0)
        assert [[point.epoch for point in history(store, name)] for name in "ab"] == [[4, 3], [4]]


def test_points_that_come_faster_than_one_call_removes_are_removed_by_the_next_calls(
    new_url: NewUrl, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "REMOVED_AT_ONCE", 4)
    with closing(SqlStateStore(new_url(), clock, HistoryRules(points_max=5))) as store:
        for number in range(21):
            judge(store, number + 1, NOON + number, a=match(1) if number % 2 else UNKNOWN)
        left = []
        for _ in range(6):
            store.fold(0)
            left.append(len(history(store)))
        assert left == [17, 13, 9, 5, 5, 5]
        judge(store, 22, NOON + 30, a=match(1))
        store.fold(0)
        assert len(history(store)) == 6, "after the last ones, it waits again"


def test_a_store_of_version_7_gets_history_and_the_place_of_the_chain_and_is_judged_on(new_url: NewUrl) -> None:
    url = new_url()
    with closing(SqlStateStore(url)) as store:
        judge(store, 1, NOON, a=match(1))
    with by_hand(url) as connection:
        for name in ("history_points", "history_keys"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql("ALTER TABLE verdicts DROP COLUMN point_at")
        connection.exec_driver_sql("ALTER TABLE progress DROP COLUMN epoch_digest")
        connection.exec_driver_sql("UPDATE meta SET value = '7'")
    with closing(SqlStateStore(url)) as store:
        assert store.progress() == Progress(None, 0, 0, 1, 1)
        assert [stored.verdict for stored in store.verdicts(TABLE)] == [match(1)]
        assert history(store) == []
        judge(store, 2, NOON + 1, a=match(2))
        judge(store, 3, NOON + 2, a=mismatch(3, 2))
        assert [point.verdict for point in history(store)] == [mismatch(3, 2), match(2)]
        assert store.version() == SCHEMA_VERSION


@given(st.lists(st.tuples(st.integers(1, 900), st.booleans()), max_size=60))
def test_between_two_points_of_one_outcome_there_is_the_set_time(steps: list[tuple[int, bool]]) -> None:
    now, last, quiet = 0.0, None, list[float]()
    for passed, is_new in steps:
        now += passed
        if is_point_due(RULES, last, now, is_new_outcome=is_new):
            if not is_new and last is not None:
                quiet.append(now - last)
            last = now
        else:
            assert not is_new
    assert all(pause >= RULES.every_s for pause in quiet)
