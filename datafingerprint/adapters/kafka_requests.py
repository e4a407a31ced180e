"""The requests topic: written by whoever asks something of capture, read by capture."""

from __future__ import annotations

import json

from kafka import KafkaConsumer, TopicPartition

from datafingerprint import wire
from datafingerprint.adapters import kafka_clients
from datafingerprint.config import Kafka
from datafingerprint.requests import Asked, Reread


class KafkaRequests:
    """Implements the port `Requests`."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topic = wire.Topics(kafka.prefix).requests
        self._partition = TopicPartition(self._topic, 0)
        self._consumer: KafkaConsumer | None = None
        self._offset = -1

    def waiting(self, offset: int) -> list[Asked]:
        """See `ports.Requests.waiting`."""
        reader = self._opened()
        found: list[Asked] = []
        with kafka_clients.translated(self._kafka):
            if offset != self._offset:
                reader.seek(self._partition, offset)
                self._offset = offset
            for record in reader.poll(timeout_ms=0).get(self._partition, []):
                found.append(Asked(record.offset, _decoded(record.value)))
                self._offset = record.offset + 1
        return found

    def _opened(self) -> KafkaConsumer:
        if self._consumer is None:
            kafka_clients.ensure_topics(self._kafka, (self._topic,), ())
            self._consumer = kafka_clients.consumer(self._kafka, None)
            self._consumer.assign([self._partition])
            self._offset = -1
        return self._consumer

    def close(self) -> None:
        """Lets go of the connection."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._consumer = None


def ask(kafka: Kafka, request: Reread) -> int:
    """Puts a request on the topic; the offset that it is known by.

    Raises:
        Unavailable: the broker is away; the request may have been put there all the same.
    """
    topic = wire.Topics(kafka.prefix).requests
    kafka_clients.ensure_topics(kafka, (topic,), ())
    producer = kafka_clients.plain_producer(kafka)
    try:
        with kafka_clients.translated(kafka):
            sent = producer.send(topic, wire.encode_record(request.to_json()), partition=0)
            return int(sent.get(timeout=kafka.timeout_s).offset)
    finally:
        kafka_clients.abandon(producer)


def _decoded(octets: bytes) -> Reread | None:
    try:
        return Reread.from_json(json.loads(octets))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
