"""MariaDB, 10.6 and later, as a source."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pymysql

from datafingerprint.adapters.server import COMMON_DEMANDS, Connect, Demand, Replica, fix_session
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.schema import TableSchema

_COM_BINLOG_DUMP = 0x12
_FILE_START = 4


class MariaDbServer:
    """Implements `Server`."""

    is_mariadb = True
    demands: tuple[Demand, ...] = COMMON_DEMANDS
    status_statement = "SHOW MASTER STATUS"
    status_privilege = "BINLOG MONITOR"
    gtid_variable = "gtid_binlog_pos"

    def open_view(
        self, connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
    ) -> SourcePosition:
        """See `Server`; the server tells a view's position from inside it (status `binlog_snapshot_%`)."""
        del tables, connect
        fix_session(connection)
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
            status = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
            file, pos = status["binlog_snapshot_file"], int(status["binlog_snapshot_position"])
            cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (file, pos))
            gtid = cursor.fetchone()
        if gtid is None or gtid[0] is None:
            raise SourceError(f"the source cannot tell the GTID of {file}:{pos}", where=where)
        return SourcePosition(str(gtid[0]), file, pos)

    def request_dump(
        self, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
    ) -> bool:
        """See `Server`; a position that the server lacks is refused by the dump itself."""
        del where
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@global.binlog_checksum")
            row = cursor.fetchone()
            cursor.execute("SET @master_binlog_checksum = @@global.binlog_checksum")
            # Capability 4: the server sends GTID events as they are, not dressed up for older replicas.
            cursor.execute("SET @mariadb_slave_capability = 4")
            cursor.execute("SET @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0")
            cursor.execute("SET @slave_connect_state = %s", (position.gtid,))
            cursor.execute("SET @master_heartbeat_period = %s", (int(replica.heartbeat_s * 1_000_000_000),))
        send(connection, struct.pack("<BIHI", _COM_BINLOG_DUMP, _FILE_START, 0, replica.server_id))
        return row is not None and str(row[0]).upper() != "NONE"


def send(connection: pymysql.Connection, body: bytes) -> None:
    """Sends a command that the client library has no method for."""
    connection._write_bytes(struct.pack("<i", len(body)) + body)  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    connection._next_seq_id = 1  # type: ignore[attr-defined]  # noqa: SLF001 - as above
