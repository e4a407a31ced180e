"""Builds the answers about the system as a whole: status, lag, tables and epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.answers import moment, position
from api.audits import audit_counts
from api.fingerprints import counts, fingerprints
from api.freshness import Freshness
from api.models import (
    ColumnAnswer,
    EpochAnswer,
    EpochsAnswer,
    GroupLag,
    Lag,
    LagAnswer,
    LakeFiles,
    PartitionCounts,
    SnapshotProgress,
    StatusAnswer,
    TableAnswer,
    TablesAnswer,
)
from api.ports import LagReader, StateView
from datafingerprint.epochs import SnapshotCursor
from datafingerprint.errors import DataFingerprintError
from datafingerprint.ledger import StoredEpoch
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome

LAKE_WRITER = "dfp-lake-writer"
FINGERPRINTER = "dfp-fingerprinter"
GROUPS = (LAKE_WRITER, FINGERPRINTER)

KAFKA_OK = "ok"
EPOCHS = "epochs"


@dataclass(frozen=True, slots=True)
class MessageLag:
    """What Kafka says of the groups: messages by group and topic, or why it said nothing."""

    groups: Mapping[str, Mapping[str, int]]
    kafka: str = KAFKA_OK

    def topics(self, group: str) -> dict[str, int] | None:
        """The messages of a group by topic; None when Kafka does not know."""
        found = self.groups.get(group)
        return None if found is None else dict(found)

    def messages(self, group: str) -> int | None:
        """All messages of a group; None when Kafka does not know."""
        found = self.groups.get(group)
        return None if found is None else sum(found.values())

    @property
    def unread_epochs(self) -> int | None:
        """What the fingerprinter has not read of the epochs topic, markers counted; None when Kafka does not know."""
        found = self.groups.get(FINGERPRINTER)
        # A table's topic has its schema in between; a prefix has no dot.
        return None if found is None else sum(n for name, n in found.items() if name.partition(".")[2] == EPOCHS)


def ask_kafka(reader: LagReader) -> MessageLag:
    """The message lag; a broker that is away is an answer too, never an error of the API."""
    try:
        return MessageLag(reader.messages())
    except DataFingerprintError as error:
        return MessageLag({}, f"unavailable: {error}")


def freshness(view: StateView, now: float, stale_s: float) -> Freshness:
    """How old the source's sums are."""
    return Freshness(view.epoch(view.progress().epoch), now, stale_s)


def lag(view: StateView, kafka: MessageLag, now: float, stale_s: float) -> LagAnswer:
    """The lag of both groups.

    Rows, epochs and seconds of the lake writer follow from the stored epochs after the one that the lake was
    judged at: they are known while the fingerprinter stores what is published. What the fingerprinter itself has not
    read it cannot have stored: only that it has read everything is known, from Kafka.
    """
    is_known = freshness(view, now, stale_s).is_recent or kafka.unread_epochs == 0
    lake = lake_lag(view, kafka, now, is_known=is_known)
    caught_up = 0 if kafka.messages(FINGERPRINTER) == 0 else None
    return LagAnswer(
        kafka=kafka.kafka,
        groups={
            LAKE_WRITER: GroupLag(**dict(lake), topics=kafka.topics(LAKE_WRITER)),
            FINGERPRINTER: GroupLag(
                messages=kafka.messages(FINGERPRINTER),
                rows=caught_up,
                epochs=caught_up,
                seconds=caught_up,
                topics=kafka.topics(FINGERPRINTER),
            ),
        },
    )


def lake_lag(view: StateView, kafka: MessageLag, now: float, *, is_known: bool) -> Lag:
    """How far the lake is behind the last epoch stored; of rows and time nothing where later ones may exist."""
    messages = kafka.messages(LAKE_WRITER)
    if not is_known:
        return Lag(messages=messages, rows=None, epochs=None, seconds=None)
    progress = view.progress()
    backlog = view.backlog(progress.lake_epoch)
    seconds = 0.0 if backlog.committed_at is None else max(0.0, round(now - backlog.committed_at, 3))
    return Lag(
        messages=messages,
        rows=backlog.rows,
        epochs=max(0, progress.epoch - progress.lake_epoch),
        seconds=seconds,
    )


def status(view: StateView, kafka: MessageLag, now: float, stale_s: float) -> StatusAnswer:
    """The system in one answer."""
    progress = view.progress()
    fresh = freshness(view, now, stale_s)
    lake, source = view.epoch(progress.lake_epoch), fresh.last
    by_outcome = counts(view.verdicts())
    return StatusAnswer(
        stream_id=progress.stream_id,
        verdict=fingerprints(view).verdict,
        epoch=progress.lake_epoch or None,
        source_epoch=progress.epoch or None,
        position=position(lake.epoch.position) if lake else None,
        source_position=position(source.epoch.position) if source else None,
        as_of=moment(lake.epoch.committed_at) if lake else None,
        recorded_at=moment(source.recorded_at) if source else None,
        recorded_age_s=fresh.recorded_age_s,
        source_age_s=fresh.source_age_s,
        standstill=fresh.standstill(kafka.unread_epochs, kafka.kafka),
        tables=len(view.definitions()),
        rows=sum(view.source_rows().values()),
        partitions=PartitionCounts(
            match=by_outcome[Outcome.MATCH],
            mismatch=by_outcome[Outcome.MISMATCH],
            inconclusive=by_outcome[Outcome.INCONCLUSIVE],
        ),
        audit=audit_counts(view.last_findings()),
        lag=lake_lag(view, kafka, now, is_known=fresh.is_recent),
        snapshot={
            table: cursor.percent
            for table, cursor in sorted((source.epoch.snapshots if source else {}).items())
            if not cursor.complete
        },
    )


def tables(view: StateView) -> TablesAnswer:
    """Every table under watch, in the order of their names."""
    last = view.epoch(view.progress().epoch)
    cursors = last.epoch.snapshots if last else {}
    rows = view.source_rows()
    files = view.file_counts()
    known = view.lake_tables()
    items = []
    for name, (number, table) in sorted(view.definitions().items()):
        found = files.get(name)
        counted = LakeFiles(files=0, octets=0, unreadable=0) if name in known else None
        if found is not None:
            counted = LakeFiles(files=found.files, octets=found.octets, unreadable=found.unreadable)
        items.append(_table(table, number, rows.get(name), cursors.get(name), counted))
    return TablesAnswer(items=items)


def _table(
    table: TableSchema, number: int, rows: int | None, cursor: SnapshotCursor | None, lake: LakeFiles | None
) -> TableAnswer:
    return TableAnswer(
        table=table.table,
        key=list(table.key),
        partition=list(table.partition),
        columns=[
            ColumnAnswer(name=column.name, type=column.type, kind=column.kind.value, nullable=column.nullable)
            for column in table.columns
        ],
        definition=number,
        rows=rows,
        snapshot=None if cursor is None else _snapshot(cursor),
        lake=lake,
    )


def _snapshot(cursor: SnapshotCursor) -> SnapshotProgress:
    return SnapshotProgress(
        rows=cursor.rows, rows_estimated=cursor.rows_estimated, percent=cursor.percent, complete=cursor.complete
    )


def epochs(view: StateView, limit: int, before: int | None) -> EpochsAnswer:
    """A page of epochs, newest first."""
    found = view.epochs(limit=limit + 1, before=before)
    page = found[:limit]
    transactions = view.transaction_counts([one.epoch.number for one in page])
    return EpochsAnswer(
        items=[_epoch(one, transactions.get(one.epoch.number, 0)) for one in page],
        next_before=page[-1].epoch.number if len(found) > limit else None,
    )


def _epoch(stored: StoredEpoch, transactions: int) -> EpochAnswer:
    epoch = stored.epoch
    return EpochAnswer(
        epoch=epoch.number,
        committed_at=moment(epoch.committed_at),
        recorded_at=moment(stored.recorded_at),
        position=position(epoch.position),
        rows=epoch.rows,
        messages=epoch.messages,
        transactions=transactions,
        tables={table: sum(part.rows for part in parts.values()) for table, parts in sorted(epoch.ranges.items())},
    )
