"""Looks at the broker for `datafingerprint doctor`, and finds how far capture and the lake writer have come."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from datafingerprint import wire
from datafingerprint.adapters import kafka_clients
from datafingerprint.adapters.kafka_definitions import read_definitions
from datafingerprint.adapters.kafka_epoch_records import end_of_stream
from datafingerprint.adapters.kafka_lake_commits import last_lake_commit
from datafingerprint.config import Kafka
from datafingerprint.epochs import Epoch
from datafingerprint.findings import Finding, Part
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit

PART = Part("broker")

MESSAGE_MARGIN_OCTETS = 64 * 1024
"""What a message's headers and a batch's own fields may take beside its content."""

_COPIES_MIN = 2
_OPERATIONS = ("DESCRIBE", "READ", "WRITE")
_FOREVER = "-1"


@dataclass(frozen=True, slots=True)
class Stream:
    """What the control topics say.

    Attributes:
        last: The last epoch; None before the first.
        commit: The last record of the lake writer; None before the first.
        definitions: The tables' definitions in force at the last epoch.
    """

    last: Epoch | None = None
    commit: LakeCommit | None = None
    definitions: Mapping[str, TableSchema] = field(default_factory=dict)


def read_stream(kafka: Kafka) -> Stream:
    """What the control topics say; nothing when they are not there yet.

    Raises:
        Unavailable: the broker is away.
        ConfigError: it refuses us.
        WireError: a record cannot be read, or the epochs are gone.
    """
    topics = wire.Topics(kafka.prefix)
    with kafka_clients.translated(kafka), contextlib.closing(kafka_clients.admin(kafka)) as admin:
        present = set(admin.list_topics())
    if not set(topics.control) <= present:
        return Stream()
    found = end_of_stream(kafka)
    last = found[1] if found else None
    commit = last_lake_commit(kafka)
    wire.require_begun(last, commit)
    known = read_definitions(kafka, topics.schemas) if last else {}
    return Stream(last, commit, {name: known[number] for name, number in (last.versions if last else {}).items()})


class KafkaCheckup:
    """Looks at the broker; it creates no topic and reads no change."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._topics = wire.Topics(kafka.prefix)

    def findings(self, lag_s: float | None) -> Iterator[Finding]:
        """All that there is to say; `lag_s` is the age in seconds of what the slowest reader reads next."""
        yield from PART.looked("reachable", lambda: self._all(lag_s))

    def _all(self, lag_s: float | None) -> Iterator[Finding]:
        with kafka_clients.translated(self._kafka), contextlib.closing(kafka_clients.admin(self._kafka)) as admin:
            brokers = admin.describe_cluster()["brokers"]
            ours = sorted(name for name in admin.list_topics() if name.startswith(f"{self._kafka.prefix}."))
            described = {topic["name"]: topic for topic in (admin.describe_topics(ours) if ours else [])}
            configured = _configs(admin, ConfigResourceType.TOPIC, ours)
            settings = _configs(admin, ConfigResourceType.BROKER, [str(brokers[0]["broker_id"])])
        yield PART.ok("reachable", f"{len(brokers)} brokers at {self._kafka.bootstrap}")
        yield from self._control_topics(configured)
        yield from self._tables(configured, described, lag_s)
        yield from _granted(described)
        yield from self._copies(described, len(brokers))
        yield from _broker(next(iter(settings.values()), {}), configured)
        yield from PART.looked("transactions", self._transactions)

    def _control_topics(self, configured: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
        missing = [name for name in self._topics.control if name not in configured]
        if missing:
            yield PART.ok("control topics", f"{', '.join(missing)} not there yet: capture makes them")
        there = [name for name in self._topics.control if name in configured]
        wrong = list(_differences(there, configured, kafka_clients.CONTROL_TOPIC))
        for name, key, value, wanted in wrong:
            yield PART.problem("control topics", f"{name} has {key}={value}", _alter(self._kafka, name, key, wanted))
        if there and not wrong:
            yield PART.ok("control topics", "they never expire")

    def _tables(
        self, configured: Mapping[str, Mapping[str, str]], described: Mapping[str, Any], lag_s: float | None
    ) -> Iterator[Finding]:
        names = [name for name in configured if name not in self._topics.control]
        for name, key, value, wanted in _differences(names, configured, {"cleanup.policy": "delete"}):
            yield PART.problem("tables' topics", f"{name} has {key}={value}", _alter(self._kafka, name, key, wanted))
        for name in names:
            size = configured[name].get("retention.bytes", _FOREVER)
            if size != _FOREVER:
                remedy = _alter(self._kafka, name, "retention.bytes", _FOREVER)
                yield PART.warning("tables' topics", f"{name} keeps {size} bytes only, whatever is read of it", remedy)
            there = len(described[name]["partitions"])
            if there < self._kafka.partitions:
                remedy = f"set kafka.partitions = {there}, or add partitions to the topic"
                yield PART.problem("tables' topics", f"{name} has {there} partitions", remedy)
        if names:
            shortest = min(names, key=lambda name: _retention_s(configured[name]) or float("inf"))
            remedy = _alter(self._kafka, shortest, "retention.ms", "604800000")
            yield PART.kept("retention", f"messages of {shortest}", _retention_s(configured[shortest]), lag_s, remedy)

    def _copies(self, described: Mapping[str, Any], brokers: int) -> Iterator[Finding]:
        fewest = min((len(p["replica_nodes"]) for t in described.values() for p in t["partitions"]), default=None)
        copies = self._kafka.replication_factor if fewest is None else fewest
        if copies > brokers:
            remedy = f"set kafka.replication_factor = {brokers}"
            yield PART.problem("copies", f"topics are to have {copies} copies, there are {brokers} brokers", remedy)
        elif copies < _COPIES_MIN:
            remedy = "raise kafka.replication_factor, and reassign topics that are there: kafka-reassign-partitions.sh"
            yield PART.warning("copies", "a topic has one copy: with its broker's disk the stream is lost", remedy)
        else:
            yield PART.ok("copies", f"every topic has {copies} copies or more")

    def _transactions(self) -> Iterator[Finding]:
        """Opens a producer of its own, as capture does; it sends nothing."""
        kafka_clients.abandon(kafka_clients.producer(self._kafka, f"{self._kafka.prefix}-doctor"))
        yield PART.ok("transactions", "a transactional producer is let in")


def _granted(described: Mapping[str, Any]) -> Iterator[Finding]:
    for name, topic in described.items():
        granted = topic.get("authorized_operations")
        lacking = [] if granted is None else [one for one in _OPERATIONS if one not in granted]
        if lacking:
            operations = " --operation ".join(lacking)
            remedy = f"kafka-acls.sh --add --allow-principal User:… --topic {name} --operation {operations}"
            yield PART.problem("privileges", f"{', '.join(lacking)} on {name} is not allowed", remedy)
            return
    if described:
        yield PART.ok("privileges", "all topics may be read and written")


def _broker(settings: Mapping[str, str], configured: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    wanted = wire.MESSAGE_OCTETS_MAX + MESSAGE_MARGIN_OCTETS
    limits = {"message.max.bytes": settings.get("message.max.bytes")} | {
        f"max.message.bytes of {name}": values.get("max.message.bytes") for name, values in configured.items()
    }
    small = {name: limit for name, limit in limits.items() if limit is not None and int(limit) < wanted}
    for name, limit in small.items():
        yield PART.problem("messages", f"{name} is {limit}", f"raise it to {wanted} or more; 1048588 is the default")
    if not small:
        yield PART.ok("messages", f"messages of {wire.MESSAGE_OCTETS_MAX} bytes fit")
    timeout = settings.get("transaction.max.timeout.ms")
    if timeout is not None and int(timeout) < kafka_clients.TRANSACTION_MS:
        said = f"transaction.max.timeout.ms is {timeout}"
        yield PART.problem("transactions", said, f"set it to {kafka_clients.TRANSACTION_MS} or more on every broker")


def _differences(
    names: Sequence[str], configured: Mapping[str, Mapping[str, str]], wanted: Mapping[str, str]
) -> Iterator[tuple[str, str, str, str]]:
    for name in names:
        for key, value in wanted.items():
            there = configured[name].get(key)
            if there is not None and there != value:
                yield name, key, there, value


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
