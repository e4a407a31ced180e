"""MySQL, 8.0 and later with GTIDs, as a source."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Sequence

import pymysql

from datafingerprint.adapters.mysql.errors import DENIED_CODES, LOCK_WAIT_TIMEOUT
from datafingerprint.adapters.mysql.mariadb_server import send
from datafingerprint.adapters.mysql.server import COMMON_DEMANDS, Connect, Demand, Replica, quoted_table, require_kind
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError, TableError, Unavailable
from datafingerprint.gtid import Gtids, GtidSet, parse_gtids
from datafingerprint.recovery import RESNAPSHOT_ALL
from datafingerprint.schema import TableSchema

_COM_BINLOG_DUMP_GTID = 0x1E
_THROUGH_GTID = 4
_FILE_START = 4
_TRIES = 20
_READINGS = 1000
"""A reading takes about a millisecond. Under many writers most find a transaction that is not finished."""

_GRANTS = (
    "GRANT BACKUP_ADMIN ON *.* TO {account}; GRANT SELECT ON performance_schema.log_status TO {account}; "
    "or grant it LOCK TABLES on the captured schemas"
)
_LOCK_WAIT_S = 5
_NO_PRIVILEGE = frozenset({1142, 1227})
_OF_ONE_TABLE = DENIED_CODES | {LOCK_WAIT_TIMEOUT}


class MySqlServer:
    """Implements `Server`."""

    is_mariadb = False
    status_privilege = "REPLICATION CLIENT"
    gtid_variable = "gtid_executed"
    demands: tuple[Demand, ...] = (
        *COMMON_DEMANDS,
        ("gtid_mode", frozenset({"ON"}), "set [mysqld] gtid_mode = ON, in the steps of the MySQL manual"),
        ("enforce_gtid_consistency", frozenset({"ON"}), "SET GLOBAL enforce_gtid_consistency = ON"),
        ("binlog_row_value_options", frozenset({""}), "SET GLOBAL binlog_row_value_options = ''"),
    )

    def __init__(self, version: tuple[int, ...]) -> None:
        self.status_statement = "SHOW BINARY LOG STATUS" if version >= (8, 2) else "SHOW MASTER STATUS"

    def open_view(
        self, connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
    ) -> SourcePosition:
        """See `Server`.

        `performance_schema.log_status` is read before and after. If both readings agree, and no transaction between
        them was flushed but not yet in `gtid_executed`, they are the view's position. Without the privilege to read
        it, or if the server is too busy for such a moment, the tables are locked against writes while the view is
        opened.
        """
        for _ in range(_TRIES):
            before = _finished_position(connection)
            if before is None:
                break
            _begin(connection, tables, where)
            if log_status(connection) == before:
                return before
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        return _locked_view(connection, tables, connect, where)

    def require_history(self, connection: pymysql.Connection, position: SourcePosition, where: str) -> None:
        """See `Server`."""
        with connection.cursor() as cursor:
            _require_history(cursor, position, where)

    def request_dump(
        self, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
    ) -> None:
        """See `Server`."""
        require_kind(position, GtidSet, where)
        with connection.cursor() as cursor:
            _require_history(cursor, position, where)
            period = int(replica.heartbeat_s * 1_000_000_000)
            # Declares that this client understands checksums. Each file's description says whether it has them.
            # Servers before 8.0.26 use the old names.
            cursor.execute(
                "SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32', "
                "@source_heartbeat_period = %s, @master_heartbeat_period = %s",
                (period, period),
            )
        gtids = encoded_set(parse_gtids(position.gtid))
        header = struct.pack(
            "<BHIIQI", _COM_BINLOG_DUMP_GTID, _THROUGH_GTID, replica.server_id, 0, _FILE_START, len(gtids)
        )
        send(connection, header + gtids)


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


def _finished_position(connection: pymysql.Connection) -> SourcePosition | None:
    """A position whose transactions are all finished; None if none was found or may not be read."""
    for _ in range(_READINGS):
        position = log_status(connection)
        if position is None or not has_unfinished(connection):
            return position
    return None


def has_unfinished(connection: pymysql.Connection) -> bool:
    """Whether a flushed transaction may be missing from `gtid_executed`.

    A group commit finishes all its transactions in the engines before it adds their GTIDs to `gtid_executed`. Until
    then a view shows rows of transactions that both readings of the log's status lack. From before its flush until
    after that addition, a transaction owns its GTID.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.gtid_owned")
        row = cursor.fetchone()
    return bool(row and row[0])


def _begin(connection: pymysql.Connection, tables: Sequence[TableSchema], where: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        for table in tables:
            # A table keeps its name and definition from its first read until the view ends.
            try:
                cursor.execute(f"SELECT 1 FROM {quoted_table(table)} LIMIT 1")
            except pymysql.MySQLError as error:
                if error.args and error.args[0] in _OF_ONE_TABLE:
                    remedy = "repair it (CHECK TABLE shows the damage), or exclude it in [source] tables"
                    raise TableError(
                        table.table, f"it cannot be read: {error.args[1]}", where=where, remedy=remedy
                    ) from error
                raise
            cursor.fetchall()


def _account(connection: pymysql.Connection) -> str:
    """The account in the form of GRANT."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        user, _, host = str(cursor.fetchall()[0][0]).rpartition("@")
    return f"'{user}'@'{host}'"


def _locked_view(
    connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
) -> SourcePosition:
    locks = ", ".join(f"{quoted_table(table)} READ" for table in tables)
    holder = connect()
    try:
        with holder.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = %s", (_LOCK_WAIT_S,))
            try:
                # Without tables, any position is that of the view.
                if locks:
                    cursor.execute(f"LOCK TABLES {locks}")
            except pymysql.MySQLError as error:
                if error.args and error.args[0] == LOCK_WAIT_TIMEOUT:
                    raise Unavailable("a long transaction keeps the tables from being locked", where=where) from error
                raise SourceError(
                    "the position of a view is unknown",
                    where=where,
                    remedy=_GRANTS.format(account=_account(holder)),
                ) from error
            _begin(connection, tables, where)
            cursor.execute("SELECT @@GLOBAL.gtid_executed")
            row = cursor.fetchone()
    finally:
        holder.close()
    return SourcePosition(str(row[0]).replace("\n", "") if row else "", "", 0)


def _require_history(cursor: pymysql.cursors.Cursor, position: SourcePosition, where: str) -> None:
    """Checks that the server has all transactions read before, and has purged none not yet read."""
    cursor.execute(
        "SELECT GTID_SUBSET(%s, @@GLOBAL.gtid_executed), GTID_SUBSET(@@GLOBAL.gtid_purged, %s), @@GLOBAL.gtid_purged",
        (position.gtid, position.gtid),
    )
    has_all, keeps_all, purged = cursor.fetchone() or (0, 0, "")
    if not has_all:
        raise SourceError(
            "the source lacks transactions that were read from it: it lost them, or it is another server",
            where=where,
            remedy="point [source] at the server with that history; or, if the data was moved to this server, "
            f"{RESNAPSHOT_ALL}",
        )
    if not keeps_all:
        raise SourceError(
            f"the source has purged binlogs before they were read (gtid_purged is {str(purged)[:200]})",
            where=where,
            remedy=f"set binlog_expire_logs_seconds above any pause of capture, and {RESNAPSHOT_ALL}",
        )


def encoded_set(gtids: Gtids) -> bytes:
    """Encode a GTID set for COM_BINLOG_DUMP_GTID, as the Client/Server Protocol specifies.

    The form with tags is that of the server's `Gtid_set::encode`. The number of sources has a marker at both ends, and
    each source is followed by the doubled length of its tag and the tag.
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
