"""MariaDB, 10.6 and later, as a source."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pymysql
import structlog

from datafingerprint.adapters.mysql.mariadb_history import require_same_log, server_id_of
from datafingerprint.adapters.mysql.server import COMMON_DEMANDS, Connect, Demand, Replica, require_kind
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.gtid import GtidPosition
from datafingerprint.schema import TableSchema

_COM_BINLOG_DUMP = 0x12
_FILE_START = 4
_TRIES = 20


class MariaDbServer:
    """Implements `Server`."""

    is_mariadb = True
    demands: tuple[Demand, ...] = COMMON_DEMANDS
    status_statement = "SHOW MASTER STATUS"
    status_privilege = "BINLOG MONITOR"
    gtid_variable = "gtid_binlog_pos"

    def __init__(self, log: structlog.stdlib.BoundLogger | None = None) -> None:
        self._log = log

    def open_view(
        self, connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
    ) -> SourcePosition:
        """See `Server`. The view's position is in its status variables `binlog_snapshot_%`."""
        del tables, connect
        for _ in range(_TRIES):
            before = _end_of_log(connection)
            position = _open_view(connection)
            gtid = _gtid_at(connection, position)
            # The server finds no GTID after an event that is longer than a packet. But if nothing was logged while
            # the view was opened, its position is the end of the log, whose GTID is known.
            if gtid is None and before == _end_of_log(connection) == position:
                gtid = position.gtid
            if gtid is not None:
                return SourcePosition(gtid, position.file, position.pos, server_id_of(connection))
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        raise SourceError(
            f"the source cannot find the GTID of {position.file}:{position.pos}: an event before it is longer than "
            "max_allowed_packet, and writes never pause",
            where=where,
            remedy="SET GLOBAL max_allowed_packet above the longest event, or FLUSH BINARY LOGS",
        )

    def require_history(self, connection: pymysql.Connection, position: SourcePosition, where: str) -> None:
        """See `Server`. `request_dump` has logged a history that cannot be checked."""
        if position.gtid:
            require_same_log(connection, position, where)

    def request_dump(
        self, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
    ) -> None:
        """See `Server`. The dump itself refuses a position that the server lacks.

        Two histories may use the same GTIDs, so the server's binlog is checked first.
        """
        require_kind(position, GtidPosition, where)
        reason = require_same_log(connection, position, where) if position.gtid else ""
        if reason and self._log is not None:
            fields = {"gtid": position.gtid, "file": position.file, "pos": position.pos}
            self._log.warning("cannot check whether the source lost transactions", reason=reason, **fields)
        with connection.cursor() as cursor:
            # Declares that this client understands checksums. Each file's description says whether it has them.
            cursor.execute("SET @master_binlog_checksum = 'CRC32'")
            # Capability 4: the server sends GTID events unchanged, not converted for older replicas.
            cursor.execute("SET @mariadb_slave_capability = 4")
            cursor.execute("SET @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0")
            cursor.execute("SET @slave_connect_state = %s", (position.gtid,))
            cursor.execute("SET @master_heartbeat_period = %s", (int(replica.heartbeat_s * 1_000_000_000),))
        send(connection, struct.pack("<BIHI", _COM_BINLOG_DUMP, _FILE_START, 0, replica.server_id))


def _open_view(connection: pymysql.Connection) -> SourcePosition:
    """Opens a view, and returns its file and offset with the GTID at the end of the log then."""
    with connection.cursor() as cursor:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
        status = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
        cursor.execute("SELECT @@GLOBAL.gtid_binlog_pos")
        row = cursor.fetchone()
    gtid = str(row[0]) if row else ""
    return SourcePosition(gtid, status["binlog_snapshot_file"], int(status["binlog_snapshot_position"]))


def _gtid_at(connection: pymysql.Connection, position: SourcePosition) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (position.file, position.pos))
        row = cursor.fetchone()
    return None if row is None or row[0] is None else str(row[0])


def _end_of_log(connection: pymysql.Connection) -> SourcePosition:
    """GTID, file and offset of the end of the log. The GTID is read first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.gtid_binlog_pos")
        gtid = cursor.fetchone()
        cursor.execute("SHOW MASTER STATUS")
        status = cursor.fetchone()
    return SourcePosition(
        str(gtid[0]) if gtid else "", str(status[0]) if status else "", int(status[1]) if status else 0
    )


def send(connection: pymysql.Connection, body: bytes) -> None:
    """Sends a command that the client library has no method for."""
    connection._write_bytes(struct.pack("<i", len(body)) + body)  # type: ignore[attr-defined]  # noqa: SLF001 - as above
    connection._next_seq_id = 1  # type: ignore[attr-defined]  # noqa: SLF001 - as above
