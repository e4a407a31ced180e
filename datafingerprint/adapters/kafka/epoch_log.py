"""Publishes epochs: one Kafka transaction each, or several for an epoch of very many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kafka import KafkaProducer

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.adapters.kafka.definitions import read_definitions
from datafingerprint.adapters.kafka.lake_commits import last_lake_commit
from datafingerprint.changes import Changes
from datafingerprint.config import Kafka
from datafingerprint.epoch_chain import EpochMark, KnownEpoch, lost_epoch, record_digest
from datafingerprint.epochs import Epoch, OffsetRange
from datafingerprint.errors import TableError, Unavailable, WireError
from datafingerprint.messages import messages_of
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.recovery import START_OVER
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit


class KafkaEpochLog:
    """Implements the port `EpochLog`.

    It remembers the last epoch that it published. When it is opened again, an epoch that the broker has lost since then
    raises an error. So does one that the lake or another reader has read.

    Args:
        kafka: How to reach the broker.
        known: Epochs that readers have read, besides the last lake commit.
    """

    def __init__(self, kafka: Kafka, known: Callable[[], Iterable[KnownEpoch]] = tuple) -> None:
        self._kafka = kafka
        self._known = known
        self._digest = ""
        self._topics = wire.Topics(kafka.prefix)
        self._producer: KafkaProducer | None = None
        self._ready: set[str] = set()
        self._ahead = _Ranges()
        self._published: tuple[str, int] | None = None

    def open(self) -> Epoch | None:
        """See `ports.EpochLog.open`."""
        self.close()
        self._ready.clear()
        self._ahead = _Ranges()
        kafka_clients.ensure_topics(self._kafka, self._topics.control, ())
        self._producer = kafka_clients.producer(self._kafka, f"{self._kafka.prefix}-cdc")
        record = kafka_clients.last_record(self._kafka, self._topics.epochs)
        last = None if record is None else wire.decode_epoch(record[1], f"{self._topics.epochs}:{record[0]}")
        self._require_kept(last)
        commit = last_lake_commit(self._kafka)
        wire.require_epochs(last, commit)
        self._digest = record_digest(b"" if record is None else record[1])
        if record is not None and last is not None:
            for known in (*_reached_by_lake(commit), *self._known()):
                self._require_read(known, last)
            self._published = last.stream_id, last.number
        return last

    @property
    def stream_id(self) -> str:
        """The stream id of the last epoch read or published; empty before the first."""
        return self._published[0] if self._published else ""

    def _require_kept(self, last: Epoch | None) -> None:
        if self._published is None:
            return
        stream_id, number = self._published
        if last is None or last.stream_id != stream_id or last.number < number:
            end = "is empty" if last is None else f"ends at epoch {last.number} of stream {last.stream_id}"
            raise WireError(
                f"the broker has lost an acknowledged epoch: epoch {number} of stream {stream_id} was published, "
                f"the epochs topic {end}",
                where=self._topics.epochs,
                remedy=START_OVER,
            )

    def _require_read(self, known: KnownEpoch, last: Epoch) -> None:
        """Checks that the topic still holds an epoch that a reader of this stream has read.

        Otherwise capture would publish other epochs with the same numbers.

        Raises:
            WireError: it does not.
        """
        mark = known.mark
        if mark.stream_id != last.stream_id:
            return
        if last.number < mark.number:
            raise lost_epoch(mark, f"as {known.what} shows; the topic ends at epoch {last.number}")
        if not mark.digest:
            return
        same = mark.digest == last.digest if last.number == mark.number else self._has_at(known.next_offset - 1, mark)
        if not same:
            raise lost_epoch(mark, f"as {known.what} shows; the topic holds another epoch of this number")

    def _has_at(self, offset: int, mark: EpochMark) -> bool:
        """Whether an epoch's record is at an offset of the topic.

        Returns:
            True also if the topic begins after this offset.
        """
        payload = kafka_clients.record_at(self._kafka, self._topics.epochs, offset)
        return payload is None or record_digest(payload) == mark.digest

    def definitions(self) -> Mapping[int, TableSchema]:
        """See `ports.EpochLog.definitions`."""
        return read_definitions(self._kafka, self._topics.schemas)

    def make_ready(self, tables: Sequence[TableSchema]) -> Sequence[TableError]:
        """See `ports.EpochLog.make_ready`.

        A broker refuses a topic whose name differs from another topic's only by a dot in place of an underscore.
        """
        topics = {self._topics.of(table): table.table for table in tables}
        refused = kafka_clients.refused_topics(self._kafka, sorted(topics.keys() - self._ready))
        self._ready |= topics.keys() - refused.keys()
        remedy = (
            "Kafka cannot hold two topics whose names differ only by a dot in place of an underscore: "
            "rename the table, or exclude it in [source] tables"
        )
        return [
            TableError(topics[topic], f"the broker refuses its topic: {reason}", where=topic, remedy=remedy)
            for topic, reason in refused.items()
        ]

    def publish_ahead(self, number: int, parts: Sequence[Changes]) -> None:
        """See `ports.EpochLog.publish_ahead`: a transaction of its own, without an epoch record.

        Very many rows need several transactions: a broker aborts a transaction after a minute, and holds back all
        messages after an open one.
        """
        producer = self._open_producer()
        self._ensure_topics(producer, parts)
        with kafka_clients.translated(self._kafka):
            producer.begin_transaction()
            sent = self._send_changes(producer, number, parts)
            producer.commit_transaction()
        self._ahead = self._ahead.followed_by(sent)

    def publish(self, draft: EpochDraft) -> Epoch:
        """Publishes an epoch.

        1. Missing topics are created, outside the transaction. An empty topic does no harm.
        2. The transaction begins. New definitions go to the schemas topic.
        3. The changes go to the topics of their tables. The broker acknowledges each with its offset.
        4. The epoch's record goes to the epochs topic. It names these offsets and those published ahead.
        5. The transaction is committed. If the reply is lost, the caller reopens the log and reads the last epoch.
        """
        producer = self._open_producer()
        self._ensure_topics(producer, draft.changes)
        with kafka_clients.translated(self._kafka):
            producer.begin_transaction()
            self._send_definitions(producer, draft)
            sent = self._ahead.followed_by(self._send_changes(producer, draft.number, draft.changes))
            payload, epoch = wire.encode_epoch(_epoch(draft, sent.by_table, self._digest))
            record = producer.send(self._topics.epochs, payload, partition=0)
            producer.flush(timeout=self._kafka.timeout_s)
            record.get(timeout=self._kafka.timeout_s)
            producer.commit_transaction()
        self._ahead = _Ranges()
        self._published = epoch.stream_id, epoch.number
        self._digest = epoch.digest
        return epoch

    def _open_producer(self) -> KafkaProducer:
        if self._producer is None:
            raise Unavailable("the epoch log is not open", where=self._kafka.bootstrap)
        return self._producer

    def _ensure_topics(self, producer: KafkaProducer, changes: Sequence[Changes]) -> None:
        topics = {self._topics.of(part.table) for part in changes}
        missing = topics - self._ready
        if missing:
            kafka_clients.ensure_topics(self._kafka, (), sorted(missing))
            self._ready |= missing
        with kafka_clients.translated(self._kafka):
            kafka_clients.learn_topics(producer, topics)

    def _send_definitions(self, producer: KafkaProducer, draft: EpochDraft) -> None:
        for version, table in (draft.definitions or {}).items():
            record = wire.encode_record({"version": version, "definition": table.to_json()})
            producer.send(self._topics.schemas, record, partition=0)

    def _send_changes(self, producer: KafkaProducer, number: int, parts: Sequence[Changes]) -> _Ranges:
        sent: dict[tuple[str, int], list[tuple[object, int]]] = {}
        for changes in parts:
            topic = self._topics.of(changes.table)
            for partition, part in routed(changes, self._kafka.partitions):
                for message in messages_of(part, number):
                    future = producer.send(topic, message.payload, partition=partition, headers=list(message.headers))
                    sent.setdefault((changes.table.table, partition), []).append((future, message.rows))
        producer.flush(timeout=self._kafka.timeout_s)
        ranges: dict[str, dict[int, OffsetRange]] = {}
        for (table, partition), messages in sent.items():
            offsets = [future.get(timeout=self._kafka.timeout_s).offset for future, _ in messages]  # type: ignore[attr-defined]
            rows = sum(number for _, number in messages)
            offset_range = OffsetRange(min(offsets), max(offsets) + 1, len(offsets), rows)
            ranges.setdefault(table, {})[partition] = offset_range
        return _Ranges(ranges)

    def close(self) -> None:
        """Closes the producer. The next producer of the stream aborts an open transaction."""
        if self._producer is not None:
            kafka_clients.abandon(self._producer)
            self._producer = None


@dataclass(frozen=True, slots=True)
class _Ranges:
    """The offsets of one epoch, by table and Kafka partition."""

    by_table: Mapping[str, Mapping[int, OffsetRange]] = field(default_factory=dict)

    def followed_by(self, more: _Ranges) -> _Ranges:
        """Joins these ranges with later ones of the same epoch.

        Capture is the only writer, so every message between the two ranges of a partition belongs to the epoch.
        """
        merged = {table: dict(parts) for table, parts in self.by_table.items()}
        for table, parts in more.by_table.items():
            known = merged.setdefault(table, {})
            for partition, part in parts.items():
                known[partition] = known[partition].followed_by(part) if partition in known else part
        return _Ranges(merged)


def _reached_by_lake(commit: LakeCommit | None) -> tuple[KnownEpoch, ...]:
    return () if commit is None else (KnownEpoch("the last lake commit", commit.mark, commit.epochs_offset),)


def _epoch(draft: EpochDraft, ranges: Mapping[str, Mapping[int, OffsetRange]], previous: str) -> Epoch:
    return Epoch(
        stream_id=draft.stream_id,
        number=draft.number,
        position=draft.position,
        committed_at=draft.committed_at,
        ranges=ranges,
        transactions=draft.transactions,
        snapshots=draft.snapshots or {},
        versions=draft.versions or {},
        answers=draft.answers,
        suspects=draft.suspects,
        set_aside=draft.set_aside,
        awaiting_snapshot=draft.awaiting_snapshot,
        previous=previous,
    )
