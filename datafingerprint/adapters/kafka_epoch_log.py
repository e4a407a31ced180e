"""Publishes epochs: each one Kafka transaction, its record last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafka import KafkaProducer

from datafingerprint import wire
from datafingerprint.adapters import kafka_clients
from datafingerprint.adapters.kafka_definitions import read_definitions
from datafingerprint.adapters.kafka_lake_commits import last_lake_commit
from datafingerprint.changes import Changes
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch, OffsetRange
from datafingerprint.errors import Unavailable
from datafingerprint.messages import messages_of
from datafingerprint.ports import EpochDraft
from datafingerprint.routing import routed
from datafingerprint.schema import TableSchema


class KafkaEpochLog:
    """Implements the port `EpochLog`."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topics = wire.Topics(kafka.prefix)
        self._producer: KafkaProducer | None = None
        self._ready: set[str] = set()

    def open(self) -> Epoch | None:
        """See `ports.EpochLog.open`."""
        self.close()
        self._ready.clear()
        kafka_clients.ensure_topics(self._kafka, self._topics.control, ())
        self._producer = kafka_clients.producer(self._kafka, f"{self._kafka.prefix}-cdc")
        found = kafka_clients.last_record(self._kafka, self._topics.epochs)
        last = None if found is None else wire.decode_epoch(found[1], f"{self._topics.epochs}:{found[0]}")
        if last is None:
            wire.require_begun(last, last_lake_commit(self._kafka))
        return last

    def definitions(self) -> Mapping[int, TableSchema]:
        """See `ports.EpochLog.definitions`."""
        return read_definitions(self._kafka, self._topics.schemas)

    def publish(self, draft: EpochDraft) -> Epoch:
        """Publishes an epoch.

        1. Topics that are missing are created (outside the transaction; an empty topic does no harm).
        2. The transaction begins; new definitions go to the schemas topic.
        3. The changes go to their tables' topics, and every one is acknowledged: now their offsets are known.
        4. The epoch's record, with those offsets, goes to the epochs topic.
        5. The transaction is committed. If the reply is lost, the caller opens anew and reads what became of it.
        """
        if self._producer is None:
            raise Unavailable("the epoch log is not open", where=self._kafka.bootstrap)
        self._ensure_topics(draft.changes)
        with kafka_clients.translated(self._kafka):
            self._producer.begin_transaction()
            self._send_definitions(self._producer, draft)
            ranges = self._send_changes(self._producer, draft)
            epoch = _epoch(draft, ranges)
            record = self._producer.send(self._topics.epochs, wire.encode_record(epoch.to_json()), partition=0)
            self._producer.flush(timeout=self._kafka.timeout_s)
            record.get(timeout=self._kafka.timeout_s)
            self._producer.commit_transaction()
        return epoch

    def _ensure_topics(self, changes: Sequence[Changes]) -> None:
        missing = {self._topics.of(one.table) for one in changes} - self._ready
        if missing:
            kafka_clients.ensure_topics(self._kafka, (), sorted(missing))
            self._ready |= missing

    def _send_definitions(self, producer: KafkaProducer, draft: EpochDraft) -> None:
        for version, table in (draft.definitions or {}).items():
            record = wire.encode_record({"version": version, "definition": table.to_json()})
            producer.send(self._topics.schemas, record, partition=0)

    def _send_changes(self, producer: KafkaProducer, draft: EpochDraft) -> dict[str, dict[int, OffsetRange]]:
        sent: dict[tuple[str, int], list[tuple[object, int]]] = {}
        for changes in draft.changes:
            topic = self._topics.of(changes.table)
            for partition, part in routed(changes, self._kafka.partitions):
                for one in messages_of(part, draft.number):
                    future = producer.send(topic, one.octets, partition=partition, headers=list(one.headers))
                    sent.setdefault((changes.table.table, partition), []).append((future, one.rows))
        producer.flush(timeout=self._kafka.timeout_s)
        ranges: dict[str, dict[int, OffsetRange]] = {}
        for (table, partition), messages in sent.items():
            offsets = [future.get(timeout=self._kafka.timeout_s).offset for future, _ in messages]  # type: ignore[attr-defined]
            rows = sum(number for _, number in messages)
            found = OffsetRange(min(offsets), max(offsets) + 1, len(offsets), rows)
            ranges.setdefault(table, {})[partition] = found
        return ranges

    def close(self) -> None:
        """Lets go of the producer; an open transaction is aborted by the next one that opens."""
        if self._producer is not None:
            kafka_clients.abandon(self._producer)
            self._producer = None


def _epoch(draft: EpochDraft, ranges: dict[str, dict[int, OffsetRange]]) -> Epoch:
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
