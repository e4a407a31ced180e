"""The lake-commits topic: written by one lake writer, read by fingerprinters."""

from __future__ import annotations

from collections import deque
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.config import Kafka
from datafingerprint.errors import Unavailable
from datafingerprint.wire import LakeCommit


def last_lake_commit(kafka: Kafka) -> LakeCommit | None:
    """The last record of the lake writer; None before the first.

    Raises:
        WireError: the record cannot be read.
    """
    topic = wire.Topics(kafka.prefix).lake_commits
    last = kafka_clients.last_record(kafka, topic)
    return None if last is None else wire.decode_lake_commit(last[1], f"{topic}:{last[0]}")


class KafkaLakeCommitLog:
    """Implements the port `LakeCommitLog`."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topics = wire.Topics(kafka.prefix)
        self._producer: KafkaProducer | None = None

    def open(self) -> LakeCommit | None:
        """See `ports.LakeCommitLog.open`."""
        self.close()
        kafka_clients.ensure_topics(self._kafka, self._topics.control, ())
        self._producer = kafka_clients.producer(self._kafka, f"{self._kafka.prefix}-lake-writer")
        return last_lake_commit(self._kafka)

    def publish(self, commit: LakeCommit) -> None:
        """See `ports.LakeCommitLog.publish`."""
        if self._producer is None:
            raise Unavailable("the log of lake commits is not open", where=self._kafka.bootstrap)
        with kafka_clients.translated(self._kafka):
            self._producer.begin_transaction()
            record = self._producer.send(self._topics.lake_commits, wire.encode_record(commit.to_json()), partition=0)
            self._producer.flush(timeout=self._kafka.timeout_s)
            record.get(timeout=self._kafka.timeout_s)
            self._producer.commit_transaction()

    def close(self) -> None:
        """Closes the producer."""
        if self._producer is not None:
            kafka_clients.abandon(self._producer)
            self._producer = None


class KafkaLakeCommitReader:
    """Implements the port `LakeCommitReader`."""

    def __init__(self, kafka: Kafka, group: str) -> None:
        self._kafka = kafka
        self._group = group
        self._topics = wire.Topics(kafka.prefix)
        self._partition = TopicPartition(self._topics.lake_commits, 0)
        self._consumer: KafkaConsumer | None = None
        self._buffer: deque[Any] = deque()

    def seek(self, offset: int) -> None:
        """See `ports.LakeCommitReader.seek`. It always opens a new connection."""
        self.close()
        kafka_clients.ensure_topics(self._kafka, self._topics.control, ())
        self._buffer.clear()
        self._consumer = kafka_clients.consumer(self._kafka, self._group, wait_ms=kafka_clients.LONG_WAIT_MS)
        with kafka_clients.translated(self._kafka):
            self._consumer.assign([self._partition])
            self._consumer.seek(self._partition, offset)

    def read(self, timeout_s: float) -> tuple[LakeCommit, int] | None:
        """See `ports.LakeCommitReader.read`."""
        if self._consumer is None:
            raise Unavailable("the reader is not connected", where=self._kafka.bootstrap)
        if not self._buffer:
            with kafka_clients.translated(self._kafka):
                for records in self._consumer.poll(timeout_ms=int(timeout_s * 1000)).values():
                    self._buffer.extend(records)
        if not self._buffer:
            return None
        record = self._buffer.popleft()
        where = f"{self._topics.lake_commits}:{record.offset}"
        return wire.decode_lake_commit(record.value, where), record.offset + 1

    def acknowledge(self, offset: int) -> None:
        """See `ports.LakeCommitReader.acknowledge`; it commits past the transaction marker."""
        if self._consumer is not None:
            with kafka_clients.translated(self._kafka):
                self._consumer.commit_async({self._partition: OffsetAndMetadata(offset + 1, "", -1)})

    def close(self) -> None:
        """Closes the connection."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._consumer = None
