"""Parses binlog events of MariaDB and MySQL: header, GTID, rotation, payload, rows.

Layouts are those of the MariaDB Knowledge Base, "Replication Protocol", and of the MySQL Internals manual,
"Binary Log Event". Parsing is strict. An event type that is not listed here stops capture, because sums would stay
wrong for ever after a skipped event.
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
from datafingerprint.recovery import DAMAGED_LOG, RESNAPSHOT_ALL

HEADER_BYTES = 19

LENENC_2, LENENC_3, LENENC_8 = 252, 253, 254


class EventType(IntEnum):
    """The event types that capture knows."""

    QUERY = 2
    STOP = 3
    ROTATE = 4
    INTVAR = 5
    APPEND_BLOCK = 9
    DELETE_FILE = 11
    RAND = 13
    USER_VAR = 14
    FORMAT_DESCRIPTION = 15
    XID = 16
    BEGIN_LOAD_QUERY = 17
    EXECUTE_LOAD_QUERY = 18
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
    PARTIAL_UPDATE_ROWS = 39
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


IGNORED = frozenset(
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
        EventType.INTVAR,
        EventType.RAND,
        EventType.USER_VAR,
        EventType.BEGIN_LOAD_QUERY,
        EventType.APPEND_BLOCK,
        EventType.DELETE_FILE,
    }
)
"""Events that contain no rows. Some hold values for a statement that follows, and only the statement matters."""

QUERIES = frozenset({EventType.QUERY, EventType.QUERY_COMPRESSED, EventType.EXECUTE_LOAD_QUERY})

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

_HEADER = struct.Struct("<IBIIIH")
_TYPES = {int(kind): kind for kind in EventType}


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type, when and where it was logged, and its body without checksum.

    Attributes:
        type: The event type.
        timestamp: Unix time in seconds.
        server_id: The server that logged the event first.
        end: Offset of the next event in the file. It wraps at 4 GiB, and is 0 in events made for this connection only.
        body: The bytes after the header.
        flags: The header's flags.
    """

    type: EventType
    timestamp: int
    server_id: int
    end: int
    body: bytes
    flags: int = 0


def parse_event(data: bytes, where: str) -> Event:
    """The event in these bytes, which are without a checksum.

    Raises:
        DecodeError: the event type is unknown.
    """
    timestamp, number, server_id, _, end, flags = _HEADER.unpack_from(data)
    kind = _TYPES.get(number)
    if kind is None:
        raise DecodeError(
            f"the binlog has an event of the unknown type {number}",
            where=where,
            remedy=f"disable on the source what logs such events (statements, XA), then {RESNAPSHOT_ALL}",
        )
    return Event(kind, timestamp, server_id, end, data[HEADER_BYTES:], flags)


class Cursor:
    """Reads fields one after another from an event's body."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def take(self, length: int) -> bytes:
        """The next `length` bytes.

        Raises:
            DecodeError: the body is shorter.
        """
        end = self.position + length
        if end > len(self.data):
            raise DecodeError("a binlog event ends in the middle of a field", where="the binlog", remedy=DAMAGED_LOG)
        field = self.data[self.position : end]
        self.position = end
        return field

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
        return len(self.data) - self.position


@dataclass(frozen=True, slots=True)
class Gtid:
    """A GTID event. It opens a transaction, or precedes a single statement.

    Attributes:
        text: The GTID as the server prints it.
        is_open: Whether this event opens the transaction. If not, a BEGIN follows, or a single statement.
        is_prepared_xa: Whether the transaction is logged before its commit.
        is_tentative: Whether the ALTER that follows was only started, or cancelled. MariaDB may log both.
    """

    text: str
    is_open: bool
    is_prepared_xa: bool = False
    is_tentative: bool = False

    @property
    def is_mariadb(self) -> bool:
        """Whether the GTID is in the form of MariaDB."""
        return ":" not in self.text


_FL_STANDALONE, _FL_GROUP_COMMIT_ID, _FL_XA = 1, 2, 64 | 128
_ALTER_STARTED_OR_CANCELLED = 2 | 8
_MORE_FLAGS_AT, _GROUP_BYTES = 13, 8


def parse_gtid(event: Event) -> Gtid:
    """The GTID in a GTID event of either server."""
    if event.type is EventType.MYSQL_GTID:
        return Gtid(f"{_uuid(event.body[1:17])}:{int.from_bytes(event.body[17:25], 'little')}", is_open=False)
    if event.type is EventType.MYSQL_TAGGED_GTID:
        return Gtid(_tagged_gtid(Cursor(event.body)), is_open=False)
    sequence, domain, flags = struct.unpack_from("<QIB", event.body)
    at = _MORE_FLAGS_AT + (_GROUP_BYTES if flags & _FL_GROUP_COMMIT_ID else 0)
    more = event.body[at] if at < len(event.body) else 0
    return Gtid(
        f"{domain}-{event.server_id}-{sequence}",
        not flags & _FL_STANDALONE,
        is_prepared_xa=bool(flags & _FL_XA),
        is_tentative=bool(more & _ALTER_STARTED_OR_CANCELLED),
    )


@lru_cache(256)
def _uuid(data: bytes) -> str:
    return str(uuid.UUID(bytes=data))


_UUID_BYTES = 16
_GTID_FIELDS = 4


def _tagged_gtid(cursor: Cursor) -> str:
    """`uuid:tag:number` from the first fields of a tagged GTID event.

    The form is that of MySQL's `mysql::serialization`.
    """
    # Version, size, and the last field that a reader must know.
    for _ in range(3):
        _packed_integer(cursor)
    source, number, tag = b"", 0, ""
    for expected in range(_GTID_FIELDS):
        if _packed_integer(cursor) != expected:
            raise DecodeError(
                "the fields of a tagged GTID are in the wrong order",
                where="the binlog",
                remedy=DAMAGED_LOG,
            )
        if expected == 0:
            _packed_integer(cursor)
        elif expected == 1:
            source = bytes(_packed_integer(cursor) for _ in range(_UUID_BYTES))
        elif expected == 2:  # noqa: PLR2004 - the third field
            # Signed: the lowest bit is the sign.
            number = _packed_integer(cursor) >> 1
        else:
            tag = cursor.take(_packed_integer(cursor)).decode()
    return f"{uuid.UUID(bytes=source)}:{tag}:{number}" if tag else f"{uuid.UUID(bytes=source)}:{number}"


def _packed_integer(cursor: Cursor) -> int:
    """An integer of one to nine bytes.

    The number of one-bits at the low end of the first byte is the number of bytes that follow.
    """
    first = cursor.integer(1)
    more = (~first & (first + 1)).bit_length() - 1 if first < 0xFF else 8  # noqa: PLR2004 - all ones
    return int.from_bytes(bytes([first]) + cursor.take(more), "little") >> (more + 1)


_PAYLOAD_END, _PAYLOAD_COMPRESSION, _PAYLOAD_SIZE = 0, 2, 3
_ZSTD, _PLAIN = 0, 255
_LENGTH_AT = 9


def parse_payload(event: Event, where: str) -> Iterator[Event]:
    """The events of a compressed transaction of MySQL, decompressed one after another.

    Raises:
        DecodeError: the compression method is unknown, or the last event is not whole.
    """
    cursor = Cursor(event.body)
    fields: dict[int, int] = {}
    while True:
        kind = cursor.lenenc()
        if kind == _PAYLOAD_END:
            break
        value = Cursor(cursor.take(cursor.lenenc()))
        fields[kind] = value.lenenc()
    stream: pa.NativeFile = pa.BufferReader(pa.py_buffer(event.body).slice(cursor.position))
    method = fields.get(_PAYLOAD_COMPRESSION, _ZSTD)
    if method == _ZSTD:
        stream = pa.CompressedInputStream(stream, "zstd")
    elif method != _PLAIN:
        raise DecodeError(
            f"a transaction is compressed by the unknown method {method}", where=where, remedy=DAMAGED_LOG
        )
    left = fields[_PAYLOAD_SIZE] if method == _ZSTD else cursor.left
    while left > 0:
        header = stream.read(HEADER_BYTES)
        length = int.from_bytes(header[_LENGTH_AT : _LENGTH_AT + 4], "little")
        data = header + stream.read(length - HEADER_BYTES)
        if len(data) != length:
            raise DecodeError("a compressed transaction ends inside an event", where=where, remedy=DAMAGED_LOG)
        left -= length
        # Events in a payload have no checksum, and their offsets are not those of the file.
        yield replace(parse_event(data, where), end=event.end)


def inflate(data: bytes) -> bytes:
    """Decompresses what MariaDB compressed.

    The data is a byte with the width of the size in its low bits, the size, and zlib's stream.
    """
    return zlib.decompress(data[1 + (data[0] & 7) :])


def parse_rotate(event: Event) -> tuple[str, int]:
    """The next file, and an offset in it."""
    return event.body[8:].decode(), int.from_bytes(event.body[:8], "little")


@dataclass(frozen=True, slots=True)
class RowImages:
    """A rows event: its table, and its row images.

    Attributes:
        table_id: The table's number in the preceding table map.
        images: The images as they are logged, back to back. Each is a bitmap of NULLs and the values.
        is_full: Whether every image has every column.
    """

    table_id: int
    images: bytes
    is_full: bool


def parse_table_id(event: Event) -> int:
    """The table's number in a rows event, which the preceding table map has too."""
    return int.from_bytes(event.body[:6], "little")


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
    images = event.body[cursor.position :]
    return RowImages(table_id, inflate(images) if event.type in _COMPRESSED else images, is_full)
