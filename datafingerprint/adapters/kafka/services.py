"""The services topic: every service publishes its state there, the REST service reads it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaTimeoutError, TopicAlreadyExistsError

from datafingerprint import liveness
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.config import Kafka
from datafingerprint.errors import DataFingerprintError, Unavailable
from datafingerprint.liveness import Roster, ServiceReport, Services

SERVICES_TOPIC = {
    # One record per service and machine is kept, and those of machines that are gone for a month expire.
    "cleanup.policy": "compact,delete",
    "retention.ms": str(30 * 86_400_000),
    # Kafka never compacts the open segment, so a segment must be closed within minutes.
    "segment.ms": str(600_000),
    "segment.bytes": str(1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
}
"""Settings with which the topic is created."""

ANSWER_S = 2.5
"""Timeout of a report. With the pause before it, a lost broker is noticed within 5 s."""

QUIET_S = 5.0
"""Seconds without a report of any service, after which the broker counts as away."""

_BOOTSTRAP_MS = 2000
_POLL_MS = 500
_PAUSE_S = 1.0

Clock = Callable[[], float]


class KafkaReportLog:
    """Implements the port `ReportLog`."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topic = liveness.topic(kafka.prefix)
        self._producer: KafkaProducer | None = None

    def publish(self, report: ServiceReport) -> None:
        """See `ReportLog.publish`."""
        try:
            with kafka_clients.translated(self._kafka):
                self._producer = self._producer or self._connect()
                self._send(self._producer, report).get(timeout=ANSWER_S)
        except DataFingerprintError:
            self.close()
            raise

    def _send(self, producer: KafkaProducer, report: ServiceReport) -> Any:  # noqa: ANN401 - the library's future
        key = f"{report.service}@{report.host}".encode()
        value = json.dumps(report.to_json()).encode()
        try:
            return producer.send(self._topic, value, key=key, partition=0)
        except KafkaTimeoutError:
            ensure_services_topic(self._kafka)
            return producer.send(self._topic, value, key=key, partition=0)

    def _connect(self) -> KafkaProducer:
        with kafka_clients.connecting(self._kafka) as settings:
            return KafkaProducer(
                **settings,
                # After a lost report the next one follows two seconds later.
                acks=1,
                enable_idempotence=False,
                linger_ms=0,
                metrics_enabled=False,
                allow_auto_create_topics=False,
                delivery_timeout_ms=int(ANSWER_S * 1000),
                request_timeout_ms=int(ANSWER_S * 1000) - 500,
                max_block_ms=int(ANSWER_S * 1000) - 500,
                bootstrap_timeout_ms=_BOOTSTRAP_MS,
            )

    def close(self) -> None:
        """See `ReportLog.close`."""
        if self._producer is not None:
            kafka_clients.abandon(self._producer)
            self._producer = None


def ensure_services_topic(kafka: Kafka) -> None:
    """Create the topic unless it exists.

    Raises:
        Unavailable: the broker is away.
    """
    topic = liveness.topic(kafka.prefix)
    with kafka_clients.translated(kafka), contextlib.closing(kafka_clients.admin(kafka)) as client:
        if topic not in client.list_topics():
            wanted = NewTopic(
                topic, num_partitions=1, replication_factor=kafka.replication_factor, topic_configs=SERVICES_TOPIC
            )
            with contextlib.suppress(TopicAlreadyExistsError):
                client.create_topics([wanted])


class KafkaServices:
    """Implements the API's port `ServicesReader`: follows the topic in a thread of its own.

    Args:
        kafka: The broker.
        clock: Unix time in seconds.
    """

    def __init__(self, kafka: Kafka, clock: Clock = time.time) -> None:
        self._kafka = kafka
        self._clock = clock
        self._partition = TopicPartition(liveness.topic(kafka.prefix), 0)
        self._lock = threading.Lock()
        self._roster = Roster()
        self._offset: int | None = None
        self._reason: str | None = None
        self._is_known = False
        self._since = 0.0
        self._heard_at = clock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="services", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def services(self) -> Services:
        """See `ServicesReader.services`."""
        now = self._clock()
        with self._lock:
            away = self._reason or self._silence(now)
            # While the broker is away, services keep the state that they had when it was last heard.
            at = now if away is None else min(now, self._heard_at)
            return Services(self._roster.services(at, self._since) if self._is_known else (), away)

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(kafka_clients.CLOSE_S)

    def _silence(self, now: float) -> str | None:
        silent_s = now - self._heard_at
        if silent_s <= QUIET_S:
            return None
        return f"the broker at {self._kafka.bootstrap} is away: no service has reported for {silent_s:.0f} s"

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow()
            except DataFingerprintError as error:
                with self._lock:
                    self._reason = str(error)
                    self._offset = self._offset if isinstance(error, Unavailable) else None
                self._ended.wait(_PAUSE_S)

    def _follow(self) -> None:
        """Reads until `close`, or until the broker is silent for too long."""
        ensure_services_topic(self._kafka)
        with kafka_clients.translated(self._kafka), contextlib.closing(_consumer(self._kafka)) as reader:
            reader.assign([self._partition])
            begin = reader.beginning_offsets([self._partition])[self._partition]
            end = reader.end_offsets([self._partition])[self._partition]
            reader.seek(self._partition, max(begin, min(end, begin if self._offset is None else self._offset)))
            is_caught_up = False
            while not self._ended.is_set():
                records = reader.poll(timeout_ms=_POLL_MS).get(self._partition, [])
                self._take(records, is_old=not is_caught_up)
                if not is_caught_up and reader.position(self._partition) >= end:
                    is_caught_up = True
                    self._note_caught_up()
                if self._clock() - self._heard_at > QUIET_S:
                    raise Unavailable("the broker is away: no service has reported", where=self._kafka.bootstrap)

    def _take(self, records: list[Any], *, is_old: bool) -> None:
        if not records:
            return
        now = self._clock()
        with self._lock:
            for record in records:
                report = decode_report(record.value)
                if report is not None:
                    self._roster.hear(report, min(now, report.reported_at) if is_old else now)
            self._offset = records[-1].offset + 1
            self._heard_at = now

    def _note_caught_up(self) -> None:
        now = self._clock()
        with self._lock:
            # First reading: a service with an old report is silent at once. After an outage, it gets time to report.
            self._since = now if self._is_known else 0.0
            self._is_known, self._heard_at, self._reason = True, now, None


def read_services(kafka: Kafka, clock: Clock = time.time) -> Services:
    """Read the last report of every service once, without the REST service. Changes nothing.

    Raises:
        Unavailable: the broker is away.
    """
    partition = TopicPartition(liveness.topic(kafka.prefix), 0)
    with kafka_clients.translated(kafka), contextlib.closing(kafka_clients.admin(kafka)) as client:
        if partition.topic not in client.list_topics():
            return Services()
    roster = Roster()
    with kafka_clients.translated(kafka), contextlib.closing(_consumer(kafka)) as reader:
        reader.assign([partition])
        reader.seek(partition, reader.beginning_offsets([partition])[partition])
        end = reader.end_offsets([partition])[partition]
        while reader.position(partition) < end:
            for record in reader.poll(timeout_ms=_POLL_MS).get(partition, []):
                report = decode_report(record.value)
                if report is not None:
                    roster.hear(report, min(clock(), report.reported_at))
    return Services(roster.services(clock()))


def decode_report(value: bytes | None) -> ServiceReport | None:
    """The report in a record; None when it has no known form."""
    try:
        return ServiceReport.from_json(json.loads(value or b""))
    except (ValueError, KeyError, TypeError):
        return None


def _consumer(kafka: Kafka) -> KafkaConsumer:
    with kafka_clients.connecting(kafka) as settings:
        return KafkaConsumer(
            **settings,
            auto_offset_reset="none",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            fetch_max_wait_ms=_POLL_MS,
            metrics_enabled=False,
            request_timeout_ms=int(min(10.0, kafka.timeout_s) * 1000),
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
        )
