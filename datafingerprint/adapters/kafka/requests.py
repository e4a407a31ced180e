"""The requests topic, on which commands and services send requests to capture."""

from __future__ import annotations

import json

from kafka import KafkaConsumer, TopicPartition

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.config import Kafka
from datafingerprint.resync import PendingRequest, ResyncRequest


class KafkaRequests:
    """Implements the port `Requests`."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topic = wire.Topics(kafka.prefix).requests
        self._partition = TopicPartition(self._topic, 0)
        self._consumer: KafkaConsumer | None = None
        self._offset = -1

    def waiting(self, offset: int) -> list[PendingRequest]:
        """See `ports.Requests.waiting`."""
        reader = self._connected()
        requests: list[PendingRequest] = []
        with kafka_clients.translated(self._kafka):
            if offset != self._offset:
                reader.seek(self._partition, offset)
                self._offset = offset
            for record in reader.poll(timeout_ms=0).get(self._partition, []):
                requests.append(PendingRequest(record.offset, _decoded(record.value)))
                self._offset = record.offset + 1
        return requests

    def _connected(self) -> KafkaConsumer:
        if self._consumer is None:
            kafka_clients.ensure_topics(self._kafka, (self._topic,), ())
            self._consumer = kafka_clients.consumer(self._kafka, None, wait_ms=kafka_clients.LONG_WAIT_MS)
            self._consumer.assign([self._partition])
            self._offset = -1
        return self._consumer

    def close(self) -> None:
        """Closes the connection."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._consumer = None


def ask(kafka: Kafka, request: ResyncRequest) -> int:
    """Publish a request.

    Returns:
        The offset that identifies the request.

    Raises:
        Unavailable: the broker is away. The request may have been published all the same.
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


def _decoded(payload: bytes) -> ResyncRequest | None:
    try:
        return ResyncRequest.from_json(json.loads(payload))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
