"""Checks that a MariaDB server still has the history that was read from it.

All MariaDB servers number their GTIDs in the same way. A server that was rebuilt, or lost its last transactions in a
crash (`sync_binlog` other than 1), soon reaches the GTID of the stream again, with another transaction. But a binlog
file and offset of a server identify one GTID as long as the file exists.
"""

from __future__ import annotations

import pymysql

from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.gtid import parse_gtids
from datafingerprint.recovery import RESNAPSHOT_ALL

_BETWEEN = frozenset({"Gtid", "Gtid_list", "Binlog_checkpoint", "Rotate", "Stop", "Start_encryption"})
"""Events that may follow a whole transaction."""


def require_same_log(connection: pymysql.Connection, position: SourcePosition, where: str) -> str:
    """Check that the file and offset of a stream's position still have the position's GTIDs.

    Returns:
        Why this cannot be checked; empty when it is true.

    Raises:
        SourceError: the server has other GTIDs there: it lost transactions or was rebuilt.
    """
    if not position.file or not position.server_id:
        return "the server of the last epoch is unknown"
    if position.server_id != server_id_of(connection):
        return "the last epoch was read from another server"
    sizes = _sizes(connection)
    if position.file not in sizes:
        _require_earlier(position, sizes, where)
        return "its file was purged"
    if position.pos > sizes[position.file]:
        raise _lost_history(position, f"the file has {sizes[position.file]} bytes there", where)
    return _compare_gtids(connection, position, where)


def server_id_of(connection: pymysql.Connection) -> int:
    """The server id of the server."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.server_id")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _sizes(connection: pymysql.Connection) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOGS")
        return {str(row[0]): int(row[1]) for row in cursor.fetchall()}


def _require_earlier(position: SourcePosition, sizes: dict[str, int], where: str) -> None:
    last = list(sizes)[-1] if sizes else ""
    name, _, number = position.file.rpartition(".")
    if last.rpartition(".")[0] == name and last.rpartition(".")[2] < number:
        raise _lost_history(position, f"its last file is {last}", where)


def _compare_gtids(connection: pymysql.Connection, position: SourcePosition, where: str) -> str:
    """Why the GTIDs cannot be compared; empty when they are the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (position.file, position.pos))
        row = cursor.fetchone()
    if row is None or row[0] is None:
        if _ends_a_transaction(connection, position):
            return "an event before it is longer than max_allowed_packet"
        raise _lost_history(position, "no transaction ends there", where)
    gtid = str(row[0])
    if parse_gtids(gtid) != parse_gtids(position.gtid):
        raise _lost_history(position, f"the GTID there is {gtid or 'empty'}", where)
    return ""


def _ends_a_transaction(connection: pymysql.Connection, position: SourcePosition) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW BINLOG EVENTS IN %s FROM %s LIMIT 1", (position.file, position.pos))
            row = cursor.fetchone()
    except (pymysql.err.OperationalError, pymysql.err.InternalError):
        return False
    return row is None or row[2] in _BETWEEN


def _lost_history(position: SourcePosition, how: str, where: str) -> SourceError:
    return SourceError(
        f"the source lacks transactions that were read from it: the stream is at {position.gtid} in {position.file}:"
        f"{position.pos}, and {how}; it lost them in a crash or was rebuilt",
        where=where,
        remedy="set sync_binlog = 1 and innodb_flush_log_at_trx_commit = 1, or point [source] at the server with that "
        f"history; then {RESNAPSHOT_ALL}",
    )
