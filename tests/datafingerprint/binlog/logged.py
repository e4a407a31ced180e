"""Events as servers log them, put together by hand."""

from __future__ import annotations

import struct
import uuid

from datafingerprint.binlog.events import EventType

SERVER = 7
MYSQL = uuid.UUID("3e11fa47-71ca-11e1-9e33-c80aa9429562")
COLUMNS_OF_A_MAP = 3
"""Every table here has three INTs, so that an image takes 13 bytes."""


def event(kind: int, body: bytes, end: int = 0, *, timestamp: int = 1_900_000_000, server: int = SERVER) -> bytes:
    """An event without its checksum."""
    return struct.pack("<IBIIIH", timestamp, kind, server, 19 + len(body) + 4, end % (1 << 32), 0) + body


def gtid_of_mariadb(number: int, *, domain: int = 0, flags: int = 0) -> tuple[int, bytes]:
    """The type and the body of MariaDB's GTID event."""
    return EventType.GTID, struct.pack("<QIB6x", number, domain, flags)


def gtid_of_mysql(number: int, *, server: uuid.UUID = MYSQL) -> tuple[int, bytes]:
    """The type and the body of MySQL's GTID event."""
    return EventType.MYSQL_GTID, b"\1" + server.bytes + struct.pack("<q", number) + bytes(17)


def query(text: str, schema: bytes = b"ootp", variables: bytes = b"\0\0\0\0\0") -> tuple[int, bytes]:
    """The type and the body of a query event. By default the only variable is `flags2`."""
    fixed = struct.pack("<IIBHH", 1, 0, len(schema), 0, len(variables))
    return EventType.QUERY, fixed + variables + schema + b"\0" + text.encode()


def table_map(table_id: int, name: str) -> tuple[int, bytes]:
    """The type and the body of a table map, for a table of the schema `ootp`."""
    columns = b"".join(bytes([1]) + letter for letter in (b"a", b"b", b"c"))
    names = b"\4" + bytes([len(columns)]) + columns
    schema = b"\4ootp\0" + bytes([len(name)]) + name.encode() + b"\0"
    types = bytes([COLUMNS_OF_A_MAP]) + b"\3" * COLUMNS_OF_A_MAP
    return EventType.TABLE_MAP, table_id.to_bytes(6, "little") + b"\1\0" + schema + types + b"\0\7" + names


def images(count: int, first: int = 0) -> bytes:
    """Images of such a table."""
    return b"".join(b"\0" + struct.pack("<iii", first + number, number, -number) for number in range(count))


def rows(kind: EventType, table_id: int, row_images: bytes, *, bitmap: int = 0b111) -> tuple[int, bytes]:
    """The type and the body of a rows event."""
    is_v2 = kind in (EventType.WRITE_ROWS_V2, EventType.UPDATE_ROWS_V2, EventType.DELETE_ROWS_V2)
    sides = 2 if kind in (EventType.UPDATE_ROWS_V1, EventType.UPDATE_ROWS_V2) else 1
    head = table_id.to_bytes(6, "little") + b"\1\0" + (b"\2\0" if is_v2 else b"")
    return kind, head + bytes([COLUMNS_OF_A_MAP]) + bytes([bitmap]) * sides + row_images


XID = (int(EventType.XID), bytes(8))
