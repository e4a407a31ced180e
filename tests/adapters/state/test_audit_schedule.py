"""What the schedule keeps in the store: since when a table is known, ages by seeks, and audits that it counts from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datafingerprint.adapters.state import audits as state_audits
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audit import Finding, MeasuredAt
from datafingerprint.audits import AuditProgress, AuditState, Origin, Scope
from datafingerprint.epochs import SourcePosition
from datafingerprint.verdict import Outcome
from tests.adapters.state.test_many_tables import fill, names_of
from tests.databases import DATABASES, NewUrl, by_hand, new_urls

POSITION = SourcePosition("0-1-7", "log", 4)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    make: NewUrl = new_urls(request, tmp_path)
    return make()


@pytest.fixture
def store(url: str) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(url)) as opened:
        yield opened


def audit(store: SqlStateStore, table: str, times: dict[str, float | None]) -> int:
    """Audits a table; a partition without a time could not be measured."""
    number = store.begin_audit(Scope(table), Origin.SCHEDULE, "me", 1.0).number
    findings = [
        Finding(table, name, Outcome.MATCH, at=None if at is None else MeasuredAt(POSITION, 1, at))
        for name, at in times.items()
    ]
    store.advance_audit(number, "me", 2.0, AuditProgress(), findings)
    store.end_audit(number, "me", 3.0, AuditState.DONE)
    return number


def test_a_table_is_known_since_the_first_look_until_it_has_no_definition(url: str, store: SqlStateStore) -> None:
    fill(store, 2)
    one, other = names_of(2)
    assert store.scheduled_since([one], 5.0) == {one: 5.0}
    with closing(SqlStateStore(url)) as again:
        assert again.scheduled_since([one, other], 7.0) == {one: 5.0, other: 7.0}
    assert store.scheduled_since([other], 8.0) == {other: 7.0}
    assert store.scheduled_since([one], 8.5) == {one: 5.0}
    store.forget([one], definitions=[one])
    assert store.scheduled_since([other], 9.0) == {other: 7.0}
    assert store.scheduled_since([one], 10.0) == {one: 10.0}


def test_the_oldest_measurement_of_each_table_is_what_its_findings_say(store: SqlStateStore) -> None:
    fill(store, 4)
    one, other, unmeasured, empty = names_of(4)
    audit(store, one, {"a=1": 30.0, "a=2": 20.0, "a=3": 25.0})
    audit(store, other, {"a=1": 40.0})
    audit(store, unmeasured, {"a=1": 50.0, "a=2": None})
    audit(store, empty, {})
    assert store.oldest_findings() == {one: 20.0, other: 40.0, unmeasured: 0.0}


def test_the_age_of_a_table_is_read_from_the_index(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/plan.db"
    with closing(SqlStateStore(url)) as store:
        fill(store, 2)
        store.oldest_findings()
    with by_hand(url) as connection:
        query = "SELECT min(checked_at) FROM last_findings WHERE table_name = 's.t0000'"
        plan = " ".join(str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}"))
    assert "COVERING INDEX last_findings_oldest (table_name=?)" in plan


def test_an_unfinished_audit_of_a_whole_table_is_told_from_others(store: SqlStateStore) -> None:
    store.queue_audit(Scope("s.queued"), Origin.REQUEST, 1.0)
    store.begin_audit(Scope("s.running"), Origin.SCHEDULE, "me", 1.0)
    store.begin_audit(Scope("s.part", "a=1"), Origin.REQUEST, "me", 1.0)
    store.begin_audit(Scope(), Origin.REQUEST, "me", 1.0)
    audit(store, "s.done", {})
    assert store.unfinished_tables() == {"s.queued", "s.running"}


def test_marks_differ_after_an_audit_was_added_and_after_it_ended(store: SqlStateStore) -> None:
    marks = [store.audit_marks()]
    number = store.begin_audit(Scope("s.t"), Origin.SCHEDULE, "me", 1.0).number
    marks.append(store.audit_marks())
    store.end_audit(number, "me", 2.0, AuditState.FAILED, "away")
    marks.append(store.audit_marks())
    assert len(set(marks)) == 3
    assert store.audit_marks() == marks[-1]


def test_the_last_audit_of_a_table_is_kept_however_many_follow(
    store: SqlStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_audits, "AUDITS_KEPT", 3)
    for _ in range(2):
        empty = audit(store, "s.empty", {})
    for _ in range(6):
        newest = audit(store, "s.other", {})
    assert {table: ended.number for table, ended in store.last_ended().items()} == {
        "s.empty": empty,
        "s.other": newest,
    }
    assert [kept.number for kept in store.audits(limit=99)] == [newest, newest - 1, newest - 2, empty]
