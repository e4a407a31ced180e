"""Result sets in the bytes of the client protocol, and a connection that receives them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.connections import MySQLResult
from pymysql.constants import FIELD_TYPE
from pymysql.cursors import SSCursor

from datafingerprint.charsets import UTF8
from datafingerprint.schema import BYTES_KINDS, Column, Kind, TableSchema

_BINARY, _UTF8 = 63, 45
_PACKET_MAX = 0xFFFFFF
_SEQUENCE_NUMBERS = 256
_PATIENCE_S = 20.0
END = b"\xfe\0\0\2\0"
ENDED = b"\xff" + (1317).to_bytes(2, "little") + b"#70100Query execution was interrupted"
Cells = Sequence[bytes | None]


def text_of(content: bytes | None) -> bytes:
    """A cell as the server writes it."""
    if content is None:
        return b"\xfb"
    size = len(content)
    for limit, prefix, width in ((251, b"", 1), (1 << 16, b"\xfc", 2), (1 << 24, b"\xfd", 3)):
        if size < limit:
            return prefix + size.to_bytes(width, "little") + content
    return b"\xfe" + size.to_bytes(8, "little") + content


def row_of(cells: Cells) -> bytes:
    """The packet of a row, without its header."""
    return b"".join(map(text_of, cells))


def stream_of(table: TableSchema, packets: Sequence[bytes]) -> bytes:
    """All bytes of a result set: the definitions of its columns, and packets after them."""
    head = [bytes([len(table.columns)]), *map(_definition, table.columns), END]
    pieces: list[bytes] = []
    for packet in [*head, *packets]:
        for at in range(0, len(packet) + 1, _PACKET_MAX):
            piece = packet[at : at + _PACKET_MAX]
            number = (len(pieces) + 1) % _SEQUENCE_NUMBERS
            pieces.append(len(piece).to_bytes(3, "little") + bytes([number]) + piece)
    return b"".join(pieces)


def _definition(column: Column) -> bytes:
    kind, charset = FIELD_TYPE.VAR_STRING, _UTF8
    if column.kind in (Kind.FLOAT, Kind.DOUBLE):
        kind = FIELD_TYPE.DOUBLE
    elif column.kind in BYTES_KINDS or (column.kind is Kind.TEXT and column.charset not in UTF8):
        charset = _BINARY
    names = row_of([b"def", b"s", b"t", b"t", b"c", b"c"])
    return names + b"\x0c" + charset.to_bytes(2, "little") + bytes(4) + bytes([kind]) + bytes(5)


class Receiving:
    """A real connection of the library that receives these bytes.

    Args:
        stream: The bytes.
        ends: Whether the connection ends after them, or waits for the next command as a server does.
    """

    def __init__(self, stream: bytes, *, ends: bool = True) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(_PATIENCE_S)
        self._sender = threading.Thread(target=_send, args=(theirs, stream, ends), daemon=True)
        self._sender.start()
        connection: Any = pymysql.Connection(defer_connect=True, charset="utf8mb4")
        connection._sock, connection._rfile, connection._next_seq_id = ours, ours.makefile("rb"), 1
        connection._closed, connection._current_timeout = False, None
        connection._result = result = MySQLResult(connection)
        result.init_unbuffered_query()
        cursor: Any = SSCursor(connection)
        cursor._result, cursor._executed = result, "SELECT"
        self._result = result
        self.connection: pymysql.Connection = connection
        self.cursor: SSCursor = cursor

    def close(self) -> None:
        """Ends the connection."""
        self._result.unbuffered_active = False  # or the library reads on when it is collected
        if self.connection.open:
            self.connection._force_close()  # type: ignore[attr-defined]
        self._sender.join(10)


def _send(to: socket.socket, stream: bytes, ends: bool) -> None:
    with to:
        try:
            to.sendall(stream)
            while not ends and to.recv(1):
                pass
        except OSError:
            return  # the receiver has closed the connection
