"""A connection on which a server sends its binlog, event after event.

The client library for replication reconnects by itself and passes events over that it does not know; both lose
or double rows without a word. So this adapter asks for the dump itself, checks every checksum, and ends with
`Unavailable` when the connection does: the caller resumes from the last whole epoch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pymysql

from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.adapters.server import Replica, Server
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError, Unavailable

_STATUS_OCTETS, _CHECKSUM_OCTETS = 1, 4
"""What stands in front of an event in its packet, and behind it."""


def dump(
    server: Server, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
) -> Iterator[bytes]:
    """Events after a GTID position, without their checksums; a heartbeat event whenever there is nothing for a while.

    Raises:
        Unavailable: the connection or the server went away.
        SourceError: the server does not have the position.
        DecodeError: a checksum is wrong.
    """
    # Entered once: with an event for each row of a small transaction, entering it each time took a third of this.
    with translated(where):
        checksums = server.request_dump(connection, position, replica, where)
        while True:
            packet = connection._read_packet()  # type: ignore[no-untyped-call]  # noqa: SLF001 - the library has no name for it
            octets = packet.get_all_data()
            if packet.is_eof_packet():
                raise Unavailable("the source ended the binlog dump", where=where)
            yield _checked(octets, where) if checksums else octets[_STATUS_OCTETS:]


def _checked(octets: bytes, where: str) -> bytes:
    content = octets[_STATUS_OCTETS:-_CHECKSUM_OCTETS]
    if zlib.crc32(content) != int.from_bytes(octets[-_CHECKSUM_OCTETS:], "little"):
        raise DecodeError(
            "a binlog event's checksum is wrong",
            where=where,
            remedy="the binlog or the network is damaged: check the source's disk, then start capture again",
        )
    return content
