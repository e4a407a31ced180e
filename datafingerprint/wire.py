"""The wire format: names of topics, and the bytes of messages and records.

A data message is one encapsulated Arrow IPC record batch without its schema. The schema follows from the table's
definition; the header `dfp-schema` has its number, and the schemas topic its text. The header `dfp-epoch` has the
epoch; `datafingerprint.messages` has the other headers. Control records are JSON in UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from datafingerprint import liveness
from datafingerprint.changes import Changes, envelope
from datafingerprint.epoch_chain import EpochMark, record_digest
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import WireError
from datafingerprint.recovery import START_OVER
from datafingerprint.schema import TableSchema

MESSAGE_BYTES_MAX = 512 * 1024
"""Largest message, half of what brokers accept by default."""

HEADER_EPOCH = "dfp-epoch"
HEADER_SCHEMA = "dfp-schema"

TOPIC_LENGTH_MAX = 249
LAKE_NAME_MAX = 255
"""Longest name in catalogs and file systems."""

_HASH_DIGITS = 32
_COMPRESSION_EXPECTED = 3  # a first guess at the size of pieces; longer ones are halved
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
        """One record per epoch that all tables of the lake have reached."""
        return f"{self.prefix}.lake-commits"

    @property
    def requests(self) -> str:
        """Operators' requests to capture."""
        return f"{self.prefix}.requests"

    @property
    def services(self) -> str:
        """Reports of every service."""
        return liveness.topic(self.prefix)

    @property
    def control(self) -> tuple[str, str, str, str]:
        """The topics that never expire."""
        return (self.epochs, self.schemas, self.lake_commits, self.requests)

    def of(self, table: TableSchema) -> str:
        """The topic of a table's changes.

        A name that is too long for Kafka is shortened, and ends in a hash.
        """
        return _shorten(f"{self.prefix}.{encoded_name(table.schema)}.{encoded_name(table.name)}", TOPIC_LENGTH_MAX)


def encoded_name(name: str) -> str:
    """Encodes a name: letters, digits and `_` stay, other bytes become `-` and two hex digits."""
    return "".join(
        character if character in _PLAIN else "".join(f"-{byte:02X}" for byte in character.encode())
        for character in name
    )


def lake_identifier(table: TableSchema) -> tuple[str, str]:
    """Namespace and name of a table in the lake, shortened to what folder names allow."""
    return _shorten(encoded_name(table.schema), LAKE_NAME_MAX), _shorten(encoded_name(table.name), LAKE_NAME_MAX)


def _shorten(name: str, length_max: int) -> str:
    """Shortens an encoded name that is too long, to end in `-x` and a hash of the whole name.

    No other name ends like this: in an encoded name two hex digits in upper case follow a `-`.
    """
    if len(name) <= length_max:
        return name
    suffix = f"-x{hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]}"
    return f"{name[: length_max - len(suffix)]}{suffix}"


def decoded_name(text: str) -> str:
    """Decodes what `encoded_name` encoded."""
    return re.sub(rb"-([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), text.encode()).decode()


def encode_changes(changes: Changes, *, bytes_max: int = MESSAGE_BYTES_MAX) -> list[tuple[bytes, int]]:
    """Encodes changes as record batches (bytes, rows), in order.

    Each has at most `bytes_max` bytes, except a single row that is longer: `messages.messages_of` splits it.
    """
    rows = changes.rows.combine_chunks()
    pieces = max(1, rows.nbytes // (_COMPRESSION_EXPECTED * bytes_max))
    batches = rows.to_batches(max_chunksize=max(1, -(-rows.num_rows // pieces)))
    return [message for batch in batches for message in _encode_batch(batch, bytes_max)]


def _encode_batch(batch: pa.RecordBatch, bytes_max: int) -> Iterable[tuple[bytes, int]]:
    payload = _serialized(batch)
    if len(payload) <= bytes_max or batch.num_rows == 1:
        yield payload, batch.num_rows
        return
    half = batch.num_rows // 2
    yield from _encode_batch(batch.slice(0, half), bytes_max)
    yield from _encode_batch(batch.slice(half), bytes_max)


def _serialized(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()  # the schema, which readers take from the schemas topic
    return bytes(messages.read_next_message().serialize())


def decode_changes(table: TableSchema, version: int, payload: bytes, where: str) -> Changes:
    """Decodes a message.

    Raises:
        WireError: the bytes are not a record batch of this table.
    """
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(payload), envelope(table))
        batch.validate(full=True)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise WireError(
            f"a message of {table.table} is not a record batch of its definition {version} ({type(error).__name__})",
            where=where,
            remedy=f"restore the topic, or datafingerprint resync {table.table}",
        ) from error
    return Changes(table, version, pa.Table.from_batches([batch]))


def encode_record(document: Mapping[str, Any]) -> bytes:
    """Encodes a control record."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def decode_record(payload: bytes, where: str) -> dict[str, Any]:
    """Decodes a control record.

    Raises:
        WireError: the bytes are not a JSON object.
    """
    try:
        document = json.loads(payload)
    except ValueError as error:
        raise WireError("a control record is not JSON", where=where, remedy=START_OVER) from error
    if not isinstance(document, dict):
        raise WireError("a control record is not a JSON object", where=where, remedy=START_OVER)
    return document


def decode_epoch(payload: bytes, where: str) -> Epoch:
    """Decodes a record of the epochs topic.

    Raises:
        WireError: a field is missing or of the wrong form.
    """
    try:
        return replace(Epoch.from_json(decode_record(payload, where)), digest=record_digest(payload))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError("an epoch record has an unknown form", where=where, remedy=START_OVER) from error


@dataclass(frozen=True, slots=True)
class LakeCommit:
    """One record of the lake-commits topic: all tables of the lake have reached an epoch.

    Attributes:
        stream_id: The lake's stream.
        epoch: The epoch that every table has reached.
        position: The source's position at the epoch.
        committed_at: Unix time in seconds of the epoch's last source transaction.
        epochs_offset: The offset of the epochs topic from which the next epoch is read.
        snapshots: Table to its Iceberg snapshot; None for a table that never had a row.
        published_at: Unix time in seconds of this record.
        unknown: Tables with changed or deleted rows that the lake did not have, or had with other values.
        set_aside: Table to the reason why its lake table is not at the epoch. It stays set aside until an epoch starts
            it from nothing.
        epoch_digest: `EpochMark.digest` of the epoch.
    """

    stream_id: str
    epoch: int
    position: SourcePosition
    committed_at: float
    epochs_offset: int
    snapshots: Mapping[str, int | None]
    published_at: float
    unknown: tuple[str, ...] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)
    epoch_digest: str = ""

    @property
    def mark(self) -> EpochMark:
        """The epoch that every table has reached."""
        return EpochMark(self.stream_id, self.epoch, self.epoch_digest)

    def to_json(self) -> dict[str, Any]:
        """Renders it for the topic. Snapshot ids are strings, because they can exceed a JSON number."""
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
            **({"unknown": list(self.unknown)} if self.unknown else {}),
            **({"set_aside": dict(self.set_aside)} if self.set_aside else {}),
            **({"epoch_digest": self.epoch_digest} if self.epoch_digest else {}),
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
            unknown=tuple(document.get("unknown", ())),
            set_aside=dict(document.get("set_aside", {})),
            epoch_digest=document.get("epoch_digest", ""),
        )


def require_epochs(last: Epoch | None, commit: LakeCommit | None) -> None:
    """Refuses an empty epochs topic if there are lake commits: its epochs were lost.

    Raises:
        WireError: the epochs topic is empty, and the lake-commits topic is not.
    """
    if last is None and commit is not None:
        raise lost_epochs("the lake", commit.stream_id, commit.epoch)


def lost_epochs(what: str, stream_id: str, epoch: int) -> WireError:
    """The error of a reader that has reached an epoch while the epochs topic is empty."""
    return WireError(
        f"the epochs topic is empty, but {what} is at epoch {epoch} of stream {stream_id}",
        where="the broker",
        remedy=f"check [kafka] bootstrap and prefix; {START_OVER}",
    )


def encode_epoch(epoch: Epoch) -> tuple[bytes, Epoch]:
    """Encodes a record of the epochs topic.

    Returns:
        The bytes, and the epoch with their digest.
    """
    payload = encode_record(epoch.to_json())
    return payload, replace(epoch, digest=record_digest(payload))


def decode_lake_commit(payload: bytes, where: str) -> LakeCommit:
    """Decodes a record of the lake-commits topic.

    Raises:
        WireError: a field is missing or of the wrong form.
    """
    try:
        return LakeCommit.from_json(decode_record(payload, where))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WireError("a lake-commits record has an unknown form", where=where, remedy=START_OVER) from error
