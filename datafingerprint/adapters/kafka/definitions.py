"""Reads the schemas topic: table definitions by their number in the stream."""

from __future__ import annotations

import contextlib

from kafka import TopicPartition

from datafingerprint import wire
from datafingerprint.adapters.kafka import clients as kafka_clients
from datafingerprint.config import Kafka
from datafingerprint.errors import WireError
from datafingerprint.recovery import START_OVER
from datafingerprint.schema import TableSchema


def decode_definition(payload: bytes, where: str) -> tuple[int, TableSchema]:
    """Number and definition in a record of the schemas topic.

    Raises:
        WireError: the record has no known form.
    """
    document = wire.decode_record(payload, where)
    try:
        return int(document["version"]), TableSchema.from_json(document["definition"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError("a definition has no known form", where=where, remedy=START_OVER) from error


def read_definitions(kafka: Kafka, topic: str) -> dict[int, TableSchema]:
    """All definitions committed so far, by number."""
    partition = TopicPartition(topic, 0)
    definitions: dict[int, TableSchema] = {}
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
                definitions[version] = table
    return definitions
