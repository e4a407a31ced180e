"""Whether a MariaDB still has, where it was read, the history that was read from it.

Its GTIDs are numbers that every server counts alike: one that was built anew, or lost its last transactions in a crash
(`sync_binlog` other than 1), soon has the number that a stream goes on from, and another transaction behind it. But a
server's own file and offset lead to one GTID only, for as long as the file is there.
"""

from __future__ import annotations

import pymysql

from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.gtid import parse_gtids
from datafingerprint.remedies import READ_ALL_AGAIN

_BETWEEN = frozenset({"Gtid", "Gtid_list", "Binlog_checkpoint", "Rotate", "Stop", "Start_encryption"})
"""Events that may stand behind a whole transaction."""


def require_same_log(connection: pymysql.Connection, position: SourcePosition, where: str) -> str:
    """Demands that the place where a stream stands is still that of its GTIDs.

    Returns:
        Why that cannot be told; empty when it is so.

    Raises:
        SourceError: it is not: the server lost transactions, or was built anew.
    """
    if not position.file or not position.server_id:
        return "the server that was read before is not known"
    if position.server_id != server_id_of(connection):
        return "another server was read before"
    sizes = _sizes(connection)
    if position.file not in sizes:
        _require_earlier(position, sizes, where)
        return "its file was purged"
    if position.pos > sizes[position.file]:
        raise _lost(position, f"the file has {sizes[position.file]} octets there", where)
    return _compared(connection, position, where)


def server_id_of(connection: pymysql.Connection) -> int:
    """The server's number among those that replicate."""
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
        raise _lost(position, f"its last file is {last}", where)


def _compared(connection: pymysql.Connection, position: SourcePosition, where: str) -> str:
    """Why nothing can be told; empty when it is the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (position.file, position.pos))
        row = cursor.fetchone()
    if row is None or row[0] is None:
        if _ends_a_transaction(connection, position):
            return "an event before it is longer than max_allowed_packet"
        raise _lost(position, "no transaction ends there", where)
    found = str(row[0])
    if parse_gtids(found) != parse_gtids(position.gtid):
        raise _lost(position, f"it is {found or 'nothing'} there", where)
    return ""


def _ends_a_transaction(connection: pymysql.Connection, position: SourcePosition) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW BINLOG EVENTS IN %s FROM %s LIMIT 1", (position.file, position.pos))
            row = cursor.fetchone()
    except (pymysql.err.OperationalError, pymysql.err.InternalError):
        return False
    return row is None or row[2] in _BETWEEN


def _lost(position: SourcePosition, how: str, where: str) -> SourceError:
    return SourceError(
        f"the source lacks transactions that were read from it: the stream is at {position.gtid} in {position.file}:"
        f"{position.pos}, and {how}; it lost them in a crash, or was built anew",
        where=where,
        remedy="set sync_binlog = 1 and innodb_flush_log_at_trx_commit = 1, or point [source] at the server with that "
        f"history; then {READ_ALL_AGAIN}",
    )
