"""MySQL, 8.0 and later with GTIDs, as a source."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Sequence

import pymysql

from datafingerprint.adapters.mariadb_server import send
from datafingerprint.adapters.server import (
    COMMON_DEMANDS,
    Connect,
    Demand,
    Replica,
    fix_session,
    quoted_table,
    require_kind,
)
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError, Unavailable
from datafingerprint.gtid import Gtids, GtidSet, parse_gtids
from datafingerprint.remedies import READ_ALL_AGAIN
from datafingerprint.schema import TableSchema

_COM_BINLOG_DUMP_GTID = 0x1E
_THROUGH_GTID = 4
_FILE_START = 4
_TRIES = 20
_GRANTS = "GRANT BACKUP_ADMIN ON *.* and SELECT ON performance_schema.log_status"
_LOCK_WAIT_S = 5
_NO_PRIVILEGE = frozenset({1142, 1227})
_LOCK_WAIT_TIMEOUT = 1205


class MySqlServer:
    """Implements `Server`."""

    is_mariadb = False
    status_privilege = "REPLICATION CLIENT"
    gtid_variable = "gtid_executed"
    demands: tuple[Demand, ...] = (
        *COMMON_DEMANDS,
        ("gtid_mode", frozenset({"ON"}), "SET GLOBAL gtid_mode = ON, step by step as the manual says"),
        ("enforce_gtid_consistency", frozenset({"ON"}), "SET GLOBAL enforce_gtid_consistency = ON"),
        ("binlog_row_value_options", frozenset({""}), "SET GLOBAL binlog_row_value_options = ''"),
    )

    def __init__(self, version: tuple[int, ...]) -> None:
        self.status_statement = "SHOW BINARY LOG STATUS" if version >= (8, 2) else "SHOW MASTER STATUS"

    def open_view(
        self, connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
    ) -> SourcePosition:
        """See `Server`.

        `performance_schema.log_status` is read before and after: when both readings are the same, so is the view's.
        Where that is not to be had, the tables are locked against writes just while the view is opened.
        """
        fix_session(connection)
        for _ in range(_TRIES):
            before = log_status(connection)
            if before is None:
                break
            _begin(connection, tables)
            if log_status(connection) == before:
                return before
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        return _locked_view(connection, tables, connect, where)

    def request_dump(
        self, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
    ) -> bool:
        """See `Server`."""
        require_kind(position, GtidSet, where)
        with connection.cursor() as cursor:
            _require_history(cursor, position, where)
            cursor.execute("SELECT @@global.binlog_checksum")
            row = cursor.fetchone()
            period = int(replica.heartbeat_s * 1_000_000_000)
            # The old names are those of servers before 8.0.26.
            cursor.execute(
                "SET @source_binlog_checksum = @@global.binlog_checksum, @master_binlog_checksum = "
                "@@global.binlog_checksum, @source_heartbeat_period = %s, @master_heartbeat_period = %s",
                (period, period),
            )
        gtids = encoded_set(parse_gtids(position.gtid))
        header = struct.pack(
            "<BHIIQI", _COM_BINLOG_DUMP_GTID, _THROUGH_GTID, replica.server_id, 0, _FILE_START, len(gtids)
        )
        send(connection, header + gtids)
        return row is not None and str(row[0]).upper() != "NONE"


def log_status(connection: pymysql.Connection) -> SourcePosition | None:
    """GTIDs and offset of the binlog at one moment; None without the privilege BACKUP_ADMIN."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT LOCAL FROM performance_schema.log_status")
            row = cursor.fetchone()
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in _NO_PRIVILEGE:
            return None
        raise
    status = json.loads(row[0]) if row else {}
    gtid = str(status["gtid_executed"]).replace("\n", "")
    return SourcePosition(gtid, status["binary_log_file"], int(status["binary_log_position"]))


def _begin(connection: pymysql.Connection, tables: Sequence[TableSchema]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        for table in tables:
            # Once touched, a table keeps its definition until the view ends: nobody can rename it in between.
            cursor.execute(f"SELECT 1 FROM {quoted_table(table)} LIMIT 1")
            cursor.fetchall()


def _locked_view(
    connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
) -> SourcePosition:
    if not tables:
        raise SourceError("the position of a view cannot be known", where=where, remedy=_GRANTS)
    locks = ", ".join(f"{quoted_table(table)} READ" for table in tables)
    holder = connect()
    try:
        with holder.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = %s", (_LOCK_WAIT_S,))
            try:
                cursor.execute(f"LOCK TABLES {locks}")
            except pymysql.MySQLError as error:
                if error.args and error.args[0] == _LOCK_WAIT_TIMEOUT:
                    raise Unavailable("a long transaction keeps the tables from being locked", where=where) from error
                raise SourceError(
                    "the position of a view cannot be known",
                    where=where,
                    remedy=f"{_GRANTS} to the account, or LOCK TABLES on the schemas under watch",
                ) from error
            _begin(connection, tables)
            cursor.execute("SELECT @@GLOBAL.gtid_executed")
            row = cursor.fetchone()
    finally:
        holder.close()
    return SourcePosition(str(row[0]).replace("\n", "") if row else "", "", 0)


def _require_history(cursor: pymysql.cursors.Cursor, position: SourcePosition, where: str) -> None:
    """A server that lacks what was read from it once has lost transactions, or is another one."""
    cursor.execute(
        "SELECT GTID_SUBSET(%s, @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, %s), @@GLOBAL.gtid_purged",
        (position.gtid, position.gtid),
    )
    has_all, keeps_all, purged = cursor.fetchone() or (0, 0, "")
    if not has_all:
        raise SourceError(
            "the source lacks transactions that were read from it: it lost them, or it is another server",
            where=where,
            remedy="point [source] at the server with that history; or, if this is the one that is migrated now, "
            f"{READ_ALL_AGAIN}",
        )
    if not keeps_all:
        raise SourceError(
            f"the source has purged binlogs that were not read yet (gtid_purged is {str(purged)[:200]})",
            where=where,
            remedy=f"let binlog_expire_logs_seconds exceed any pause of capture, and {READ_ALL_AGAIN}",
        )


def encoded_set(gtids: Gtids) -> bytes:
    """A GTID set as COM_BINLOG_DUMP_GTID takes it (Client/Server Protocol, "COM_BINLOG_DUMP_GTID").

    The form with tags is the server's own (`Gtid_set::encode`): a marker on both ends of the number of sources, and
    a tag, its length doubled in front, behind every source.
    """
    if not isinstance(gtids, GtidSet):
        return struct.pack("<Q", 0)  # nothing has happened yet
    count = len(gtids.intervals)
    parts = [struct.pack("<Q", 1 << 56 | count << 8 | 1 if gtids.is_tagged else count)]
    for name, intervals in sorted(gtids.intervals.items()):
        source, _, tag = name.partition(":")
        parts.append(uuid.UUID(source).bytes)
        if gtids.is_tagged:
            parts.append(bytes([len(tag) << 1]) + tag.encode())
        parts.append(struct.pack("<Q", len(intervals)))
        # The end of an interval is the first number that is not in it.
        parts += [struct.pack("<QQ", first, last + 1) for first, last in intervals]
    return b"".join(parts)
