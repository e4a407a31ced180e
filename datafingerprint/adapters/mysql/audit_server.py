"""Checks whether a server may be audited: same history, exact positions, readable tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from datafingerprint.adapters.mysql.server import Server, quoted, quoted_table
from datafingerprint.audit import Load
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError, SourceError
from datafingerprint.gtid import explain_divergence, parse_gtids
from datafingerprint.schema import TableSchema

_SYNTAX, _NO_TABLE, _NO_COLUMN = 1064, 1146, 1054
_NO_FUNCTION = frozenset({1046, 1305})
"""The server answers 1046 when no schema is selected, because it then looks for a stored function."""
_DENIED = frozenset({1044, 1142, 1143, 1227})
_FILTERS = ("Do_DB", "Ignore_DB", "Do_Table", "Ignore_Table", "Wild_Do_Table", "Wild_Ignore_Table")

Channels = Sequence[Mapping[str, Any]]
"""The replication status of each source of a replica; empty for a server that is no replica."""


def require_same_history(
    connection: pymysql.Connection, server: Server, stream: Sequence[SourcePosition], channels: Channels, where: str
) -> None:
    """Check that a server is the stream's source or a replica of it.

    Args:
        connection: A connection to the server.
        server: The kind of the server.
        stream: The stream's position, followed by some earlier ones; may be empty.
        channels: The server's replication status.
        where: The server's address, for errors.

    Raises:
        SourceError: the server's transactions are not the stream's.
    """
    if not stream:
        return
    newest = stream[0].gtid
    executed = _value(connection, "gtid_current_pos" if server.is_mariadb else "gtid_executed").replace("\n", "")
    try:
        reason = explain_divergence(parse_gtids(executed), parse_gtids(newest))
        is_behind = not parse_gtids(executed).contains(parse_gtids(newest))
    except DecodeError as error:
        reason, is_behind = error.what, True
    if not reason and server.is_mariadb:
        reason = _unknown_origin(connection, newest) or ("" if channels else _other_binlog(connection, stream[1:]))
    if not reason and is_behind and not channels:
        reason = "it lacks some of the stream's transactions, and is no replica"
    if reason:
        raise SourceError(
            f"the server to audit is neither the stream's source nor a replica of it: {reason}",
            where=where,
            remedy="point [audit] (or [source]) at the server that capture reads, or at one of its replicas",
        )


def _unknown_origin(connection: pymysql.Connection, stream: str) -> str:
    """Why the server cannot know a server that the stream's GTIDs name; empty when it knows all.

    A MariaDB position names only the last server of a domain. The server's binlog state names all servers that wrote.
    """
    texts = [_value(connection, name) for name in ("gtid_binlog_state", "gtid_slave_pos", "gtid_current_pos")]
    known = {gtid.rpartition("-")[0] for text in texts for gtid in text.replace(" ", "").split(",")}
    for gtid in stream.split(","):
        if gtid and gtid.rpartition("-")[0] not in known:
            return f"it has no transaction of server {gtid.split('-')[1]} in domain {gtid.split('-')[0]}"
    return ""


def _other_binlog(connection: pymysql.Connection, marks: Sequence[SourcePosition]) -> str:
    """Why the server's binlog is another one than the stream's; empty when they agree.

    Two servers may use the same GTIDs. The stream's source has the stream's GTIDs at the stream's offsets. One matching
    position is enough, since the first offset after a connect may not end a transaction.
    """
    difference = ""
    for mark in marks:
        with connection.cursor() as cursor:
            cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (mark.file, mark.pos))
            row = cursor.fetchone()
        gtid = str(row[0]) if row and row[0] else ""
        if gtid and parse_gtids(gtid) == parse_gtids(mark.gtid):
            return ""
        if gtid:
            difference = f"{mark.file}:{mark.pos} is {gtid} there, and {mark.gtid} in the stream"
    return difference


def require_exact_replica(connection: pymysql.Connection, server: Server, channels: Channels, where: str) -> None:
    """Check that the positions of a replica describe its content exactly.

    Raises:
        SourceError: the replica does not log what it applies, applies it in another order, or filters it.
    """
    if not channels:
        return
    for name in (
        ("log_slave_updates",) if server.is_mariadb else ("log_replica_updates", "replica_preserve_commit_order")
    ):
        if _value(connection, name).upper() not in ("1", "ON"):
            raise SourceError(f"the replica has {name} = OFF", where=where, remedy=f"set {name} = ON on the replica")
    for channel in channels:
        filters = [name for name in _FILTERS if channel.get(f"Replicate_{name}")]
        if filters:
            raise SourceError(
                f"the replica filters changes (Replicate_{filters[0]})",
                where=where,
                remedy="audit the source, or a replica without filters",
            )


def require_readable(connection: pymysql.Connection, user: str, tables: Sequence[TableSchema], where: str) -> None:
    """Check that every captured column exists and may be read.

    Raises:
        SourceError: a column is missing or may not be read; with the statement that grants it.
    """
    for table in tables:
        columns = ", ".join(quoted(column.name) for column in table.columns)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT {columns} FROM {quoted_table(table)} LIMIT 0")
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args else None
            if code in _DENIED:
                raise SourceError(
                    f"user {user} may not read {table.table}",
                    where=where,
                    remedy=f"GRANT SELECT ON {quoted_table(table)} TO that account",
                ) from error
            if code in (_NO_TABLE, _NO_COLUMN):
                raise SourceError(
                    f"{table.table} on the server differs from its definition in the stream: {error.args[1]}",
                    where=where,
                    remedy="see docs/running.md for tables that were altered, dropped or renamed",
                ) from error
            raise


def require_digests(connection: pymysql.Connection, where: str) -> None:
    """Check that the server has MD5(), which MySQL 9.6 and later have in a component.

    Raises:
        SourceError: the function is missing.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT MD5('')")
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in _NO_FUNCTION:
            raise SourceError(
                "the server has no MD5()",
                where=where,
                remedy="INSTALL COMPONENT 'file://component_classic_hashing' on it, "
                "or let the audit fetch and digest the rows: audit --fetch, or audit.fetch = true",
            ) from error
        raise


def channels_of(connection: pymysql.Connection, server: Server, where: str, *, demanded: bool) -> Channels:
    """Read the replication status of a server.

    Returns:
        Empty for a server that is no replica, and without the privilege unless the status is demanded.

    Raises:
        SourceError: the account lacks the privilege, and the status is demanded.
    """
    statements = ("SHOW ALL SLAVES STATUS",) if server.is_mariadb else ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
    for statement in statements:
        try:
            with connection.cursor(DictCursor) as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())
        except pymysql.MySQLError as error:
            code = error.args[0] if error.args else None
            if code == _SYNTAX:
                continue
            if code not in _DENIED:
                raise
            if demanded:
                privilege = "REPLICA MONITOR" if server.is_mariadb else "REPLICATION CLIENT"
                raise SourceError(
                    "the account may not read the replication status",
                    where=where,
                    remedy=f"GRANT {privilege} ON *.* TO the account of [audit]",
                ) from error
            return []
    return []


def load_of(connection: pymysql.Connection, channels: Channels) -> Load:
    """Read the load of a server."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_running'")
        row = cursor.fetchone()
    lags = [channel.get("Seconds_Behind_Source", channel.get("Seconds_Behind_Master")) for channel in channels]
    known = [float(lag) for lag in lags if lag is not None]
    lag = max(known) if known and len(known) == len(lags) else None
    return Load(int(row[1]) if row else 0, bool(channels), lag)


def _value(connection: pymysql.Connection, variable: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{variable}")
        row = cursor.fetchone()
    return str(row[0] or "") if row else ""
