"""Kafka clients as this project uses them, and the translation of their errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import (
    CorruptRecordError,
    InvalidProducerEpochError,
    InvalidReceiveError,
    KafkaConfigurationError,
    KafkaError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    ProducerFencedError,
    TopicAlreadyExistsError,
)

from datafingerprint.adapters.kafka_refusals import noticing, refusal, said_by
from datafingerprint.config import Kafka
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable, WireError
from datafingerprint.remedies import BEGIN_ANEW

CONTROL_TOPIC = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
"""Settings of topics that must never lose a record."""

TRANSACTION_MS = 60_000
"""How long the broker lets a transaction stay open before it aborts it."""

_TAIL_RECORDS = 50
"""How far before a topic's end its last record is looked for first; markers take offsets too."""

_BOOTSTRAP_S = 5.0
"""How long one attempt to reach any broker takes at most: a service that is told to end meanwhile does so after it."""

_CLOSE_S = 5.0
"""How long the end of a producer's thread is waited for; it has nothing left to do."""


@contextlib.contextmanager
def translated(kafka: Kafka) -> Iterator[None]:
    """Runs client calls; what they raise comes out as `Unavailable`, `WireError` or `ConfigError`."""
    try:
        yield
    except KafkaError as error:
        raise (refusal(error, kafka.bootstrap) or _translation(error, kafka)) from error
    except (OSError, AssertionError, ValueError) as error:
        # The client asserts and complains of values where a broker's answer is none that it knows.
        raise Unavailable(f"the broker is away: {error}", where=kafka.bootstrap) from error


def _translation(error: KafkaError, kafka: Kafka) -> DataFingerprintError:
    where, text = kafka.bootstrap, said_by(error)
    if isinstance(error, ProducerFencedError | InvalidProducerEpochError):
        return WireError("another process has taken over", where=where, remedy="run one of them per [kafka] prefix")
    if isinstance(error, NoOffsetForPartitionError | OffsetOutOfRangeError):
        return WireError(
            f"the broker no longer has what is to be read next ({text})",
            where=where,
            remedy=f"retention removed it: {BEGIN_ANEW}",
        )
    if isinstance(error, CorruptRecordError):
        return WireError(f"the broker holds a damaged record ({text})", where=where, remedy="restore the topic")
    if isinstance(error, KafkaConfigurationError):
        return ConfigError(f"the broker refuses us ({text})", where=where, remedy="check [kafka]")
    if isinstance(error, MessageSizeTooLargeError):
        return WireError(f"the broker refuses a message ({text})", where=where, remedy="allow messages of 1 MiB")
    return Unavailable(f"the broker is away ({text})", where=where)


@contextlib.contextmanager
def connecting(kafka: Kafka) -> Iterator[dict[str, Any]]:
    """Like `translated`, for the making of a client, with what it needs to reach the brokers and to be let in.

    Tells why a broker did not let it in, and ends the thread that a constructor which fails leaves behind.

    Raises:
        ConfigError: the settings do not fit, or a broker says that they do not.
        Unavailable: no broker answers.
    """
    network = _Network()
    with noticing() as noticed:
        try:
            with translated(kafka):
                yield {**connection(kafka), "kafka_client": network}
        except BaseException as error:
            network.close()
            if not isinstance(error, Unavailable):
                raise
            if noticed.error is None:
                raise
            refused = refusal(noticed.error, kafka.bootstrap)
            text = said_by(noticed.error)
            # A broker that cannot read what it is sent, or does not like a login, may just hang up. One that is spoken
            # to without TLS where it expects it may have answered in TLS before, which has no length of a message.
            is_strange = isinstance(noticed.error, InvalidReceiveError) or "disconnected" in text or "EOF" in text
            remedy = "check [kafka] security, user, password" if is_strange else ""
            raise refused or Unavailable(
                f"the broker is away ({text})", where=kafka.bootstrap, remedy=remedy
            ) from error


class _Network:
    """Makes the inner part of a client, which has the connections and their thread, and remembers it."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def __call__(self, **settings: Any) -> Any:  # noqa: ANN401 - the library's own
        made = KafkaAdminClient.DEFAULT_CONFIG["kafka_client"](**settings)
        self._made.append(made)
        return made

    def close(self) -> None:
        for one in self._made:
            with contextlib.suppress(KafkaError, OSError):
                one.close()
            one._manager._net.stop()  # noqa: SLF001 - the client that would do it was never made


def connection(kafka: Kafka) -> dict[str, Any]:
    """The settings of a client by which it reaches the brokers and is let in.

    Raises:
        ConfigError: a login without a user, or a file that is not there.
    """
    given: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "security_protocol": kafka.security.upper(),
    }
    if kafka.security.startswith("sasl"):
        if not kafka.user:
            raise ConfigError(f"setting kafka.security is {kafka.security}", remedy="set kafka.user and kafka.password")
        given |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.user,
            "sasl_plain_password": kafka.password.get_secret_value(),
        }
    if kafka.security.endswith("ssl"):
        files = {"ssl_cafile": kafka.ca_file, "ssl_certfile": kafka.cert_file, "ssl_keyfile": kafka.key_file}
        given |= {name: _present(path) for name, path in files.items() if path}
    return given


def _present(path: str) -> str:
    if not Path(path).is_file():
        raise ConfigError(f"there is no file {path}", remedy="check [kafka] ca_file, cert_file, key_file")
    return path


def consumer(kafka: Kafka, group: str | None) -> KafkaConsumer:
    """A consumer that sees committed transactions only and never jumps over what is missing."""
    with connecting(kafka) as given:
        return KafkaConsumer(
            **given,
            group_id=group,
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_bytes=8 * 1024 * 1024,
            max_poll_records=64,
            metrics_enabled=False,
            request_timeout_ms=int(kafka.timeout_s * 1000),
            bootstrap_timeout_ms=_bootstrap_ms(kafka),
        )


def take_up_resumed(made: KafkaConsumer) -> None:
    """To be called before each poll of a consumer whose partitions are paused and resumed.

    The library lays records that it has fetched of a paused partition aside, and takes them up again only when it has
    no other ones in hand; an emptied rest in its hand counts as some (kafka-python 3.0). Then nothing is ever fetched
    of the resumed partition, and its reader waits for ever.
    """
    fetcher = made._fetcher  # noqa: SLF001 - the library has no name for it
    if not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001


def producer(kafka: Kafka, transactional_id: str) -> KafkaProducer:
    """A transactional producer; from here on every other one with this id is fenced off."""
    with connecting(kafka) as given:
        made = KafkaProducer(
            **given,
            transactional_id=transactional_id,
            linger_ms=0,
            # What follows a commit at once is refused until the broker has marked it in every partition. The library
            # sleeps for this long then, 100 ms by default.
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
            made.init_transactions()
        except BaseException:
            abandon(made)
            raise
        return made


def plain_producer(kafka: Kafka) -> KafkaProducer:
    """A producer of single records, each acknowledged by all replicas."""
    with connecting(kafka) as given:
        return KafkaProducer(
            **given,
            acks="all",
            metrics_enabled=False,
            allow_auto_create_topics=False,
            delivery_timeout_ms=int(kafka.timeout_s * 2000),
            request_timeout_ms=int(kafka.timeout_s * 1000),
            max_block_ms=int(kafka.timeout_s * 1000),
            bootstrap_timeout_ms=_bootstrap_ms(kafka),
        )


def abandon(made: KafkaProducer) -> None:
    """Lets go of a producer with all that it has not sent; an open transaction is aborted by whoever opens next.

    Its own `close` waits for what is on the way, and raises, leaving its thread behind, when that does not arrive.
    """
    made._sender.force_close()  # noqa: SLF001 - the library has no name for it
    with contextlib.suppress(KafkaError):
        made.close(timeout=_CLOSE_S)


def ensure_topics(kafka: Kafka, control: Sequence[str], data: Sequence[str]) -> None:
    """Creates the topics that are missing; control topics never expire.

    They are compressed, by the broker: every epoch's record names all tables, and repeats most of the one before it.
    """
    with translated(kafka), contextlib.closing(admin(kafka)) as client:
        present = set(client.list_topics())
        forever = {**CONTROL_TOPIC, "compression.type": "gzip"}
        wanted = [
            NewTopic(name, num_partitions=1, replication_factor=kafka.replication_factor, topic_configs=forever)
            for name in control
            if name not in present
        ] + [
            NewTopic(name, num_partitions=kafka.partitions, replication_factor=kafka.replication_factor)
            for name in data
            if name not in present
        ]
        if wanted:
            with contextlib.suppress(TopicAlreadyExistsError):
                client.create_topics(wanted)


def admin(kafka: Kafka) -> KafkaAdminClient:
    """A client for topics and settings; the caller closes it."""
    with connecting(kafka) as given:
        return KafkaAdminClient(
            **given,
            request_timeout_ms=int(kafka.timeout_s * 1000),
            bootstrap_timeout_ms=_bootstrap_ms(kafka),
        )


def _bootstrap_ms(kafka: Kafka) -> int:
    return int(min(_BOOTSTRAP_S, kafka.timeout_s) * 1000)


def last_record(kafka: Kafka, topic: str) -> tuple[int, bytes] | None:
    """Offset and value of the last committed record of a topic with one partition; None when it is empty."""
    partition = TopicPartition(topic, 0)
    with translated(kafka), contextlib.closing(consumer(kafka, None)) as reader:
        reader.assign([partition])
        begin = reader.beginning_offsets([partition])[partition]
        end = reader.end_offsets([partition])[partition]
        start = end
        while start > begin:
            start = max(begin, start - _TAIL_RECORDS)
            found = _last_between(reader, partition, start, end)
            if found is not None:
                return found
        return None


def _last_between(reader: KafkaConsumer, partition: TopicPartition, start: int, end: int) -> tuple[int, bytes] | None:
    reader.seek(partition, start)
    found: tuple[int, bytes] | None = None
    while reader.position(partition) < end:
        for record in reader.poll(timeout_ms=500).get(partition, []):
            found = (record.offset, record.value)
    return found
