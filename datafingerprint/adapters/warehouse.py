"""The MySQL side of the generator: one connection that writes whole transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor

from datafingerprint.adapters.mysql_connection import connect
from datafingerprint.adapters.mysql_errors import tls_refusal
from datafingerprint.config import Source
from datafingerprint.errors import DataFingerprintError, SourceError, Unavailable

LOCK_WAIT_S = 5  # a generator killed a moment ago may still hold its lock for as long as the server takes to see it

# What may heal by itself: lost or refused connections, a server that stops or is full, locks, a full disk.
_TRANSIENT = frozenset(
    {
        CR.CR_CONNECTION_ERROR,
        CR.CR_CONN_HOST_ERROR,
        CR.CR_SERVER_GONE_ERROR,
        CR.CR_SERVER_LOST,
        CR.CR_SERVER_LOST_EXTENDED,
        ER.CON_COUNT_ERROR,
        ER.SERVER_SHUTDOWN,
        ER.NORMAL_SHUTDOWN,
        ER.TOO_MANY_USER_CONNECTIONS,
        ER.ABORTING_CONNECTION,
        ER.NEW_ABORTING_CONNECTION,
        ER.NET_READ_ERROR,
        ER.NET_READ_INTERRUPTED,
        ER.NET_ERROR_ON_WRITE,
        ER.NET_WRITE_INTERRUPTED,
        ER.LOCK_WAIT_TIMEOUT,
        ER.LOCK_DEADLOCK,
        ER.QUERY_INTERRUPTED,
        ER.DISK_FULL,
        ER.RECORD_FILE_FULL,
        1927,  # MariaDB: connection was killed
        3169,  # MySQL: session was killed
        4031,  # MySQL: the client was disconnected by the server because of inactivity
    }
)

_REMEDIES = {
    ER.ACCESS_DENIED_ERROR: "check source.user, source.password and source.tls",
    1698: "check source.user, source.password and source.tls",
    ER.DBACCESS_DENIED_ERROR: "GRANT ALL ON `{schema}`.* TO the user; the generator makes schema and tables",
    ER.TABLEACCESS_DENIED_ERROR: "GRANT ALL ON `{schema}`.* TO the user; the generator writes every table",
    ER.SPECIFIC_ACCESS_DENIED_ERROR: "grant the user the privilege that the server names",
    ER.BAD_DB_ERROR: "create the schema, or let the user create it",
    ER.OPTION_PREVENTS_STATEMENT: "the server is read-only; name the primary as source.host",
    ER.NO_SUCH_TABLE: "drop the schema; the generator then loads its seed again",
    ER.BAD_FIELD_ERROR: "the schema is not the generator's; name an empty one as generator.schema_name",
}

# Warnings of a server that is not strict, after which a row does not hold what it was given.
_ALTERED = {
    1048: "NULL in a column that has none",
    1263: "NULL in a column that has none",
    1264: "out of the column's range",
    1265: "cut",
    1292: "no value of the column's type",
    1300: "characters that the column's character set lacks",
    1366: "no value of the column's type, or characters that its character set lacks",
    1406: "too long for the column",
    1411: "no value of the column's type",
    1441: "out of the column's range",
}


class Sql(Protocol):
    """A statement with its parameters, as the generator's own type has them."""

    @property
    def sql(self) -> str:
        """The text, with `%s` for each parameter."""

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The values, in order."""

    @property
    def must_change(self) -> bool:
        """Whether it is an error that no row changes."""

    @property
    def keeps_values(self) -> bool:
        """Whether it is an error that the server stores another value than the one that it was given."""


class MysqlWarehouse:
    """A connection to one schema of a MySQL or MariaDB server; not for use by several threads.

    Only one may play a schema at a time: the connection holds a named lock of the server while it lives.
    """

    def __init__(self, source: Source, schema: str) -> None:
        self._source = source
        self._schema = schema
        self._connection: Connection[Any] | None = None

    def connect(self) -> None:
        """Opens the connection anew, makes the schema if it is missing, and takes the lock.

        Raises:
            Unavailable: the server is away, or another generator plays this schema.
            SourceError: the server refuses user, password or privilege.
        """
        self.close()
        with self._translated():
            self._connection = connect(
                self._source,
                # Full scans of a table without a key then leave no locks on rows that they pass over.
                init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            )
            self._use_schema(self._connection)

    def query(self, statement: Sql) -> Sequence[tuple[Any, ...]]:
        """All rows of a SELECT, outside any transaction."""
        with self._translated(), self._open().cursor() as cursor:
            cursor.execute(statement.sql, statement.parameters or None)
            return tuple(cursor.fetchall())

    def transact(self, statements: Iterable[Sql]) -> int:
        """Runs statements as one transaction; answers the number of rows changed.

        A statement that must change a row and does not means that somebody else wrote: the transaction is
        rolled back and `Unavailable` raised, so that the caller reads anew. One that must keep its values, of which
        the server cut or replaced one (in a mode that is not strict it warns, no more), is rolled back and refused.
        """
        with self._translated(), self._open().cursor() as cursor:
            cursor.execute("BEGIN")
            changed = 0
            for statement in statements:
                count = cursor.execute(statement.sql, statement.parameters or None)
                if statement.must_change and not count:
                    cursor.execute("ROLLBACK")
                    raise Unavailable("a row was changed by somebody else", where=self._where)
                if statement.keeps_values and cursor.warning_count:
                    self._require_values_kept(cursor)
                changed += count
            cursor.execute("COMMIT")
            return changed

    def _require_values_kept(self, cursor: Cursor) -> None:
        count = cursor.warning_count
        cursor.execute("SHOW WARNINGS")
        told = cursor.fetchall()
        for level, code, _ in told:
            if level != "Note" and code in _ALTERED:
                cursor.execute("ROLLBACK")
                raise SourceError(
                    f"it would store another value than the one that is given, warning {code}: {_ALTERED[code]}",
                    where=self._where,
                    remedy="correct the value, or widen the column",
                )
        if len(told) < count:
            cursor.execute("ROLLBACK")
            raise SourceError(
                f"the server has {count} warnings and tells {len(told)}: whether it stores every value cannot be told",
                where=self._where,
                remedy="SET GLOBAL max_error_count = 65535, and start again",
            )

    def close(self) -> None:
        """Ends the connection; the server rolls back what is open and frees the lock."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.open:
            try:
                connection.close()
            except pymysql.Error:
                connection._force_close()  # type: ignore[attr-defined] # noqa: SLF001 - frees the socket

    def _open(self) -> Connection[Any]:
        if self._connection is None:
            raise Unavailable("not connected", where=self._where)
        return self._connection

    def _use_schema(self, connection: Connection[Any]) -> None:
        """A schema that is there is not made again: that would need a privilege that its user may lack."""
        name = "`" + self._schema.replace("`", "``") + "`"
        with connection.cursor() as cursor:
            if not cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (self._schema,)):
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4")
            connection.select_db(self._schema)
            cursor.execute("SELECT GET_LOCK(%s, %s)", (f"datafingerprint.{self._schema}"[:64], LOCK_WAIT_S))
            if cursor.fetchone() != (1,):
                raise Unavailable("another generator plays this schema", where=self._where, remedy="end the other one")

    @property
    def _where(self) -> str:
        return f"{self._source.host}:{self._source.port} schema {self._schema}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns the client's errors into this project's; after any of them the connection is closed."""
        try:
            yield
        except DataFingerprintError:
            raise
        except (pymysql.Error, RuntimeError, OSError) as error:
            self.close()
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> DataFingerprintError:
        """Which of our errors one of the client's is."""
        refused = tls_refusal(error, self._where)
        if refused is not None:
            return refused
        code = error.args[0] if error.args and isinstance(error.args[0], int) else None
        if isinstance(error, OSError | pymysql.InterfaceError) or code in _TRANSIENT:
            return Unavailable(f"the warehouse is away ({_said(error)})", where=self._where)
        remedy = _REMEDIES.get(code or 0, "see the server's message").format(schema=self._schema)
        if isinstance(error, RuntimeError):  # pymysql: a way to log in that needs a package it cannot find
            remedy = "install it, or set [source] tls = required"
        return SourceError(f"the warehouse refused: {_said(error)}", where=self._where, remedy=remedy)


def _said(error: Exception) -> str:
    """The message of the server or the client, in one line.

    Some server messages quote a value (a duplicate key, a wrong one for a column): those are cut to the code.
    """
    code = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if isinstance(error, pymysql.err.IntegrityError | pymysql.err.DataError):
        return f"error {code}"
    return " ".join(str(part) for part in error.args).replace("\n", " ") or type(error).__name__
