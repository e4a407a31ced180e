"""The requests topic for the REST service: published, and read back by offset."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from kafka import KafkaConsumer, TopicPartition

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.adapters.kafka.requests import ask
from datafingerprint.config import Kafka
from datafingerprint.resync import PendingRequest, ResyncRequest

_POLL_MS = 500
REMEMBERED_S = 60.0
"""A broker that lost the topic gives the same offsets again: nothing is remembered for ever."""
REMEMBERED_MAX = 1000


class KafkaRequestLog:
    """Implements the port `ResyncRequests`.

    Each look at the topic opens a connection, and what it has read is remembered for a minute. So a thousand resyncs
    that are followed at once cost a look or two a minute.

    Args:
        kafka: Where the broker is.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(self, kafka: Kafka, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka = kafka
        self._clock = clock
        self._topic = wire.Topics(kafka.prefix).requests
        self._partition = TopicPartition(self._topic, 0)
        self._lock = threading.Lock()
        self._remembered: dict[int, tuple[ResyncRequest | None, float]] = {}

    def ask(self, request: ResyncRequest) -> int:
        """See `ResyncRequests.ask`."""
        return ask(self._kafka, request)

    def request(self, offset: int) -> ResyncRequest | None:
        """See `ResyncRequests.request`."""
        with self._lock:  # callers that miss at once wait for one look
            now = self._clock()
            self._remembered = {at: seen for at, seen in self._remembered.items() if now - seen[1] <= REMEMBERED_S}
            if offset not in self._remembered:
                entries = self._read(offset, offset + REMEMBERED_MAX)
                self._remembered |= {entry.offset: (entry.request, now) for entry in entries}
            return self._remembered.get(offset, (None, now))[0]

    def last(self, limit: int) -> Sequence[PendingRequest]:
        """See `ResyncRequests.last`."""
        return [pending for pending in reversed(self._read(-limit, None)) if pending.request is not None]

    def _read(self, start: int, end: int | None) -> list[PendingRequest]:
        """Reads requests between two offsets. A negative start counts from the topic's end."""
        with self._reader() as reader:
            first = reader.beginning_offsets([self._partition])[self._partition]
            last = reader.end_offsets([self._partition])[self._partition]
            start = max(first, last + start if start < 0 else start)
            end = last if end is None else min(end, last)
            return list(_between(reader, self._partition, start, end))

    @contextlib.contextmanager
    def _reader(self) -> Iterator[KafkaConsumer]:
        kafka_clients.ensure_topics(self._kafka, (self._topic,), ())
        with (
            kafka_clients.translated(self._kafka),
            contextlib.closing(kafka_clients.consumer(self._kafka, None)) as reader,
        ):
            reader.assign([self._partition])
            yield reader


def _between(reader: KafkaConsumer, partition: TopicPartition, start: int, end: int) -> Iterator[PendingRequest]:
    if start >= end:
        return
    reader.seek(partition, start)
    while reader.position(partition) < end:
        for record in reader.poll(timeout_ms=_POLL_MS).get(partition, []):
            if record.offset < end:
                yield PendingRequest(record.offset, _decoded(record.value))


def _decoded(document: bytes) -> ResyncRequest | None:
    try:
        return ResyncRequest.from_json(json.loads(document))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
