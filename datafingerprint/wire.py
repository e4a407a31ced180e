"""What lies in Kafka: the names of topics, and the bytes of messages and records.

A data message is one encapsulated Arrow IPC record batch without its schema; the schema follows from the
table's definition, whose number is in the header `dfp-schema` and whose text is in the schemas topic. The
header `dfp-epoch` holds the epoch; `datafingerprint.messages` has the other headers. Control records are JSON in
UTF-8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from datafingerprint.changes import Changes, envelope
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import ConfigError, WireError
from datafingerprint.remedies import BEGIN_ANEW
from datafingerprint.schema import TableSchema

MESSAGE_OCTETS_MAX = 512 * 1024
"""Largest message that is written, half of what brokers take by default."""

HEADER_EPOCH = "dfp-epoch"
HEADER_SCHEMA = "dfp-schema"

TOPIC_LENGTH_MAX = 249
_COMPRESSION_EXPECTED = 3  # a first guess at where to cut; what is still too long is halved
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one prefix."""

    prefix: str

    @property
    def epochs(self) -> str:
        """One record per epoch."""
        return f"{self.prefix}.epochs"

    @property
    def schemas(self) -> str:
        """Definitions of tables, by version."""
        return f"{self.prefix}.schemas"

    @property
    def lake_commits(self) -> str:
        """One record per state that the whole lake reached."""
        return f"{self.prefix}.lake-commits"

    @property
    def requests(self) -> str:
        """What operators ask of capture."""
        return f"{self.prefix}.requests"

    @property
    def control(self) -> tuple[str, str, str, str]:
        """The topics that never expire."""
        return (self.epochs, self.schemas, self.lake_commits, self.requests)

    def of(self, table: TableSchema) -> str:
        """The topic of a table's changes.

        Raises:
            ConfigError: its name is longer than Kafka allows.
        """
        name = f"{self.prefix}.{encoded_name(table.schema)}.{encoded_name(table.name)}"
        if len(name) > TOPIC_LENGTH_MAX:
            raise ConfigError(
                f"the topic of {table.table} would be longer than the {TOPIC_LENGTH_MAX} characters of Kafka",
                remedy="exclude the table, or rename it",
            )
        return name


def encoded_name(name: str) -> str:
    """A name as a part of a topic's: letters, digits and `_` stand, other bytes become `-` and two hex digits."""
    return "".join(
        character if character in _PLAIN else "".join(f"-{octet:02X}" for octet in character.encode())
        for character in name
    )


def decoded_name(text: str) -> str:
    """The name that `encoded_name` encoded."""
    octets = re.sub(rb"-([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())
    return octets.decode()


def encode_changes(changes: Changes, *, octets_max: int = MESSAGE_OCTETS_MAX) -> list[tuple[bytes, int]]:
    """Record batches (bytes, rows) that hold these changes, in order.

    Each is at most `octets_max` long, but for a single row that is longer: `messages.messages_of` cuts it.
    """
    rows = changes.rows.combine_chunks()
    pieces = max(1, rows.nbytes // (_COMPRESSION_EXPECTED * octets_max))
    batches = rows.to_batches(max_chunksize=max(1, -(-rows.num_rows // pieces)))
    return [message for batch in batches for message in _encode_batch(batch, octets_max)]


def _encode_batch(batch: pa.RecordBatch, octets_max: int) -> Iterable[tuple[bytes, int]]:
    octets = _serialized(batch)
    if len(octets) <= octets_max or batch.num_rows == 1:
        yield octets, batch.num_rows
        return
    half = batch.num_rows // 2
    yield from _encode_batch(batch.slice(0, half), octets_max)
    yield from _encode_batch(batch.slice(half), octets_max)


def _serialized(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()  # the schema, which readers have from the schemas topic
    return bytes(messages.read_next_message().serialize())


def decode_changes(table: TableSchema, version: int, octets: bytes, where: str) -> Changes:
    """The changes in a message.

    Raises:
        WireError: the bytes are not a record batch of this table.
    """
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(octets), envelope(table))
        batch.validate(full=True)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise WireError(
            f"a message about {table.table} is no record batch of its definition {version}",
            where=where,
            remedy=f"restore the topic, or capture again under another prefix ({type(error).__name__})",
        ) from error
    return Changes(table, version, pa.Table.from_batches([batch]))


def encode_record(document: Mapping[str, Any]) -> bytes:
    """A control record."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def decode_record(octets: bytes, where: str) -> dict[str, Any]:
    """The control record in these bytes.

    Raises:
        WireError: they are no JSON object.
    """
    try:
        document = json.loads(octets)
    except ValueError as error:
        raise WireError("a control record is no JSON", where=where, remedy="restore the topic") from error
    if not isinstance(document, dict):
        raise WireError("a control record is no object", where=where, remedy="restore the topic")
    return document


def decode_epoch(octets: bytes, where: str) -> Epoch:
    """The epoch in a record of the epochs topic.

    Raises:
        WireError: a field is missing or of the wrong form.
    """
    try:
        return Epoch.from_json(decode_record(octets, where))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError("an epoch record is not of the known form", where=where, remedy="restore the topic") from error


@dataclass(frozen=True, slots=True)
class LakeCommit:
    """One record of the lake-commits topic: at this moment the lake, all tables together, stood at an epoch.

    Attributes:
        stream_id: The stream that the lake belongs to.
        epoch: The epoch that every table has reached.
        position: Where the source stood then.
        committed_at: Unix time in seconds of the epoch's last source transaction.
        epochs_offset: Where in the epochs topic the next epoch's record is looked for.
        snapshots: Table to its Iceberg snapshot; a table that never had a row has none.
        published_at: Unix time in seconds of this record.
    """

    stream_id: str
    epoch: int
    position: SourcePosition
    committed_at: float
    epochs_offset: int
    snapshots: Mapping[str, int | None]
    published_at: float

    def to_json(self) -> dict[str, Any]:
        """As the topic holds it; snapshot ids are strings, they do not fit a JSON number everywhere."""
        return {
            "stream_id": self.stream_id,
            "epoch": self.epoch,
            "position": self.position.to_json(),
            "committed_at": self.committed_at,
            "epochs_offset": self.epochs_offset,
            "snapshots": {
                table: None if snapshot is None else str(snapshot) for table, snapshot in self.snapshots.items()
            },
            "published_at": self.published_at,
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> LakeCommit:
        """What `to_json` wrote."""
        return LakeCommit(
            stream_id=document["stream_id"],
            epoch=document["epoch"],
            position=SourcePosition.from_json(document["position"]),
            committed_at=document["committed_at"],
            epochs_offset=document["epochs_offset"],
            snapshots={
                table: None if snapshot is None else int(snapshot) for table, snapshot in document["snapshots"].items()
            },
            published_at=document["published_at"],
        )


def require_begun(last: Epoch | None, commit: LakeCommit | None) -> None:
    """Demands that no lake stands on epochs that are not there: such a topic is no first run.

    Raises:
        WireError: the epochs topic is empty, the topic of lake commits is not.
    """
    if last is None and commit is not None:
        raise lost_epochs("the lake", commit.stream_id, commit.epoch)


def lost_epochs(what: str, stream_id: str, epoch: int) -> WireError:
    """That there are no epochs, although something stands at one of them: whoever finds that is no first run."""
    return WireError(
        f"the epochs topic is empty, but {what} stands at epoch {epoch} of stream {stream_id}", remedy=BEGIN_ANEW
    )


def decode_lake_commit(octets: bytes, where: str) -> LakeCommit:
    """The record in these bytes of the lake-commits topic.

    Raises:
        WireError: a field is missing or of the wrong form.
    """
    try:
        return LakeCommit.from_json(decode_record(octets, where))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError(
            "a lake-commits record is not of the known form", where=where, remedy="restore the topic"
        ) from error
