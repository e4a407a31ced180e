"""Reads the binlog that a server sends over a connection, event by event.

The usual client library for replication reconnects by itself and skips unknown events, which loses or doubles rows
silently. So this adapter requests the dump itself and checks every checksum. It raises `Unavailable` when the
connection breaks, and the caller resumes from the last whole epoch.
"""

from __future__ import annotations

import io
import select
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pymysql
from pymysql.constants import CR

from datafingerprint.adapters.mysql.errors import translated
from datafingerprint.adapters.mysql.server import Replica, Server
from datafingerprint.binlog.native import native_binlog
from datafingerprint.binlog.packets import Events
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError, Unavailable
from datafingerprint.recovery import RESNAPSHOT_ALL

_STATUS_BYTES, _CHECKSUM_BYTES = 1, 4
"""Bytes before an event in its packet, and bytes after it."""

_TYPE_AT, _FORMAT_DESCRIPTION = 4, 15
_ALGORITHM_AT, _CRC32 = 5, 1
"""A format description event names its checksum algorithm this many bytes before its end; 0 is none."""

_SEQUENCE_NUMBERS = 256
_BEGIN = np.zeros(1, np.int64)

_PAUSE_S = 0.02
_READ_BYTES = 1 << 18


class _BatchingStream(io.RawIOBase):
    """The bytes of a connection, read in larger pieces.

    A server sends every event as soon as it is committed, and each would wake the reader. When no data is waiting,
    this sleeps for a moment first. The events of that moment then cost one read.
    """

    def __init__(self, connection: pymysql.Connection) -> None:
        self._socket: Any = connection._sock  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no public name for it
        self._stream: Any = connection._rfile  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        if not self._poll.poll(0):
            time.sleep(_PAUSE_S)
        read: int = self._stream.readinto1(buffer)
        return read


def dump(
    server: Server, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
) -> Iterator[Events]:
    """Yield the events after a GTID position, without their checksums.

    When the server has none for a while, it sends a heartbeat event. With the native code, all plain events that have
    arrived come as one batch.

    Raises:
        Unavailable: the connection or the server is gone.
        SourceError: the server does not have the position.
        DecodeError: a checksum is wrong.
    """
    # Entered once: for small events, entering it for each event took a third of the time.
    with translated(where):
        server.request_dump(connection, position, replica, where)
        # The library sets the timeout for each packet that it reads, but not for packets that the native code reads.
        connection._sock.settimeout(connection._read_timeout)  # type: ignore[attr-defined]  # noqa: SLF001 - as below
        connection._current_timeout = connection._read_timeout  # type: ignore[attr-defined]  # noqa: SLF001 - as below
        reader = io.BufferedReader(_BatchingStream(connection), _READ_BYTES)
        connection._rfile = reader  # type: ignore[attr-defined]  # noqa: SLF001 - as below
        checksums = Checksums(where)
        while True:
            # No variable holds the batch, so that a long event does not stay in memory until the next one.
            yield _next_batch(connection, reader, checksums) or _next_event(connection, checksums)


class Checksums:
    """Checks and removes checksums. Each binlog file declares whether it has them.

    Args:
        where: The server's address, for errors.

    Attributes:
        where: The server's address, for errors.
        are_present: Whether the current file has checksums; None before the first file.
    """

    def __init__(self, where: str) -> None:
        self.are_present: bool | None = None
        self.where = where

    def strip(self, payload: bytes) -> bytes:
        """Checks an event and removes its checksum.

        Args:
            payload: The packet that holds the event.

        Raises:
            DecodeError: the checksum is wrong.
        """
        event = payload[_STATUS_BYTES:]
        if len(event) > _ALGORITHM_AT and event[_TYPE_AT] == _FORMAT_DESCRIPTION:
            return self._strip_description(event)
        if self.are_present is None:
            # The server makes this event up before it describes the first file, so the event alone shows its checksum.
            return event[:-_CHECKSUM_BYTES] if _is_intact(event) else event
        return self._strip_checked(event) if self.are_present else event

    def _strip_description(self, event: bytes) -> bytes:
        """Reads the algorithm from a description event, which always has bytes for a checksum."""
        algorithm = event[-_ALGORITHM_AT]
        if algorithm > _CRC32:
            raise DecodeError(
                f"the binlog uses the unknown checksum algorithm {algorithm}",
                where=self.where,
                remedy=f"SET GLOBAL binlog_checksum = CRC32, then {RESNAPSHOT_ALL}",
            )
        self.are_present = algorithm == _CRC32
        return self._strip_checked(event) if self.are_present else event[:-_CHECKSUM_BYTES]

    def _strip_checked(self, event: bytes) -> bytes:
        if not _is_intact(event):
            raise DecodeError(
                "a binlog event's checksum is wrong",
                where=self.where,
                remedy="the binlog or the network is damaged: check the source's disk, then restart capture",
            )
        return event[:-_CHECKSUM_BYTES]


def _is_intact(event: bytes) -> bool:
    """Whether the last bytes are the checksum of the bytes before them."""
    return zlib.crc32(event[:-_CHECKSUM_BYTES]) == int.from_bytes(event[-_CHECKSUM_BYTES:], "little")


def _next_event(connection: Any, checksums: Checksums) -> Events:  # noqa: ANN401 - the library has no types for these attributes
    """The next event, which the client library reads and checks."""
    packet = connection._read_packet()  # noqa: SLF001 - the library has no public name for it
    if packet.is_eof_packet():
        raise Unavailable("the source ended the binlog dump", where=checksums.where)
    event = checksums.strip(packet.get_all_data())
    return Events(event, _BEGIN, np.array([len(event)]))


def _next_batch(connection: Any, reader: io.BufferedReader[_BatchingStream], checksums: Checksums) -> Events | None:  # noqa: ANN401 - as above
    """The events of all packets that have arrived, up to one that the client library must read.

    Returns:
        None without the native code, or when the next packet is not a plain event.
    """
    native = native_binlog()
    if native is None or checksums.are_present is None:
        return None
    try:
        data = reader.peek()
    except OSError as error:
        raise pymysql.OperationalError(CR.CR_SERVER_LOST, f"Lost connection to the server ({error})") from error
    batch = native.packets(data, connection._next_seq_id, have_checksums=checksums.are_present)  # noqa: SLF001 - as above
    if not batch.length:
        return None
    reader.read(batch.length)
    connection._next_seq_id = (connection._next_seq_id + len(batch.begins)) % _SEQUENCE_NUMBERS  # noqa: SLF001 - as above
    return Events(data, batch.begins, batch.ends)
