"""Data messages: changes as bytes with headers, and back; long rows are split.

The headers of a message are `dfp-epoch` and `dfp-schema` (the number of the table's definition). A `t` of one partition
names it in `dfp-partition`. A single row that exceeds a message is split: consecutive messages of one Kafka partition
have the header `dfp-fragment`, `i/n` with i from 0, and their payloads together are one message. Each fragment counts
as a message; the row counts once, with the last fragment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from datafingerprint import wire
from datafingerprint.changes import Changes, joined
from datafingerprint.errors import WireError
from datafingerprint.schema import TableSchema

HEADER_EPOCH = wire.HEADER_EPOCH
HEADER_SCHEMA = wire.HEADER_SCHEMA
HEADER_PARTITION = "dfp-partition"
HEADER_FRAGMENT = "dfp-fragment"

_RESTORE = "restore the topic, or re-snapshot its table (datafingerprint resync)"


@dataclass(frozen=True, slots=True)
class Message:
    """One Kafka message: payload, headers, and the number of rows that it completes."""

    payload: bytes
    headers: tuple[tuple[str, bytes], ...]
    rows: int


def messages_of(changes: Changes, epoch: int, *, bytes_max: int = wire.MESSAGE_BYTES_MAX) -> Iterator[Message]:
    """Encodes changes as messages, in order, each with at most `bytes_max` bytes of payload."""
    headers: tuple[tuple[str, bytes], ...] = (
        (HEADER_EPOCH, str(epoch).encode()),
        (HEADER_SCHEMA, str(changes.version).encode()),
    )
    if changes.partition is not None:
        headers += ((HEADER_PARTITION, changes.partition.encode()),)
    for payload, rows in wire.encode_changes(changes, bytes_max=bytes_max):
        if len(payload) <= bytes_max:
            yield Message(payload, headers, rows)
        else:
            yield from _fragments(payload, headers, rows, bytes_max)


def _fragments(payload: bytes, headers: tuple[tuple[str, bytes], ...], rows: int, bytes_max: int) -> Iterator[Message]:
    number = -(-len(payload) // bytes_max)
    for index in range(number):
        header = (HEADER_FRAGMENT, f"{index}/{number}".encode())
        piece = payload[index * bytes_max : (index + 1) * bytes_max]
        yield Message(piece, (*headers, header), rows if index == number - 1 else 0)


class MessageReader:
    """Decodes the messages of one epoch in one Kafka partition, and joins fragments.

    Args:
        table: The table (`schema.table`) of the topic.
        epoch: The epoch of every message.
        definitions: Definitions by number.
    """

    def __init__(self, table: str, epoch: int, definitions: Mapping[int, TableSchema]) -> None:
        self._table = table
        self._epoch = epoch
        self._definitions = definitions
        self._fragments_read: list[bytes] = []
        self._fragments_expected = 0
        self._first_at = ""

    def take(self, payload: bytes, headers: Sequence[tuple[str, bytes]], where: str) -> Changes | None:
        """Decodes a message; None for a fragment that is not the last.

        Raises:
            WireError: the message is damaged, of another epoch, table or definition, or a fragment is missing.
        """
        fields = dict(headers)
        if fields.get(HEADER_EPOCH) != str(self._epoch).encode():
            raise WireError(f"a message is not of epoch {self._epoch}", where=where, remedy=_RESTORE)
        whole = self._join_fragments(payload, fields.get(HEADER_FRAGMENT), where)
        if whole is None:
            return None
        version = _number(fields.get(HEADER_SCHEMA, b""), where)
        definition = self._definitions.get(version)
        if definition is None or definition.table != self._table:
            raise WireError(f"a message names definition {version}", where=where, remedy=_RESTORE)
        changes = wire.decode_changes(definition, version, whole, where)
        scope = fields.get(HEADER_PARTITION)
        return changes if scope is None else replace(changes, partition=_text(scope, where))

    def finish(self) -> None:
        """Checks after the last message that no row is incomplete.

        Raises:
            WireError: fragments are missing.
        """
        if self._fragments_read:
            raise WireError("the last fragments of a row are missing", where=self._first_at, remedy=_RESTORE)

    def _join_fragments(self, payload: bytes, header: bytes | None, where: str) -> bytes | None:
        index, number = _fragment(header, where) if header is not None else (0, 1)
        if index != len(self._fragments_read) or (index and number != self._fragments_expected):
            raise WireError("fragments of a row are not in order", where=where, remedy=_RESTORE)
        if not index:
            self._first_at, self._fragments_expected = where, number
        self._fragments_read.append(payload)
        if len(self._fragments_read) < number:
            return None
        whole = b"".join(self._fragments_read)
        self._fragments_read.clear()
        return whole


def _fragment(header: bytes, where: str) -> tuple[int, int]:
    index, _, number = header.partition(b"/")
    parsed = _number(index, where), _number(number, where)
    if not parsed[0] < parsed[1]:
        raise WireError("a fragment's number is beyond the last", where=where, remedy=_RESTORE)
    return parsed


def _number(header: bytes, where: str) -> int:
    if not header.isdigit():
        raise WireError("a header is not a number", where=where, remedy=_RESTORE)
    return int(header)


def _text(header: bytes, where: str) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError as error:
        raise WireError("a header is not UTF-8", where=where, remedy=_RESTORE) from error


def consecutive(parts: Sequence[Changes]) -> list[Changes]:
    """Joins neighbours of one definition; a `t` of one partition stays alone."""
    runs: list[list[Changes]] = []
    for part in parts:
        last = runs[-1][-1] if runs else None
        if last is not None and last.version == part.version and last.partition is part.partition is None:
            runs[-1].append(part)
        else:
            runs.append([part])
    return [joined(run) for run in runs]
