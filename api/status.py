"""Builds the answers about the system as a whole: status, lag, tables and epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api.answers import moment, position, set_aside
from api.audits import audit_counts
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
    UnprovenTable,
    UnprovenTables,
)
from api.ports import LagReader, StateView
from api.services import service_answers, standstill
from api.summaries import TableSummary, outcomes, unproven
from datafingerprint.consumer_groups import FINGERPRINTER_GROUP, LAKE_WRITER_GROUP
from datafingerprint.epochs import SnapshotCursor
from datafingerprint.errors import DataFingerprintError
from datafingerprint.ledger import StoredEpoch
from datafingerprint.liveness import CHAIN, Services
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, overall

KAFKA_OK = "ok"
EPOCHS = "epochs"

CAPTURE_SERVICE, LAKE_WRITER_SERVICE, FINGERPRINTER_SERVICE = CHAIN

UNPROVEN_NAMED_MAX = 20
"""Most tables without partitions that the status names."""


@dataclass(frozen=True, slots=True)
class MessageLag:
    """Unread messages by group and topic, or why Kafka did not answer."""

    groups: Mapping[str, Mapping[str, int]]
    kafka: str = KAFKA_OK

    def topics(self, group: str) -> dict[str, int] | None:
        """Unread messages of a group by topic. None when Kafka does not know."""
        topics = self.groups.get(group)
        return None if topics is None else dict(topics)

    def messages(self, group: str) -> int | None:
        """All unread messages of a group. None when Kafka does not know."""
        topics = self.groups.get(group)
        return None if topics is None else sum(topics.values())

    @property
    def unread_epochs(self) -> int | None:
        """Messages of the epochs topic that the fingerprinter has not read.

        Transaction markers are counted. None when Kafka does not know.
        """
        topics = self.groups.get(FINGERPRINTER_GROUP)
        # The topic of a table has its schema between prefix and name, and a prefix has no dot.
        return None if topics is None else sum(n for name, n in topics.items() if name.partition(".")[2] == EPOCHS)


def message_lag(reader: LagReader) -> MessageLag:
    """The message lag. A broker that is away is an answer too, never an error of the API."""
    try:
        return MessageLag(reader.messages())
    except DataFingerprintError as error:
        return MessageLag({}, f"unavailable: {error}")


def freshness(view: StateView, now: float, stale_s: float) -> Freshness:
    """The age of the source's sums."""
    return Freshness(view.epoch(view.progress().epoch), now, stale_s)


def lag(view: StateView, kafka: MessageLag, now: float, stale_s: float, services: Services | None = None) -> LagAnswer:
    """The lag of both groups.

    Rows, epochs and seconds of the lake writer are counted from the stored epochs after the judged one. They are
    known while the fingerprinter stores what capture publishes. An epoch that the fingerprinter has not read is not
    stored. So its own lag is known only when Kafka shows that it has read everything.
    """
    services = services or Services()
    is_known = freshness(view, now, stale_s).is_recent or kafka.unread_epochs == 0
    lake = lake_lag(view, kafka, now, services, is_known=is_known)
    caught_up = 0 if kafka.messages(FINGERPRINTER_GROUP) == 0 else None
    return LagAnswer(
        kafka=kafka.kafka,
        groups={
            LAKE_WRITER_GROUP: GroupLag(**dict(lake), topics=kafka.topics(LAKE_WRITER_GROUP)),
            FINGERPRINTER_GROUP: GroupLag(
                messages=kafka.messages(FINGERPRINTER_GROUP),
                rows=caught_up,
                epochs=caught_up,
                seconds=caught_up,
                topics=kafka.topics(FINGERPRINTER_GROUP),
            ),
        },
    )


def lake_lag(view: StateView, kafka: MessageLag, now: float, services: Services, *, is_known: bool) -> Lag:
    """How far the lake is behind the last stored epoch.

    Args:
        view: The stored state.
        kafka: The message lag.
        now: Unix time in seconds.
        services: The reports of the services.
        is_known: Whether every published epoch is stored. If not, only the messages are known.

    Returns:
        The lag. Its seconds are None, not 0, for a lake writer that does not work and has nothing left to do.
    """
    messages = kafka.messages(LAKE_WRITER_GROUP)
    is_cut_off = any(services.is_up(name, now) is False for name in (CAPTURE_SERVICE, FINGERPRINTER_SERVICE))
    if not is_known or is_cut_off:
        return Lag(messages=messages, rows=None, epochs=None, seconds=None)
    progress = view.progress()
    backlog = view.backlog(progress.lake_epoch)
    idle = None if services.is_up(LAKE_WRITER_SERVICE, now) is False else 0.0
    seconds = idle if backlog.committed_at is None else max(0.0, round(now - backlog.committed_at, 3))
    return Lag(
        messages=messages,
        rows=backlog.rows,
        epochs=max(0, progress.epoch - progress.lake_epoch),
        seconds=seconds,
    )


def status(
    view: StateView, kafka: MessageLag, now: float, stale_s: float, services: Services | None = None
) -> StatusAnswer:
    """The system in one answer."""
    services = services or Services()
    progress = view.progress()
    fresh = freshness(view, now, stale_s)
    lake, source = view.epoch(progress.lake_epoch), fresh.last
    totals, without, aside = view.totals(), unproven(view), dict(set_aside(view))
    verdicts = {summary.verdict for summary in without.values()} | outcomes(totals.counts)
    return StatusAnswer(
        stream_id=progress.stream_id,
        verdict=overall(verdicts, of_none=Outcome.INCONCLUSIVE).value,
        epoch=progress.lake_epoch or None,
        source_epoch=progress.epoch or None,
        position=position(lake.epoch.position) if lake else None,
        source_position=position(source.epoch.position) if source else None,
        as_of=moment(lake.epoch.committed_at) if lake else None,
        recorded_at=moment(source.recorded_at) if source else None,
        recorded_age_s=fresh.recorded_age_s,
        source_age_s=fresh.source_age_s,
        standstill=standstill(services, now) or fresh.standstill(kafka.unread_epochs, kafka.kafka) or services.away,
        services=service_answers(services),
        tables=totals.tables,
        rows=totals.rows,
        partitions=PartitionCounts(
            match=totals.counts.match, mismatch=totals.counts.mismatch, inconclusive=totals.counts.inconclusive
        ),
        without_partitions=_without_partitions(without),
        audit=audit_counts(view.audit_totals()),
        lag=lake_lag(view, kafka, now, services, is_known=fresh.is_recent),
        snapshot={
            table: cursor.percent
            for table, cursor in sorted((source.epoch.snapshots if source else {}).items())
            if not cursor.complete and table not in aside
        },
        set_aside=aside,
    )


def _without_partitions(summaries: Mapping[str, TableSummary]) -> UnprovenTables:
    """The tables without partitions that do not match. No count of partitions shows them."""
    doubtful = [(name, summary) for name, summary in summaries.items() if summary.verdict is not Outcome.MATCH]
    return UnprovenTables(
        count=len(doubtful),
        first=[
            UnprovenTable(table=name, verdict=summary.verdict.value, reason=summary.reason or None)
            for name, summary in doubtful[:UNPROVEN_NAMED_MAX]
        ],
    )


def tables(view: StateView) -> TablesAnswer:
    """Every captured table, in the order of their names."""
    last = view.epoch(view.progress().epoch)
    cursors = last.epoch.snapshots if last else {}
    rows = view.source_rows()
    files = view.file_counts()
    known = view.lake_tables()
    items = []
    for name, (number, table) in sorted(view.definitions().items()):
        file_counts = files.get(name)
        lake = LakeFiles(files=0, size_bytes=0, unreadable=0) if name in known else None
        if file_counts is not None:
            lake = LakeFiles(
                files=file_counts.files, size_bytes=file_counts.size_bytes, unreadable=file_counts.unreadable
            )
        items.append(_table(table, number, rows.get(name), cursors.get(name), lake))
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
    stored = view.epochs(limit=limit + 1, before=before)
    page = stored[:limit]
    transactions = view.transaction_counts([item.epoch.number for item in page])
    return EpochsAnswer(
        items=[_epoch(item, transactions.get(item.epoch.number, 0)) for item in page],
        next_before=page[-1].epoch.number if len(stored) > limit else None,
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
