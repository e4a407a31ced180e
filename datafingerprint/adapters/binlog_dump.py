"""A connection on which a server sends its binlog, event after event.

The client library for replication reconnects by itself and passes events over that it does not know; both lose
or double rows without a word. So this adapter asks for the dump itself, checks every checksum, and ends with
`Unavailable` when the connection does: the caller resumes from the last whole epoch.
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

from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.adapters.server import Replica, Server
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError, Unavailable
from datafingerprint.events import Events
from datafingerprint.kernel.binlog import binlog

_STATUS_OCTETS, _CHECKSUM_OCTETS = 1, 4
"""What stands in front of an event in its packet, and behind it."""

_SEQUENCE_NUMBERS = 256
_BEGIN = np.zeros(1, np.int64)

_PAUSE_S = 0.02
_READ_OCTETS = 1 << 18


class _Patient(io.RawIOBase):
    """The octets of a connection, read in larger pieces.

    A server sends every event as soon as it is committed, and who waits for it is woken for each. Where nothing has
    come yet this waits a moment first: what comes in it is one piece then, and costs both sides' cores one step.
    """

    def __init__(self, connection: pymysql.Connection) -> None:
        self._socket: Any = connection._sock  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no name for it
        self._stream: Any = connection._rfile  # type: ignore[attr-defined]  # noqa: SLF001 - likewise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever holds octets
        if not self._poll.poll(0):
            time.sleep(_PAUSE_S)
        read: int = self._stream.readinto1(buffer)
        return read


def dump(
    server: Server, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
) -> Iterator[Events]:
    """Events after a GTID position, without their checksums; a heartbeat event whenever there is nothing for a while.

    Those that are there already, and of which nothing is to be said, come at once where the native code was built.

    Raises:
        Unavailable: the connection or the server went away.
        SourceError: the server does not have the position.
        DecodeError: a checksum is wrong.
    """
    # Entered once: with an event for each row of a small transaction, entering it each time took a third of this.
    with translated(where):
        checksums = server.request_dump(connection, position, replica, where)
        # The library sets it with every packet that it reads, but these it may not see.
        connection._sock.settimeout(connection._read_timeout)  # type: ignore[attr-defined]  # noqa: SLF001 - as below
        connection._current_timeout = connection._read_timeout  # type: ignore[attr-defined]  # noqa: SLF001 - as below
        reader = io.BufferedReader(_Patient(connection), _READ_OCTETS)
        connection._rfile = reader  # type: ignore[attr-defined]  # noqa: SLF001 - as below
        while True:
            # Without a name here, so that a long event does not stay in memory until the next one comes.
            yield _together(connection, reader, checksums=checksums) or _alone(connection, where, checksums=checksums)


def _alone(connection: Any, where: str, *, checksums: bool) -> Events:  # noqa: ANN401 - the library has no types for what is asked of it here
    """The next event, whatever there is to say of its packet."""
    packet = connection._read_packet()  # noqa: SLF001 - the library has no name for it
    octets = packet.get_all_data()
    if packet.is_eof_packet():
        raise Unavailable("the source ended the binlog dump", where=where)
    event = _checked(octets, where) if checksums else octets[_STATUS_OCTETS:]
    return Events(event, _BEGIN, np.array([len(event)]))


def _together(connection: Any, reader: io.BufferedReader[_Patient], *, checksums: bool) -> Events | None:  # noqa: ANN401 - as above
    """The events of the packets that were read, up to one that the client library has to look at."""
    native = binlog()
    if native is None:
        return None
    try:
        octets = reader.peek()
    except OSError as error:
        raise pymysql.OperationalError(CR.CR_SERVER_LOST, f"Lost connection to the server ({error})") from error
    found = native.packets(octets, connection._next_seq_id, have_checksums=checksums)  # noqa: SLF001 - as above
    if not found.behind:
        return None
    reader.read(found.behind)
    connection._next_seq_id = (connection._next_seq_id + len(found.begins)) % _SEQUENCE_NUMBERS  # noqa: SLF001 - as above
    return Events(octets, found.begins, found.ends)


def _checked(octets: bytes, where: str) -> bytes:
    content = octets[_STATUS_OCTETS:-_CHECKSUM_OCTETS]
    if zlib.crc32(content) != int.from_bytes(octets[-_CHECKSUM_OCTETS:], "little"):
        raise DecodeError(
            "a binlog event's checksum is wrong",
            where=where,
            remedy="the binlog or the network is damaged: check the source's disk, then start capture again",
        )
    return content
