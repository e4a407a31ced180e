"""Data messages: changes as bytes with their headers, and back; a row longer than a message is cut into fragments.

A message's headers are `dfp-epoch` and `dfp-schema` (the number of the table's definition). A `t` that is about one
partition names it in `dfp-partition`. Where a single row is longer than a message, its bytes are cut: consecutive
messages of one Kafka partition carry `dfp-fragment`, `i/n` with i from 0, and their payloads, put together, are one
message. Each fragment counts as a message; the row counts once, with the last of them.
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

_RESTORE = "restore the topic"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a broker takes it: its bytes, its headers, and how many rows it completes."""

    octets: bytes
    headers: tuple[tuple[str, bytes], ...]
    rows: int


def messages_of(changes: Changes, epoch: int, *, octets_max: int = wire.MESSAGE_OCTETS_MAX) -> Iterator[Message]:
    """The messages that carry these changes, in order, none with more than `octets_max` bytes of payload."""
    headers: tuple[tuple[str, bytes], ...] = (
        (HEADER_EPOCH, str(epoch).encode()),
        (HEADER_SCHEMA, str(changes.version).encode()),
    )
    if changes.partition is not None:
        headers += ((HEADER_PARTITION, changes.partition.encode()),)
    for octets, rows in wire.encode_changes(changes, octets_max=octets_max):
        if len(octets) <= octets_max:
            yield Message(octets, headers, rows)
        else:
            yield from _fragments(octets, headers, rows, octets_max)


def _fragments(octets: bytes, headers: tuple[tuple[str, bytes], ...], rows: int, octets_max: int) -> Iterator[Message]:
    number = -(-len(octets) // octets_max)
    for index in range(number):
        mark = (HEADER_FRAGMENT, f"{index}/{number}".encode())
        piece = octets[index * octets_max : (index + 1) * octets_max]
        yield Message(piece, (*headers, mark), rows if index == number - 1 else 0)


class MessageReader:
    """Turns the messages of one epoch in one Kafka partition back into changes, putting fragments together.

    Args:
        table: The table (`schema.table`) whose topic is read.
        epoch: The epoch that every message must be of.
        definitions: Definitions by number.
    """

    def __init__(self, table: str, epoch: int, definitions: Mapping[int, TableSchema]) -> None:
        self._table = table
        self._epoch = epoch
        self._definitions = definitions
        self._pieces: list[bytes] = []
        self._expected = 0
        self._begun = ""

    def take(self, octets: bytes, headers: Sequence[tuple[str, bytes]], where: str) -> Changes | None:
        """The changes that a message completes; None for a fragment with more to come.

        Raises:
            WireError: it is of another epoch, table or definition, is damaged, or a fragment is missing.
        """
        found = dict(headers)
        if found.get(HEADER_EPOCH) != str(self._epoch).encode():
            raise WireError(f"a message is not of epoch {self._epoch}", where=where, remedy=_RESTORE)
        whole = self._whole(octets, found.get(HEADER_FRAGMENT), where)
        if whole is None:
            return None
        version = _number(found.get(HEADER_SCHEMA, b""), where)
        definition = self._definitions.get(version)
        if definition is None or definition.table != self._table:
            raise WireError(f"a message names definition {version}", where=where, remedy=_RESTORE)
        changes = wire.decode_changes(definition, version, whole, where)
        scope = found.get(HEADER_PARTITION)
        return changes if scope is None else replace(changes, partition=_text(scope, where))

    def finish(self) -> None:
        """Says that no message follows.

        Raises:
            WireError: fragments are missing.
        """
        if self._pieces:
            raise WireError("the last fragments of a row are missing", where=self._begun, remedy=_RESTORE)

    def _whole(self, octets: bytes, mark: bytes | None, where: str) -> bytes | None:
        index, number = _fragment(mark, where) if mark is not None else (0, 1)
        if index != len(self._pieces) or (index and number != self._expected):
            raise WireError("fragments of a row are not in order", where=where, remedy=_RESTORE)
        if not index:
            self._begun, self._expected = where, number
        self._pieces.append(octets)
        if len(self._pieces) < number:
            return None
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole


def _fragment(mark: bytes, where: str) -> tuple[int, int]:
    index, _, number = mark.partition(b"/")
    found = _number(index, where), _number(number, where)
    if not found[0] < found[1]:
        raise WireError("a fragment's number is beyond the last", where=where, remedy=_RESTORE)
    return found


def _number(octets: bytes, where: str) -> int:
    if not octets.isdigit():
        raise WireError("a header is no number", where=where, remedy=_RESTORE)
    return int(octets)


def _text(octets: bytes, where: str) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise WireError("a header is no UTF-8", where=where, remedy=_RESTORE) from error


def consecutive(parts: Sequence[Changes]) -> list[Changes]:
    """Joins neighbours of one definition; a `t` that is about one partition stands alone."""
    runs: list[list[Changes]] = []
    for part in parts:
        last = runs[-1][-1] if runs else None
        if last is not None and last.version == part.version and last.partition is part.partition is None:
            runs[-1].append(part)
        else:
            runs.append([part])
    return [joined(run) for run in runs]
