"""The rules of incidents: one per subject, flapping is one, closed only after a quiet time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.incidents import (
    PARTITIONS_KEPT,
    Decision,
    EventKind,
    Incident,
    IncidentClass,
    NoticeKind,
    PartitionTrouble,
    PendingTable,
    Rules,
    Subject,
    SubjectKind,
    Trouble,
    decide,
    mismatch_class,
    next_due,
    partitions_document,
    partitions_from,
    table_troubles,
)
from datafingerprint.verdict import Outcome, judge_partition

RULES = Rules(quiet_s=10, inconclusive_s=100, silent_s=30, reminder_s=50)
SUBJECT = Subject(SubjectKind.TABLE, "s.t")
CERTAIN = [kind for kind in IncidentClass if not RULES.patience_s(kind)]


def trouble(kind: IncidentClass = IncidentClass.ROWS_MISSING, since: float = 0.0, count: int = 1) -> Trouble:
    return Trouble(SUBJECT, kind, "why", "lake", 1, (), count, since)


steps = st.lists(
    st.tuples(st.floats(0.1, 30), st.one_of(st.none(), st.sampled_from(CERTAIN).map(trouble))), max_size=40
)


def run(given_steps: list[tuple[float, Trouble | None]]) -> list[tuple[float, Trouble | None, Decision]]:
    """What is decided step by step; a closed incident is no longer handed in."""
    incident: Incident | None = None
    now, decided, number = 1000.0, [], 0
    for pause, seen in given_steps:
        now += pause
        decision = decide(incident, seen, RULES, now)
        incident = decision.incident
        if incident is not None and not incident.number:
            number += 1
            incident = replace(incident, number=number)
        decided.append((now, seen, replace(decision, incident=incident)))
        if incident is not None and not incident.is_open:
            incident = None
    return decided


@given(steps)
def test_an_incident_closes_only_after_a_quiet_time_and_then_always(
    given_steps: list[tuple[float, Trouble | None]],
) -> None:
    last_trouble, quiet_since = 0.0, None
    for now, seen, decision in run(given_steps):
        if seen is not None:
            last_trouble, quiet_since = now, None
            assert decision.incident is not None
            assert decision.incident.is_open
            continue
        quiet_since = quiet_since or now
        if EventKind.CLOSED in decision.events:
            assert now - quiet_since >= RULES.quiet_s
            assert now - last_trouble >= RULES.quiet_s
        elif decision.incident is not None:
            assert now - quiet_since < RULES.quiet_s


@given(steps)
def test_every_incident_says_opened_once_recovered_once_and_nothing_twice(
    given_steps: list[tuple[float, Trouble | None]],
) -> None:
    said: dict[int, list[str]] = {}
    for _, _, decision in run(given_steps):
        if decision.incident is not None:
            said.setdefault(decision.incident.number, []).extend(notice.key for notice in decision.notices)
    for number, keys in said.items():
        assert keys[0] == "opened"
        assert len(keys) == len(set(keys))
        if number < max(said):
            assert keys[-1] == "recovered"


@given(steps)
def test_the_class_of_an_incident_never_becomes_milder_and_a_worse_one_is_said(
    given_steps: list[tuple[float, Trouble | None]],
) -> None:
    ranks: dict[int, int] = {}
    for _, _, decision in run(given_steps):
        incident = decision.incident
        if incident is None:
            continue
        before = ranks.get(incident.number, incident.incident_class.rank)
        assert incident.incident_class.rank >= before
        is_said = NoticeKind.ESCALATED in {notice.kind for notice in decision.notices}
        assert is_said is (incident.incident_class.rank > before)
        ranks[incident.number] = incident.incident_class.rank


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_a_partition_that_flaps_faster_than_the_quiet_time_is_one_incident(states: list[bool]) -> None:
    given_steps = [(1.0, trouble()), *((1.0, trouble() if bad else None) for bad in _never_long_sound(states))]
    decided = run(given_steps)
    assert {decision.incident.number for _, _, decision in decided if decision.incident} == {1}
    opened = [notice for _, _, decision in decided for notice in decision.notices if notice.key == "opened"]
    assert len(opened) == 1


def _never_long_sound(states: list[bool]) -> list[bool]:
    """The states, with a trouble in every sixth place."""
    return [bad or number % 6 == 5 for number, bad in enumerate(states)]


@pytest.mark.parametrize(("kind", "patience_s"), [(IncidentClass.PENDING, 100.0), (IncidentClass.SERVICE_SILENT, 30.0)])
def test_what_may_pass_by_itself_is_an_incident_only_after_a_while(kind: IncidentClass, patience_s: float) -> None:
    assert decide(None, trouble(kind, since=0), RULES, patience_s - 1) == Decision(None)
    assert decide(None, trouble(kind, since=0), RULES, patience_s).events == (EventKind.OPENED,)


def test_an_open_incident_stays_open_while_its_table_is_inconclusive() -> None:
    opened = decide(None, trouble(), RULES, 0).incident
    later = decide(opened, trouble(IncidentClass.PENDING, since=1), RULES, 40)
    assert later.incident is not None
    assert (later.incident.incident_class, later.incident.is_open) == (IncidentClass.ROWS_MISSING, True)


def test_reminders_come_at_their_interval_until_somebody_acknowledges() -> None:
    incident = decide(None, trouble(), RULES, 0).incident
    assert incident is not None
    assert next_due(incident, RULES, 0) == 50
    assert decide(incident, trouble(), RULES, 49).notices == ()
    reminded = decide(incident, trouble(), RULES, 50)
    assert [notice.key for notice in reminded.notices] == ["reminder:1"]
    assert reminded.incident is not None
    assert decide(reminded.incident, trouble(), RULES, 99).notices == ()
    assert [notice.key for notice in decide(reminded.incident, trouble(), RULES, 100).notices] == ["reminder:2"]
    known = replace(reminded.incident, acknowledged_at=60.0)
    assert decide(known, trouble(), RULES, 1000).notices == ()
    assert next_due(known, RULES, 60) == float("inf")
    worse = decide(known, trouble(IncidentClass.METADATA_LOST), RULES, 1001)
    assert [notice.kind for notice in worse.notices] == [NoticeKind.ESCALATED]


def test_nothing_is_said_of_a_silenced_incident_and_a_reminder_follows_the_silence() -> None:
    opened = decide(None, trouble(), RULES, 0).incident
    assert opened is not None
    silenced = replace(opened, silenced_until=500.0)
    worse = decide(silenced, trouble(IncidentClass.METADATA_LOST), RULES, 100)
    assert (worse.events, worse.notices) == ((EventKind.ESCALATED,), ())
    assert worse.incident is not None
    assert next_due(worse.incident, RULES, 100) == 500
    assert [notice.kind for notice in decide(worse.incident, trouble(), RULES, 500).notices] == [NoticeKind.REMINDER]
    quiet = decide(silenced, None, RULES, 200).incident
    assert decide(quiet, None, RULES, 210) == Decision(
        replace(silenced, quiet_since=200.0, partition_count=0, changed_at=210.0, closed_at=210.0),
        (EventKind.CLOSED,),
    )


@pytest.mark.parametrize(
    ("source", "lake", "unreadable", "expected"),
    [
        (Fingerprint(3, 1, 1), Fingerprint(2, 1, 1), "", IncidentClass.ROWS_MISSING),
        (Fingerprint(2, 1, 1), Fingerprint(3, 1, 1), "", IncidentClass.ROWS_EXTRA),
        (Fingerprint(2, 1, 1), Fingerprint(2, 1, 2), "", IncidentClass.VALUES_DIFFER),
        (Fingerprint(2, 1, 1), ZERO, "the file is gone: s3://lake/a.parquet", IncidentClass.FILE_DAMAGED),
        (Fingerprint(2, 1, 1), ZERO, "the lake table has no column a", IncidentClass.SCHEMA_DIFFERS),
        (ZERO, ZERO, "object s3://lake/m.avro of the lake's metadata is gone", IncidentClass.METADATA_LOST),
    ],
)
def test_the_class_of_a_mismatch(
    source: Fingerprint, lake: Fingerprint, unreadable: str, expected: IncidentClass
) -> None:
    verdict = judge_partition(source, lake, inconclusive="", unreadable=unreadable)
    assert verdict.outcome is Outcome.MISMATCH
    assert mismatch_class(verdict) is expected


def test_a_table_with_many_partitions_is_one_trouble_that_names_the_worst_and_counts_all() -> None:
    bad = [PartitionTrouble(f"p={n:03}", IncidentClass.ROWS_MISSING, "few", 2, 5.0 + n) for n in range(150)]
    worst = PartitionTrouble("z", IncidentClass.FILE_DAMAGED, "gone", None, 9.0)
    troubles = table_troubles({"s.t": [*bad, worst]}, [PendingTable("s.t", 7, "q", "later", 1.0)])
    (item,) = troubles.values()
    assert (item.incident_class, item.reason, item.rows, item.since) == (IncidentClass.FILE_DAMAGED, "gone", 300, 9.0)
    assert (item.partition_count, len(item.partitions), item.partitions[0]) == (158, PARTITIONS_KEPT, worst)
    assert partitions_from(partitions_document(item.partitions)) == item.partitions
