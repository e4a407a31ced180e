"""The server that audits ask: the source itself, or a replica of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pymysql

from datafingerprint.adapters.audit_server import (
    channels_of,
    load_of,
    require_digests,
    require_exact_replica,
    require_readable,
    require_same_history,
)
from datafingerprint.adapters.audit_view import SourceView
from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.audit import Load
from datafingerprint.config import Settings, Source
from datafingerprint.epochs import SourcePosition
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql import SESSION, Dialect


def audited_server(settings: Settings) -> Source:
    """Where `[audit]` points: what it leaves open is that of `[source]`."""
    audit, changed = settings.audit, dict[str, object]()
    if audit.host:
        changed["host"] = audit.host
    if audit.port:
        changed["port"] = audit.port
    if audit.user:
        changed |= {"user": audit.user, "password": audit.password}
    return settings.source.model_copy(update=changed)


class AuditSource:
    """Opens views on the server that audits ask.

    Args:
        settings: All settings.
        server: Another server than the one that `[audit]` names.
    """

    def __init__(self, settings: Settings, server: Source | None = None) -> None:
        self._audit = settings.audit
        self._server = server or audited_server(settings)
        self._is_replica_demanded = bool(settings.audit.host or settings.audit.port) and server is None
        self._source = BinlogSource(settings.model_copy(update={"source": self._server}))
        self._where = f"{self._server.host}:{self._server.port}"

    def preflight(self, tables: Sequence[TableSchema], stream: Sequence[SourcePosition]) -> None:
        """Demands, before anything is asked, that an audit of these tables can be exact.

        Args:
            tables: What will be audited.
            stream: Where the stream stands, and before that some of the places where it came by; may be empty.

        Raises:
            SourceError: it is another server than the stream's, may not be read, or lacks what is needed.
            Unavailable: it is away.
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
        """Tells how busy the server is, by a connection of its own.

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
        """A view of some tables; the server ends statements in it that take too long.

        Raises:
            SourceError: the server refuses it.
            Unavailable: the server is away.
        """
        connection, server = self._source.connect()
        try:
            with translated(self._where):
                dialect = Dialect.MARIADB if server.is_mariadb else Dialect.MYSQL
                _limit(connection, dialect, self._audit.statement_s)
                position = server.open_view(connection, tables, self._another, self._where)
                _set_up(connection)
            yield SourceView(connection, dialect, position, self._where, self._another, fetch=self._audit.fetch)
        finally:
            connection.close()

    def _another(self) -> pymysql.Connection:
        return self._source.connect()[0]


def _limit(connection: pymysql.Connection, dialect: Dialect, seconds: float) -> None:
    with connection.cursor() as cursor:
        if dialect is Dialect.MARIADB:
            cursor.execute("SET SESSION max_statement_time = %s", (seconds,))
        else:
            cursor.execute("SET SESSION max_execution_time = %s", (int(seconds * 1000),))


def _set_up(connection: pymysql.Connection) -> None:
    with connection.cursor() as cursor:
        for statement in SESSION:
            cursor.execute(statement)
