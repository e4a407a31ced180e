"""MariaDB, 10.6 and later, as a source."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pymysql
import structlog

from datafingerprint.adapters.mariadb_history import require_same_log, server_id_of
from datafingerprint.adapters.server import COMMON_DEMANDS, Connect, Demand, Replica, fix_session, require_kind
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
        """See `Server`; the server tells a view's position from inside it (status `binlog_snapshot_%`)."""
        del tables, connect
        fix_session(connection)
        for _ in range(_TRIES):
            before = _end_of_log(connection)
            position = _view(connection)
            gtid = _gtid_at(connection, position)
            # The server finds no GTID behind an event that is longer than a packet; but when nothing was logged
            # while the view was opened, then its position is the end of the log, whose GTID is known.
            if gtid is None and before == _end_of_log(connection) == position:
                gtid = position.gtid
            if gtid is not None:
                return SourcePosition(gtid, position.file, position.pos, server_id_of(connection))
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        raise SourceError(
            f"the source cannot tell the GTID of {position.file}:{position.pos}, for an event before it is longer than "
            "max_allowed_packet, and it is written to without a pause",
            where=where,
            remedy="SET GLOBAL max_allowed_packet to more than the longest event, or FLUSH BINARY LOGS",
        )

    def request_dump(
        self, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
    ) -> bool:
        """See `Server`; a position that the server lacks is refused by the dump itself.

        Two histories may count alike, so the server's own log is looked at first.
        """
        require_kind(position, GtidPosition, where)
        unknown = require_same_log(connection, position, where) if position.gtid else ""
        if unknown and self._log is not None:
            about = {"gtid": position.gtid, "file": position.file, "pos": position.pos}
            self._log.warning("whether the source lost transactions cannot be told", reason=unknown, **about)
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


def _view(connection: pymysql.Connection) -> SourcePosition:
    """Opens a view; its file and offset, and the GTID up to which the log had come when it was open."""
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
    """GTID, file and offset up to which the log is written; the GTID is read first."""
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
