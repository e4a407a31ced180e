"""A connection on which a MariaDB server sends its binlog, event after event.

The client library for replication reconnects by itself and passes events over that it does not know; both lose
or double rows without a word. So this adapter asks for the dump itself (COM_BINLOG_DUMP), checks every checksum,
and ends with `Unavailable` when the connection does: the caller resumes from the last whole epoch.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pymysql

from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError, Unavailable

_COM_BINLOG_DUMP = 0x12
_FILE_START = 4
_CHECKSUM_OCTETS = 4


def dump(
    connection: pymysql.Connection, position: SourcePosition, *, server_id: int, heartbeat_s: float, where: str
) -> Iterator[bytes]:
    """Events after a GTID position, without their checksums; a heartbeat event whenever there is nothing for a while.

    Raises:
        Unavailable: the connection or the server went away.
        SourceError: the server does not have the position.
        DecodeError: a checksum is wrong.
    """
    with translated(where):
        checksums = _prepare(connection, position, heartbeat_s)
        _request(connection, server_id)
    while True:
        with translated(where):
            packet = connection._read_packet()  # type: ignore[no-untyped-call]  # noqa: SLF001 - the library has no name for it
        octets = packet.get_all_data()
        if packet.is_eof_packet():
            raise Unavailable("the source ended the binlog dump", where=where)
        yield _checked(octets[1:], where) if checksums else octets[1:]


def _prepare(connection: pymysql.Connection, position: SourcePosition, heartbeat_s: float) -> bool:
    """Sets the session up for a dump by GTID; returns whether events carry checksums."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@global.binlog_checksum")
        row = cursor.fetchone()
        cursor.execute("SET @master_binlog_checksum = @@global.binlog_checksum")
        # Capability 4: the server sends GTID events as they are, not dressed up for older replicas.
        cursor.execute("SET @mariadb_slave_capability = 4")
        cursor.execute("SET @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0")
        cursor.execute("SET @slave_connect_state = %s", (position.gtid,))
        cursor.execute("SET @master_heartbeat_period = %s", (int(heartbeat_s * 1_000_000_000),))
    return row is not None and str(row[0]).upper() != "NONE"


def _request(connection: pymysql.Connection, server_id: int) -> None:
    body = struct.pack("<BIHI", _COM_BINLOG_DUMP, _FILE_START, 0, server_id)
    connection._write_bytes(struct.pack("<i", len(body)) + body)  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    connection._next_seq_id = 1  # type: ignore[attr-defined]  # noqa: SLF001 - as above


def _checked(octets: bytes, where: str) -> bytes:
    content, checksum = octets[:-_CHECKSUM_OCTETS], octets[-_CHECKSUM_OCTETS:]
    if zlib.crc32(content) != int.from_bytes(checksum, "little"):
        raise DecodeError(
            "a binlog event's checksum is wrong",
            where=where,
            remedy="the binlog or the network is damaged: check the source's disk, then start capture again",
        )
    return content
