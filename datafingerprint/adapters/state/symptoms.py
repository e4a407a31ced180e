"""Reads from the state store what is wrong: verdicts, findings and audits.

Indexes that hold only these rows make reading them cost nothing while every partition matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state.tables import AUDITS, DEFINITIONS, JUDGED, LAST_FINDINGS, VERDICTS, read_known_sum
from datafingerprint.audit import Hop
from datafingerprint.audits import AuditState, Scope
from datafingerprint.incidents import (
    IncidentClass,
    PartitionTrouble,
    PendingTable,
    Subject,
    Trouble,
    audit_trouble,
    mismatch,
    table_troubles,
)
from datafingerprint.verdict import Outcome, Verdict

AUDIT_FAILED_S = 86_400.0
"""Seconds after which a failed audit without a successor is no longer a trouble."""

# A query can use a partial index only where the condition is the same text, so it is never a parameter.
_NOT_MATCH = sa.text("outcome <> 'match'")
_IS_MISMATCH = sa.text("outcome = 'mismatch'")

INDEXES = (
    "CREATE INDEX IF NOT EXISTS incident_verdicts ON verdicts (outcome, table_name) WHERE outcome <> 'match'",
    "CREATE INDEX IF NOT EXISTS incident_findings ON last_findings (table_name) WHERE outcome = 'mismatch'",
    "CREATE INDEX IF NOT EXISTS incident_judged ON judged_tables (judged_at)",
    "CREATE INDEX IF NOT EXISTS incident_audits ON audits (ended_at)",
)


def token(connection: sa.Connection) -> tuple[object, ...]:
    """Differs after new verdicts, and after an audit began or ended. Read from indexes."""
    judged = connection.execute(sa.select(sa.func.max(JUDGED.c.judged_at))).scalar()
    ended = connection.execute(sa.select(sa.func.max(AUDITS.c.ended_at))).scalar()
    newest = connection.execute(sa.select(sa.func.max(AUDITS.c.id))).scalar()
    return judged, ended, newest


def lake_mismatches(connection: sa.Connection) -> dict[str, list[PartitionTrouble]]:
    """By table the partitions whose verdict is a mismatch."""
    troubles: dict[str, list[PartitionTrouble]] = {}
    query = sa.select(VERDICTS).where(_NOT_MATCH, VERDICTS.c.outcome == Outcome.MISMATCH.value)
    for row in connection.execute(query).mappings():
        verdict = Verdict(Outcome.MISMATCH, row["reason"], read_known_sum(row, "source_"), read_known_sum(row, "lake_"))
        troubles.setdefault(row["table_name"], []).append(mismatch(row["partition_name"], verdict, row["since"]))
    return troubles


def pending_tables(connection: sa.Connection) -> list[PendingTable]:
    """Tables with inconclusive partitions."""
    query = (
        sa.select(
            VERDICTS.c.table_name,
            sa.func.count().label("partitions"),
            sa.func.min(VERDICTS.c.partition_name).label("first"),
            sa.func.min(VERDICTS.c.reason).label("reason"),
            sa.func.min(VERDICTS.c.since).label("since"),
        )
        .where(_NOT_MATCH, VERDICTS.c.outcome == Outcome.INCONCLUSIVE.value)
        .group_by(VERDICTS.c.table_name)
    )
    return [
        PendingTable(row["table_name"], row["partitions"], row["first"], row["reason"], row["since"])
        for row in connection.execute(query).mappings()
    ]


def source_gaps(connection: sa.Connection) -> dict[str, list[PartitionTrouble]]:
    """By table the partitions where the last audit found that capture lacks rows."""
    troubles: dict[str, list[PartitionTrouble]] = {}
    # A finding outlives its table.
    captured = LAST_FINDINGS.c.table_name.in_(sa.select(DEFINITIONS.c.table_name))
    for row in connection.execute(sa.select(LAST_FINDINGS).where(_IS_MISMATCH, captured)).mappings():
        if Hop.CAPTURE.value not in row["hops"].split(","):
            continue
        source, stream = read_known_sum(row, "source_"), read_known_sum(row, "stream_")
        rows = abs(source.rows - stream.rows) if source is not None and stream is not None else None
        troubles.setdefault(row["table_name"], []).append(
            PartitionTrouble(
                row["partition_name"], IncidentClass.SOURCE_GAP, row["reason"], rows, row["checked_at"] or 0.0
            )
        )
    return troubles


def failed_audits(connection: sa.Connection, now: float) -> list[Trouble]:
    """Audits of the last day that failed, and were not repeated with success."""
    query = (
        sa.select(AUDITS)
        .where(
            AUDITS.c.state.in_((AuditState.DONE.value, AuditState.FAILED.value)),
            AUDITS.c.ended_at > now - AUDIT_FAILED_S,
        )
        .order_by(AUDITS.c.ended_at)
    )
    failed: dict[Scope, Trouble] = {}
    for row in connection.execute(query).mappings():
        scope = Scope(row["table_name"], row["partition_name"])
        failed.pop(scope, None)
        if row["state"] == AuditState.FAILED.value:
            failed[scope] = audit_trouble(str(scope), row["reason"], row["ended_at"])
    return list(failed.values())


def ended_audits(connection: sa.Connection, since: float) -> Sequence[Any]:
    """Rows of the audits that ended since a Unix time in seconds."""
    query = sa.select(AUDITS).where(AUDITS.c.ended_at >= since).order_by(AUDITS.c.ended_at)
    return connection.execute(query).mappings().all()


def troubles(
    mismatches: dict[str, list[PartitionTrouble]],
    pending: Sequence[PendingTable],
    gaps: dict[str, list[PartitionTrouble]],
    failed: Sequence[Trouble],
) -> dict[Subject, Trouble]:
    """Everything that is wrong, by subject."""
    by_table = {name: [*mismatches.get(name, ()), *gaps.get(name, ())] for name in {*mismatches, *gaps}}
    return {**table_troubles(by_table, pending), **{trouble.subject: trouble for trouble in failed}}
