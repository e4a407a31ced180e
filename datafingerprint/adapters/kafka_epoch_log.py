"""Publishes epochs: each one Kafka transaction, its record last; one of very many rows has several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kafka import KafkaProducer

from datafingerprint import wire
from datafingerprint.adapters import kafka_clients
from datafingerprint.adapters.kafka_definitions import read_definitions
from datafingerprint.adapters.kafka_lake_commits import last_lake_commit
from datafingerprint.changes import Changes
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch, OffsetRange
from datafingerprint.errors import Unavailable, WireError
from datafingerprint.messages import messages_of
from datafingerprint.ports import EpochDraft
from datafingerprint.remedies import BEGIN_ANEW
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema


class KafkaEpochLog:
    """Implements the port `EpochLog`.

    Opened again it knows what it has published: a broker that lost that is not taken for one that never had it.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
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
        found = kafka_clients.last_record(self._kafka, self._topics.epochs)
        last = None if found is None else wire.decode_epoch(found[1], f"{self._topics.epochs}:{found[0]}")
        self._require_kept(last)
        if last is None:
            wire.require_begun(last, last_lake_commit(self._kafka))
        else:
            self._published = last.stream_id, last.number
        return last

    def _require_kept(self, last: Epoch | None) -> None:
        if self._published is None:
            return
        stream_id, number = self._published
        if last is None or last.stream_id != stream_id or last.number < number:
            there = "is empty" if last is None else f"ends at epoch {last.number} of stream {last.stream_id}"
            raise WireError(
                f"the broker has lost what it had acknowledged: epoch {number} of stream {stream_id} was published, "
                f"the epochs topic {there}",
                where=self._topics.epochs,
                remedy=BEGIN_ANEW,
            )

    def definitions(self) -> Mapping[int, TableSchema]:
        """See `ports.EpochLog.definitions`."""
        return read_definitions(self._kafka, self._topics.schemas)

    def publish_ahead(self, number: int, parts: Sequence[Changes]) -> None:
        """See `ports.EpochLog.publish_ahead`: a transaction of its own, without a record.

        A broker ends a transaction after a minute, and hands out nothing behind an open one; so many rows need several.
        """
        producer = self._opened()
        self._ensure_topics(parts)
        with kafka_clients.translated(self._kafka):
            producer.begin_transaction()
            sent = self._send_changes(producer, number, parts)
            producer.commit_transaction()
        self._ahead = self._ahead.followed_by(sent)

    def publish(self, draft: EpochDraft) -> Epoch:
        """Publishes an epoch.

        1. Topics that are missing are created (outside the transaction; an empty topic does no harm).
        2. The transaction begins; new definitions go to the schemas topic.
        3. The changes go to their tables' topics, and every one is acknowledged: now their offsets are known.
        4. The epoch's record, with those offsets and those of what was published ahead, goes to the epochs topic.
        5. The transaction is committed. If the reply is lost, the caller opens anew and reads what became of it.
        """
        producer = self._opened()
        self._ensure_topics(draft.changes)
        with kafka_clients.translated(self._kafka):
            producer.begin_transaction()
            self._send_definitions(producer, draft)
            sent = self._ahead.followed_by(self._send_changes(producer, draft.number, draft.changes))
            epoch = _epoch(draft, sent.by_table)
            record = producer.send(self._topics.epochs, wire.encode_record(epoch.to_json()), partition=0)
            producer.flush(timeout=self._kafka.timeout_s)
            record.get(timeout=self._kafka.timeout_s)
            producer.commit_transaction()
        self._ahead = _Ranges()
        self._published = epoch.stream_id, epoch.number
        return epoch

    def _opened(self) -> KafkaProducer:
        if self._producer is None:
            raise Unavailable("the epoch log is not open", where=self._kafka.bootstrap)
        return self._producer

    def _ensure_topics(self, changes: Sequence[Changes]) -> None:
        missing = {self._topics.of(one.table) for one in changes} - self._ready
        if missing:
            kafka_clients.ensure_topics(self._kafka, (), sorted(missing))
            self._ready |= missing

    def _send_definitions(self, producer: KafkaProducer, draft: EpochDraft) -> None:
        for version, table in (draft.definitions or {}).items():
            record = wire.encode_record({"version": version, "definition": table.to_json()})
            producer.send(self._topics.schemas, record, partition=0)

    def _send_changes(self, producer: KafkaProducer, number: int, parts: Sequence[Changes]) -> _Ranges:
        sent: dict[tuple[str, int], list[tuple[object, int]]] = {}
        for changes in parts:
            topic = self._topics.of(changes.table)
            for partition, part in routed(changes, self._kafka.partitions):
                for one in messages_of(part, number):
                    future = producer.send(topic, one.octets, partition=partition, headers=list(one.headers))
                    sent.setdefault((changes.table.table, partition), []).append((future, one.rows))
        producer.flush(timeout=self._kafka.timeout_s)
        ranges: dict[str, dict[int, OffsetRange]] = {}
        for (table, partition), messages in sent.items():
            offsets = [future.get(timeout=self._kafka.timeout_s).offset for future, _ in messages]  # type: ignore[attr-defined]
            rows = sum(number for _, number in messages)
            found = OffsetRange(min(offsets), max(offsets) + 1, len(offsets), rows)
            ranges.setdefault(table, {})[partition] = found
        return _Ranges(ranges)

    def close(self) -> None:
        """Lets go of the producer; an open transaction is aborted by the next one that opens."""
        if self._producer is not None:
            kafka_clients.abandon(self._producer)
            self._producer = None


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Table to Kafka partition to the offsets that one epoch has there."""

    by_table: Mapping[str, Mapping[int, OffsetRange]] = field(default_factory=dict)

    def followed_by(self, more: _Ranges) -> _Ranges:
        """These and later ones; nobody else writes in between, so all that lies there belongs to the epoch."""
        merged = {table: dict(parts) for table, parts in self.by_table.items()}
        for table, parts in more.by_table.items():
            known = merged.setdefault(table, {})
            for partition, part in parts.items():
                known[partition] = known[partition].followed_by(part) if partition in known else part
        return _Ranges(merged)


def _epoch(draft: EpochDraft, ranges: Mapping[str, Mapping[int, OffsetRange]]) -> Epoch:
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
    )
