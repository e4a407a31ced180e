"""The store of incidents, on SQLite and PostgreSQL: one writer, one open incident per table, an outbox that lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from datafingerprint.adapters.state.incidents import LEASE_S, SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audits import AuditState, Origin, Scope
from datafingerprint.errors import ConflictError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.incidents import Decision, EventKind, IncidentClass, Rules, Subject, SubjectKind, decide
from datafingerprint.ledger import Progress, TableVerdicts
from datafingerprint.ports.incidents import Observed
from datafingerprint.verdict import Verdict, judge_table
from tests.databases import DATABASES, by_hand, new_urls

ONE, OTHER = "here:1:0:a", "there:2:0:b"
RULES = Rules(quiet_s=10, inconclusive_s=100)
FULL, FEW = Fingerprint(5, 5, 5), Fingerprint(4, 5, 5)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_urls(request, tmp_path)()


@pytest.fixture
def state(url: str) -> Iterator[SqlStateStore]:
    with contextlib.closing(SqlStateStore(url)) as store:
        yield store


@pytest.fixture
def store(url: str) -> Iterator[SqlIncidentStore]:
    with contextlib.closing(SqlIncidentStore(url)) as opened:
        yield opened


def judge(state: SqlStateStore, now: float, bad: int, count: int = 200, *tables: str, doubt: str = "") -> None:
    """Stores verdicts on tables, of each so many partitions of which some lack a row."""
    source = {f"p={number:04}": FULL for number in range(count)}
    lake = {name: FEW if number < bad else FULL for number, name in enumerate(source)}
    verdicts: dict[str, Verdict] = judge_table(source, lake, inconclusive=doubt)
    judged = [TableVerdicts(table, 1, verdicts) for table in tables or ("s.t",)]
    state.save_verdicts(Progress("stream", 1, 1, 1, 1), judged, now)


def step(store: SqlIncidentStore, now: float, owner: str = ONE) -> list[Decision]:
    """What the notifier does in one turn."""

    def every(observed: Observed) -> Iterator[tuple[Subject, Decision]]:
        for subject in {**observed.open, **observed.troubles}:
            yield subject, decide(observed.open.get(subject), observed.troubles.get(subject), RULES, now)

    return [decision for _, decision in store.apply(owner, now, every)]


def test_two_hundred_partitions_are_one_incident_and_one_notice(state: SqlStateStore, store: SqlIncidentStore) -> None:
    assert store.hold(ONE, 0)
    judge(state, 1, 200)
    (decision,) = step(store, 2)
    assert [notice.key for notice in decision.notices] == ["opened"]
    (incident,) = store.incidents(is_open=True)
    assert (incident.partition_count, incident.rows, len(incident.partitions)) == (200, 200, 100)
    assert (incident.incident_class, incident.since) == (IncidentClass.ROWS_MISSING, 1.0)
    assert step(store, 3) == []
    judge(state, 4, 0)
    step(store, 5)
    step(store, 15)
    closed = store.incident(incident.number)
    assert closed is not None
    assert (closed.closed_at, store.open_counts()) == (15.0, {})
    assert [notice.kind.value for notice in store.notices(0, 99)] == ["opened", "recovered"]
    kinds = [event.kind for event in store.events(after=0, limit=99) if event.incident]
    assert kinds == [EventKind.OPENED, EventKind.CHANGED, EventKind.CLOSED]
    verdicts = [event.detail["verdict"] for event in store.events(after=0) if event.kind is EventKind.VERDICT]
    assert verdicts == ["mismatch", "match"]


def test_the_next_trouble_is_another_incident_with_a_new_id(state: SqlStateStore, store: SqlIncidentStore) -> None:
    store.hold(ONE, 0)
    for begin in (0, 100, 200):
        judge(state, begin, 1)
        step(store, begin + 1)
        judge(state, begin + 2, 0)
        step(store, begin + 3)
        step(store, begin + 20)
        store.forget(ONE, begin + 50)  # an id is never given again
    assert store.incidents() == []
    judge(state, 300, 1)
    step(store, 301)
    (incident,) = store.incidents()
    assert incident.number == 4


def test_the_token_changes_with_verdicts_and_audits_only_and_reads_no_partition(
    url: str, state: SqlStateStore, store: SqlIncidentStore
) -> None:
    judge(state, 1, 0)
    first = store.token()
    assert store.token() == first
    judge(state, 2, 1)
    second = store.token()
    assert second != first
    number = state.begin_audit(Scope("s.t"), Origin.COMMAND, ONE, 3).number
    third = store.token()
    state.end_audit(number, ONE, 4, AuditState.DONE)
    assert len({second, third, store.token()}) == 3
    if url.startswith("sqlite"):
        plan = "EXPLAIN QUERY PLAN SELECT * FROM verdicts WHERE outcome <> 'match' AND outcome = 'mismatch'"
        with by_hand(url) as connection:
            text = " ".join(str(row) for row in connection.execute(sa.text(plan)))
        assert "incident_verdicts" in text


def test_an_inconclusive_table_is_an_incident_after_its_time_and_a_failed_audit_at_once(
    state: SqlStateStore, store: SqlIncidentStore
) -> None:
    store.hold(ONE, 0)
    judge(state, 1, 0, 3, doubt="snapshot at 40 %")
    assert step(store, 50) == []
    number = state.begin_audit(Scope("s.t"), Origin.SCHEDULE, ONE, 60).number
    state.end_audit(number, ONE, 61, AuditState.FAILED, "denied")
    step(store, 62)
    (failed,) = store.incidents()
    assert (failed.subject, failed.reason) == (Subject(SubjectKind.AUDIT, "s.t"), "denied")
    step(store, 101)
    pending = store.incidents()[0]
    assert (pending.incident_class, pending.partition_count) == (IncidentClass.PENDING, 3)
    number = state.begin_audit(Scope("s.t"), Origin.SCHEDULE, ONE, 110).number
    state.end_audit(number, ONE, 111, AuditState.DONE)
    step(store, 112)
    step(store, 130)
    assert store.open_counts() == {IncidentClass.PENDING: 1}
    audits = [event.detail["state"] for event in store.events(after=0) if event.kind is EventKind.AUDIT]
    assert audits == ["failed", "done"]


def test_only_the_holder_of_the_lease_writes_until_it_is_silent(state: SqlStateStore, url: str) -> None:
    judge(state, 0, 1)
    with (
        contextlib.closing(SqlIncidentStore(url)) as first,
        contextlib.closing(SqlIncidentStore(url)) as other,
    ):
        assert first.hold(ONE, 0)
        assert not other.hold(OTHER, LEASE_S)
        with pytest.raises(ConflictError):
            step(other, 1, OTHER)
        assert other.hold(OTHER, LEASE_S + 1)
        with pytest.raises(ConflictError):
            step(first, 12, ONE)
        assert step(other, 12, OTHER) != []
        other.release(OTHER)
        assert first.hold(ONE, 13)
        assert step(first, 13, ONE) == []


def test_the_outbox_gives_a_receiver_everything_once_in_its_order(
    state: SqlStateStore, store: SqlIncidentStore
) -> None:
    store.hold(ONE, 0)
    store.write_test(0)  # before the receiver is known
    store.set_receivers(ONE, {"a": "a://", "b": "b://"}, 1)
    judge(state, 1, 1, 5, "s.t", "s.u")
    step(store, 2)
    store.begin_message(ONE, "a", "first", 3)
    store.begin_message(ONE, "a", "another", 3)  # one at a time
    first, second = store.receivers()
    assert first.message is not None
    assert (first.message.id, second.message) == ("first", None)
    said = store.notices(first.message.after, first.message.upto)
    assert [notice.incident["name"] for notice in said] == ["s.t", "s.u"]
    store.end_attempt(ONE, first.message, 4, error="away", next_at=9)
    failing = store.receivers()[0]
    assert failing.message is not None
    assert (failing.failing_since, failing.next_at, failing.message.attempts) == (4.0, 9.0, 1)
    store.end_attempt(ONE, failing.message, 10, error="", next_at=70)
    done, waiting = store.receivers()
    assert (done.message, done.notice, done.failing_since) == (None, done.last_notice, None)
    assert waiting.notice == 1
    store.set_receivers(ONE, {"b": "b://"}, 11)  # a is gone, and comes back: what is old is not sent again
    store.write_test(12)
    store.set_receivers(ONE, {"a": "a://", "b": "b://"}, 13)
    back, waiting = store.receivers()
    assert (back.notice, waiting.notice) == (back.last_notice, 1)


def test_what_is_old_is_forgotten_but_nothing_unsent_or_open(state: SqlStateStore, store: SqlIncidentStore) -> None:
    store.hold(ONE, 0)
    store.set_receivers(ONE, {"a": "a://"}, 0)
    judge(state, 1, 1, 5, "s.t", "s.u")
    step(store, 2)
    judge(state, 3, 0, 5, "s.t")
    step(store, 4)
    step(store, 20)
    store.forget(ONE, 1000)
    assert [incident.subject.name for incident in store.incidents()] == ["s.u"]
    assert store.events() == []
    assert len(store.notices(0, 99)) == 3
    store.begin_message(ONE, "a", "m", 30)
    message = store.receivers()[0].message
    assert message is not None
    store.end_attempt(ONE, message, 31, error="", next_at=31)
    store.forget(ONE, 1000)
    assert (list(store.notices(0, 99)), list(store.messages())) == ([], [])


def test_nothing_is_said_where_no_side_has_rows(state: SqlStateStore, store: SqlIncidentStore) -> None:
    store.hold(ONE, 0)
    state.save_verdicts(Progress("stream", 1, 1, 1, 1), [TableVerdicts("s.t", 1, judge_table({"-": ZERO}, {}))], 1)
    assert step(store, 1000) == []
