"""The binlog's events, from their bytes: header, GTID, query, table map, rows (MariaDB 10.11; rows also v2).

Layouts are those of the MariaDB Knowledge Base, "Replication Protocol", and of the MySQL Internals manual,
"Binary Log Event". The reading is strict: an event type that is not listed here stops capture, because a
skipped event would leave the sums wrong for ever.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from datafingerprint.errors import DecodeError

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
    WRITE_ROWS_V2 = 30
    UPDATE_ROWS_V2 = 31
    DELETE_ROWS_V2 = 32
    ANNOTATE_ROWS = 160
    BINLOG_CHECKPOINT = 161
    GTID = 162
    GTID_LIST = 163


PASSED_OVER = frozenset(
    {
        EventType.STOP,
        EventType.ANNOTATE_ROWS,
        EventType.BINLOG_CHECKPOINT,
        EventType.GTID_LIST,
        EventType.FORMAT_DESCRIPTION,
        EventType.HEARTBEAT,
    }
)
"""Events that say nothing about rows."""

WRITES = frozenset({EventType.WRITE_ROWS_V1, EventType.WRITE_ROWS_V2})
UPDATES = frozenset({EventType.UPDATE_ROWS_V1, EventType.UPDATE_ROWS_V2})
DELETES = frozenset({EventType.DELETE_ROWS_V1, EventType.DELETE_ROWS_V2})
ROWS = WRITES | UPDATES | DELETES
_V2 = frozenset({EventType.WRITE_ROWS_V2, EventType.UPDATE_ROWS_V2, EventType.DELETE_ROWS_V2})

_HEADER = struct.Struct("<IBIIIH")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type, when and where it was logged, and its body without checksum.

    Attributes:
        type: What it is.
        timestamp: Unix time in seconds.
        server_id: The server that logged it first.
        end: Offset of the next event in the file (it wraps at 4 GiB), 0 for events made up for this connection.
        body: What follows the header.
    """

    type: EventType
    timestamp: int
    server_id: int
    end: int
    body: bytes


def parse_event(octets: bytes, where: str) -> Event:
    """The event in these bytes, its checksum taken off already.

    Raises:
        DecodeError: its type is not on the list.
    """
    timestamp, number, server_id, _, end, _ = _HEADER.unpack_from(octets)
    try:
        kind = EventType(number)
    except ValueError:
        raise DecodeError(
            f"binlog event of type {number} is not understood",
            where=where,
            remedy="switch off on the source what logs such events (compression, statements, XA), "
            "then capture again under another prefix",
        ) from None
    return Event(kind, timestamp, server_id, end, octets[HEADER_OCTETS:])


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
    """A MariaDB GTID event: it opens a transaction, or stands before a single statement."""

    domain: int
    server_id: int
    sequence: int
    standalone: bool
    prepared_xa: bool

    @property
    def text(self) -> str:
        """`domain-server-sequence`."""
        return f"{self.domain}-{self.server_id}-{self.sequence}"


_FL_STANDALONE, _FL_XA = 1, 64 | 128


def parse_gtid(event: Event) -> Gtid:
    """The GTID in a MariaDB GTID event."""
    sequence, domain, flags = struct.unpack_from("<QIB", event.body)
    return Gtid(domain, event.server_id, sequence, bool(flags & _FL_STANDALONE), bool(flags & _FL_XA))


def parse_rotate(event: Event) -> tuple[str, int]:
    """The file that follows, and the offset in it."""
    return event.body[8:].decode(), int.from_bytes(event.body[:8], "little")


@dataclass(frozen=True, slots=True)
class Query:
    """A statement in the binlog, with the schema that it ran in."""

    schema: str
    text: str


def parse_query(event: Event) -> Query:
    """The statement in a query event."""
    cursor = Cursor(event.body, 8)
    schema_length = cursor.integer(1)
    cursor.take(2)
    variables_length = cursor.integer(2)
    cursor.take(variables_length)
    schema = cursor.take(schema_length).decode("utf-8", "replace")
    cursor.take(1)
    return Query(schema, cursor.take(cursor.left).decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class LoggedColumn:
    """A column as the table map describes it: name, type code, the type's metadata, signedness, labels.

    Labels are those of an ENUM or SET, in the column's character set; other types have none.
    """

    name: str
    type: int
    metadata: int
    unsigned: bool
    labels: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TableMap:
    """The description of a table that stands before its row events."""

    table_id: int
    schema: str
    name: str
    columns: tuple[LoggedColumn, ...]

    @property
    def table(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.name}"


_METADATA_OCTETS = {
    **dict.fromkeys((4, 5, 17, 18, 19, 140, 242, 245, 252, 255), 1),
    **dict.fromkeys((15, 16, 141, 246, 247, 248, 253, 254), 2),
}
_NUMERIC = frozenset({1, 2, 3, 4, 5, 8, 9, 246, 13})
_SIGNEDNESS, _COLUMN_NAME, _SET_LABELS, _ENUM_LABELS = 1, 4, 5, 6
_STRING, _ENUM, _SET = 254, 247, 248


def parse_table_map(event: Event, where: str) -> TableMap:
    """The table map in an event.

    Raises:
        DecodeError: column names are missing, so `binlog_row_metadata` was not FULL when it was logged.
    """
    cursor = Cursor(event.body)
    table_id = cursor.integer(6)
    cursor.take(2)
    schema = cursor.take(cursor.integer(1)).decode()
    cursor.take(1)
    name = cursor.take(cursor.integer(1)).decode()
    cursor.take(1)
    types = cursor.take(cursor.lenenc())
    metadata = _metadata(types, Cursor(cursor.take(cursor.lenenc())))
    cursor.take((len(types) + 7) // 8)
    options = _options(cursor)
    if _COLUMN_NAME not in options:
        raise DecodeError(
            f"the binlog does not name the columns of {schema}.{name}",
            where=where,
            remedy="SET GLOBAL binlog_row_metadata = FULL on the source, then capture again under another prefix",
        )
    names = _names(Cursor(options[_COLUMN_NAME]))
    unsigned = _signedness(types, options.get(_SIGNEDNESS, b""))
    labels = _labels(types, metadata, options)
    described = zip(names, types, metadata, unsigned, labels, strict=True)
    columns = tuple(LoggedColumn(*column) for column in described)
    return TableMap(table_id, schema, name, columns)


def _metadata(types: bytes, cursor: Cursor) -> list[int]:
    return [cursor.integer(_METADATA_OCTETS.get(kind, 0)) for kind in types]


def _options(cursor: Cursor) -> dict[int, bytes]:
    options = {}
    while cursor.left:
        kind = cursor.integer(1)
        options[kind] = cursor.take(cursor.lenenc())
    return options


def _names(cursor: Cursor) -> list[str]:
    names = []
    while cursor.left:
        names.append(cursor.take(cursor.lenenc()).decode())
    return names


def _labels(types: bytes, metadata: list[int], options: dict[int, bytes]) -> list[tuple[bytes, ...]]:
    """The labels of each column; the log has a list for every SET, and one for every ENUM, in their order."""
    lists = {_ENUM: Cursor(options.get(_ENUM_LABELS, b"")), _SET: Cursor(options.get(_SET_LABELS, b""))}
    labels = []
    for kind, about in zip(types, metadata, strict=True):
        # Both are logged as strings; the octet that follows says what they are.
        cursor = lists.get(about & 0xFF) if kind == _STRING else None
        count = cursor.lenenc() if cursor and cursor.left else 0
        labels.append(tuple(cursor.take(cursor.lenenc()) for _ in range(count)) if cursor else ())
    return labels


def _signedness(types: bytes, bits: bytes) -> list[bool]:
    """One flag per column; the log holds one bit per numeric column, the highest bit first."""
    flags = []
    numeric = 0
    for kind in types:
        if kind in _NUMERIC:
            octet = bits[numeric // 8] if numeric // 8 < len(bits) else 0
            flags.append(bool(octet & (0x80 >> (numeric % 8))))
            numeric += 1
        else:
            flags.append(False)
    return flags


@dataclass(frozen=True, slots=True)
class RowImages:
    """A rows event: the table it is about, and the row images as they lie in the log, back to back."""

    table_id: int
    type: EventType
    octets: bytes


def parse_rows(event: Event, where: str) -> RowImages:
    """The images in a rows event.

    Raises:
        DecodeError: a column is absent from an image, so a session had set `binlog_row_image` to other than FULL.
    """
    cursor = Cursor(event.body)
    table_id = cursor.integer(6)
    cursor.take(2)
    if event.type in _V2:
        cursor.take(cursor.integer(2) - 2)
    count = cursor.lenenc()
    full = (1 << count) - 1
    for _ in range(2 if event.type in UPDATES else 1):
        present = cursor.integer((count + 7) // 8)
        if present & full != full:
            raise DecodeError(
                "a row image lacks columns",
                where=where,
                remedy="a session has set binlog_row_image to other than FULL; make it stop, "
                "then capture again under another prefix",
            )
    return RowImages(table_id, event.type, event.body[cursor.position :])
