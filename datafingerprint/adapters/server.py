"""What differs between the servers that can be a source; implemented by `mariadb_server` and `mysql_server`.

It is what they must be set to, how a view's position is known exactly, and how the binlog is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pymysql

from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.gtid import GtidPosition, Gtids, parse_gtids
from datafingerprint.schema import TableSchema

Demand = tuple[str, frozenset[str], str]
"""Variable, values that are fit, and what mends it. A variable that the server lacks demands nothing."""

Connect = Callable[[], pymysql.Connection]

COMMON_DEMANDS: tuple[Demand, ...] = (
    ("log_bin", frozenset({"1", "ON"}), "start the server with --log-bin"),
    ("binlog_format", frozenset({"ROW"}), "SET GLOBAL binlog_format = ROW"),
    ("binlog_row_image", frozenset({"FULL"}), "SET GLOBAL binlog_row_image = FULL"),
    ("binlog_row_metadata", frozenset({"FULL"}), "SET GLOBAL binlog_row_metadata = FULL"),
    ("binlog_order_commits", frozenset({"1", "ON"}), "SET GLOBAL binlog_order_commits = ON"),
    # A statement may spell a table otherwise than the rows of it do, and would be taken for one on another table.
    ("lower_case_table_names", frozenset({"0"}), "use a server that tells names of tables apart by their case"),
)


@dataclass(frozen=True, slots=True)
class Replica:
    """As what a dump is asked for.

    Attributes:
        server_id: Number among the server's replicas.
        heartbeat_s: Seconds without an event after which the server shows that it is alive.
    """

    server_id: int
    heartbeat_s: float


class Server(Protocol):
    """One kind of server."""

    @property
    def is_mariadb(self) -> bool:
        """Whether it is a MariaDB."""

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What its variables must be."""

    @property
    def status_privilege(self) -> str:
        """The privilege that `status_statement` needs."""

    @property
    def gtid_variable(self) -> str:
        """The global variable that holds where the binlog stands."""

    @property
    def status_statement(self) -> str:
        """The statement whose row tells the binlog's position and the schemas left out of it."""

    def open_view(
        self, connection: pymysql.Connection, tables: Sequence[TableSchema], connect: Connect, where: str
    ) -> SourcePosition:
        """Opens a consistent read view on the connection, and tells its exact position.

        Args:
            connection: Where the view is opened; it lives as long as its transaction.
            tables: What will be read in it.
            connect: Makes another connection, for what must not happen inside the view.
            where: What errors name.

        Raises:
            SourceError: the position cannot be known.
        """

    def request_dump(
        self, connection: pymysql.Connection, position: SourcePosition, replica: Replica, where: str
    ) -> bool:
        """Asks for the binlog after a position; returns whether its events carry checksums.

        Raises:
            SourceError: the server does not have what the position says.
        """


_DURABLE = (
    ("sync_binlog", "a crash of the server may lose transactions that are in the stream already"),
    ("innodb_flush_log_at_trx_commit", "a crash of the server may lose transactions that are in the binlog already"),
)


def lax_settings(connection: pymysql.Connection) -> list[tuple[str, str]]:
    """Settings with which what the server has acknowledged does not survive its crash, each with what may happen."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'@@GLOBAL.{name}' for name, _ in _DURABLE)}")
        row = cursor.fetchone() or ()
    return [one for one, value in zip(_DURABLE, row, strict=True) if str(value) != "1"]


def require_kind(position: SourcePosition, kind: type[Gtids], where: str) -> None:
    """Demands that a position is one of this kind of server.

    Raises:
        SourceError: it is the other one's.
    """
    gtids = parse_gtids(position.gtid)
    if not gtids.is_empty and not isinstance(gtids, kind):
        there, here = ("MySQL", "MariaDB") if kind is GtidPosition else ("MariaDB", "MySQL")
        raise SourceError(
            f"the stream's position is that of a {there}, the source is a {here}",
            where=where,
            remedy="point [source] at the server that the stream is of, or capture under another [kafka] prefix and "
            "[lake] path",
        )


def fix_session(connection: pymysql.Connection) -> None:
    """Fixes everything that changes how a session renders values, and the isolation that a view needs."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = '', time_zone = '+00:00'")
        # Without this level the phrase WITH CONSISTENT SNAPSHOT is ignored, without a word.
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def quoted(name: str) -> str:
    """A name in backticks."""
    doubled = name.replace("`", "``")
    return f"`{doubled}`"


def quoted_table(table: TableSchema) -> str:
    """A table's name with its schema, in backticks."""
    return f"{quoted(table.schema)}.{quoted(table.name)}"
