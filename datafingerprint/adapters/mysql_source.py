"""The warehouse as capture reads it: preflight, definitions, a consistent snapshot, the binlog."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pymysql
import structlog
from pymysql.cursors import DictCursor, SSCursor

from datafingerprint.adapters import binlog_dump
from datafingerprint.adapters.mariadb_server import MariaDbServer
from datafingerprint.adapters.mysql_charsets import require_same_conversion
from datafingerprint.adapters.mysql_connection import connect
from datafingerprint.adapters.mysql_definition import described_table
from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.adapters.mysql_rows import arrow_rows, select_list
from datafingerprint.adapters.mysql_server import MySqlServer
from datafingerprint.adapters.server import Replica, Server, lax_settings, quoted_table
from datafingerprint.choice import Choice, with_choice
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import (
    ConfigError,
    DataFingerprintError,
    DecodeError,
    SourceError,
    Stop,
    Unavailable,
)
from datafingerprint.events import Events
from datafingerprint.partitions import partitioning
from datafingerprint.ports import SnapshotRows
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql import Dialect, in_partition

HEARTBEAT_S = 0.25
_MARIADB_MIN, _MYSQL_MIN = (10, 6), (8, 0)
_SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")
_NO_TABLES = ("VIEW", "SYSTEM VIEW", "SEQUENCE")
"""What stands among the tables and has no rows of its own, but perhaps a number that nobody joins with."""


class BinlogSource:
    """Implements the port `Source` for MariaDB 10.6 and later, and for MySQL 8.0 and later with GTIDs.

    Args:
        settings: Of which `[source]` and the tables' are looked at.
        log: Told of what may have been chosen, and should be known; None where somebody else tells it.
    """

    def __init__(self, settings: Settings, log: structlog.stdlib.BoundLogger | None = None) -> None:
        self._log = log
        self._settings = settings
        self._source = settings.source
        self._where = f"{self._source.host}:{self._source.port}"

    def preflight(self) -> None:
        """See `ports.Source.preflight`."""
        with translated(self._where), self._connect() as connection:
            server = self._server(connection)
            for error in (*self.unfit_variables(connection, server), *self.unlogged_schemas(connection, server)):
                raise error
            if self._log is not None:
                for name, risk in lax_settings(connection):
                    self._log.warning(f"{name} is not 1: {risk}", remedy=f"SET GLOBAL {name} = 1")

    def unfit_variables(self, connection: pymysql.Connection, server: Server) -> list[SourceError]:
        """What the server is not set to as it must be, each with the statement that mends it."""
        with connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES")
            variables = {str(name): str(value) for name, value in cursor.fetchall()}
        found = [
            SourceError(f"the source has {name} = {variables[name]}", where=self._where, remedy=remedy)
            for name, fit, remedy in server.demands
            if name in variables and variables[name].upper() not in fit
        ]
        if "binlog_row_metadata" not in variables:
            remedy = "use MariaDB 10.6, MySQL 8.0, or later"
            found.append(SourceError("the source has no binlog_row_metadata", where=self._where, remedy=remedy))
        return found

    def unlogged_schemas(self, connection: pymysql.Connection, server: Server) -> list[SourceError]:
        """Whether schemas are left out of the binlog; asking needs the privilege `Server.status_privilege`."""
        with connection.cursor() as cursor:
            cursor.execute(server.status_statement)
            status = cursor.fetchone()
        if not status or not (status[2] or status[3]):
            return []
        remedy = "start the server without binlog-do-db and binlog-ignore-db"
        return [SourceError("the source leaves schemas out of its binlog", where=self._where, remedy=remedy)]

    def connect(self) -> tuple[pymysql.Connection, Server]:
        """A connection of one's own, and what kind of server it leads to; the caller closes it."""
        connection = self._connect()
        with translated(self._where):
            return connection, self._server(connection)

    def _server(self, connection: pymysql.Connection) -> Server:
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            version = str((cursor.fetchone() or [""])[0])
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
        is_mariadb = "mariadb" in version.lower()
        if numbers < (_MARIADB_MIN if is_mariadb else _MYSQL_MIN):
            raise SourceError(
                f"the source is version {version}", where=self._where, remedy="use MariaDB 10.6, MySQL 8.0, or later"
            )
        return MariaDbServer(self._log) if is_mariadb else MySqlServer(numbers)

    def tables(self) -> Sequence[TableSchema]:
        """See `ports.Source.tables`."""
        tables, refused, _ = self._surveyed()
        for error in refused:
            raise error
        return tables

    def require_chosen(self) -> None:
        """See `ports.Source.require_chosen`."""
        for error in self._surveyed()[2]:
            raise error

    def choose(self, choice: Choice) -> None:
        """See `ports.Source.choose`."""
        other = BinlogSource(with_choice(self._settings, choice))
        _, refused, unfit = other._surveyed()
        known = {str(error) for error in self._surveyed()[2]}
        for error in (*(one for one in unfit if str(one) not in known), *refused):
            raise error
        self._settings, self._source = other._settings, other._source

    def survey(self) -> tuple[list[TableSchema], list[DataFingerprintError]]:
        """The tables under watch that can be carried, and why others, or the settings about them, cannot."""
        tables, refused, unfit = self._surveyed()
        return tables, [*unfit, *refused]

    def _surveyed(self) -> tuple[list[TableSchema], list[DataFingerprintError], list[Stop]]:
        with (
            translated(self._where),
            self._connect(cursorclass=DictCursor) as connection,
            connection.cursor() as cursor,
        ):
            _show_generated_keys(cursor)
            found = self._described(cursor)
            chosen = [row for row in found if self.is_watched(f"{row['s']}.{row['n']}")]
            refused: list[DataFingerprintError] = [*self._unfit_tables(chosen)]
            proven: set[str] = set()
            tables = []
            for row in filter(_is_exact, chosen):
                try:
                    table = self._definition(cursor, row["s"], row["n"])
                    require_same_conversion(cursor, table, proven, self._where)
                    partitioning(table)
                    tables.append(table)
                except Stop as error:
                    refused.append(error)
        return tables, refused, [*self._unfit_names(found)]

    def _described(self, cursor: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a pymysql cursor
        cursor.execute(
            "SELECT TABLE_SCHEMA s, TABLE_NAME n, ENGINE e, TABLE_TYPE t FROM information_schema.TABLES "
            "WHERE TABLE_SCHEMA NOT IN %s AND TABLE_TYPE NOT IN %s ORDER BY 1, 2",
            (_SYSTEM_SCHEMAS, _NO_TABLES),
        )
        return [dict(row) for row in cursor.fetchall()]

    def is_watched(self, table: str) -> bool:
        """Whether the settings put a table (`schema.table`) under watch."""
        patterns = self._source.tables
        taken = any(fnmatch.fnmatchcase(table, pattern) for pattern in patterns if not pattern.startswith("!"))
        left_out = any(fnmatch.fnmatchcase(table, pattern[1:]) for pattern in patterns if pattern.startswith("!"))
        return taken and not left_out

    def _unfit_names(self, found: list[dict[str, Any]]) -> Iterator[Stop]:
        """What the settings name that is not there."""
        names = {f"{row['s']}.{row['n']}" for row in found}
        for pattern in self._source.tables:
            if not pattern.startswith("!") and not fnmatch.filter(names, pattern):
                # Those of the schema that was meant come first: a source may have thousands.
                schema = pattern.split(".")[0]
                nearest = sorted(names, key=lambda name: (not name.startswith(f"{schema}."), name))
                known = ", ".join(nearest[:10]) or "none"
                yield SourceError(
                    f"no table matches {pattern}",
                    where=self._where,
                    remedy=f"check [source] tables, and what the account may read; there are: {known}",
                )
        for name in self._settings.tables:
            schema = name.split(".")[0]
            if name not in names and any(row["s"] == schema for row in found):
                yield ConfigError(f"setting tables.{name} names no table of the source")

    def _unfit_tables(self, chosen: list[dict[str, Any]]) -> Iterator[Stop]:
        if not any(not pattern.startswith("!") for pattern in self._source.tables):
            yield SourceError("[source] tables chooses no table", where=self._where, remedy="name one, such as ootp.*")
        for row in chosen:
            if not _is_exact(row):
                yield SourceError(
                    f"table {row['s']}.{row['n']} is a {row['t'].lower()} in {row['e']}, whose changes are not exact",
                    where=self._where,
                    remedy=f"ALTER TABLE `{row['s']}`.`{row['n']}` ENGINE=InnoDB, or exclude it in [source] tables",
                )

    def _definition(self, cursor: Any, schema: str, name: str) -> TableSchema:  # noqa: ANN401 - a pymysql cursor
        cursor.execute(
            "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME FROM information_schema.COLUMNS "
            "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
            (schema, name),
        )
        described = cursor.fetchall()
        cursor.execute(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s "
            "AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX",
            (schema, name),
        )
        key = tuple(found["COLUMN_NAME"] for found in cursor.fetchall())
        return described_table(schema, name, described, key, self._settings.tables.get(f"{schema}.{name}"))

    def snapshot(self, tables: Sequence[TableSchema], partitions: Mapping[str, str] | None = None) -> Snapshot:
        """See `ports.Source.snapshot`; the connection lives until the snapshot has been read."""
        connection = self._connect()
        try:
            with translated(self._where):
                server = self._server(connection)
                position = server.open_view(connection, tables, self._connect, self._where)
        except DataFingerprintError:
            connection.close()
            raise
        dialect = Dialect.MARIADB if server.is_mariadb else Dialect.MYSQL
        conditions = {
            table.table: in_partition(partitioning(table), (partitions or {})[table.table], dialect)
            for table in tables
            if table.table in (partitions or {})
        }
        return Snapshot(
            connection, position, tables, self._settings.cdc.snapshot_rows, self._where, conditions, self._defined
        )

    def _defined(self, connection: pymysql.Connection, table: TableSchema) -> TableSchema:
        """A table as it is now."""
        with connection.cursor(DictCursor) as cursor:
            _show_generated_keys(cursor)
            return self._definition(cursor, table.schema, table.name)

    def events(self, position: SourcePosition) -> Generator[Events, None, None]:
        """See `ports.Source.events`."""
        connection = self._connect(read_timeout=30)
        try:
            with translated(self._where):
                server = self._server(connection)
            replica = Replica(self._source.server_id, HEARTBEAT_S)
            yield from binlog_dump.dump(server, connection, position, replica, self._where)
        finally:
            connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - a dump cannot be ended politely

    def _connect(self, **more: Any) -> pymysql.Connection:  # noqa: ANN401 - the library's own options
        with translated(self._where):
            return connect(self._source, **more)


def _is_exact(row: Mapping[str, Any]) -> bool:
    return (row["e"], row["t"]) == ("InnoDB", "BASE TABLE")


def _show_generated_keys(cursor: Any) -> None:  # noqa: ANN401 - a pymysql cursor
    """MySQL may hide the primary keys that it made itself from its dictionary; they are logged like any other."""
    cursor.execute("SHOW VARIABLES LIKE 'show_gipk_in_create_table_and_information_schema'")
    if cursor.fetchone():
        cursor.execute("SET SESSION show_gipk_in_create_table_and_information_schema = ON")


Defined = Callable[[pymysql.Connection, TableSchema], TableSchema]


class Snapshot:
    """A consistent read view whose position is known."""

    def __init__(
        self,
        connection: pymysql.Connection,
        position: SourcePosition,
        tables: Sequence[TableSchema],
        rows_max: int,
        where: str,
        conditions: Mapping[str, str],
        defined: Defined,
    ) -> None:
        self._conditions = conditions
        self._defined = defined
        self._connection = connection
        self._position = position
        self._tables = tables
        self._rows_max = rows_max
        self._where = where

    @property
    def position(self) -> SourcePosition:
        """See `ports.SourceSnapshot.position`."""
        return self._position

    def close(self) -> None:
        """See `ports.SourceSnapshot.close`."""
        if self._connection.open:
            # Not politely: the rest of a table that is being streamed would be read first.
            self._connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no other way

    def read(self) -> Iterator[SnapshotRows]:
        """See `ports.SourceSnapshot.read`."""
        for table in self._tables:
            yield from self._read_table(table)

    def _read_table(self, table: TableSchema) -> Iterator[SnapshotRows]:
        with translated(self._where):
            self._require_same(table)
            estimated = self._estimate(table)
            cursor = self._connection.cursor(SSCursor)
            condition = self._conditions.get(table.table)
            where = f" WHERE {condition}" if condition else ""
            cursor.execute(f"SELECT {select_list(table)} FROM {quoted_table(table)}{where}")
        while True:
            with translated(self._where):
                fetched = cursor.fetchmany(self._rows_max)
            rows = self._decoded(table, fetched)
            last = len(fetched) < self._rows_max
            if last:
                cursor.close()
            yield SnapshotRows(table.table, rows, estimated, last)
            if last:
                return

    def _decoded(self, table: TableSchema, fetched: Sequence[Sequence[Any]]) -> pa.Table:
        try:
            return arrow_rows(table, fetched)
        except DecodeError as error:
            raise DecodeError(error.what, where=f"{table.table} on {self._where}", remedy=error.remedy) from error

    def _require_same(self, table: TableSchema) -> None:
        """Once touched, a table keeps its definition until the view ends; before, somebody may have altered it."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {quoted_table(table)} LIMIT 1")
            cursor.fetchall()
        if self._defined(self._connection, table) != table:
            raise Unavailable(f"{table.table} was altered before it could be read", where=self._where)

    def _estimate(self, table: TableSchema) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
                (table.schema, table.name),
            )
            row = cursor.fetchone()
            return int(row[0] or 0) if row else 0
