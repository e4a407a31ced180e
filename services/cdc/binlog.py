"""The binlog's events, from their bytes: header, GTID, query, table map, rows (MariaDB and MySQL).

Layouts are those of the MariaDB Knowledge Base, "Replication Protocol", and of the MySQL Internals manual,
"Binary Log Event". The reading is strict: an event type that is not listed here stops capture, because a
skipped event would leave the sums wrong for ever.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

import pyarrow as pa

from datafingerprint.errors import DecodeError
from datafingerprint.remedies import READ_ALL_AGAIN

HEADER_OCTETS = 19
CHECKSUM_OCTETS = 4

LENENC_2, LENENC_3, LENENC_8 = 252, 253, 254


class EventType(IntEnum):
    """The event types that are understood."""

    QUERY = 2
    STOP = 3
    ROTATE = 4
    FORMAT_DESCRIPTION = 15
    XID = 16
    TABLE_MAP = 19
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    HEARTBEAT = 27
    ROWS_QUERY = 29
    WRITE_ROWS_V2 = 30
    UPDATE_ROWS_V2 = 31
    DELETE_ROWS_V2 = 32
    MYSQL_GTID = 33
    PREVIOUS_GTIDS = 35
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    MYSQL_TAGGED_GTID = 42
    ANNOTATE_ROWS = 160
    BINLOG_CHECKPOINT = 161
    GTID = 162
    GTID_LIST = 163
    QUERY_COMPRESSED = 165
    WRITE_ROWS_COMPRESSED_V1 = 166
    UPDATE_ROWS_COMPRESSED_V1 = 167
    DELETE_ROWS_COMPRESSED_V1 = 168


PASSED_OVER = frozenset(
    {
        EventType.STOP,
        EventType.ANNOTATE_ROWS,
        EventType.BINLOG_CHECKPOINT,
        EventType.GTID_LIST,
        EventType.FORMAT_DESCRIPTION,
        EventType.HEARTBEAT,
        EventType.HEARTBEAT_V2,
        EventType.PREVIOUS_GTIDS,
        EventType.ROWS_QUERY,
    }
)
"""Events that say nothing about rows."""

GTIDS = frozenset({EventType.GTID, EventType.MYSQL_GTID, EventType.MYSQL_TAGGED_GTID})
WRITES = frozenset({EventType.WRITE_ROWS_V1, EventType.WRITE_ROWS_V2, EventType.WRITE_ROWS_COMPRESSED_V1})
UPDATES = frozenset({EventType.UPDATE_ROWS_V1, EventType.UPDATE_ROWS_V2, EventType.UPDATE_ROWS_COMPRESSED_V1})
DELETES = frozenset({EventType.DELETE_ROWS_V1, EventType.DELETE_ROWS_V2, EventType.DELETE_ROWS_COMPRESSED_V1})
ROWS = WRITES | UPDATES | DELETES
_V2 = frozenset({EventType.WRITE_ROWS_V2, EventType.UPDATE_ROWS_V2, EventType.DELETE_ROWS_V2})
_COMPRESSED = frozenset(
    {
        EventType.WRITE_ROWS_COMPRESSED_V1,
        EventType.UPDATE_ROWS_COMPRESSED_V1,
        EventType.DELETE_ROWS_COMPRESSED_V1,
    }
)

_PARTIAL_UPDATE_ROWS = 39

_HEADER = struct.Struct("<IBIIIH")
_TYPES = {int(kind): kind for kind in EventType}


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type, when and where it was logged, and its body without checksum.

    Attributes:
        type: What it is.
        timestamp: Unix time in seconds.
        server_id: The server that logged it first.
        end: Offset of the next event in the file (it wraps at 4 GiB), 0 for events made up for this connection.
        body: What follows the header.
        flags: Bits that say more about it.
    """

    type: EventType
    timestamp: int
    server_id: int
    end: int
    body: bytes
    flags: int = 0


def parse_event(octets: bytes, where: str) -> Event:
    """The event in these bytes, its checksum taken off already.

    Raises:
        DecodeError: its type is not on the list.
    """
    timestamp, number, server_id, _, end, flags = _HEADER.unpack_from(octets)
    kind = _TYPES.get(number)
    if number == _PARTIAL_UPDATE_ROWS:
        raise DecodeError(
            "an update of a JSON column is logged in part only",
            where=where,
            remedy=f"a session has set binlog_row_value_options to PARTIAL_JSON; make it stop, then {READ_ALL_AGAIN}",
        )
    if kind is None:
        raise DecodeError(
            f"binlog event of type {number} is not understood",
            where=where,
            remedy=f"switch off on the source what logs such events (statements, XA), then {READ_ALL_AGAIN}",
        )
    return Event(kind, timestamp, server_id, end, octets[HEADER_OCTETS:], flags)


class Cursor:
    """Reads fields one after another from an event's body."""

    def __init__(self, octets: bytes, position: int = 0) -> None:
        self.octets = octets
        self.position = position

    def take(self, length: int) -> bytes:
        """The next `length` bytes.

        Raises:
            DecodeError: the body ends before.
        """
        end = self.position + length
        if end > len(self.octets):
            raise DecodeError("a binlog event ends in the middle of a field")
        taken = self.octets[self.position : end]
        self.position = end
        return taken

    def integer(self, length: int) -> int:
        """The next unsigned little-endian integer of `length` bytes."""
        return int.from_bytes(self.take(length), "little")

    def lenenc(self) -> int:
        """The next length-encoded integer."""
        first = self.integer(1)
        if first < LENENC_2 - 1:
            return first
        return self.integer({LENENC_2: 2, LENENC_3: 3, LENENC_8: 8}[first])

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.octets) - self.position


@dataclass(frozen=True, slots=True)
class Gtid:
    """A GTID event: it opens a transaction, or stands before a single statement.

    Attributes:
        text: The GTID as the server prints it.
        is_open: Whether a transaction is open behind it; else a BEGIN opens one, or one statement stands alone.
        prepared_xa: Whether what follows is logged before it is committed.
        is_tentative: Whether the ALTER that follows is only begun, or was given up; MariaDB may log both.
    """

    text: str
    is_open: bool
    prepared_xa: bool = False
    is_tentative: bool = False


_FL_STANDALONE, _FL_GROUP_COMMIT_ID, _FL_XA = 1, 2, 64 | 128
_ALTER_BEGUN_OR_GIVEN_UP = 2 | 8
_MORE_FLAGS_AT, _GROUP_OCTETS = 13, 8


def parse_gtid(event: Event) -> Gtid:
    """The GTID in a GTID event of either server."""
    if event.type is EventType.MYSQL_GTID:
        return Gtid(f"{_uuid(event.body[1:17])}:{int.from_bytes(event.body[17:25], 'little')}", is_open=False)
    if event.type is EventType.MYSQL_TAGGED_GTID:
        return Gtid(_tagged_gtid(Cursor(event.body)), is_open=False)
    sequence, domain, flags = struct.unpack_from("<QIB", event.body)
    at = _MORE_FLAGS_AT + (_GROUP_OCTETS if flags & _FL_GROUP_COMMIT_ID else 0)
    more = event.body[at] if at < len(event.body) else 0
    return Gtid(
        f"{domain}-{event.server_id}-{sequence}",
        not flags & _FL_STANDALONE,
        prepared_xa=bool(flags & _FL_XA),
        is_tentative=bool(more & _ALTER_BEGUN_OR_GIVEN_UP),
    )


@lru_cache(256)
def _uuid(octets: bytes) -> str:
    return str(uuid.UUID(bytes=octets))


_UUID_OCTETS = 16
_GTID_FIELDS = 4


def _tagged_gtid(cursor: Cursor) -> str:
    """`uuid:tag:number` from the fields in front of a tagged GTID event (MySQL's `mysql::serialization`)."""
    # Version, size, and the last field that must be understood.
    for _ in range(3):
        _packed(cursor)
    source, number, tag = b"", 0, ""
    for expected in range(_GTID_FIELDS):
        if _packed(cursor) != expected:
            raise DecodeError("the fields of a tagged GTID are in another order than they should be")
        if expected == 0:
            _packed(cursor)
        elif expected == 1:
            source = bytes(_packed(cursor) for _ in range(_UUID_OCTETS))
        elif expected == 2:  # noqa: PLR2004 - the third field
            # Signed: the lowest bit is the sign.
            number = _packed(cursor) >> 1
        else:
            tag = cursor.take(_packed(cursor)).decode()
    return f"{uuid.UUID(bytes=source)}:{tag}:{number}" if tag else f"{uuid.UUID(bytes=source)}:{number}"


def _packed(cursor: Cursor) -> int:
    """An integer of one to nine bytes: as many more follow the first as it has ones at its low end."""
    first = cursor.integer(1)
    more = (~first & (first + 1)).bit_length() - 1 if first < 0xFF else 8  # noqa: PLR2004 - all ones
    return int.from_bytes(bytes([first]) + cursor.take(more), "little") >> (more + 1)


_PAYLOAD_END, _PAYLOAD_COMPRESSION, _PAYLOAD_SIZE = 0, 2, 3
_ZSTD, _PLAIN = 0, 255
_LENGTH_AT = 9


def parse_payload(event: Event, where: str) -> Iterator[Event]:
    """The events of a compressed transaction of MySQL, in their order; it is never expanded as a whole.

    Raises:
        DecodeError: it is compressed in an unknown way.
    """
    cursor = Cursor(event.body)
    about: dict[int, int] = {}
    while True:
        kind = cursor.lenenc()
        if kind == _PAYLOAD_END:
            break
        value = Cursor(cursor.take(cursor.lenenc()))
        about[kind] = value.lenenc()
    stream: pa.NativeFile = pa.BufferReader(pa.py_buffer(event.body).slice(cursor.position))
    way = about.get(_PAYLOAD_COMPRESSION, _ZSTD)
    if way == _ZSTD:
        stream = pa.CompressedInputStream(stream, "zstd")
    elif way != _PLAIN:
        raise DecodeError(f"a transaction is compressed in the unknown way {way}", where=where)
    left = about[_PAYLOAD_SIZE] if way == _ZSTD else cursor.left
    while left > 0:
        header = stream.read(HEADER_OCTETS)
        length = int.from_bytes(header[_LENGTH_AT : _LENGTH_AT + 4], "little")
        octets = header + stream.read(length - HEADER_OCTETS)
        if len(octets) != length:
            raise DecodeError("a compressed transaction ends in the middle of an event", where=where)
        left -= length
        # Inside, events have no checksum, and offsets of their own.
        yield replace(parse_event(octets, where), end=event.end)


def inflated(octets: bytes) -> bytes:
    """What MariaDB compressed: an octet with the size's width in its low bits, the size, and zlib's stream."""
    return zlib.decompress(octets[1 + (octets[0] & 7) :])


def parse_rotate(event: Event) -> tuple[str, int]:
    """The file that follows, and the offset in it."""
    return event.body[8:].decode(), int.from_bytes(event.body[:8], "little")


@dataclass(frozen=True, slots=True)
class RowImages:
    """A rows event: the table it is about, and the row images as they lie in the log, back to back.

    Attributes:
        table_id: The table, as the table map before it numbers it.
        octets: The images, each a bitmap of NULLs and the values.
        is_full: Whether every image has every column.
    """

    table_id: int
    octets: bytes
    is_full: bool


def parse_rows(event: Event) -> RowImages:
    """The images in a rows event."""
    cursor = Cursor(event.body)
    table_id = cursor.integer(6)
    cursor.take(2)
    if event.type in _V2:
        cursor.take(cursor.integer(2) - 2)
    count = cursor.lenenc()
    full = (1 << count) - 1
    is_full = True
    for _ in range(2 if event.type in UPDATES else 1):
        is_full &= cursor.integer((count + 7) // 8) & full == full
    octets = event.body[cursor.position :]
    return RowImages(table_id, inflated(octets) if event.type in _COMPRESSED else octets, is_full)
