"""The tables of incidents, events and the outbox of alerts, and their rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from datafingerprint.incidents import (
    EventKind,
    Incident,
    IncidentClass,
    NoticeKind,
    Subject,
    SubjectKind,
    partitions_document,
    partitions_from,
)
from datafingerprint.ports.incidents import Event, Message, Notice, ReceiverState

TABLES = sa.MetaData()

Row = dict[str, Any]

LEASE = sa.Table(
    "notifier",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
)

# An id is permanent: SQLite would give that of a removed row to the next one.
INCIDENTS = sa.Table(
    "incidents",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("class", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("hop", sa.Text, nullable=False),
    sa.Column("row_count", sa.BigInteger),
    sa.Column("partitions", sa.Text, nullable=False),
    sa.Column("partition_count", sa.BigInteger, nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("opened_at", sa.Double, nullable=False),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Column("closed_at", sa.Double),
    sa.Column("quiet_since", sa.Double),
    sa.Column("returns", sa.Integer, nullable=False),
    sa.Column("notified_at", sa.Double),
    sa.Column("reminders", sa.Integer, nullable=False),
    sa.Column("acknowledged_at", sa.Double),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("silenced_until", sa.Double),
    sqlite_autoincrement=True,
)

# The database itself refuses a second open incident of a subject.
sa.Index(
    "incidents_open",
    INCIDENTS.c.subject,
    INCIDENTS.c.name,
    unique=True,
    sqlite_where=sa.text("closed_at IS NULL"),
    postgresql_where=sa.text("closed_at IS NULL"),
)

EVENTS = sa.Table(
    "incident_events",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("incident_id", sa.Integer),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("key", sa.Text, unique=True),
    sa.Index("incident_events_incident", "incident_id"),
    sa.Index("incident_events_kind", "kind", "at"),
    sqlite_autoincrement=True,
)

# The last verdict event of every table that does not match.
OUTCOMES = sa.Table(
    "incident_outcomes",
    TABLES,
    sa.Column("table_name", sa.Text, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
)

NOTICES = sa.Table(
    "alert_notices",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("incident_id", sa.Integer),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("incident", sa.Text, nullable=False),
    sa.UniqueConstraint("incident_id", "key"),
    sqlite_autoincrement=True,
)

# `notice_id` is the last notice that the receiver has. Everything after it is to be sent.
RECEIVERS = sa.Table(
    "alert_receivers",
    TABLES,
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("is_configured", sa.Boolean, nullable=False),
    sa.Column("notice_id", sa.Integer, nullable=False),
    sa.Column("message_id", sa.Text),
    sa.Column("next_at", sa.Double, nullable=False),
    sa.Column("failing_since", sa.Double),
)

MESSAGES = sa.Table(
    "alert_messages",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("after", sa.Integer, nullable=False),
    sa.Column("upto", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sent_at", sa.Double),
    sa.Column("error", sa.Text, nullable=False),
    sa.Index("alert_messages_created", "created_at"),
)

INCIDENT_TABLES = tuple(TABLES.tables)
"""Their names, in the database of the state store."""


def incident_row(incident: Incident) -> Row:
    """The columns of an incident, without its id."""
    return {
        "subject": incident.subject.kind.value,
        "name": incident.subject.name,
        "class": incident.incident_class.value,
        "reason": incident.reason,
        "hop": incident.hop,
        "row_count": incident.rows,
        "partitions": json.dumps(partitions_document(incident.partitions), ensure_ascii=False),
        "partition_count": incident.partition_count,
        "since": incident.since,
        "opened_at": incident.opened_at,
        "changed_at": incident.changed_at,
        "closed_at": incident.closed_at,
        "quiet_since": incident.quiet_since,
        "returns": incident.returns,
        "notified_at": incident.notified_at,
        "reminders": incident.reminders,
        "acknowledged_at": incident.acknowledged_at,
        "note": incident.note,
        "silenced_until": incident.silenced_until,
    }


def read_incident(row: Mapping[Any, Any]) -> Incident:
    """The incident of a row."""
    return Incident(
        number=row["id"],
        subject=Subject(SubjectKind(row["subject"]), row["name"]),
        incident_class=IncidentClass(row["class"]),
        reason=row["reason"],
        hop=row["hop"],
        rows=row["row_count"],
        partitions=partitions_from(json.loads(row["partitions"])),
        partition_count=row["partition_count"],
        since=row["since"],
        opened_at=row["opened_at"],
        changed_at=row["changed_at"],
        closed_at=row["closed_at"],
        quiet_since=row["quiet_since"],
        returns=row["returns"],
        notified_at=row["notified_at"],
        reminders=row["reminders"],
        acknowledged_at=row["acknowledged_at"],
        note=row["note"],
        silenced_until=row["silenced_until"],
    )


def event_row(
    kind: EventKind,
    subject: Subject,
    at: float,
    detail: Mapping[str, Any],
    *,
    incident: int | None = None,
    key: str | None = None,
) -> Row:
    """The columns of an event. A second event with the same key is not written."""
    return {
        "at": at,
        "kind": kind.value,
        "subject": subject.kind.value,
        "name": subject.name,
        "incident_id": incident,
        "detail": json.dumps(detail, ensure_ascii=False),
        "key": key,
    }


def read_event(row: Mapping[Any, Any]) -> Event:
    """The event of a row."""
    subject = Subject(SubjectKind(row["subject"]), row["name"])
    detail = json.loads(row["detail"])
    return Event(row["id"], row["at"], EventKind(row["kind"]), subject, row["incident_id"], detail)


def read_notice(row: Mapping[Any, Any]) -> Notice:
    """The notice of a row."""
    return Notice(row["id"], row["at"], NoticeKind(row["kind"]), json.loads(row["incident"]))


def read_message(row: Mapping[Any, Any]) -> Message:
    """The message of a row."""
    return Message(
        row["id"],
        row["receiver"],
        row["after"],
        row["upto"],
        row["created_at"],
        row["attempts"],
        row["sent_at"],
        row["error"],
    )


def read_receiver(row: Mapping[Any, Any], message: Message | None, last_notice: int) -> ReceiverState:
    """The receiver of a row."""
    return ReceiverState(
        row["receiver"],
        row["address"],
        row["notice_id"],
        last_notice,
        message,
        row["next_at"],
        row["failing_since"],
    )
