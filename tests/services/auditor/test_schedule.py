"""First audits are spread, then each table has its round; one that fails is not repeated at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.audits import AuditProgress, AuditState, Origin, Scope, StoredAudit
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.verdict import Outcome
from services.auditor.schedule import RETRY_S, AuditRecord, auditable, due_times, first_audit_at, longest_waiting

DAY_S = 86_400.0
STREAM = "stream"
POSITION = SourcePosition("0-1-1", "f", 4)

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
times = st.floats(0, 4e9)
intervals = st.floats(1, 1e7)


def ended(
    table: str, at: float, state: AuditState = AuditState.DONE, outcome: Outcome | None = Outcome.MATCH
) -> StoredAudit:
    return StoredAudit(
        1, Scope(table), Origin.SCHEDULE, state, "", "a", at - 9, at - 8, at - 1, at, AuditProgress(), outcome
    )


def due_at(record: AuditRecord, every_s: float = DAY_S) -> float:
    return due_times(STREAM, {"a": record}, every_s)["a"]


def test_the_table_that_waits_longest_comes_first() -> None:
    assert longest_waiting({"b": 2.0, "a": 3.0, "c": 2.0}) == "b"
    assert longest_waiting({}) is None


@given(names, names, times, intervals)
def test_a_first_audit_comes_within_one_interval_and_waiting_does_not_move_it(
    stream: str, table: str, since: float, every_s: float
) -> None:
    at = first_audit_at(stream, table, since, every_s)
    assert since <= at <= since + every_s
    assert due_times(stream, {table: AuditRecord(since)}, every_s) == {table: at}
    seen_again = first_audit_at(stream, table, since + (at - since) / 2, every_s)
    assert seen_again == pytest.approx(at, abs=1e-6 * every_s) or at - since < 1e-6 * every_s


@given(names, st.integers(1, 1_000), st.floats(0.01, 1), times)
def test_of_tables_that_are_new_together_no_more_than_their_share_is_due_in_any_part_of_the_interval(
    prefix: str, number: int, share: float, since: float
) -> None:
    tables = {f"s.{prefix}{n}": AuditRecord(since) for n in range(number)}
    waits = sorted(at - since for at in due_times(STREAM, tables, DAY_S).values())
    fair = number * share
    most = max(sum(start <= wait < start + share * DAY_S for wait in waits) for start in waits[:: max(1, number // 20)])
    assert most <= fair + 7 * math.sqrt(fair) + 7


@given(st.dictionaries(names, st.floats(0, 500), min_size=1, max_size=8), st.integers(1, 50))
def test_every_table_is_audited_once_per_interval_also_a_new_one_among_old_ones(
    arrivals: Mapping[str, float], look_s: int
) -> None:
    """Plays ten intervals of 100 s; every look begins with nothing but what is stored, as after a restart."""
    every_s, stored, audits = 100.0, dict[str, AuditRecord](), dict[str, list[float]]()
    for now in range(0, 1_500, look_s):
        stored |= {table: AuditRecord(now) for table, at in arrivals.items() if at <= now and table not in stored}
        due = due_times(STREAM, stored, every_s)
        while (table := longest_waiting(due)) is not None and due[table] <= now:
            audits.setdefault(table, []).append(now)
            stored[table] = AuditRecord(stored[table].since, ended(table, now), now)
            due = due_times(STREAM, stored, every_s)
    for table, moments in audits.items():
        assert moments[0] - stored[table].since <= every_s + look_s
        gaps = [later - earlier for earlier, later in pairwise(moments)]
        assert all(every_s <= gap < every_s + look_s for gap in gaps)
    assert audits.keys() == arrivals.keys()


@given(st.dictionaries(names, st.floats(0, DAY_S), min_size=1, max_size=20), names)
def test_a_new_table_moves_no_other(old: Mapping[str, float], new: str) -> None:
    records = {table: AuditRecord(since) for table, since in old.items()}
    before = due_times(STREAM, records, DAY_S)
    after = due_times(STREAM, {new: AuditRecord(DAY_S), **records}, DAY_S)
    assert {table: after[table] for table in before} == before


def test_another_stream_has_other_first_audits() -> None:
    at = {stream: first_audit_at(stream, "s.t", 0.0, DAY_S) for stream in ("one", "other")}
    assert at["one"] != at["other"]


def test_an_audited_table_is_due_an_interval_after_its_audit() -> None:
    assert due_at(AuditRecord(0.0, ended("a", 1000.0))) == 1000.0 + DAY_S
    assert due_at(AuditRecord(0.0, ended("a", 1000.0, outcome=None))) == 1000.0 + DAY_S


def test_an_audit_of_every_table_counts_by_its_oldest_finding() -> None:
    assert due_at(AuditRecord(0.0, None, 500.0)) == 500.0 + DAY_S
    assert due_at(AuditRecord(0.0, ended("a", 100.0), 500.0)) == 500.0 + DAY_S


def test_one_that_failed_or_could_not_tell_is_made_again_soon_but_not_at_once() -> None:
    for state, outcome in (
        (AuditState.FAILED, None),
        (AuditState.CANCELLED, Outcome.MATCH),
        (AuditState.DONE, Outcome.INCONCLUSIVE),
    ):
        record = AuditRecord(0.0, ended("a", 1000.0, state, outcome))
        assert due_at(record) == 1000.0 + RETRY_S
        assert due_at(record, 10.0) == 1010.0


def test_tables_whose_first_reading_goes_on_are_not_audited_yet() -> None:
    cursors = {"a": SnapshotCursor(1, 1, complete=True), "b": SnapshotCursor(1, 9, complete=False)}
    last = Epoch("s", 1, POSITION, 0.0, snapshots=cursors, versions={"a": 1, "b": 2, "c": 3})
    assert auditable(last) == {"a", "c"}
    assert auditable(None) == set()
