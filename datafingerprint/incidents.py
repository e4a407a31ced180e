"""Incidents: pure rules that open, escalate and close one per table, service or audit.

A trouble is what is wrong with one subject at one moment. An incident is a trouble over time: it is opened once,
survives a trouble that comes and goes, and is closed when the subject was sound for a while.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from datafingerprint.verdict import Verdict, difference

PARTITIONS_KEPT = 100
"""Most partitions that an incident names. It counts all of them."""

PARTITIONS_SENT = 20
"""Most partitions of an incident that a notice names."""


class IncidentClass(StrEnum):
    """What is wrong, from the mildest to the worst. JSON, metrics and alerts use the same words."""

    PENDING = "pending"
    SNAPSHOT_STALLED = "snapshot_stalled"
    LAG_HIGH = "lag_high"
    DATA_STALE = "data_stale"
    SERVICE_SILENT = "service_silent"
    AUDIT_FAILED = "audit_failed"
    VALUES_DIFFER = "values_differ"
    ROWS_EXTRA = "rows_extra"
    ROWS_MISSING = "rows_missing"
    SOURCE_GAP = "source_gap"
    SCHEMA_DIFFERS = "schema_differs"
    FILE_DAMAGED = "file_damaged"
    METADATA_LOST = "metadata_lost"

    @property
    def rank(self) -> int:
        """Position in the order of severity. The worst is the highest."""
        return _ORDER.index(self)


_ORDER = tuple(IncidentClass)


class SubjectKind(StrEnum):
    """What an incident is about."""

    TABLE = "table"
    SERVICE = "service"
    AUDIT = "audit"
    FLOW = "flow"


@dataclass(frozen=True, slots=True)
class Subject:
    """A table, a service, an audit of every table, or a part of the flow.

    At most one incident of a subject is open.
    """

    kind: SubjectKind
    name: str


@dataclass(frozen=True, slots=True)
class PartitionTrouble:
    """What is wrong with one partition.

    Attributes:
        partition: Its name. Empty where a finding is about the whole table.
        incident_class: What is wrong.
        reason: The verdict's reason.
        rows: By how many rows the sides differ. None where that is not known.
        since: Unix time in seconds of the change to this outcome.
    """

    partition: str
    incident_class: IncidentClass
    reason: str
    rows: int | None
    since: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a subject now.

    Attributes:
        subject: What it is about.
        incident_class: The worst of its partitions.
        reason: Why, of the worst partition.
        hop: Where rows went wrong: `capture`, `lake`, or empty where that is not known.
        rows: By how many rows the sides differ in all partitions. None where no partition knows.
        partitions: The worst partitions, at most `PARTITIONS_KEPT`.
        partition_count: Number of all partitions in trouble.
        since: Unix time in seconds of its begin.
    """

    subject: Subject
    incident_class: IncidentClass
    reason: str
    hop: str
    rows: int | None
    partitions: tuple[PartitionTrouble, ...]
    partition_count: int
    since: float


@dataclass(frozen=True, slots=True)
class Incident:
    """A trouble over time. All times are Unix times in seconds.

    Attributes:
        number: Its permanent id. 0 before it is stored.
        subject: What it is about.
        incident_class: The worst class that it has had.
        reason: Why, as last seen.
        hop: Where rows went wrong, as last seen. Empty where that is not known.
        rows: By how many rows the sides differ, as last seen.
        partitions: The worst partitions, as last seen.
        partition_count: Number of partitions in trouble, as last seen.
        since: Begin of the trouble.
        opened_at: When the incident was opened.
        changed_at: When anything here changed last.
        closed_at: When it was closed. None while it is open.
        quiet_since: Since when the subject is sound. None while it is in trouble.
        returns: How often the trouble came back before the incident was closed.
        notified_at: When the last notice of it was written. None when it was silenced from the begin.
        reminders: Number of reminders so far.
        acknowledged_at: When an operator acknowledged it.
        note: The operator's note.
        silenced_until: No notice is written before.
    """

    number: int
    subject: Subject
    incident_class: IncidentClass
    reason: str
    hop: str
    rows: int | None
    partitions: tuple[PartitionTrouble, ...]
    partition_count: int
    since: float
    opened_at: float
    changed_at: float
    closed_at: float | None = None
    quiet_since: float | None = None
    returns: int = 0
    notified_at: float | None = None
    reminders: int = 0
    acknowledged_at: float | None = None
    note: str = ""
    silenced_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not closed yet."""
        return self.closed_at is None

    def is_silenced(self, now: float) -> bool:
        """Whether no notice may be written now."""
        return self.silenced_until is not None and now < self.silenced_until


class NoticeKind(StrEnum):
    """Why a notice was written."""

    OPENED = "opened"
    ESCALATED = "escalated"
    REMINDER = "reminder"
    RECOVERED = "recovered"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A notice to write.

    Attributes:
        kind: Why.
        key: Names it among the notices of its incident. A second one with the same key is not written.
    """

    kind: NoticeKind
    key: str


class EventKind(StrEnum):
    """What happened."""

    VERDICT = "verdict"
    AUDIT = "audit"
    OPENED = "incident_opened"
    ESCALATED = "incident_escalated"
    CHANGED = "incident_changed"
    RETURNED = "incident_returned"
    CLOSED = "incident_closed"
    ACKNOWLEDGED = "incident_acknowledged"
    SILENCED = "incident_silenced"


@dataclass(frozen=True, slots=True)
class Rules:
    """When incidents are opened, closed and reminded of. All are seconds.

    Attributes:
        quiet_s: How long a subject is sound before its incident is closed.
        inconclusive_s: How long a table may be inconclusive before that is an incident.
        silent_s: How long a service may be without work before that is an incident.
        reminder_s: Time between two reminders of an open incident. 0: none.
        lag_s: How long the lake may lack a change before that is an incident. 0: never.
        stale_s: Age of the last comparison above which that is an incident. 0: never.
        stalled_s: How long no snapshot may progress before that is an incident. 0: never.
    """

    quiet_s: float = 60.0
    inconclusive_s: float = 3600.0
    silent_s: float = 30.0
    reminder_s: float = 14_400.0
    lag_s: float = 600.0
    stale_s: float = 900.0
    stalled_s: float = 900.0

    def patience_s(self, incident_class: IncidentClass) -> float:
        """How long a trouble of this class may last before an incident is opened."""
        patience = {IncidentClass.PENDING: self.inconclusive_s, IncidentClass.SERVICE_SILENT: self.silent_s}
        return patience.get(incident_class, 0.0)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one subject.

    Attributes:
        incident: The incident afterwards. None where there is none, before and after.
        events: What happened.
        notices: What is sent.
    """

    incident: Incident | None
    events: tuple[EventKind, ...] = ()
    notices: tuple[NewNotice, ...] = ()


def decide(incident: Incident | None, trouble: Trouble | None, rules: Rules, now: float) -> Decision:
    """Applies the rules to one subject.

    Args:
        incident: The open incident of the subject, if there is one.
        trouble: What is wrong with the subject now, if anything is.
        rules: The rules.
        now: Unix time in seconds.
    """
    if incident is None:
        return Decision(None) if trouble is None else _decide_new(trouble, rules, now)
    return _decide_sound(incident, rules, now) if trouble is None else _decide_again(incident, trouble, rules, now)


def _decide_new(trouble: Trouble, rules: Rules, now: float) -> Decision:
    if now - trouble.since < rules.patience_s(trouble.incident_class):
        return Decision(None)
    incident = Incident(
        number=0,
        subject=trouble.subject,
        incident_class=trouble.incident_class,
        reason=trouble.reason,
        hop=trouble.hop,
        rows=trouble.rows,
        partitions=trouble.partitions,
        partition_count=trouble.partition_count,
        since=trouble.since,
        opened_at=now,
        changed_at=now,
        notified_at=now,
    )
    return Decision(incident, (EventKind.OPENED,), (NewNotice(NoticeKind.OPENED, "opened"),))


def _decide_again(incident: Incident, trouble: Trouble, rules: Rules, now: float) -> Decision:
    is_worse = trouble.incident_class.rank > incident.incident_class.rank
    events = [
        kind
        for kind, has_happened in (
            (EventKind.RETURNED, incident.quiet_since is not None),
            (EventKind.ESCALATED, is_worse),
            (EventKind.CHANGED, not is_worse and trouble.partition_count != incident.partition_count),
        )
        if has_happened
    ]
    seen = replace(
        incident,
        incident_class=trouble.incident_class if is_worse else incident.incident_class,
        reason=trouble.reason,
        hop=trouble.hop or incident.hop,
        rows=incident.rows if trouble.rows is None else trouble.rows,
        partitions=trouble.partitions or incident.partitions,
        partition_count=trouble.partition_count,
        quiet_since=None,
        returns=incident.returns + (incident.quiet_since is not None),
    )
    if is_worse:
        notice = NewNotice(NoticeKind.ESCALATED, f"escalated:{trouble.incident_class.value}")
        return _notified(seen, events, notice, now)
    if _is_reminder_due(seen, rules, now):
        seen = replace(seen, reminders=seen.reminders + 1)
        return _notified(seen, events, NewNotice(NoticeKind.REMINDER, f"reminder:{seen.reminders}"), now)
    return Decision(_touched(incident, seen, now), tuple(events))


def _decide_sound(incident: Incident, rules: Rules, now: float) -> Decision:
    if incident.quiet_since is None:
        return Decision(replace(incident, quiet_since=now, partition_count=0, changed_at=now), (EventKind.CHANGED,))
    if now - incident.quiet_since < rules.quiet_s:
        return Decision(incident)
    closed = replace(incident, closed_at=now)
    return _notified(closed, [EventKind.CLOSED], NewNotice(NoticeKind.RECOVERED, "recovered"), now)


def _is_reminder_due(incident: Incident, rules: Rules, now: float) -> bool:
    if not rules.reminder_s or incident.acknowledged_at is not None or incident.is_silenced(now):
        return False
    return now - (incident.notified_at or incident.opened_at) >= rules.reminder_s


def _notified(incident: Incident, events: Sequence[EventKind], notice: NewNotice, now: float) -> Decision:
    """The decision with the notice, unless the incident is silenced."""
    if incident.is_silenced(now):
        return Decision(replace(incident, changed_at=now), tuple(events))
    return Decision(replace(incident, changed_at=now, notified_at=now), tuple(events), (notice,))


def _touched(before: Incident, after: Incident, now: float) -> Incident:
    return before if after == before else replace(after, changed_at=now)


def next_due(incident: Incident, rules: Rules, now: float) -> float:
    """Unix time in seconds at which time alone changes what becomes of an open incident."""
    if incident.quiet_since is not None:
        return incident.quiet_since + rules.quiet_s
    if not rules.reminder_s or incident.acknowledged_at is not None:
        return float("inf")
    due = (incident.notified_at or incident.opened_at) + rules.reminder_s
    return max(due, incident.silenced_until or now)


_FILE = re.compile(r": [A-Za-z][A-Za-z0-9+.-]*://\S")
_NO_COLUMN = "the lake table has no column"


def mismatch_class(verdict: Verdict) -> IncidentClass:
    """The class of a verdict that is a mismatch."""
    source, lake = verdict.source, verdict.lake
    if source is not None and lake is not None and verdict.reason.startswith(difference(source, lake)):
        if source.rows == lake.rows:
            return IncidentClass.VALUES_DIFFER
        return IncidentClass.ROWS_MISSING if lake.rows < source.rows else IncidentClass.ROWS_EXTRA
    if verdict.reason.startswith(_NO_COLUMN):
        return IncidentClass.SCHEMA_DIFFERS
    return IncidentClass.FILE_DAMAGED if _FILE.search(verdict.reason) else IncidentClass.METADATA_LOST


def mismatch(partition: str, verdict: Verdict, since: float) -> PartitionTrouble:
    """The trouble of a partition whose verdict is a mismatch."""
    rows = None
    if verdict.source is not None and verdict.lake is not None:
        rows = abs(verdict.source.rows - verdict.lake.rows)
    return PartitionTrouble(partition, mismatch_class(verdict), verdict.reason, rows, since)


@dataclass(frozen=True, slots=True)
class PendingTable:
    """The inconclusive partitions of a table: their number, and the first with its reason."""

    table: str
    partitions: int
    first: str
    reason: str
    since: float


def table_troubles(
    mismatches: Mapping[str, Sequence[PartitionTrouble]], pending: Iterable[PendingTable]
) -> dict[Subject, Trouble]:
    """The troubles of all tables.

    Args:
        mismatches: By table its partitions with a mismatch, in the lake or found by an audit.
        pending: Tables with inconclusive partitions.
    """
    troubles = {}
    waiting = {table.table: table for table in pending}
    for name in sorted({*mismatches, *waiting}):
        subject = Subject(SubjectKind.TABLE, name)
        parts = list(mismatches.get(name, ()))
        of_table = waiting.get(name)
        count = len({part.partition for part in parts}) + (of_table.partitions if of_table else 0)
        if of_table is not None:
            parts.append(PartitionTrouble(of_table.first, IncidentClass.PENDING, of_table.reason, None, of_table.since))
        troubles[subject] = _joined(subject, parts, count)
    return troubles


def _joined(subject: Subject, parts: Sequence[PartitionTrouble], count: int) -> Trouble:
    """The trouble of a table, from the troubles of its partitions."""
    ordered = sorted(parts, key=lambda part: (-part.incident_class.rank, part.partition))
    worst = ordered[0]
    rows = [part.rows for part in ordered if part.rows is not None]
    return Trouble(
        subject,
        worst.incident_class,
        worst.reason,
        hop_of(worst.incident_class),
        sum(rows) if rows else None,
        tuple(ordered[:PARTITIONS_KEPT]),
        count,
        min(part.since for part in ordered if part.incident_class is worst.incident_class),
    )


def hop_of(incident_class: IncidentClass) -> str:
    """Where rows went wrong, by the class. Empty where the class says nothing about it."""
    if incident_class is IncidentClass.SOURCE_GAP:
        return "capture"
    is_lake = incident_class.rank >= IncidentClass.VALUES_DIFFER.rank
    return "lake" if is_lake else ""


def service_trouble(name: str, reason: str, since: float) -> Trouble:
    """The trouble of a service without a process that works."""
    return Trouble(Subject(SubjectKind.SERVICE, name), IncidentClass.SERVICE_SILENT, reason, "", None, (), 0, since)


def audit_trouble(scope: str, reason: str, since: float) -> Trouble:
    """The trouble of an audit that failed."""
    subject = Subject(SubjectKind.AUDIT, scope)
    return Trouble(subject, IncidentClass.AUDIT_FAILED, reason, "", None, (), 0, since)


def document(incident: Incident) -> dict[str, Any]:
    """An incident as a notice keeps it, and as webhooks get it."""
    return {
        "id": incident.number,
        "subject": incident.subject.kind.value,
        "name": incident.subject.name,
        "class": incident.incident_class.value,
        "hop": incident.hop or None,
        "reason": incident.reason,
        "rows": incident.rows,
        "partition_count": incident.partition_count,
        "partitions": partitions_document(incident.partitions[:PARTITIONS_SENT]),
        "since": incident.since,
        "opened_at": incident.opened_at,
        "closed_at": incident.closed_at,
    }


def partitions_document(partitions: Iterable[PartitionTrouble]) -> list[dict[str, Any]]:
    """Partitions as JSON."""
    return [
        {
            "partition": part.partition,
            "class": part.incident_class.value,
            "reason": part.reason,
            "rows": part.rows,
            "since": part.since,
        }
        for part in partitions
    ]


def partitions_from(documents: Iterable[Mapping[str, Any]]) -> tuple[PartitionTrouble, ...]:
    """Partitions from what `partitions_document` made of them."""
    return tuple(
        PartitionTrouble(part["partition"], IncidentClass(part["class"]), part["reason"], part["rows"], part["since"])
        for part in documents
    )
