"""The server that audits query: the source itself or a replica of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pymysql

from datafingerprint.adapters.mysql.audit_server import (
    channels_of,
    load_of,
    require_digests,
    require_exact_replica,
    require_readable,
    require_same_history,
)
from datafingerprint.adapters.mysql.audit_view import SourceView
from datafingerprint.adapters.mysql.errors import translated
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.audit import Load
from datafingerprint.config import Settings, Source
from datafingerprint.epochs import SourcePosition
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql import Dialect


def audited_server(settings: Settings) -> Source:
    """The server of `[audit]`. Settings that it leaves open are those of `[source]`."""
    audit, changed = settings.audit, dict[str, object]()
    if audit.host:
        changed["host"] = audit.host
    if audit.port:
        changed["port"] = audit.port
    if audit.user:
        changed |= {"user": audit.user, "password": audit.password}
    return settings.source.model_copy(update=changed)


class AuditSource:
    """Opens views on the server that audits query.

    Args:
        settings: All settings.
        server: A server to use instead of the one in `[audit]`.
    """

    def __init__(self, settings: Settings, server: Source | None = None) -> None:
        self._audit = settings.audit
        self._server = server or audited_server(settings)
        self._is_replica_demanded = bool(settings.audit.host or settings.audit.port) and server is None
        self._source = BinlogSource(settings.model_copy(update={"source": self._server}))
        self._where = f"{self._server.host}:{self._server.port}"

    def preflight(self, tables: Sequence[TableSchema], stream: Sequence[SourcePosition]) -> None:
        """Check that an audit of these tables can be exact.

        Args:
            tables: The tables to audit.
            stream: The stream's position, followed by some earlier ones; may be empty.

        Raises:
            SourceError: the server is not the stream's, may not be read, or lacks a function.
            Unavailable: the server is away.
        """
        connection, server = self._source.connect()
        try:
            with translated(self._where):
                channels = channels_of(connection, server, self._where, demanded=self._is_replica_demanded)
                require_same_history(connection, server, stream, channels, self._where)
                require_exact_replica(connection, server, channels, self._where)
                require_readable(connection, self._server.user, tables, self._where)
                if not self._audit.fetch:
                    require_digests(connection, self._where)
        finally:
            connection.close()

    @contextmanager
    def gauge(self) -> Iterator[Callable[[], Load]]:
        """Yields a function that reads the server's load over its own connection.

        Raises:
            Unavailable: the server is away.
        """
        connection, server = self._source.connect()

        def read() -> Load:
            with translated(self._where):
                return load_of(connection, channels_of(connection, server, self._where, demanded=False))

        try:
            yield read
        finally:
            connection.close()

    @contextmanager
    def view(self, tables: Sequence[TableSchema]) -> Iterator[SourceView]:
        """Opens a view of some tables. The server ends its statements after a time limit.

        Raises:
            SourceError: the server refuses the view.
            Unavailable: the server is away.
        """
        connection, server = self._source.connect()
        try:
            with translated(self._where):
                dialect = Dialect.MARIADB if server.is_mariadb else Dialect.MYSQL
                _limit(connection, dialect, self._audit.statement_s)
                position = server.open_view(connection, tables, self._connect_again, self._where)
            yield SourceView(connection, dialect, position, self._where, self._connect_again, fetch=self._audit.fetch)
        finally:
            connection.close()

    def _connect_again(self) -> pymysql.Connection:
        return self._source.connect()[0]


def _limit(connection: pymysql.Connection, dialect: Dialect, seconds: float) -> None:
    with connection.cursor() as cursor:
        if dialect is Dialect.MARIADB:
            cursor.execute("SET SESSION max_statement_time = %s", (seconds,))
        else:
            cursor.execute("SET SESSION max_execution_time = %s", (int(seconds * 1000),))
