"""The MySQL connection of the generator, which writes whole transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pymysql
from pymysql.connections import Connection
from pymysql.constants import CR, ER
from pymysql.cursors import Cursor

from datafingerprint.adapters.mysql.connection import connect
from datafingerprint.adapters.mysql.errors import tls_refusal
from datafingerprint.config import Source
from datafingerprint.errors import DataFingerprintError, SourceError, Unavailable

LOCK_WAIT_S = 5  # a generator that was just killed holds its lock until the server notices

# Errors that may pass by themselves: lost or refused connections, a server that stops or is full, locks, a full disk.
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
    ER.DBACCESS_DENIED_ERROR: "GRANT ALL ON `{schema}`.* TO the user; the generator creates schema and tables",
    ER.TABLEACCESS_DENIED_ERROR: "GRANT ALL ON `{schema}`.* TO the user; the generator writes every table",
    ER.SPECIFIC_ACCESS_DENIED_ERROR: "grant the user the privilege that the server names",
    ER.BAD_DB_ERROR: "create the schema, or let the user create it",
    ER.OPTION_PREVENTS_STATEMENT: "the server is read-only; name the primary as source.host",
    ER.NO_SUCH_TABLE: "drop the schema; the generator then loads its seed again",
    ER.BAD_FIELD_ERROR: "the schema is not the generator's; name an empty one as generator.schema_name",
}

# Warnings of a server without strict mode, after which a stored value differs from the given one.
_ALTERED = {
    1048: "NULL in a column that has none",
    1263: "NULL in a column that has none",
    1264: "out of the column's range",
    1265: "truncated",
    1292: "no value of the column's type",
    1300: "characters that the column's character set lacks",
    1366: "no value of the column's type, or characters that its character set lacks",
    1406: "too long for the column",
    1411: "no value of the column's type",
    1441: "out of the column's range",
}


class Sql(Protocol):
    """A statement with its parameters."""

    @property
    def sql(self) -> str:
        """The text, with `%s` for each parameter."""

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The values, in order."""

    @property
    def must_change(self) -> bool:
        """Whether it is an error if no row changes."""

    @property
    def keeps_values(self) -> bool:
        """Whether it is an error if the server stores another value than the given one."""


class MysqlWarehouse:
    """A connection to one schema of a MySQL or MariaDB server, for one thread.

    Only one generator may use a schema at a time: the connection holds a named lock of the server.
    """

    def __init__(self, source: Source, schema: str) -> None:
        self._source = source
        self._schema = schema
        self._connection: Connection[Any] | None = None

    def connect(self) -> None:
        """Opens a new connection, creates the schema if it is missing, and takes the lock.

        Raises:
            Unavailable: the server is away, or another generator uses the schema.
            SourceError: the server refuses user, password or privilege.
        """
        self.close()
        with self._translated():
            self._connection = connect(self._source, writes=True)
            self._use_schema(self._connection)

    def query(self, statement: Sql) -> Sequence[tuple[Any, ...]]:
        """All rows of a SELECT, outside any transaction."""
        with self._translated(), self._open().cursor() as cursor:
            cursor.execute(statement.sql, statement.parameters or None)
            return tuple(cursor.fetchall())

    def transact(self, statements: Iterable[Sql]) -> int:
        """Runs statements as one transaction.

        Returns:
            The number of changed rows.

        Raises:
            Unavailable: a statement that must change a row changed none, because another session wrote. The transaction
                is rolled back, and the caller reads the rows again.
            SourceError: the server altered a value that must be kept, which without strict mode is only a warning. The
                transaction is rolled back.
        """
        with self._translated(), self._open().cursor() as cursor:
            cursor.execute("BEGIN")
            changed = 0
            for statement in statements:
                count = cursor.execute(statement.sql, statement.parameters or None)
                if statement.must_change and not count:
                    cursor.execute("ROLLBACK")
                    raise Unavailable("another session changed a row", where=self._where)
                if statement.keeps_values and cursor.warning_count:
                    self._require_values_kept(cursor)
                changed += count
            cursor.execute("COMMIT")
            return changed

    def _require_values_kept(self, cursor: Cursor) -> None:
        count = cursor.warning_count
        cursor.execute("SHOW WARNINGS")
        warnings = cursor.fetchall()
        for level, code, _ in warnings:
            if level != "Note" and code in _ALTERED:
                cursor.execute("ROLLBACK")
                raise SourceError(
                    f"the server would store another value than the given one, warning {code}: {_ALTERED[code]}",
                    where=self._where,
                    remedy="correct the value, or widen the column",
                )
        if len(warnings) < count:
            cursor.execute("ROLLBACK")
            raise SourceError(
                f"the server has {count} warnings but lists {len(warnings)}, so altered values cannot be excluded",
                where=self._where,
                remedy="SET GLOBAL max_error_count = 65535, and restart the generator",
            )

    def close(self) -> None:
        """Closes the connection. The server rolls back an open transaction and frees the lock."""
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
        """Selects the schema and takes the lock. Creates the schema only if it is missing.

        The user may lack the privilege to create it.
        """
        name = "`" + self._schema.replace("`", "``") + "`"
        with connection.cursor() as cursor:
            if not cursor.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = %s", (self._schema,)):
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4")
            connection.select_db(self._schema)
            cursor.execute("SELECT GET_LOCK(%s, %s)", (f"datafingerprint.{self._schema}"[:64], LOCK_WAIT_S))
            if cursor.fetchone() != (1,):
                raise Unavailable("another generator uses this schema", where=self._where, remedy="stop the other one")

    @property
    def _where(self) -> str:
        return f"{self._source.host}:{self._source.port} schema {self._schema}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translates client errors in the block, and closes the connection after each."""
        try:
            yield
        except DataFingerprintError:
            raise
        except (pymysql.Error, RuntimeError, OSError) as error:
            self.close()
            raise self._translate(error) from error

    def _translate(self, error: Exception) -> DataFingerprintError:
        """The translation of a client error."""
        refused = tls_refusal(error, self._where)
        if refused is not None:
            return refused
        code = error.args[0] if error.args and isinstance(error.args[0], int) else None
        if isinstance(error, OSError | pymysql.InterfaceError) or code in _TRANSIENT:
            return Unavailable(f"the warehouse is away ({_message_of(error)})", where=self._where)
        remedy = _REMEDIES.get(code or 0, "see the server's message").format(schema=self._schema)
        if isinstance(error, RuntimeError):  # pymysql: the login method needs a package that is not installed
            remedy = "install it, or set [source] tls = required"
        return SourceError(f"the warehouse refused: {_message_of(error)}", where=self._where, remedy=remedy)


def _message_of(error: Exception) -> str:
    """The message of the server or the client in one line.

    A message that quotes a value (a duplicate key, an invalid value) is reduced to its code.
    """
    code = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if isinstance(error, pymysql.err.IntegrityError | pymysql.err.DataError):
        return f"error {code}"
    return " ".join(str(part) for part in error.args).replace("\n", " ") or type(error).__name__
