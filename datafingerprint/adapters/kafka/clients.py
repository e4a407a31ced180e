"""Kafka clients as this project uses them, and the translation of their errors."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import (
    CorruptRecordError,
    InvalidProducerEpochError,
    InvalidReceiveError,
    InvalidTopicError,
    KafkaConfigurationError,
    KafkaError,
    MessageSizeTooLargeError,
    NoError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    PolicyViolationError,
    ProducerFencedError,
    TopicAlreadyExistsError,
    for_code,
)

from datafingerprint.adapters.kafka.logins import login
from datafingerprint.adapters.kafka.refusals import capturing_connection_errors, refusal, said_by
from datafingerprint.config import Kafka
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable, WireError
from datafingerprint.recovery import START_OVER

CONTROL_TOPIC = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
"""Settings of topics that must never lose a record."""

TOPICS_AT_ONCE = 100
"""Topics of one request to create some. The controller writes all of them before it answers."""

TRANSACTION_MS = 60_000
"""How long the broker lets a transaction stay open before it aborts it."""

_TAIL_RECORDS = 50
"""Offsets before a topic's end at which the search for its last record starts. Markers take offsets too."""

_BOOTSTRAP_S = 5.0
"""Longest attempt to reach any broker. A service that gets a stop signal meanwhile ends after the attempt."""

WAIT_MS = 250
"""How long a fetch waits at the broker. A partition that is added waits for the end of the present fetch."""

LONG_WAIT_MS = 1000
"""The same for readers of one topic, whose partitions never change."""

RECONNECT_MS = 1000
"""Longest pause of a client before it tries again to reach a broker."""

LONGER_MESSAGES = "set message.max.bytes of the broker and max.message.bytes of its topics to 1048588 or more"
"""1048588 is the default of both."""

CLOSE_S = 5.0
"""Longest wait for the end of a producer's thread, which has nothing left to do."""


@contextlib.contextmanager
def translated(kafka: Kafka) -> Iterator[None]:
    """Translate client errors in the block into `Unavailable`, `WireError` or `ConfigError`."""
    try:
        yield
    except KafkaError as error:
        raise (refusal(error, kafka.bootstrap) or _translation(error, kafka)) from error
    except (OSError, AssertionError, ValueError) as error:
        # The client raises these when it does not understand a broker's answer.
        raise Unavailable(f"the broker is away: {error}", where=kafka.bootstrap) from error


def _translation(error: KafkaError, kafka: Kafka) -> DataFingerprintError:
    where, text = kafka.bootstrap, said_by(error)
    if isinstance(error, ProducerFencedError | InvalidProducerEpochError):
        return WireError("another process has taken over", where=where, remedy="run one of them per [kafka] prefix")
    if isinstance(error, NoOffsetForPartitionError | OffsetOutOfRangeError):
        return WireError(
            f"the broker no longer has the next offset to read ({text})",
            where=where,
            remedy=f"retention removed it: {START_OVER}",
        )
    if isinstance(error, CorruptRecordError):
        return WireError(f"the broker holds a damaged record ({text})", where=where, remedy=START_OVER)
    if isinstance(error, KafkaConfigurationError):
        return ConfigError(f"the broker refuses us ({text})", where=where, remedy="check [kafka]")
    if isinstance(error, MessageSizeTooLargeError):
        return WireError(f"the broker refuses a message ({text})", where=where, remedy=LONGER_MESSAGES)
    return Unavailable(f"the broker is away ({text})", where=where)


@contextlib.contextmanager
def connecting(kafka: Kafka) -> Iterator[dict[str, Any]]:
    """Translate the errors of a client's constructor. Yields the client's connection settings.

    An error says why a broker refused the client. The thread of a client that could not be constructed is ended.

    Raises:
        ConfigError: a setting is invalid, or a broker refuses the login.
        Unavailable: no broker answers.
    """
    network = _Network()
    with capturing_connection_errors() as capture:
        try:
            with translated(kafka):
                yield {**connection(kafka), "kafka_client": network}
        except BaseException as error:
            network.close()
            if not isinstance(error, Unavailable):
                raise
            if capture.error is None:
                raise
            refused = refusal(capture.error, kafka.bootstrap)
            text = said_by(capture.error)
            # A broker that cannot read a request, or refuses a login, may just disconnect. A broker that expects TLS
            # may answer plain text with a TLS record, which the client reads as an invalid message length.
            is_misconfigured = isinstance(capture.error, InvalidReceiveError) or "disconnected" in text or "EOF" in text
            remedy = "check [kafka] security, user, password" if is_misconfigured else ""
            raise refused or Unavailable(
                f"the broker is away ({text})", where=kafka.bootstrap, remedy=remedy
            ) from error


class _Network:
    """Creates the network layer of a client, and closes it if the constructor fails."""

    def __init__(self) -> None:
        self._networks: list[Any] = []

    def __call__(self, **settings: Any) -> Any:  # noqa: ANN401 - the library's own
        network = KafkaAdminClient.DEFAULT_CONFIG["kafka_client"](**settings)
        self._networks.append(network)
        return network

    def close(self) -> None:
        for network in self._networks:
            with contextlib.suppress(KafkaError, OSError):
                network.close()
            network._manager._net.stop()  # noqa: SLF001 - the client that would do it was never constructed


def connection(kafka: Kafka) -> dict[str, Any]:
    """The settings with which a client connects and logs in.

    Raises:
        ConfigError: a login has no user, or a certificate file does not exist.
    """
    settings: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "security_protocol": kafka.security.upper(),
        # The library's default is up to 30 s before it tries a broker again.
        "reconnect_backoff_max_ms": RECONNECT_MS,
    }
    if kafka.security.startswith("sasl"):
        settings |= login(kafka)
    if kafka.security.endswith("ssl"):
        files = {"ssl_cafile": kafka.ca_file, "ssl_certfile": kafka.cert_file, "ssl_keyfile": kafka.key_file}
        settings |= {name: _existing_file(path) for name, path in files.items() if path}
    return settings


def _existing_file(path: str) -> str:
    if not Path(path).is_file():
        raise ConfigError(f"there is no file {path}", remedy="check [kafka] ca_file, cert_file, key_file")
    return path


def consumer(kafka: Kafka, group: str | None, *, wait_ms: int = WAIT_MS) -> KafkaConsumer:
    """A consumer of committed transactions that raises an error where offsets are missing.

    Args:
        kafka: How to reach the broker.
        group: The consumer group whose offsets it commits; None commits none.
        wait_ms: How long the broker holds a fetch without new messages.
    """
    with connecting(kafka) as settings:
        return KafkaConsumer(
            **settings,
            group_id=group,
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            fetch_max_wait_ms=min(wait_ms, int(kafka.timeout_s * 500)),
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_bytes=8 * 1024 * 1024,
            max_poll_records=64,
            metrics_enabled=False,
            request_timeout_ms=int(kafka.timeout_s * 1000),
            bootstrap_timeout_ms=_bootstrap_ms(kafka),
        )


def drop_empty_fetch(client: KafkaConsumer) -> None:
    """Work around a fetcher that never returns to a resumed partition (kafka-python 3.0).

    Call this before each poll of a consumer that pauses and resumes partitions. The library sets fetched records of a
    paused partition aside, and returns to them only when no other fetch is current. It counts a current fetch without
    records as one. The resumed partition is then never fetched again, and its reader waits for ever.
    """
    fetcher = client._fetcher  # noqa: SLF001 - the library has no public name for it
    if not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001


def producer(kafka: Kafka, transactional_id: str) -> KafkaProducer:
    """A transactional producer. It fences off every other producer with this id."""
    with connecting(kafka) as settings:
        client = KafkaProducer(
            **settings,
            transactional_id=transactional_id,
            linger_ms=0,
            # The broker refuses the next transaction until the markers of the last one are in every partition. The
            # library then sleeps for this long; its default is 100 ms.
            retry_backoff_ms=20,
            metrics_enabled=False,
            allow_auto_create_topics=False,
            transaction_timeout_ms=TRANSACTION_MS,
            delivery_timeout_ms=int(kafka.timeout_s * 2000),
            request_timeout_ms=int(kafka.timeout_s * 1000),
            max_block_ms=int(kafka.timeout_s * 1000),
            bootstrap_timeout_ms=_bootstrap_ms(kafka),
        )
        try:
            client.init_transactions()
        except BaseException:
            abandon(client)
            raise
        return client


def plain_producer(kafka: Kafka) -> KafkaProducer:
    """A producer of single records, each acknowledged by all replicas."""
    with connecting(kafka) as settings:
        return KafkaProducer(
            **settings,
            acks="all",
            metrics_enabled=False,
            allow_auto_create_topics=False,
            delivery_timeout_ms=int(kafka.timeout_s * 2000),
            request_timeout_ms=int(kafka.timeout_s * 1000),
            max_block_ms=int(kafka.timeout_s * 1000),
            bootstrap_timeout_ms=_bootstrap_ms(kafka),
        )


def abandon(client: KafkaProducer) -> None:
    """Close a producer and drop its unsent messages.

    The next producer of its id aborts an open transaction.
    Its own `close` waits for messages in flight. If they are not acknowledged, it raises and leaves its thread running.
    """
    client._sender.force_close()  # noqa: SLF001 - the library has no public name for it
    with contextlib.suppress(KafkaError):
        client.close(timeout=CLOSE_S)


def ensure_topics(kafka: Kafka, control: Sequence[str], data: Sequence[str]) -> None:
    """Create missing topics. Control topics never expire.

    The broker compresses control topics: an epoch's record names all tables, and repeats most of the record before.
    """
    with translated(kafka), contextlib.closing(admin(kafka)) as client:
        present = set(client.list_topics())
        forever = {**CONTROL_TOPIC, "compression.type": "gzip"}
        wanted = [
            NewTopic(name, num_partitions=1, replication_factor=kafka.replication_factor, topic_configs=forever)
            for name in control
            if name not in present
        ] + [_data_topic(kafka, name) for name in data if name not in present]
        for error in create_topics(client, wanted).values():
            raise error


def refused_topics(kafka: Kafka, data: Sequence[str]) -> dict[str, str]:
    """Create missing topics of tables.

    Returns:
        The topics that the broker refuses, with its message.
    """
    with translated(kafka), contextlib.closing(admin(kafka)) as client:
        present = set(client.list_topics())
        failed = create_topics(client, [_data_topic(kafka, name) for name in data if name not in present])
        for error in failed.values():
            if not isinstance(error, InvalidTopicError | PolicyViolationError):
                raise error
    return {name: said_by(error) for name, error in failed.items()}


def _data_topic(kafka: Kafka, name: str) -> NewTopic:
    return NewTopic(name, num_partitions=kafka.partitions, replication_factor=kafka.replication_factor)


def create_topics(client: KafkaAdminClient, wanted: Sequence[NewTopic]) -> dict[str, KafkaError]:
    """Create topics, many in one request. A topic that exists already is no failure.

    Returns:
        The topics that were not created, with the broker's error.
    """
    failed: dict[str, KafkaError] = {}
    for start in range(0, len(wanted), TOPICS_AT_ONCE):
        answer = client.create_topics(list(wanted[start : start + TOPICS_AT_ONCE]), raise_errors=False)
        for topic in answer["topics"]:
            kind = for_code(topic["error_code"])
            if kind is not NoError and kind is not TopicAlreadyExistsError:
                failed[topic["name"]] = kind(topic.get("error_message") or "")
    return failed


def learn_topics(client: KafkaProducer, topics: Collection[str]) -> None:
    """Have a producer request the metadata of many topics at once.

    The library requests it at the first message to each topic, for all topics that it knows by then. With 800 topics in
    a transaction this took longer than the broker lets a transaction stay open.
    """
    missing = sorted(set(topics) - client._metadata.topics())  # noqa: SLF001 - the library has no public name for it
    for name in missing:
        client._sender.add_topic(name)  # noqa: SLF001 - as above
    for name in missing:
        client.partitions_for(name)


def admin(kafka: Kafka) -> KafkaAdminClient:
    """A client for topics and settings; the caller closes it."""
    with connecting(kafka) as settings:
        return KafkaAdminClient(
            **settings,
            request_timeout_ms=int(kafka.timeout_s * 1000),
            bootstrap_timeout_ms=_bootstrap_ms(kafka),
        )


def _bootstrap_ms(kafka: Kafka) -> int:
    return int(min(_BOOTSTRAP_S, kafka.timeout_s) * 1000)


def last_record(kafka: Kafka, topic: str) -> tuple[int, bytes] | None:
    """Offset and value of the last committed record in a topic of one partition.

    Returns:
        None when the topic is empty.
    """
    partition = TopicPartition(topic, 0)
    with translated(kafka), contextlib.closing(consumer(kafka, None)) as reader:
        reader.assign([partition])
        begin = reader.beginning_offsets([partition])[partition]
        end = reader.end_offsets([partition])[partition]
        start = end
        while start > begin:
            start = max(begin, start - _TAIL_RECORDS)
            record = _last_between(reader, partition, start, end)
            if record is not None:
                return record
        return None


def record_at(kafka: Kafka, topic: str, offset: int) -> bytes | None:
    """The value of the committed record at an offset of a topic of one partition.

    Returns:
        Empty when there is no record at this offset; None when the topic begins after it.
    """
    partition = TopicPartition(topic, 0)
    with translated(kafka), contextlib.closing(consumer(kafka, None)) as reader:
        reader.assign([partition])
        if offset < reader.beginning_offsets([partition])[partition]:
            return None
        if offset >= reader.end_offsets([partition])[partition]:
            return b""
        reader.seek(partition, offset)
        while reader.position(partition) <= offset:
            for record in reader.poll(timeout_ms=500).get(partition, []):
                return bytes(record.value) if record.offset == offset else b""
        return b""


def _last_between(reader: KafkaConsumer, partition: TopicPartition, start: int, end: int) -> tuple[int, bytes] | None:
    reader.seek(partition, start)
    last: tuple[int, bytes] | None = None
    while reader.position(partition) < end:
        for record in reader.poll(timeout_ms=500).get(partition, []):
            last = (record.offset, record.value)
    return last
