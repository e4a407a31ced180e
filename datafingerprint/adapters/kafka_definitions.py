"""Reads the schemas topic: definitions of tables by their number in the stream."""

from __future__ import annotations

import contextlib

from kafka import TopicPartition

from datafingerprint import wire
from datafingerprint.adapters import kafka_clients
from datafingerprint.config import Kafka
from datafingerprint.errors import WireError
from datafingerprint.schema import TableSchema


def decode_definition(octets: bytes, where: str) -> tuple[int, TableSchema]:
    """The definition in a record of the schemas topic, and its number.

    Raises:
        WireError: the record is not of the known form.
    """
    document = wire.decode_record(octets, where)
    try:
        return int(document["version"]), TableSchema.from_json(document["definition"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError("a definition is not of the known form", where=where, remedy="restore the topic") from error


def read_definitions(kafka: Kafka, topic: str) -> dict[int, TableSchema]:
    """All definitions that are committed now."""
    partition = TopicPartition(topic, 0)
    found: dict[int, TableSchema] = {}
    with (
        kafka_clients.translated(kafka),
        contextlib.closing(kafka_clients.consumer(kafka, None)) as reader,
    ):
        reader.assign([partition])
        end = reader.end_offsets([partition])[partition]
        reader.seek(partition, reader.beginning_offsets([partition])[partition])
        while reader.position(partition) < end:
            for record in reader.poll(timeout_ms=500).get(partition, []):
                version, table = decode_definition(record.value, f"{topic}:{record.offset}")
                found[version] = table
    return found
