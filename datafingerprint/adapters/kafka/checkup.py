"""Checks the broker for `datafingerprint doctor`, and reads the end of the stream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.adapters.kafka.definitions import read_definitions
from datafingerprint.adapters.kafka.epoch_records import end_of_stream
from datafingerprint.adapters.kafka.lake_commits import last_lake_commit
from datafingerprint.checkup import CheckResult, Component
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit

PART = Component("broker")

MESSAGE_MARGIN_BYTES = 64 * 1024
"""Bytes that headers and batch fields may add to the content of a message."""

_COPIES_MIN = 2
_OPERATIONS = ("DESCRIBE", "READ", "WRITE")
_FOREVER = "-1"


@dataclass(frozen=True, slots=True)
class Stream:
    """The end of the stream, as the control topics record it.

    Attributes:
        last: The last epoch; None before the first.
        commit: The last record of the lake writer; None before the first.
        definitions: The table definitions in force at the last epoch.
    """

    last: Epoch | None = None
    commit: LakeCommit | None = None
    definitions: Mapping[str, TableSchema] = field(default_factory=dict)


def read_stream(kafka: Kafka) -> Stream:
    """Read the end of the stream from the control topics.

    Returns:
        An empty `Stream` while the control topics do not exist.

    Raises:
        Unavailable: the broker is away.
        ConfigError: it refuses us.
        WireError: a record cannot be read, or the epochs topic has lost its epochs.
    """
    topics = wire.Topics(kafka.prefix)
    with kafka_clients.translated(kafka), contextlib.closing(kafka_clients.admin(kafka)) as admin:
        present = set(admin.list_topics())
    if not set(topics.control) <= present:
        return Stream()
    end = end_of_stream(kafka)
    last = end[1] if end else None
    commit = last_lake_commit(kafka)
    wire.require_epochs(last, commit)
    definitions = read_definitions(kafka, topics.schemas) if last else {}
    return Stream(last, commit, {name: definitions[number] for name, number in (last.versions if last else {}).items()})


class KafkaCheckup:
    """Checks the broker. It creates no topic and reads no changes."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topics = wire.Topics(kafka.prefix)

    def findings(self, lag_s: float | None) -> Iterator[CheckResult]:
        """Run all checks of the broker.

        Args:
            lag_s: Age in seconds of the next epoch of the slowest reader; None when unknown.
        """
        yield from PART.looked("reachable", lambda: self._checks(lag_s))

    def _checks(self, lag_s: float | None) -> Iterator[CheckResult]:
        with kafka_clients.translated(self._kafka), contextlib.closing(kafka_clients.admin(self._kafka)) as admin:
            brokers = admin.describe_cluster()["brokers"]
            ours = sorted(name for name in admin.list_topics() if name.startswith(f"{self._kafka.prefix}."))
            described = {topic["name"]: topic for topic in (admin.describe_topics(ours) if ours else [])}
            configured = _configs(admin, ConfigResourceType.TOPIC, ours)
            settings = _configs(admin, ConfigResourceType.BROKER, [str(brokers[0]["broker_id"])])
        yield PART.ok("reachable", f"{len(brokers)} broker{'s' * (len(brokers) != 1)} at {self._kafka.bootstrap}")
        yield from self._control_topics(configured)
        yield from self._tables(configured, described, lag_s)
        yield from _granted(described)
        yield from self._copies(described, len(brokers))
        yield from _broker(next(iter(settings.values()), {}), configured)
        yield from PART.looked("transactions", self._transactions)

    def _control_topics(self, configured: Mapping[str, Mapping[str, str]]) -> Iterator[CheckResult]:
        missing = [name for name in self._topics.control if name not in configured]
        if missing:
            yield PART.ok("control topics", f"{', '.join(missing)} do not exist yet: capture creates them")
        present = [name for name in self._topics.control if name in configured]
        differing = list(_differences(present, configured, kafka_clients.CONTROL_TOPIC))
        for name, key, value, wanted in differing:
            yield PART.problem("control topics", f"{name} has {key}={value}", _alter(self._kafka, name, key, wanted))
        if present and not differing:
            yield PART.ok("control topics", "they never expire")

    def _tables(
        self, configured: Mapping[str, Mapping[str, str]], described: Mapping[str, Any], lag_s: float | None
    ) -> Iterator[CheckResult]:
        names = [name for name in configured if name not in (*self._topics.control, self._topics.services)]
        for name, key, value, wanted in _differences(names, configured, {"cleanup.policy": "delete"}):
            yield PART.problem("tables' topics", f"{name} has {key}={value}", _alter(self._kafka, name, key, wanted))
        for name in names:
            size = configured[name].get("retention.bytes", _FOREVER)
            if size != _FOREVER:
                remedy = _alter(self._kafka, name, "retention.bytes", _FOREVER)
                yield PART.warning("tables' topics", f"{name} keeps only {size} bytes, read or not", remedy)
            partitions = len(described[name]["partitions"])
            if partitions < self._kafka.partitions:
                remedy = f"set kafka.partitions = {partitions}, or add partitions to the topic"
                yield PART.problem("tables' topics", f"{name} has {partitions} partitions", remedy)
        if names:
            shortest = min(names, key=lambda name: _retention_s(configured[name]) or float("inf"))
            remedy = _alter(self._kafka, shortest, "retention.ms", "604800000")
            yield PART.kept("retention", f"messages of {shortest}", _retention_s(configured[shortest]), lag_s, remedy)

    def _copies(self, described: Mapping[str, Any], brokers: int) -> Iterator[CheckResult]:
        fewest = min((len(p["replica_nodes"]) for t in described.values() for p in t["partitions"]), default=None)
        copies = self._kafka.replication_factor if fewest is None else fewest
        if copies > brokers:
            remedy = f"set kafka.replication_factor = {brokers}"
            yield PART.problem("copies", f"topics need {copies} copies, the cluster has {brokers} brokers", remedy)
        elif copies < _COPIES_MIN:
            remedy = "raise kafka.replication_factor, and reassign existing topics with kafka-reassign-partitions.sh"
            yield PART.warning(
                "copies", "a topic has one copy: if its broker loses the disk, the stream is lost", remedy
            )
        else:
            yield PART.ok("copies", f"every topic has {copies} copies or more")

    def _transactions(self) -> Iterator[CheckResult]:
        """Opens a transactional producer as capture does, and sends nothing."""
        kafka_clients.abandon(kafka_clients.producer(self._kafka, f"{self._kafka.prefix}-doctor"))
        yield PART.ok("transactions", "a transactional producer may connect")


def _granted(described: Mapping[str, Any]) -> Iterator[CheckResult]:
    for name, topic in described.items():
        granted = topic.get("authorized_operations")
        lacking = [] if granted is None else [operation for operation in _OPERATIONS if operation not in granted]
        if lacking:
            operations = " --operation ".join(lacking)
            remedy = f"kafka-acls.sh --add --allow-principal User:… --topic {name} --operation {operations}"
            yield PART.problem("privileges", f"{', '.join(lacking)} on {name} is not allowed", remedy)
            return
    if described:
        yield PART.ok("privileges", "all topics may be read and written")


def _broker(settings: Mapping[str, str], configured: Mapping[str, Mapping[str, str]]) -> Iterator[CheckResult]:
    wanted = wire.MESSAGE_BYTES_MAX + MESSAGE_MARGIN_BYTES
    limits = {"message.max.bytes": settings.get("message.max.bytes")} | {
        f"max.message.bytes of {name}": values.get("max.message.bytes") for name, values in configured.items()
    }
    small = {name: limit for name, limit in limits.items() if limit is not None and int(limit) < wanted}
    for name, limit in small.items():
        yield PART.problem("messages", f"{name} is {limit}", f"raise it to {wanted} or more; 1048588 is the default")
    if not small:
        yield PART.ok("messages", f"messages of {wire.MESSAGE_BYTES_MAX} bytes fit")
    timeout = settings.get("transaction.max.timeout.ms")
    if timeout is not None and int(timeout) < kafka_clients.TRANSACTION_MS:
        message = f"transaction.max.timeout.ms is {timeout}"
        yield PART.problem("transactions", message, f"set it to {kafka_clients.TRANSACTION_MS} or more on every broker")


def _differences(
    names: Sequence[str], configured: Mapping[str, Mapping[str, str]], wanted: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    for name in names:
        for key, expected in wanted.items():
            actual = configured[name].get(key)
            if actual is not None and actual != expected:
                yield name, key, actual, expected


def _configs(admin: KafkaAdminClient, kind: ConfigResourceType, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answer = admin.describe_configs([ConfigResource(kind, name) for name in names], config_filter="all")
    return {
        name: {key: entry["value"] for key, entry in values.items() if entry["value"] is not None}
        for resources in answer.values()
        for name, values in resources.items()
    }


def _retention_s(config: Mapping[str, str]) -> float | None:
    retention_ms = float(config.get("retention.ms", _FOREVER))
    return retention_ms / 1000 if retention_ms >= 0 else None


def _alter(kafka: Kafka, topic: str, key: str, value: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {kafka.bootstrap} --alter --entity-type topics "
        f"--entity-name {topic} --add-config {key}={value}"
    )
