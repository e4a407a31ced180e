"""The differences between MariaDB and MySQL as a source: settings, views, binlog requests.

`mariadb_server` and `mysql_server` implement them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pymysql
from pymysql.cursors import Cursor

from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.gtid import GtidPosition, Gtids, parse_gtids
from datafingerprint.schema import TableSchema

Demand = tuple[str, frozenset[str], str]
"""A variable, its valid values, and how to set them. A variable that the server lacks is not checked."""

Connect = Callable[[], pymysql.Connection]

COMMON_DEMANDS: tuple[Demand, ...] = (
    ("log_bin", frozenset({"1", "ON"}), "start the server with --log-bin"),
    ("binlog_format", frozenset({"ROW"}), "SET GLOBAL binlog_format = ROW"),
    ("binlog_row_image", frozenset({"FULL"}), "SET GLOBAL binlog_row_image = FULL"),
    ("binlog_row_metadata", frozenset({"FULL"}), "SET GLOBAL binlog_row_metadata = FULL"),
    ("binlog_order_commits", frozenset({"1", "ON"}), "SET GLOBAL binlog_order_commits = ON"),
    # Otherwise statements and rows could spell the name of a table differently.
    ("lower_case_table_names", frozenset({"0"}), "use a server with case-sensitive table names"),
)


@dataclass(frozen=True, slots=True)
class Replica:
    """The replica that requests a dump.

    Attributes:
        server_id: The server id of the replica.
        heartbeat_s: Seconds without an event, after which the server sends a heartbeat.
    """

    server_id: int
    heartbeat_s: float


class Server(Protocol):
    """One kind of server."""

    @property
    def is_mariadb(self) -> bool:
        """Whether the server is MariaDB."""

    @property
    def demands(self) -> tuple[Demand, ...]:
        """The required values of variables."""

    @property
    def status_privilege(self) -> str:
        """The privilege that `status_statement` needs."""

    @property
    def gtid_variable(self) -> str:
        """The global variable with the GTIDs of the end of the binlog."""

    @property
    def status_statement(self) -> str:
        """The statement that returns the binlog's position and its filtered schemas."""

    def open_view(
        self, connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
    ) -> SourcePosition:
        """Opens a consistent read view, and returns its exact position.

        Args:
            connection: The connection of the view, which lives as long as its transaction.
            tables: The tables to read in the view.
            connect: Opens another connection, for statements that must not run inside the view.
            where: The server's address, for errors.

        Raises:
            SourceError: the position cannot be determined.
        """

    def require_history(self, connection: pymysql.Connection, position: SourcePosition, where: str) -> None:
        """Checks that the server still has the history of a position that was read from it.

        Raises:
            SourceError: the binlog was reset, or the server lost transactions.
        """

    def request_dump(
        self, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
    ) -> None:
        """Requests the binlog after a position.

        Raises:
            SourceError: the server does not have the position.
        """


_DURABLE = (
    ("sync_binlog", "a crash of the server may lose transactions that are already in the stream"),
    ("innodb_flush_log_at_trx_commit", "a crash of the server may lose transactions that are already in the binlog"),
)


def lax_settings(connection: pymysql.Connection) -> list[tuple[str, str]]:
    """Settings with which acknowledged transactions may not survive a crash, each with its risk."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name, _ in _DURABLE)}")
        row = cursor.fetchone() or ()
    return [setting for setting, value in zip(_DURABLE, row, strict=True) if str(value) != "1"]


SESSION_VARIABLES = ("binlog_format", "binlog_row_image", "binlog_row_value_options")
"""Variables with a value per session, which a session copies from the server when it begins."""

_SESSIONS_MAX = 10


def persistent_statement(statement: str, *, is_mariadb: bool, sessions: Sequence[int] = ()) -> str:
    """A `SET GLOBAL` statement, with a comment that says how to make it permanent.

    Args:
        statement: `SET GLOBAL a = b`. A restart of the server undoes it, and open sessions keep their values.
        is_mariadb: Whether the server is MariaDB.
        sessions: The ids of the open sessions.
    """
    assignment = statement.removeprefix("SET GLOBAL ")
    option = f"[mysqld] {assignment} in the server's option file"
    text = f"{statement} -- lost at a restart without {option}"
    if not is_mariadb:
        text += f", or SET PERSIST {assignment}"
    if assignment.partition(" ")[0] not in SESSION_VARIABLES:
        return text
    more = f" and {len(sessions) - _SESSIONS_MAX} more" if len(sessions) > _SESSIONS_MAX else ""
    named = "; ".join(f"KILL {number}" for number in sessions[:_SESSIONS_MAX]) + more
    return f"{text}; end the open sessions, which keep the old value: {named or 'see SHOW PROCESSLIST'}"


def open_sessions(connection: pymysql.Connection) -> list[int]:
    """Ids of other clients' sessions; without the privilege PROCESS only those of the account."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND COMMAND <> 'Daemon' "
            "AND COMMAND NOT LIKE 'Binlog Dump%' AND USER NOT IN ('system user', 'event_scheduler') ORDER BY ID"
        )
        return [int(number) for (number,) in cursor.fetchall()]


_NO_PRIVILEGE, _NO_TABLE = 1142, 1146


def deviating_sessions(connection: pymysql.Connection, demands: Sequence[Demand]) -> list[tuple[int, str, str]]:
    """Open sessions that override a required variable: id, variable, value.

    Only MySQL shows the variables of other sessions, and only to accounts that may read `performance_schema`.
    """
    valid = {name: values for name, values, _ in demands if name in SESSION_VARIABLES}
    with connection.cursor() as cursor:
        try:
            cursor.execute(
                "SELECT t.PROCESSLIST_ID, LOWER(v.VARIABLE_NAME), v.VARIABLE_VALUE "
                "FROM performance_schema.variables_by_thread v JOIN performance_schema.threads t USING (THREAD_ID) "
                "WHERE v.VARIABLE_NAME IN %s AND t.PROCESSLIST_ID IS NOT NULL ORDER BY 1, 2",
                (tuple(valid),),
            )
        except pymysql.MySQLError as error:
            if error.args and error.args[0] in (_NO_PRIVILEGE, _NO_TABLE):
                return []
            raise
        settings = [(int(number), str(name), str(value)) for number, name, value in cursor.fetchall()]
    return [(number, name, value) for number, name, value in settings if value.upper() not in valid[name]]


def require_kind(position: SourcePosition, kind: type[Gtids], where: str) -> None:
    """Check that a position belongs to this kind of server.

    Raises:
        SourceError: the position is that of the other kind.
    """
    gtids = parse_gtids(position.gtid)
    if not gtids.is_empty and not isinstance(gtids, kind):
        there, here = ("MySQL", "MariaDB") if kind is GtidPosition else ("MariaDB", "MySQL")
        raise SourceError(
            f"the stream's position is from {there}, but the source is {here}",
            where=where,
            remedy="point [source] at the server of the stream, or capture under another [kafka] prefix and "
            "[lake] path",
        )


def warnings_of(connection: pymysql.Connection) -> str:
    """Number and first text of the last statement's warnings, without notes; empty if none."""
    with connection.cursor(Cursor) as cursor:
        # The count is right even if the server keeps no texts (`max_error_count`).
        cursor.execute("SHOW COUNT(*) WARNINGS")
        row = cursor.fetchone()
        count = int(row[0]) if row else 0
        if not count:
            return ""
        cursor.execute("SHOW WARNINGS")
        first = cursor.fetchone()
    text = f", first {str(first[0]).lower()} {first[1]}: {str(first[2])[:200]}" if first else ""
    return f"{count} {'warning' if count == 1 else 'warnings'}{text}"


def quoted(name: str) -> str:
    """A quoted name."""
    doubled = name.replace("`", "``")
    return f"`{doubled}`"


def quoted_table(table: TableSchema) -> str:
    """A quoted table name with its schema."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"
