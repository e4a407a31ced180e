"""Whether a server may be audited: its history is the stream's, it tells exact positions, and we may read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from datafingerprint.adapters.server import Server, quoted, quoted_table
from datafingerprint.audit import Load
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError, SourceError
from datafingerprint.gtid import parse_gtids, parted
from datafingerprint.schema import TableSchema

_SYNTAX, _NO_TABLE, _NO_COLUMN = 1064, 1146, 1054
_NO_FUNCTION = frozenset({1046, 1305})
"""The first where no schema is chosen: it looks for a stored function then."""
_DENIED = frozenset({1044, 1142, 1143, 1227})
_FILTERS = ("Do_DB", "Ignore_DB", "Do_Table", "Ignore_Table", "Wild_Do_Table", "Wild_Ignore_Table")

Channels = Sequence[Mapping[str, Any]]
"""What a replica says of each of its sources; none where it has none."""


def require_same_history(
    connection: pymysql.Connection, server: Server, stream: Sequence[SourcePosition], channels: Channels, where: str
) -> None:
    """Demands that a server is the stream's source or a replica of it.

    Args:
        connection: To the server.
        server: Which kind it is.
        stream: Where the stream stands, and before that some of the places where it came by; may be empty.
        channels: What the server says of its own sources.
        where: What errors name.

    Raises:
        SourceError: its transactions are not the stream's.
    """
    if not stream:
        return
    newest = stream[0].gtid
    executed = _value(connection, "gtid_current_pos" if server.is_mariadb else "gtid_executed").replace("\n", "")
    try:
        reason = parted(parse_gtids(executed), parse_gtids(newest))
        is_behind = not parse_gtids(executed).contains(parse_gtids(newest))
    except DecodeError as error:
        reason, is_behind = error.what, True
    if not reason and server.is_mariadb:
        reason = _unknown_origin(connection, newest) or ("" if channels else _other_binlog(connection, stream[1:]))
    if not reason and is_behind and not channels:
        reason = "it lacks some of the stream's transactions, and replicates from nobody"
    if reason:
        raise SourceError(
            f"the server that is to be audited is not the stream's source, nor a replica of it: {reason}",
            where=where,
            remedy="point [audit] (or [source]) at the server that capture reads, or at one of its replicas",
        )


def _unknown_origin(connection: pymysql.Connection, stream: str) -> str:
    """MariaDB's position names only the last server of a domain; the server's state names all that ever wrote."""
    texts = [_value(connection, name) for name in ("gtid_binlog_state", "gtid_slave_pos", "gtid_current_pos")]
    there = {one.rpartition("-")[0] for text in texts for one in text.replace(" ", "").split(",")}
    for one in stream.split(","):
        if one and one.rpartition("-")[0] not in there:
            return f"it has no transaction of server {one.split('-')[1]} in domain {one.split('-')[0]}"
    return ""


def _other_binlog(connection: pymysql.Connection, marks: Sequence[SourcePosition]) -> str:
    """Two servers may count alike from 1; the one that was read has the stream's GTIDs at the stream's offsets.

    An offset may be none of a transaction's, where capture had just connected: one that fits is enough.
    """
    told = ""
    for mark in marks:
        with connection.cursor() as cursor:
            cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (mark.file, mark.pos))
            row = cursor.fetchone()
        found = str(row[0]) if row and row[0] else ""
        if found and parse_gtids(found) == parse_gtids(mark.gtid):
            return ""
        if found:
            told = f"{mark.file}:{mark.pos} is {found} there, and {mark.gtid} in the stream"
    return told


def require_exact_replica(connection: pymysql.Connection, server: Server, channels: Channels, where: str) -> None:
    """Demands of a replica that its own positions say exactly what it holds.

    Raises:
        SourceError: it does not log what it applies, applies it in another order, or leaves some of it out.
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
                f"the replica leaves changes out (Replicate_{filters[0]})",
                where=where,
                remedy="audit the source, or a replica without filters",
            )


def require_readable(connection: pymysql.Connection, user: str, tables: Sequence[TableSchema], where: str) -> None:
    """Demands that every column that is watched is there and may be read.

    Raises:
        SourceError: one may not, with the statement that mends it.
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
                    remedy=f"GRANT SELECT ON {quoted(table.schema)}.* TO that account",
                ) from error
            if code in (_NO_TABLE, _NO_COLUMN):
                raise SourceError(
                    f"{table.table} is not on the server as the stream knows it: {error.args[1]}",
                    where=where,
                    remedy="see docs/operation.md for tables that were altered, dropped or renamed",
                ) from error
            raise


def require_digests(connection: pymysql.Connection, where: str) -> None:
    """Demands the function that digests a row: MySQL 9.6 and later have it in a component.

    Raises:
        SourceError: there is none.
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
                "or have the rows fetched and digested here: audit --fetch, or audit.fetch = true",
            ) from error
        raise


def channels_of(connection: pymysql.Connection, server: Server, where: str, *, demanded: bool) -> Channels:
    """What a server says of its sources; nothing where we may not ask, unless that is demanded.

    Raises:
        SourceError: we may not ask, and it is demanded.
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
                    "we may not see how far the replica is behind",
                    where=where,
                    remedy=f"GRANT {privilege} ON *.* TO the account of [audit]",
                ) from error
            return []
    return []


def load_of(connection: pymysql.Connection, channels: Channels) -> Load:
    """How busy the server is."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_running'")
        row = cursor.fetchone()
    lags = [one.get("Seconds_Behind_Source", one.get("Seconds_Behind_Master")) for one in channels]
    known = [float(lag) for lag in lags if lag is not None]
    lag = max(known) if known and len(known) == len(lags) else None
    return Load(int(row[1]) if row else 0, bool(channels), lag)


def _value(connection: pymysql.Connection, variable: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{variable}")
        row = cursor.fetchone()
    return str(row[0] or "") if row else ""
