"""Reads epoch records without their rows, for commands that wait for an epoch."""

from __future__ import annotations

import contextlib

from kafka import KafkaConsumer, TopicPartition

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch


class KafkaEpochRecords:
    """Follows the epochs topic from its present end."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topic = wire.Topics(kafka.prefix).epochs
        self._partition = TopicPartition(self._topic, 0)
        self._consumer: KafkaConsumer | None = None

    def last(self) -> Epoch | None:
        """The last epoch published. `following` continues after it.

        Raises:
            Unavailable: the broker is away.
            WireError: the record cannot be read.
        """
        self.close()
        kafka_clients.ensure_topics(self._kafka, (self._topic,), ())
        end = _last(self._kafka, self._topic)
        self._consumer = kafka_clients.consumer(self._kafka, None)
        with kafka_clients.translated(self._kafka):
            self._consumer.assign([self._partition])
            self._consumer.seek(self._partition, 0 if end is None else end[0])
        return None if end is None else end[1]

    def following(self, timeout_s: float) -> list[Epoch]:
        """The next epochs; an empty list when none arrives in time."""
        if self._consumer is None:
            return []
        with kafka_clients.translated(self._kafka):
            records = self._consumer.poll(timeout_ms=int(timeout_s * 1000)).get(self._partition, [])
        return [wire.decode_epoch(record.value, f"{self._topic}:{record.offset}") for record in records]

    def close(self) -> None:
        """Closes the connection."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._consumer = None


def end_of_stream(kafka: Kafka) -> tuple[int, Epoch] | None:
    """The last epoch, with the offset after its record. Creates no topic.

    Returns:
        None before the first epoch.

    Raises:
        Unavailable: the broker is away.
        WireError: the record cannot be read.
    """
    topic = wire.Topics(kafka.prefix).epochs
    with kafka_clients.translated(kafka), contextlib.closing(kafka_clients.admin(kafka)) as admin:
        present = topic in admin.list_topics()
    return _last(kafka, topic) if present else None


def _last(kafka: Kafka, topic: str) -> tuple[int, Epoch] | None:
    record = kafka_clients.last_record(kafka, topic)
    return None if record is None else (record[0] + 1, wire.decode_epoch(record[1], f"{topic}:{record[0]}"))
