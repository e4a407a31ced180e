"""The source as an audit asks it: a consistent view at a known position, and sums that the server computes in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.adapters.server import quoted_table
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import SourceError, Unavailable
from datafingerprint.fingerprint import Fingerprint, of_words
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sql import mysql as sql
from datafingerprint.sql.mysql import SESSION, Dialect

_NO_FUNCTION = 1305
_CALM_AGAIN_S = 0.5


class SourceView:
    """A consistent view of some tables; good until its connection is closed."""

    def __init__(self, connection: pymysql.Connection, dialect: Dialect, position: SourcePosition, where: str) -> None:
        self._connection = connection
        self._dialect = dialect
        self._where = where
        self.position = position
        """Everything up to it is in the view, and nothing else."""

    def sums(self, table: TableSchema, partition: str | None) -> dict[str, Fingerprint]:
        """The sums of every partition that has rows, or of one.

        Raises:
            SourceError: a row is too long for the server to render, or the statement took too long.
        """
        fields = partitioning(table)
        where = self._condition(table, partition)
        with translated(self._where), self._connection.cursor() as cursor:
            cursor.execute(sql.sums_by_partition(table, fields, self._dialect, where))
            found = cursor.fetchall()
        unrendered = sum(int(row[6]) for row in found)
        if unrendered:
            raise SourceError(
                f"{unrendered} rows of {table.table} are longer than the source can render",
                where=self._where,
                remedy="raise max_allowed_packet on the source",
            )
        return {str(row[0]): of_words(int(row[1]), [int(word) for word in row[2:6]]) for row in found}

    def count(self, table: TableSchema, partition: str | None) -> int:
        """How many rows a table, or one partition of it, has."""
        where = self._condition(table, partition)
        with translated(self._where), self._connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {quoted_table(table)}{' WHERE ' if where else ''}{where}")
            row = cursor.fetchone()
        return int(row[0]) if row else 0

    def _condition(self, table: TableSchema, partition: str | None) -> str:
        return "" if partition is None else sql.in_partition(partitioning(table), partition, self._dialect)


class AuditSource:
    """Opens views on the source that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._audit = settings.audit
        self._source = BinlogSource(settings)
        self._where = f"{settings.source.host}:{settings.source.port}"

    @contextmanager
    def view(self, table: TableSchema, stop: threading.Event) -> Iterator[SourceView]:
        """A view of one table; the server ends statements that take too long.

        Raises:
            SourceError: the source refuses it, or lacks `MD5()`.
            Unavailable: the source stayed too busy, or is away.
        """
        connection, server = self._source.connect()
        try:
            with translated(self._where):
                dialect = Dialect.MARIADB if server.is_mariadb else Dialect.MYSQL
                self._prepare(connection, dialect)
                self._await_calm(connection, stop)
                position = server.open_view(connection, [table], lambda: self._source.connect()[0], self._where)
                _set_up(connection)
            yield SourceView(connection, dialect, position, self._where)
        finally:
            connection.close()

    def _prepare(self, connection: pymysql.Connection, dialect: Dialect) -> None:
        seconds = self._audit.statement_s
        with connection.cursor() as cursor:
            if dialect is Dialect.MARIADB:
                cursor.execute("SET SESSION max_statement_time = %s", (seconds,))
            else:
                cursor.execute("SET SESSION max_execution_time = %s", (int(seconds * 1000),))
        require_hash(connection, self._where)

    def _await_calm(self, connection: pymysql.Connection, stop: threading.Event) -> None:
        waited = 0.0
        while True:
            with connection.cursor() as cursor:
                cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_running'")
                row = cursor.fetchone()
            running = int(row[1]) if row else 0
            if running <= self._audit.threads_running_max:
                return
            waited += _CALM_AGAIN_S
            if stop.wait(_CALM_AGAIN_S) or waited > self._audit.align_s:
                raise Unavailable(f"the source is busy: {running} threads run", where=self._where)


def require_hash(connection: pymysql.Connection, where: str) -> None:
    """Demands that the server has `MD5()`, which MySQL keeps in a component since 9.6.

    Raises:
        SourceError: it has not.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT MD5('')")
    except pymysql.MySQLError as error:
        if error.args and error.args[0] == _NO_FUNCTION:
            raise SourceError(
                "the source has no MD5()",
                where=where,
                remedy="INSTALL COMPONENT 'file://component_classic_hashing' on the source",
            ) from error
        raise


def _set_up(connection: pymysql.Connection) -> None:
    with connection.cursor() as cursor:
        for statement in SESSION:
            cursor.execute(statement)
