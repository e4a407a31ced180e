"""Incidents, events and the outbox of alerts in the state store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from datafingerprint.adapters.runtime.process_names import has_ended
from datafingerprint.adapters.state import symptoms
from datafingerprint.adapters.state.engine import open_engine, place, translated, writers
from datafingerprint.adapters.state.flow import FlowReader
from datafingerprint.adapters.state.incident_tables import (
    EVENTS,
    INCIDENTS,
    LEASE,
    MESSAGES,
    NOTICES,
    OUTCOMES,
    RECEIVERS,
    TABLES,
    Row,
    event_row,
    incident_row,
    read_event,
    read_incident,
    read_message,
    read_notice,
    read_receiver,
)
from datafingerprint.adapters.state.rows import upsert
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audits import Scope
from datafingerprint.errors import ConflictError
from datafingerprint.flow import FlowState
from datafingerprint.incidents import (
    Decision,
    EventKind,
    Incident,
    IncidentClass,
    NoticeKind,
    Subject,
    SubjectKind,
    document,
)
from datafingerprint.ports.incidents import Event, Message, Notice, Observed, ReceiverState
from datafingerprint.verdict import Outcome

LEASE_S = 10.0
"""Seconds without a heartbeat after which another notifier takes over."""

AUDITS_AGAIN_S = 60.0
"""How far back ended audits are read again: clocks of several auditors differ."""

NOTICES_MAX = 100
"""Most notices of one message."""

FORGOTTEN_MAX = 10_000
"""Most rows of a table that one call of `forget` removes."""

_ONLY_ROW = 1


class SqlIncidentStore:
    """Implements `IncidentStore`; may be used by several threads and processes.

    Args:
        url: The state store's.

    Raises:
        ConfigError: the URL is not of a database that the store knows.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._where = place(self._engine)
        self._url = url
        self._flow = FlowReader()
        self._prepared = False
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    def incidents(
        self, *, is_open: bool | None = None, limit: int = 100, before: int | None = None
    ) -> Sequence[Incident]:
        """See the port."""
        query = sa.select(INCIDENTS).order_by(INCIDENTS.c.id.desc()).limit(limit)
        if is_open is not None:
            query = query.where(INCIDENTS.c.closed_at.is_(None) if is_open else INCIDENTS.c.closed_at.is_not(None))
        if before is not None:
            query = query.where(INCIDENTS.c.id < before)
        with self._reading() as connection:
            return [read_incident(row) for row in connection.execute(query).mappings()]

    def incident(self, number: int) -> Incident | None:
        """See the port."""
        with self._reading() as connection:
            return _incident(connection, number)

    def open_counts(self) -> Mapping[IncidentClass, int]:
        """See the port."""
        of = INCIDENTS.c["class"]
        query = sa.select(of, sa.func.count()).where(INCIDENTS.c.closed_at.is_(None)).group_by(of)
        with self._reading() as connection:
            return {IncidentClass(name): int(count) for name, count in connection.execute(query)}

    def events(
        self, *, after: int | None = None, before: int | None = None, incident: int | None = None, limit: int = 100
    ) -> Sequence[Event]:
        """See the port."""
        query = sa.select(EVENTS).order_by(EVENTS.c.id if after is not None else EVENTS.c.id.desc()).limit(limit)
        if after is not None:
            query = query.where(EVENTS.c.id > after)
        if before is not None:
            query = query.where(EVENTS.c.id < before)
        if incident is not None:
            query = query.where(EVENTS.c.incident_id == incident)
        with self._reading() as connection:
            return [read_event(row) for row in connection.execute(query).mappings()]

    def acknowledge(self, number: int, note: str, now: float) -> Incident | None:
        """See the port."""
        changes = {"acknowledged_at": now, "note": note}
        return self._operate(number, changes, EventKind.ACKNOWLEDGED, {"note": note}, now)

    def silence(self, number: int, until: float, now: float) -> Incident | None:
        """See the port."""
        return self._operate(number, {"silenced_until": until}, EventKind.SILENCED, {"until": until}, now)

    def receivers(self) -> Sequence[ReceiverState]:
        """See the port."""
        query = sa.select(RECEIVERS).where(RECEIVERS.c.is_configured.is_(True)).order_by(RECEIVERS.c.receiver)
        with self._reading() as connection:
            last = _last_notice(connection)
            rows = connection.execute(query).mappings().all()
            return [read_receiver(row, _message(connection, row["message_id"]), last) for row in rows]

    def messages(self, *, limit: int = 100) -> Sequence[Message]:
        """See the port."""
        query = sa.select(MESSAGES).order_by(MESSAGES.c.created_at.desc(), MESSAGES.c.id).limit(limit)
        with self._reading() as connection:
            return [read_message(row) for row in connection.execute(query).mappings()]

    def write_test(self, now: float) -> int:
        """See the port."""
        row = {"at": now, "incident_id": None, "kind": NoticeKind.TEST.value, "key": "test", "incident": "{}"}
        with self._writing() as connection:
            return int(connection.execute(sa.insert(NOTICES).values(**row).returning(NOTICES.c.id)).scalar_one())

    def hold(self, owner: str, now: float) -> bool:
        """See the port."""
        with self._writing() as connection:
            row = connection.execute(sa.select(LEASE)).mappings().first()
            if row is not None and row["owner"] != owner and not _is_free(row, now):
                return False
            upsert(connection, LEASE, [{"id": _ONLY_ROW, "owner": owner, "seen_at": now}])
            return True

    def release(self, owner: str) -> None:
        """See the port."""
        with self._writing() as connection:
            connection.execute(sa.delete(LEASE).where(LEASE.c.owner == owner))

    def token(self) -> tuple[object, ...]:
        """See the port."""
        with self._reading() as connection:
            return symptoms.token(connection)

    def flow(self) -> FlowState:
        """See the port."""
        with self._reading() as connection:
            return self._flow.read(connection)

    def apply(
        self, owner: str, now: float, decide: Callable[[Observed], Iterable[tuple[Subject, Decision]]]
    ) -> Sequence[tuple[Incident, Decision]]:
        """See the port.

        1. All is read and decided without the write lock, which a sum over thousands of partitions must not hold.
        2. What changes is decided again under the lock, on its incident as it is then, and stored.
        """
        with self._reading() as connection:
            seen = _observe(connection, now)
            changed = _changed(seen.observed, decide(seen.observed))
        if not (changed or seen.outcomes or seen.events):
            return []
        stored = []
        with self._holding(owner) as connection:
            _save_outcomes(connection, seen.outcomes)
            _insert_once(connection, EVENTS, seen.events)
            incidents = _open_incidents(connection) if changed else {}
            again = Observed(
                {subject: incidents[subject] for subject in changed if subject in incidents},
                {subject: seen.observed.troubles[subject] for subject in changed if subject in seen.observed.troubles},
            )
            for subject, decision in _changed(again, decide(again)).items():
                if subject not in changed:  # its incident was not read again, and may be open already
                    continue
                assert decision.incident is not None  # noqa: S101 - what changes is an incident
                incident = _save(connection, decision.incident)
                _save_notices(connection, incident, decision, now)
                stored.append((incident, decision))
        return stored

    def set_receivers(self, owner: str, addresses: Mapping[str, str], now: float) -> None:
        """See the port."""
        with self._holding(owner) as connection:
            last = _last_notice(connection)
            known = {
                row["receiver"]: row["is_configured"] for row in connection.execute(sa.select(RECEIVERS)).mappings()
            }
            for key, address in addresses.items():
                values: Row = {"address": address, "is_configured": True}
                if not known.get(key, False):
                    values |= {"notice_id": last, "message_id": None, "next_at": now, "failing_since": None}
                if key in known:
                    connection.execute(sa.update(RECEIVERS).where(RECEIVERS.c.receiver == key).values(**values))
                else:
                    connection.execute(sa.insert(RECEIVERS).values(receiver=key, **values))
            connection.execute(
                sa.update(RECEIVERS).where(RECEIVERS.c.receiver.not_in(list(addresses))).values(is_configured=False)
            )

    def begin_message(self, owner: str, receiver: str, message: str, now: float) -> None:
        """See the port."""
        with self._holding(owner) as connection:
            row = connection.execute(sa.select(RECEIVERS).where(RECEIVERS.c.receiver == receiver)).mappings().one()
            last = _last_notice(connection)
            if row["message_id"] is not None or row["notice_id"] >= last:
                return
            page = sa.select(NOTICES.c.id).where(NOTICES.c.id > row["notice_id"]).order_by(NOTICES.c.id)
            notices = connection.scalars(page.limit(NOTICES_MAX)).all()
            connection.execute(
                sa.insert(MESSAGES).values(
                    id=message,
                    receiver=receiver,
                    after=row["notice_id"],
                    upto=notices[-1],
                    created_at=now,
                    attempts=0,
                    error="",
                )
            )
            connection.execute(sa.update(RECEIVERS).where(RECEIVERS.c.receiver == receiver).values(message_id=message))

    def end_attempt(self, owner: str, message: Message, now: float, *, error: str, next_at: float) -> None:
        """See the port."""
        of_message: Row = {"attempts": MESSAGES.c.attempts + 1, "error": error}
        of_receiver: Row = {"next_at": next_at}
        if error:
            of_receiver["failing_since"] = sa.func.coalesce(RECEIVERS.c.failing_since, now)
        else:
            of_message["sent_at"] = now
            of_receiver |= {"notice_id": message.upto, "message_id": None, "failing_since": None}
        with self._holding(owner) as connection:
            connection.execute(sa.update(MESSAGES).where(MESSAGES.c.id == message.id).values(**of_message))
            connection.execute(sa.update(RECEIVERS).where(RECEIVERS.c.message_id == message.id).values(**of_receiver))

    def notices(self, after: int, upto: int) -> Sequence[Notice]:
        """See the port."""
        query = sa.select(NOTICES).where(NOTICES.c.id > after, NOTICES.c.id <= upto).order_by(NOTICES.c.id)
        with self._reading() as connection:
            return [read_notice(row) for row in connection.execute(query).mappings()]

    def forget(self, owner: str, before: float) -> None:
        """See the port."""
        first = sa.select(sa.func.min(RECEIVERS.c.notice_id)).where(RECEIVERS.c.is_configured.is_(True))
        with self._holding(owner) as connection:
            unsent = connection.execute(first).scalar()
            for table, is_old in (
                (INCIDENTS, INCIDENTS.c.closed_at < before),
                (EVENTS, EVENTS.c.at < before),
                (MESSAGES, MESSAGES.c.sent_at < before),
                (NOTICES, (NOTICES.c.at < before) & (sa.true() if unsent is None else NOTICES.c.id <= unsent)),
            ):
                doomed = sa.select(table.c.id).where(is_old).limit(FORGOTTEN_MAX)
                connection.execute(sa.delete(table).where(table.c.id.in_(doomed)))

    def _operate(
        self, number: int, changes: Row, kind: EventKind, detail: Mapping[str, Any], now: float
    ) -> Incident | None:
        """Stores what an operator decides about an open incident."""
        is_open = INCIDENTS.c.id == number, INCIDENTS.c.closed_at.is_(None)
        with self._writing() as connection:
            connection.execute(sa.update(INCIDENTS).where(*is_open).values(**changes, changed_at=now))
            incident = _incident(connection, number)
            if incident is None or not incident.is_open:
                return None
            _insert_events(connection, [event_row(kind, incident.subject, now, detail, incident=number)])
            return incident

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with translated(self._where):
            self._prepare()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with translated(self._where):
            self._prepare()
            with writers(self._engine).begin() as connection:
                yield connection

    @contextmanager
    def _holding(self, owner: str) -> Iterator[sa.Connection]:
        """A transaction that writes, by the process that holds the lease.

        Raises:
            ConflictError: another process holds it.
        """
        with self._writing() as connection:
            if connection.execute(sa.select(LEASE.c.owner)).scalar() != owner:
                raise ConflictError("another notifier has taken over")
            yield connection

    def _prepare(self) -> None:
        """Makes the tables and indexes that are missing, once."""
        with self._preparing:
            if self._prepared:
                return
            state = SqlStateStore(self._url)  # makes the tables of verdicts, on which indexes are made here
            try:
                state.progress()
            finally:
                state.close()
            with self._engine.begin() as connection:
                is_there = sa.inspect(connection).has_table(RECEIVERS.name)
            if not is_there:
                with writers(self._engine).begin() as connection:
                    TABLES.create_all(connection)
                    for statement in symptoms.INDEXES:
                        connection.exec_driver_sql(statement)
            self._prepared = True


def _is_free(lease: Mapping[Any, Any], now: float) -> bool:
    return bool(lease["seen_at"] < now - LEASE_S) or has_ended(lease["owner"])


def _incident(connection: sa.Connection, number: int) -> Incident | None:
    row = connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.id == number)).mappings().first()
    return None if row is None else read_incident(row)


def _message(connection: sa.Connection, message: str | None) -> Message | None:
    if message is None:
        return None
    return read_message(connection.execute(sa.select(MESSAGES).where(MESSAGES.c.id == message)).mappings().one())


def _last_notice(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(NOTICES.c.id), 0))).scalar_one())


def _save(connection: sa.Connection, incident: Incident) -> Incident:
    """Stores an incident, and gives a new one its id."""
    row = incident_row(incident)
    if incident.number:
        connection.execute(sa.update(INCIDENTS).where(INCIDENTS.c.id == incident.number).values(**row))
        return incident
    number = connection.execute(sa.insert(INCIDENTS).values(**row).returning(INCIDENTS.c.id)).scalar_one()
    return replace(incident, number=int(number))


def _save_notices(connection: sa.Connection, incident: Incident, decision: Decision, now: float) -> None:
    """Stores the events and notices of a decision."""
    detail = {
        "class": incident.incident_class.value,
        "reason": incident.reason,
        "partition_count": incident.partition_count,
        "rows": incident.rows,
    }
    rows = [event_row(kind, incident.subject, now, detail, incident=incident.number) for kind in decision.events]
    _insert_events(connection, rows)
    text = json.dumps(document(incident), ensure_ascii=False)
    _insert_once(
        connection,
        NOTICES,
        [
            {"at": now, "incident_id": incident.number, "kind": notice.kind.value, "key": notice.key, "incident": text}
            for notice in decision.notices
        ],
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look at the store has found.

    Attributes:
        observed: Open incidents and troubles.
        outcomes: Tables whose verdict has changed since the last event of it, with the verdict now.
        events: Rows of events about these tables, and about audits that ended.
    """

    observed: Observed
    outcomes: Mapping[str, str]
    events: Sequence[Row]


def _observe(connection: sa.Connection, now: float) -> _Seen:
    mismatches, pending = symptoms.lake_mismatches(connection), symptoms.pending_tables(connection)
    gaps, failed = symptoms.source_gaps(connection), symptoms.failed_audits(connection, now)
    observed = Observed(_open_incidents(connection), symptoms.troubles(mismatches, pending, gaps, failed))
    present = {table.table: Outcome.INCONCLUSIVE.value for table in pending}
    present |= dict.fromkeys(mismatches, Outcome.MISMATCH.value)
    before = {row["table_name"]: row["outcome"] for row in connection.execute(sa.select(OUTCOMES)).mappings()}
    match = Outcome.MATCH.value
    names = sorted({*present, *before})
    outcomes = {name: present.get(name, match) for name in names if present.get(name, match) != before.get(name, match)}
    events = [
        event_row(
            EventKind.VERDICT,
            Subject(SubjectKind.TABLE, name),
            now,
            {"verdict": outcome, "before": before.get(name, match)},
        )
        for name, outcome in outcomes.items()
    ]
    return _Seen(observed, outcomes, [*events, *_ended_audits(connection, now)])


def _open_incidents(connection: sa.Connection) -> dict[Subject, Incident]:
    rows = connection.execute(sa.select(INCIDENTS).where(INCIDENTS.c.closed_at.is_(None))).mappings()
    return {incident.subject: incident for incident in map(read_incident, rows)}


def _changed(observed: Observed, decisions: Iterable[tuple[Subject, Decision]]) -> dict[Subject, Decision]:
    """The decisions that change anything."""
    return {
        subject: decision
        for subject, decision in decisions
        if decision.incident is not None and decision.incident != observed.open.get(subject)
    }


def _save_outcomes(connection: sa.Connection, outcomes: Mapping[str, str]) -> None:
    """Stores the verdicts of tables that do not match, and forgets those that do."""
    for name, outcome in outcomes.items():
        if outcome == Outcome.MATCH.value:
            connection.execute(sa.delete(OUTCOMES).where(OUTCOMES.c.table_name == name))
        else:
            upsert(connection, OUTCOMES, [{"table_name": name, "outcome": outcome}])


def _ended_audits(connection: sa.Connection, now: float) -> list[Row]:
    """Events of audits that ended since the last such event. The first call finds no old ones."""
    of_audits = EVENTS.c.kind == EventKind.AUDIT.value
    last = connection.execute(sa.select(sa.func.max(EVENTS.c.at)).where(of_audits)).scalar()
    ended = symptoms.ended_audits(connection, (now if last is None else last) - AUDITS_AGAIN_S)
    rows = {f"audit:{row['id']}": row for row in ended}
    known = set(connection.scalars(sa.select(EVENTS.c.key).where(EVENTS.c.key.in_(list(rows)))))
    return [_audit_event(key, row) for key, row in rows.items() if key not in known]


def _audit_event(key: str, row: Mapping[Any, Any]) -> Row:
    scope = Scope(row["table_name"], row["partition_name"])
    detail = {"audit": row["id"], "state": row["state"], "verdict": row["outcome"], "rows": row["row_count"]}
    return event_row(EventKind.AUDIT, Subject(SubjectKind.AUDIT, str(scope)), row["ended_at"], detail, key=key)


def _insert_events(connection: sa.Connection, rows: Sequence[Row]) -> None:
    _insert_once(connection, EVENTS, rows)


def _insert_once(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Adds rows, except those whose unique key is there already."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    for row in rows:
        connection.execute(make(table).values(**row).on_conflict_do_nothing())
