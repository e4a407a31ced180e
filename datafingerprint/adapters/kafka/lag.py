"""Counts unread messages per consumer group, from the offsets that it committed to Kafka."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec

from datafingerprint import wire
from datafingerprint.adapters.kafka.clients import connecting, translated
from datafingerprint.config import Kafka
from datafingerprint.consumer_groups import FINGERPRINTER_GROUP, SHOWN_GROUPS, consumer_group
from datafingerprint.errors import Unavailable

FRESH_S = 1.0
"""How long an answer is reused: dashboards and scrapers cost the broker one request a second at most."""

SHARE = 0.01
"""Share of the time that requests may take. With thousands of topics an answer is reused for longer."""

PATIENCE_S = 10.0
"""Age up to which an answer is reused while a thread requests the next one. Later, callers wait for it."""

_TOPICS_S = 10.0
"""How long the list of topics is reused."""

_TIMEOUT_S = 2.0
_PAUSE = 3
"""A failure is reused for this many times the duration of its attempt, because callers wait for each attempt."""

Lag = Mapping[str, Mapping[str, int]]
"""Unread messages by group and topic. Transaction markers count too: Kafka knows only offsets."""


class KafkaLagReader:
    """Reads the lag of each group in the topics that it reads. Several threads may use it.

    A group commits past the transaction marker, so its lag is 0 when it has read everything. Callers wait for the
    broker only if there is no answer of the last seconds.
    """

    def __init__(self, kafka: Kafka, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka = kafka
        self._clock = clock
        self._topics = wire.Topics(kafka.prefix)
        self._lock = threading.Lock()
        self._admin: KafkaAdminClient | None = None
        self._answer: Lag | Unavailable | None = None
        self._valid_until = 0.0
        self._answered_at = 0.0
        self._known: list[TopicPartition] = []
        self._listed_at = float("-inf")
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def messages(self) -> Lag:
        """Unread messages of each group by topic, at most ten seconds old.

        Raises:
            Unavailable: the broker is away.
        """
        now = self._clock()
        is_usable = isinstance(self._answer, Mapping) and now < self._answered_at + PATIENCE_S
        if self._answer is None or (now >= self._valid_until and not is_usable):
            with self._lock:
                if self._clock() >= self._valid_until:
                    self._refresh()
        elif now >= self._valid_until:
            self._start_refresh()
        answer = self._answer
        if isinstance(answer, Unavailable):
            raise Unavailable(answer.what, where=answer.where)
        return answer or {}

    def _start_refresh(self) -> None:
        """Requests the next answer in a thread, unless one is running."""
        if self._lock.acquire(blocking=False):
            try:
                if self._is_closed or (self._thread is not None and self._thread.is_alive()):
                    return
                self._thread = threading.Thread(target=self._refresh_once, name="lag", daemon=True)
                self._thread.start()
            finally:
                self._lock.release()

    def _refresh_once(self) -> None:
        with self._lock:
            if not self._is_closed and self._clock() >= self._valid_until:
                self._refresh()

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._is_closed = True
            self._disconnect()

    def _refresh(self) -> None:
        started_at = self._clock()
        try:
            with translated(self._kafka):
                self._answer = self._read(self._open_admin())
            self._answered_at = now = self._clock()
            self._valid_until = now + max(FRESH_S, min(PATIENCE_S / 2, (now - started_at) / SHARE))
        except Unavailable as error:
            self._disconnect()
            self._answer, self._listed_at = error, float("-inf")
            now = self._clock()
            self._valid_until = now + max(FRESH_S, _PAUSE * (now - started_at))

    def _read(self, admin: KafkaAdminClient) -> Lag:
        partitions = self._partitions(admin)
        ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        groups = {name: consumer_group(self._kafka.prefix, role) for name, role in SHOWN_GROUPS.items()}
        committed = admin.list_group_offsets(list(groups.values()))
        offsets = {name: committed.get(group, {}) for name, group in groups.items()}
        # The first offset of a partition matters only to a group that has not read all of it.
        unread = [
            where for where in partitions if any(_is_behind(of, where, ends[where].offset) for of in offsets.values())
        ]
        begins = admin.list_partition_offsets(dict.fromkeys(unread, OffsetSpec.EARLIEST)) if unread else {}
        return {
            name: _lag_by_topic(
                (where, ends[where].offset, begins[where].offset if where in begins else 0, _offset(of.get(where)))
                for where in partitions
                if _is_read_by(name, where.topic, self._topics)
            )
            for name, of in offsets.items()
        }

    def _partitions(self, admin: KafkaAdminClient) -> list[TopicPartition]:
        if self._clock() - self._listed_at >= _TOPICS_S or not self._known:
            self._known = self._list(admin)
            self._listed_at = self._clock()
        return self._known

    def _list(self, admin: KafkaAdminClient) -> list[TopicPartition]:
        ours = sorted(name for name in admin.list_topics() if name.startswith(f"{self._kafka.prefix}."))
        if not ours:
            return []
        return [
            TopicPartition(topic["name"], part["partition_index"])
            for topic in admin.describe_topics(ours)
            for part in topic["partitions"]
        ]

    def _open_admin(self) -> KafkaAdminClient:
        if self._admin is None:
            with connecting(self._kafka) as settings:
                self._admin = KafkaAdminClient(
                    **settings,
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
    """Whether a group commits offsets in a topic. None does for schemas, requests and services."""
    if topic == topics.lake_commits:
        return group == FINGERPRINTER_GROUP
    return topic not in (topics.schemas, topics.requests, topics.services)


def _is_behind(offsets: Mapping[TopicPartition, object], where: TopicPartition, end: int) -> bool:
    offset = _offset(offsets.get(where))
    return offset is None or offset < end


def _offset(committed: object) -> int | None:
    offset = getattr(committed, "offset", None)
    return offset if isinstance(offset, int) and offset >= 0 else None


def _lag_by_topic(offsets: Iterable[tuple[TopicPartition, int, int, int | None]]) -> dict[str, int]:
    """Sums the unread messages by topic. A group that never committed has read none."""
    lag: dict[str, int] = {}
    for where, end, begin, committed in offsets:
        unread = end - max(begin, begin if committed is None else committed)
        lag[where.topic] = lag.get(where.topic, 0) + max(0, unread)
    return lag
