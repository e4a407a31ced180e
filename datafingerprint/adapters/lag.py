"""How many messages each consumer group has not read yet, from the offsets that it committed to Kafka."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec

from datafingerprint import wire
from datafingerprint.adapters.kafka_clients import connecting, translated
from datafingerprint.config import Kafka
from datafingerprint.errors import Unavailable

LAKE_WRITER = "dfp-lake-writer"
FINGERPRINTER = "dfp-fingerprinter"

FRESH_S = 1.0
"""How long an answer of the broker is given again; dashboards and scrapers then cost it one request a second."""

_TIMEOUT_S = 2.0
_PAUSE = 3
"""A failure is given again for this many times as long as the attempt took: its callers waited for it."""

Lag = Mapping[str, Mapping[str, int]]
"""Group to topic to messages (transaction markers are counted: Kafka knows offsets only)."""


class KafkaLagReader:
    """Reads the lag of the groups over the topics that they read; may be used by several threads.

    A group commits past the transaction marker, so it is 0 when the group has read everything.
    """

    def __init__(self, kafka: Kafka, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka = kafka
        self._clock = clock
        self._topics = wire.Topics(kafka.prefix)
        self._lock = threading.Lock()
        self._admin: KafkaAdminClient | None = None
        self._answer: Lag | Unavailable | None = None
        self._good_until = 0.0

    def messages(self) -> Lag:
        """Messages that each group has not read yet, by topic; at most a second old.

        Raises:
            Unavailable: the broker is away.
        """
        with self._lock:
            if self._answer is None or self._clock() >= self._good_until:
                self._refresh()
            if isinstance(self._answer, Unavailable):
                raise Unavailable(self._answer.what, where=self._answer.where)
            return self._answer or {}

    def close(self) -> None:
        """Lets go of the connection."""
        with self._lock:
            self._disconnect()

    def _refresh(self) -> None:
        began = self._clock()
        try:
            with translated(self._kafka):
                self._answer = self._read(self._connected())
            self._good_until = self._clock() + FRESH_S
        except Unavailable as error:
            self._disconnect()
            self._answer = error
            now = self._clock()
            self._good_until = now + max(FRESH_S, _PAUSE * (now - began))

    def _read(self, admin: KafkaAdminClient) -> Lag:
        partitions = self._partitions(admin)
        ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        begins = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
        committed = admin.list_group_offsets([LAKE_WRITER, FINGERPRINTER])
        return {
            group: _lag_by_topic(
                (where, ends[where].offset, begins[where].offset, _offset(committed.get(group, {}).get(where)))
                for where in partitions
                if _is_read_by(group, where.topic, self._topics)
            )
            for group in (LAKE_WRITER, FINGERPRINTER)
        }

    def _partitions(self, admin: KafkaAdminClient) -> list[TopicPartition]:
        ours = sorted(name for name in admin.list_topics() if name.startswith(f"{self._kafka.prefix}."))
        if not ours:
            return []
        return [
            TopicPartition(topic["name"], part["partition_index"])
            for topic in admin.describe_topics(ours)
            for part in topic["partitions"]
        ]

    def _connected(self) -> KafkaAdminClient:
        if self._admin is None:
            with connecting(self._kafka) as given:
                self._admin = KafkaAdminClient(
                    **given,
                    bootstrap_timeout_ms=int(_TIMEOUT_S * 1000),
                    request_timeout_ms=int(min(_TIMEOUT_S, self._kafka.timeout_s) * 1000),
                )
        return self._admin

    def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(Unavailable), translated(self._kafka):
                admin.close()


def _is_read_by(group: str, topic: str, topics: wire.Topics) -> bool:
    """Whether a group commits its offsets in a topic; nobody does in that of the definitions."""
    if topic == topics.lake_commits:
        return group == FINGERPRINTER
    return topic != topics.schemas


def _offset(committed: object) -> int | None:
    offset = getattr(committed, "offset", None)
    return offset if isinstance(offset, int) and offset >= 0 else None


def _lag_by_topic(offsets: Iterable[tuple[TopicPartition, int, int, int | None]]) -> dict[str, int]:
    """Adds up what is left to read; a group that never committed has everything before it."""
    lag: dict[str, int] = {}
    for where, end, begin, committed in offsets:
        left = end - max(begin, begin if committed is None else committed)
        lag[where.topic] = lag.get(where.topic, 0) + max(0, left)
    return lag
