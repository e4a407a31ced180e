"""The source as capture reads it: checks, definitions, consistent snapshots, the binlog."""

from __future__ import annotations

import contextlib
import fnmatch
import re
import time
import uuid
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pymysql
import structlog
from pymysql.cursors import DictCursor, SSCursor

from datafingerprint.adapters.mysql import binlog_dump
from datafingerprint.adapters.mysql.cascades import unlogged_cascades
from datafingerprint.adapters.mysql.catalog import (
    DescribedTable,
    TableColumns,
    columns_of,
    described_columns,
    described_tables,
)
from datafingerprint.adapters.mysql.charsets import require_same_conversion
from datafingerprint.adapters.mysql.connection import connect
from datafingerprint.adapters.mysql.definition import described_table
from datafingerprint.adapters.mysql.errors import DENIED_CODES, translated
from datafingerprint.adapters.mysql.mariadb_server import MariaDbServer
from datafingerprint.adapters.mysql.mysql_server import MySqlServer
from datafingerprint.adapters.mysql.programs import stored_programs
from datafingerprint.adapters.mysql.replica_claim import Claimant, chosen_number, claim, read_replicas, require_free
from datafingerprint.adapters.mysql.row_reader import RowReader
from datafingerprint.adapters.mysql.rows import select_list
from datafingerprint.adapters.mysql.server import (
    SESSION_VARIABLES,
    Replica,
    Server,
    deviating_sessions,
    lax_settings,
    open_sessions,
    persistent_statement,
    quoted,
    quoted_table,
    warnings_of,
)
from datafingerprint.binlog.packets import Events
from datafingerprint.cascades import Cascades
from datafingerprint.config import LEAGUE_PARTITIONS, Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import (
    ConfigError,
    DataFingerprintError,
    DecodeError,
    DeniedError,
    SourceError,
    Stop,
    TableChangedError,
    TableDeniedError,
    TableError,
)
from datafingerprint.partitions import partitioning
from datafingerprint.ports.source import SnapshotRows, Survey, UnreadTable, Visibility
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql import Dialect, in_partition
from datafingerprint.stored_programs import StoredProgram
from datafingerprint.table_filter import TableFilter, with_table_filter
from datafingerprint.table_names import split_table_name

HEARTBEAT_S = 0.25
_EVICTED_WITHIN_S = 10
_HISTORY_CHECK_S, _HEARTBEATS, _TYPE_AT = 10.0, frozenset({27, 41}), 4
_MARIADB_MIN, _MYSQL_MIN = (10, 6), (8, 0)
_LOCK_WAIT_S = 2
"""Longest wait for a table that another session has locked."""


class BinlogSource:
    """Implements the port `Source` for MariaDB 10.6 and MySQL 8.0 with GTIDs, and later ones.

    Args:
        settings: All settings; `[source]` and `[tables]` are used.
        log: The log for warnings about risky settings; None logs none.
        stream_id: Returns the id of the captured stream when the binlog is requested. Without it, and before the
            first epoch, capture uses a random id.
    """

    def __init__(
        self,
        settings: Settings,
        log: structlog.stdlib.BoundLogger | None = None,
        stream_id: Callable[[], str] | None = None,
    ) -> None:
        self._log = log
        self._stream_id = stream_id or str
        self._reader = uuid.uuid4().hex
        self._settings = settings
        self._source = settings.source
        self._where = f"{self._source.host}:{self._source.port}"

    def preflight(self) -> None:
        """See `ports.Source.preflight`."""
        with translated(self._where), self._connect() as connection:
            server = self._server(connection)
            for error in (*self.deviating_variables(connection, server), *self.unlogged_schemas(connection, server)):
                raise error
            if self._source.server_id:
                chosen_number(self._source.server_id, "", read_replicas(connection), self._where)
            if self._log is not None:
                for name, risk in lax_settings(connection):
                    remedy = persistent_statement(f"SET GLOBAL {name} = 1", is_mariadb=server.is_mariadb)
                    self._log.warning(f"{name} is not 1: {risk}", remedy=remedy)
                for number, name, value in deviating_sessions(connection, server.demands):
                    what = (
                        f"session {number} has {name} = {value}: each of its changes causes a re-snapshot of the table"
                    )
                    self._log.warning(what, remedy=f"KILL {number}")

    def deviating_variables(self, connection: pymysql.Connection, server: Server) -> list[SourceError]:
        """The variables with invalid values, each with the statement that corrects it."""
        with connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL VARIABLES")
            variables = {str(name): str(value) for name, value in cursor.fetchall()}
        deviating = [
            (name, remedy)
            for name, valid, remedy in server.demands
            if name in variables and variables[name].upper() not in valid
        ]
        sessions = open_sessions(connection) if any(name in SESSION_VARIABLES for name, _ in deviating) else []
        errors = []
        for name, statement in deviating:
            remedy = statement
            if statement.startswith("SET GLOBAL"):
                remedy = persistent_statement(statement, is_mariadb=server.is_mariadb, sessions=sessions)
            errors.append(SourceError(f"the source has {name} = {variables[name]}", where=self._where, remedy=remedy))
        if "binlog_row_metadata" not in variables:
            remedy = "use MariaDB 10.6, MySQL 8.0, or later"
            errors.append(SourceError("the source has no binlog_row_metadata", where=self._where, remedy=remedy))
        return errors

    def unlogged_schemas(self, connection: pymysql.Connection, server: Server) -> list[SourceError]:
        """An error if the binlog filters schemas. Needs the privilege `Server.status_privilege`."""
        with connection.cursor() as cursor:
            cursor.execute(server.status_statement)
            status = cursor.fetchone()
        if not status or not (status[2] or status[3]):
            return []
        remedy = "start the server without binlog-do-db and binlog-ignore-db"
        return [SourceError("the source filters schemas out of its binlog", where=self._where, remedy=remedy)]

    def connect(self) -> tuple[pymysql.Connection, Server]:
        """Opens a connection, which the caller closes, and returns it with the kind of its server."""
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
        """The captured tables.

        Raises:
            Stop: a table cannot be captured, or the settings select none.
        """
        survey = self.survey()
        for error in survey.errors.values():
            raise error
        return list(survey.tables.values())

    def choose(self, choice: TableFilter) -> None:
        """See `ports.Source.choose`."""
        settings = with_table_filter(self._settings, choice)
        _require_positive_pattern(settings.source.tables, self._where)
        self._settings, self._source = settings, settings.source

    def survey(self, names: Collection[str] | None = None) -> Survey:
        """See `ports.Source.survey`."""
        _require_positive_pattern(self._source.tables, self._where)
        with (
            translated(self._where),
            self._connect(cursorclass=DictCursor) as connection,
            connection.cursor() as cursor,
        ):
            # A table that another session has locked must not delay the others.
            cursor.execute("SET SESSION lock_wait_timeout = %s", (_LOCK_WAIT_S,))
            existing = described_tables(cursor, names)
            chosen = [table for table in existing if self.is_captured(table.table)]
            columns = described_columns(cursor, [table for table in chosen if table.is_exact])
            tables: dict[str, TableSchema] = {}
            unfit: dict[str, Stop] = {}
            proven: set[str] = set()
            for table in chosen:
                try:
                    tables[table.table] = self._definition(cursor, table, columns, proven)
                except Stop as error:
                    unfit[table.table] = error
        return Survey(tables, unfit, [*self._unmatched(existing)] if names is None else [])

    def _definition(
        self,
        cursor: Any,  # noqa: ANN401 - a pymysql cursor
        listed: DescribedTable,
        columns: Mapping[str, TableColumns],
        proven: set[str],
    ) -> TableSchema:
        """The definition of a table that can be captured and read.

        Raises:
            Stop: the table cannot be captured or read.
        """
        if not listed.is_exact:
            fix = "DROP SYSTEM VERSIONING" if listed.kind == "SYSTEM VERSIONED" else "ENGINE=InnoDB"
            raise TableError(
                listed.table,
                f"it is a {listed.kind.lower()} in {listed.engine}, whose changes are not exact",
                where=f"{listed.table} on {self._where}",
                remedy=f"ALTER TABLE {quoted(listed.schema)}.{quoted(listed.name)} {fix}, or exclude it in "
                "[source] tables",
            )
        described, key = columns.get(listed.table, ([], ()))
        table = described_table(listed.schema, listed.name, described, key, self._settings.tables.get(listed.table))
        require_same_conversion(cursor, table, proven, self._where)
        partitioning(table)
        selected = ", ".join(quoted(column.name) for column in table.columns)
        try:
            with translated(self._where):
                cursor.execute(f"SELECT {selected} FROM {quoted_table(table)} LIMIT 0")
        except DeniedError:
            raise self._denied(table.table, _account(cursor)) from None
        except TableChangedError:
            pass  # it is locked or being altered; reading it later shows whether it can be read
        return table

    def visibility(self, table: str) -> Visibility:
        """See `ports.Source.visibility`."""
        schema, name = split_table_name(table)
        with translated(self._where), self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s", (schema, name)
            )
            if cursor.fetchone():
                return Visibility.THERE
            try:
                cursor.execute(f"SELECT 1 FROM {quoted(schema)}.{quoted(name)} LIMIT 0")
            except pymysql.MySQLError as error:
                # The server does not say whether a table exists that the account may not read.
                return Visibility.DENIED if error.args and error.args[0] in DENIED_CODES else Visibility.GONE
        return Visibility.THERE

    def denied(self, table: str) -> TableError:
        """See `ports.Source.denied`."""
        with translated(self._where), self._connect(cursorclass=DictCursor) as connection:
            return self._denied(table, _account(connection.cursor()))

    def _denied(self, table: str, account: str) -> TableError:
        schema, name = split_table_name(table)
        remedy = f"GRANT SELECT ON {quoted(schema)}.{quoted(name)} TO {account}"
        return TableDeniedError(table, "may not be read", where=f"{table} on {self._where}", remedy=remedy)

    def stored_programs(self) -> Sequence[StoredProgram]:
        """See `ports.Source.stored_programs`."""
        with translated(self._where), self._connect() as connection:
            return stored_programs(connection)

    def is_captured(self, table: str) -> bool:
        """Whether the settings select a table (`schema.table`) for capture."""
        patterns = self._source.tables
        is_selected = any(fnmatch.fnmatchcase(table, pattern) for pattern in patterns if not pattern.startswith("!"))
        is_excluded = any(fnmatch.fnmatchcase(table, pattern[1:]) for pattern in patterns if pattern.startswith("!"))
        return is_selected and not is_excluded

    def _unmatched(self, existing: Sequence[DescribedTable]) -> Iterator[Stop]:
        """Errors for patterns and sections of the settings that match no existing table."""
        names = {table.table for table in existing}
        for pattern in self._source.tables:
            if not pattern.startswith("!") and not fnmatch.filter(names, pattern):
                # Tables of the same schema come first, because a source may have thousands.
                schema = pattern.partition(".")[0]
                nearest = sorted(names, key=lambda name: (not name.startswith(f"{schema}."), name))
                known = ", ".join(nearest[:10]) or "none"
                yield SourceError(
                    f"no table matches {pattern}",
                    where=self._where,
                    remedy="capture waits for the first one; check [source] tables and the privileges of the account; "
                    f"existing tables: {known}",
                )
        for name, section in self._settings.tables.items():
            # The league's sections are defaults, and do not concern users who capture other tables.
            is_unused_default = section == LEAGUE_PARTITIONS.get(name) and not self.is_captured(name)
            if name not in names and not is_unused_default:
                schema = split_table_name(name)[0]
                near = ", ".join([table.table for table in existing if table.schema == schema][:10]) or "none"
                yield ConfigError(
                    f"setting tables.{name} names no table of the source",
                    where=self._where,
                    remedy=f"correct or remove that section; tables of its schema: {near}",
                )

    def cascades(self) -> Cascades:
        """See `ports.Source.cascades`."""
        with translated(self._where), self._connect() as connection:
            server = self._server(connection)
            with connection.cursor(DictCursor) as cursor:
                tables = described_tables(cursor, None)
            # Other engines have no foreign keys, and SHOW CREATE TABLE fails for some of them.
            captured = [
                (table.schema, table.name) for table in tables if table.is_exact and self.is_captured(table.table)
            ]
            return unlogged_cascades(connection, server, captured)

    def snapshot(self, tables: Sequence[TableSchema], partitions: Mapping[str, str] | None = None) -> Snapshot:
        """See `ports.Source.snapshot`. The connection stays open until the snapshot has been read."""
        connection = self._connect()
        try:
            with translated(self._where):
                server = self._server(connection)
                if self._source.server_id:
                    # Reading the tables may take hours, so a server id in use is reported before.
                    require_free(connection, self._source.server_id, self._stream_id(), self._where)
                with connection.cursor() as cursor:
                    # A table that another session has locked must not delay the others.
                    cursor.execute("SET SESSION lock_wait_timeout = %s", (_LOCK_WAIT_S,))
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
        rows_max = self._settings.cdc.snapshot_rows
        return Snapshot(
            connection, position, tables, rows_max, self._where, conditions, self._current_definition, self.denied
        )

    def _current_definition(self, connection: pymysql.Connection, table: TableSchema) -> TableSchema:
        """The current definition of a table."""
        with connection.cursor(DictCursor) as cursor:
            described, key = columns_of(cursor, table.schema, table.name)
            return described_table(table.schema, table.name, described, key, self._settings.tables.get(table.table))

    def events(self, position: SourcePosition) -> Generator[Events, None, None]:
        """See `ports.Source.events`."""
        connection = self._connect(read_timeout=30)
        try:
            with translated(self._where):
                server = self._server(connection)
                stream_id = self._stream_id() or self._reader
                claimant = Claimant(self._source.server_id, stream_id, self._where, self._log)
                number = claim(connection, claimant, lambda number: self._evict(server, position, number))
            replica = Replica(number, HEARTBEAT_S)
            checked_at = time.monotonic()
            for batch in binlog_dump.dump(server, connection, position, replica, self._where):
                yield batch
                # After RESET of the binlog, a dump may wait for ever at the old end, while it still sends heartbeats.
                if time.monotonic() - checked_at >= _HISTORY_CHECK_S and _is_heartbeat(batch):
                    checked_at = time.monotonic()
                    with translated(self._where), contextlib.closing(self._connect()) as other:
                        server.require_history(other, position, self._where)
        finally:
            connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - a dump cannot be closed regularly

    def _evict(self, server: Server, position: SourcePosition, number: int) -> None:
        """Makes the server end every dump with a server id: the newest request wins."""
        connection = self._connect(read_timeout=_EVICTED_WITHIN_S)
        try:
            with translated(self._where):
                server.request_dump(connection, position, Replica(number, HEARTBEAT_S), self._where)
                # The answer begins after the server has ended the others.
                connection._read_packet()  # noqa: SLF001 - there is no other way
        finally:
            connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - as above

    def _connect(self, **more: Any) -> pymysql.Connection:  # noqa: ANN401 - the library's own options
        with translated(self._where):
            return connect(self._source, **more)


def _require_positive_pattern(patterns: Sequence[str], where: str) -> None:
    if all(pattern.startswith("!") for pattern in patterns):
        raise SourceError("[source] tables selects no table", where=where, remedy="add a pattern, such as ootp.*")


def _account(cursor: Any) -> str:  # noqa: ANN401 - as above
    """The account in the form of GRANT."""
    cursor.execute("SELECT CURRENT_USER() AS account")
    user, _, host = str((cursor.fetchone() or {"account": "@"})["account"]).rpartition("@")
    return f"'{user}'@'{host}'"


def _is_heartbeat(batch: Events) -> bool:
    return len(batch) == 1 and batch[0][_TYPE_AT] in _HEARTBEATS


CurrentDefinition = Callable[[pymysql.Connection, TableSchema], TableSchema]


class Snapshot:
    """A consistent read view with a known position."""

    def __init__(
        self,
        connection: pymysql.Connection,
        position: SourcePosition,
        tables: Sequence[TableSchema],
        rows_max: int,
        where: str,
        conditions: Mapping[str, str],
        current_definition: CurrentDefinition,
        denied: Callable[[str], TableError],
    ) -> None:
        self._conditions = conditions
        self._current_definition = current_definition
        self._denied_error = denied
        self._cursor: SSCursor | None = None
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
            # A regular close would first read the rest of the table that is being streamed.
            self._connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no other way

    def read(self) -> Iterator[SnapshotRows | UnreadTable]:
        """See `ports.SourceSnapshot.read`."""
        for table in self._tables:
            try:
                yield from self._read_table(table)
            except (Stop, TableChangedError) as error:
                self._skip_rest()
                yield UnreadTable(table.table, self._named_error(table, error))
            except (pa.ArrowException, ValueError, ArithmeticError) as error:
                self._skip_rest()
                what = f"a value cannot be read ({type(error).__name__})"
                remedy = "fix or delete the row on the source, or leave the column out"
                where = f"{table.table} on {self._where}"
                yield UnreadTable(table.table, DecodeError(what, where=where, remedy=remedy))

    def _read_table(self, table: TableSchema) -> Iterator[SnapshotRows]:
        with translated(self._where):
            self._require_same(table)
            condition = self._conditions.get(table.table)
            where = f" WHERE {condition}" if condition else ""
            counted = self._count(table, where)
            self._cursor = cursor = self._connection.cursor(SSCursor)
            cursor.execute(f"SELECT {select_list(table)} FROM {quoted_table(table)}{where}")
        rows, read, is_last = RowReader(self._connection, cursor, table), 0, False
        while not is_last:
            fetched = self._fetch(table, rows)
            read += fetched.num_rows
            is_last = fetched.num_rows < self._rows_max
            if is_last:
                with translated(self._where):
                    cursor.close()
                    self._require_whole(table, read, counted)
            yield SnapshotRows(table.table, fetched, counted, is_last)

    def _skip_rest(self) -> None:
        """Reads to the end of a table with an error, so that the next one can be read in the view."""
        if self._cursor is not None:
            with translated(self._where):
                self._cursor.close()

    def _named_error(self, table: TableSchema, error: DataFingerprintError) -> DataFingerprintError:
        return self._denied_error(table.table) if isinstance(error, DeniedError) else error

    def _fetch(self, table: TableSchema, rows: RowReader) -> pa.Table:
        try:
            with translated(self._where):
                return rows.fetch(self._rows_max)
        except DecodeError as error:
            raise DecodeError(error.what, where=f"{table.table} on {self._where}", remedy=error.remedy) from error

    def _require_same(self, table: TableSchema) -> None:
        """Checks that a table was not altered before its first read in the view.

        From that read on, it keeps its definition until the view ends.
        """
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {quoted_table(table)} LIMIT 1")
            cursor.fetchall()
        if self._current_definition(self._connection, table) != table:
            raise TableChangedError(f"{table.table} was altered before it could be read", where=self._where)

    def _count(self, table: TableSchema, where: str) -> int:
        """The number of rows to read, which the server counts on its smallest index."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {quoted_table(table)}{where}")
            row = cursor.fetchone()
            return int(row[0]) if row else 0

    def _require_whole(self, table: TableSchema, read: int, counted: int) -> None:
        """Checks that every row of the view was read, with exact values."""
        warnings = warnings_of(self._connection)
        if warnings:
            raise SourceError(
                f"the source gave warnings while {table.table} was read, so that values may be missing: {warnings}",
                where=self._where,
                remedy="check the values that the warning names (max_allowed_packet may be too small for them), and "
                "re-snapshot the table",
            )
        if read != counted:
            raise SourceError(
                f"{read} rows of {table.table} were read, and the source counts {counted} in the same view",
                where=self._where,
                remedy="find what limits the rows of our session (a proxy before the source, or a damaged index, which "
                "CHECK TABLE shows), and re-snapshot the table",
            )
