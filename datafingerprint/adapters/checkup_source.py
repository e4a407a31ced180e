"""Looks at the source for `datafingerprint doctor`: what capture, snapshot and audit will ask of it."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import pymysql

from datafingerprint.adapters.audit_source import AuditSource
from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.adapters.mysql_server import log_status
from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.adapters.server import Server, lax_settings, quoted_table
from datafingerprint.config import Settings
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import DeniedError, SourceError, Unavailable
from datafingerprint.findings import Finding, Part, duration
from datafingerprint.schema import TableSchema

PART = Part("source")
RETENTION_S_MIN = 86_400.0
"""A binlog that is kept for less than a day leaves no night to mend anything in."""

HEARTBEATS = 6
"""Without an epoch for so many heartbeats capture does not run, or does not get on."""

_NAMED_MAX = 5
_EVENTS_MAX = 1_000
_ARRIVED = frozenset({27, 33, 41, 42, 162})
"""Events that come only once the server has found the position: heartbeats, and GTIDs of MySQL and MariaDB."""

_TYPE_AT = 4
_GRANT = re.compile(r"^GRANT (?P<privileges>.+?) ON (?P<scope>\*|`(?:[^`]|``)*`)\.\* TO ")
_LOCKS = re.compile(r"\b(?:LOCK TABLES|ALL PRIVILEGES)\b")


class SourceCheckup:
    """Looks at the source by connections of its own; a capture that runs is not disturbed."""

    def __init__(self, settings: Settings) -> None:
        # A replica with the number of one that is connected would end that one's connection.
        probing = settings.source.model_copy(update={"server_id": 2**31 + secrets.randbelow(2**31 - 1)})
        self._settings = settings
        self._source = BinlogSource(settings.model_copy(update={"source": probing}))
        self._where = f"{settings.source.host}:{settings.source.port}"

    def findings(self, last: Epoch | None, lag_s: float | None) -> Iterator[Finding]:
        """All that there is to say.

        Args:
            last: The last epoch published, None before the first.
            lag_s: Age of that epoch in seconds, None before the first.
        """
        try:
            connection, server = self._source.connect()
        except (SourceError, Unavailable) as error:
            yield PART.refused("reachable", error)
            return
        with contextlib.closing(connection):
            yield PART.ok("reachable", f"{_value(connection, 'SELECT VERSION()')} at {self._where}")
            account = _account(connection)
            yield from PART.looked("settings", lambda: self._settings_of(connection, server))
            yield from PART.looked("privileges", lambda: self._status(connection, server, account))
            yield from PART.looked("durability", lambda: self._durability(connection))
            yield from PART.looked("binlog", lambda: self._binlog(connection, server, account, last))
            yield from PART.looked("binlog retention", lambda: self._retention(connection, lag_s))
            yield from PART.looked("views", lambda: self._views(connection, server, account))
            yield from PART.looked("tables", lambda: self._tables(connection, account, last))
        if lag_s is not None and lag_s > HEARTBEATS * self._settings.cdc.heartbeat_s:
            said = f"the last epoch is {duration(lag_s)} old"
            yield PART.warning("capture", said, "start `datafingerprint capture`, or see its log")

    def _settings_of(self, connection: pymysql.Connection, server: Server) -> Iterator[Finding]:
        with translated(self._where):
            unfit = self._source.unfit_variables(connection, server)
        yield from (PART.refused("settings", error) for error in unfit)
        if not unfit:
            yield PART.ok("settings", "rows are logged in full")

    def _status(self, connection: pymysql.Connection, server: Server, account: str) -> Iterator[Finding]:
        try:
            with translated(self._where):
                unlogged = self._source.unlogged_schemas(connection, server)
        except DeniedError as error:
            yield PART.problem("privileges", error.what, f"GRANT {server.status_privilege} ON *.* TO {account}")
            return
        yield PART.ok("privileges", "the binlog's status can be read")
        yield from (PART.refused("settings", error) for error in unlogged)

    def _durability(self, connection: pymysql.Connection) -> Iterator[Finding]:
        with translated(self._where):
            lax = lax_settings(connection)
        for name, risk in lax:
            yield PART.warning("durability", f"{name} is not 1: {risk}", f"SET GLOBAL {name} = 1")
        if not lax:
            yield PART.ok("durability", "what is acknowledged survives a crash of the server")

    def _binlog(
        self, connection: pymysql.Connection, server: Server, account: str, last: Epoch | None
    ) -> Iterator[Finding]:
        """Asks for the binlog as capture will; without an epoch, from the server's present position on."""
        with translated(self._where):
            gtid = str(_value(connection, f"SELECT @@GLOBAL.{server.gtid_variable}")).replace("\n", "")
        position = last.position if last else SourcePosition(gtid, "", 0)
        try:
            events = self._source.events(position)
            with contextlib.closing(events):
                for _, octets in zip(range(_EVENTS_MAX), chain.from_iterable(events), strict=False):
                    if octets[_TYPE_AT] in _ARRIVED:
                        break
        except DeniedError as error:
            yield PART.problem("binlog", error.what, f"GRANT REPLICATION SLAVE ON *.* TO {account}")
            return
        said = f"it can be read on behind epoch {last.number}" if last else "it can be read"
        yield PART.ok("binlog", said)

    def _views(self, connection: pymysql.Connection, server: Server, account: str) -> Iterator[Finding]:
        if server.is_mariadb or log_status(connection) is not None:
            yield PART.ok("views", "snapshots and audits open their views without a lock")
            return
        table = "performance_schema.log_status"
        grants = f"GRANT BACKUP_ADMIN ON *.* TO {account}; GRANT SELECT ON {table} TO {account}"
        if _may_lock(connection, {table.schema for table in self._source.survey()[0]}):
            said = "snapshots and audits lock the tables against writes while they open their views"
            yield PART.warning("views", said, grants)
        else:
            said = "the position of a view cannot be known: the log's status may not be read, nor tables be locked"
            yield PART.problem("views", said, grants)

    def _retention(self, connection: pymysql.Connection, lag_s: float | None) -> Iterator[Finding]:
        with translated(self._where):
            kept_s = _retention_s(_variables(connection, "%expire_logs%"))
        remedy = "SET GLOBAL binlog_expire_logs_seconds = 604800"
        if kept_s is not None and kept_s < RETENTION_S_MIN:
            yield PART.warning("binlog retention", f"binlogs are kept for {duration(kept_s)} only", remedy)
        yield PART.kept("binlog retention", "binlogs", kept_s, lag_s, remedy)

    def _tables(self, connection: pymysql.Connection, account: str, last: Epoch | None) -> Iterator[Finding]:
        tables, refused = self._source.survey()
        yield from (PART.refused("tables", error) for error in refused)
        with translated(self._where):
            unreadable = [table for table in tables if not _can_read(connection, table)]
        for schema in sorted({table.schema for table in unreadable}):
            names = _named([table.table for table in unreadable if table.schema == schema])
            yield PART.problem("privileges", f"{names} cannot be read", f"GRANT SELECT ON `{schema}`.* TO {account}")
        without = sum(not table.key for table in tables)
        if not refused:
            yield PART.ok("tables", f"{len(tables)} under watch can be carried, {without} of them without a key")
        yield self._audits([table for table in tables if table not in unreadable], last)

    def _audits(self, tables: Sequence[TableSchema], last: Epoch | None) -> Finding:
        """Whether the server that audits ask, which may be a replica, can be asked exactly."""
        try:
            AuditSource(self._settings).preflight(tables, [last.position] if last else [])
        except (SourceError, Unavailable) as error:
            return PART.warning("audits", f"no audit can be made: {error.what}", error.remedy or "see [audit]")
        return PART.ok("audits", "the server can compute fingerprints")


def _may_lock(connection: pymysql.Connection, schemas: set[str]) -> bool:
    """Whether the account may lock the tables of these schemas, by what the server says that it was granted."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = [match for row in cursor.fetchall() if (match := _GRANT.match(str(row[0])))]
    scopes = [match["scope"].replace("``", "`") for match in grants if _LOCKS.search(match["privileges"])]
    return all(any(_covers(scope, schema) for scope in scopes) for schema in schemas)


def _covers(scope: str, schema: str) -> bool:
    """Whether a grant is on a schema; its name is a pattern as LIKE takes it."""
    if scope == "*":
        return True
    pieces = re.findall(r"\\.|.", scope.strip("`"), re.DOTALL)
    wild = {"%": ".*", "_": "."}
    pattern = "".join(wild.get(one) or re.escape(one[-1]) for one in pieces)
    return re.fullmatch(pattern, schema, re.DOTALL) is not None


def _account(connection: pymysql.Connection) -> str:
    user, _, host = str(_value(connection, "SELECT CURRENT_USER()")).rpartition("@")
    return f"'{user}'@'{host}'"


def _value(connection: pymysql.Connection, statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def _variables(connection: pymysql.Connection, pattern: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL VARIABLES LIKE %s", (pattern,))
        return {str(name): str(value) for name, value in cursor.fetchall()}


def _retention_s(variables: Mapping[str, str]) -> float | None:
    """How long binlogs are kept; None when the server never removes one."""
    if variables.get("binlog_expire_logs_auto_purge", "ON") in {"OFF", "0"}:
        return None
    seconds = float(variables.get("binlog_expire_logs_seconds", 0))
    return seconds or 86_400 * float(variables.get("expire_logs_days", 0)) or None


def _can_read(connection: pymysql.Connection, table: TableSchema) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {quoted_table(table)} LIMIT 0")
    except pymysql.err.OperationalError as error:
        if error.args[0] in {1142, 1143}:  # no privilege on the table, or on one of its columns
            return False
        raise
    return True


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more
