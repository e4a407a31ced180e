"""The timetable over a real store: restarts change nothing, and an idle look reads no table and no partition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audits import AuditState, Origin, Scope
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.ledger import Advance
from services.auditor.schedule import first_audit_at
from services.auditor.timetable import KEPT_S, Timetable
from tests.adapters.state.test_many_tables import counting, definition, fill, names_of

DAY_S = 86_400.0
NOW = 1_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db")) as opened:
        yield opened


def capture(store: SqlStateStore, number: int) -> list[str]:
    """Adds an epoch with so many captured tables, none of them audited."""
    before, tables = store.progress(), names_of(number)
    epoch = before.epoch + 1
    record = Epoch("s", epoch, SourcePosition("0-1-1", "log", 4), 5.0, versions=dict.fromkeys(tables, 7))
    definitions = {name: (7, definition(name)) for name in tables}
    after = type(before)("s", epoch, epoch, before.lake_epoch, before.lake_commits_offset)
    store.advance(before, Advance(after, [record], [], definitions))
    return tables


def audit(store: SqlStateStore, table: str, now: float) -> None:
    number = store.begin_audit(Scope(table), Origin.SCHEDULE, "me", now).number
    store.end_audit(number, "me", now, AuditState.DONE)


def test_the_first_look_audits_nothing_and_each_table_is_due_at_its_own_moment(store: SqlStateStore) -> None:
    tables = capture(store, 5)
    assert Timetable(store, DAY_S).due(NOW) is None
    moments = sorted((first_audit_at("s", table, NOW, DAY_S), table) for table in tables)
    for at, table in moments:
        assert Timetable(store, DAY_S).due(at - 1) is None
        assert Timetable(store, DAY_S).due(at) == table
        audit(store, table, at)
    assert Timetable(store, DAY_S).due(NOW + DAY_S - 1) is None
    assert Timetable(store, DAY_S).due(moments[0][0] + DAY_S) == moments[0][1]


def test_a_table_that_is_new_later_or_comes_back_waits_for_its_own_moment(store: SqlStateStore) -> None:
    old, timetable = capture(store, 2), Timetable(store, DAY_S)
    assert timetable.due(NOW) is None
    later = NOW + DAY_S
    for table in old:
        audit(store, table, later)
    capture(store, 3)
    assert timetable.due(later) is None
    assert timetable.due(first_audit_at("s", "s.t0002", later, DAY_S)) == "s.t0002"
    store.forget(["s.t0002"], definitions=["s.t0002"])
    assert Timetable(store, DAY_S).due(later + 1) is None
    capture(store, 3)
    back = later + 10 * DAY_S
    assert store.scheduled_since(["s.t0002"], back) == {"s.t0002": back}


def test_an_audit_of_another_process_is_seen_at_once_and_its_table_not_begun_twice(store: SqlStateStore) -> None:
    (table,), timetable = capture(store, 1), Timetable(store, DAY_S)
    assert timetable.due(NOW) is None
    at = first_audit_at("s", table, NOW, DAY_S)
    number = store.begin_audit(Scope(table), Origin.SCHEDULE, "other", at).number
    assert timetable.due(at) is None
    store.end_audit(number, "other", at + 1, AuditState.FAILED, "away")
    assert timetable.due(at + 2) is None
    assert timetable.due(at + 302) == table


def test_a_new_table_of_a_short_interval_is_noticed_in_time(store: SqlStateStore) -> None:
    timetable = Timetable(store, 10.0)
    assert timetable.due(NOW) is None
    capture(store, 1)
    assert timetable.due(NOW + 0.9) is None
    assert store.scheduled_since(["s.t0000"], NOW + 9) == {"s.t0000": NOW + 9}
    assert timetable.due(NOW + 19) == "s.t0000"


def test_a_schedule_that_is_off_reads_nothing(store: SqlStateStore) -> None:
    fill(store, 3)
    with counting(store) as statements:
        assert Timetable(store, 0.0).due(NOW) is None
    assert statements == []


def test_an_idle_look_is_one_statement_and_every_few_seconds_a_few(store: SqlStateStore) -> None:
    fill(store, 40)
    timetable = Timetable(store, DAY_S)
    with counting(store) as first:
        timetable.due(2.0)
    with counting(store) as idle:
        timetable.due(2.0 + KEPT_S - 1)
    with counting(store) as again:
        timetable.due(2.0 + KEPT_S)
    (read,) = (statement for statement in idle if statement != "BEGIN")
    assert "last_findings" not in read
    assert len(idle) < len(again) <= len(first) < 30


def test_a_clock_that_was_set_back_ends_what_is_kept(store: SqlStateStore) -> None:
    fill(store, 2)
    timetable = Timetable(store, DAY_S)
    timetable.due(NOW)
    with counting(store) as statements:
        timetable.due(NOW - 5)
    assert len(statements) > 1
