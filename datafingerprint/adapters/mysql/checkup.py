"""Checks for `datafingerprint doctor` that the source allows capture, snapshots and audits."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import pymysql

from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.mysql.cascades import unlogged_cascades
from datafingerprint.adapters.mysql.errors import translated
from datafingerprint.adapters.mysql.mysql_server import log_status
from datafingerprint.adapters.mysql.replica_claim import chosen_number, read_replicas, require_free
from datafingerprint.adapters.mysql.server import Server, deviating_sessions, lax_settings, persistent_statement
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.cascades import list_keys
from datafingerprint.checkup import CheckResult, Component, duration
from datafingerprint.config import Settings
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import DeniedError, SourceError, TableDeniedError, Unavailable
from datafingerprint.schema import TableSchema

PART = Component("source")
RETENTION_S_MIN = 86_400.0
"""Shortest safe retention: a failure in the evening must be repairable in the morning."""

_SESSIONS_MAX = 5
HEARTBEATS = 6
"""Heartbeats without an epoch, after which capture is not running or makes no progress."""

_EVENTS_MAX = 1_000
_PROOF_TYPES = frozenset({27, 33, 41, 42, 162})
"""Events that a server sends only after it has found the position: heartbeats and GTIDs."""

_TYPE_AT = 4
_GRANT = re.compile(r"^GRANT (?P<privileges>.+?) ON (?P<scope>\*|`(?:[^`]|``)*`)\.\* TO ")
_LOCKS = re.compile(r"\b(?:LOCK TABLES|ALL PRIVILEGES)\b")


_NAMED_MAX = 5


class SourceCheckup:
    """Checks the source over its own connections. A running capture is not disturbed."""

    def __init__(self, settings: Settings) -> None:
        # A second replica with the same server id would end the connection of capture, so this one gets its own id.
        probing = settings.source.model_copy(update={"server_id": 0})
        self._settings = settings
        self._source = BinlogSource(settings.model_copy(update={"source": probing}))
        self._where = f"{settings.source.host}:{settings.source.port}"

    def findings(self, last: Epoch | None, lag_s: float | None) -> Iterator[CheckResult]:
        """Run all checks of the source.

        Args:
            last: The last published epoch; None before the first.
            lag_s: Age of that epoch in seconds; None before the first.
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
            yield from PART.looked("sessions", lambda: self._sessions(connection, server))
            yield from PART.looked("durability", lambda: self._durability(connection, server))
            yield from PART.looked("server id", lambda: self._server_id(connection, last))
            yield from PART.looked("binlog", lambda: self._binlog(connection, server, account, last))
            yield from PART.looked("binlog retention", lambda: self._retention(connection, server, lag_s))
            yield from PART.looked("views", lambda: self._views(connection, server, account))
            yield from PART.looked("tables", lambda: self._tables(last))
            yield from PART.looked("cascades", lambda: self._cascades(connection, server))
        if lag_s is not None and lag_s > HEARTBEATS * self._settings.cdc.heartbeat_s:
            message = f"the last epoch is {duration(lag_s)} old"
            yield PART.warning("capture", message, "start `datafingerprint capture`, or read its log")

    def _settings_of(self, connection: pymysql.Connection, server: Server) -> Iterator[CheckResult]:
        with translated(self._where):
            unfit = self._source.deviating_variables(connection, server)
        yield from (PART.refused("settings", error) for error in unfit)
        if not unfit:
            yield PART.ok("settings", "rows are logged in full")

    def _status(self, connection: pymysql.Connection, server: Server, account: str) -> Iterator[CheckResult]:
        try:
            with translated(self._where):
                unlogged = self._source.unlogged_schemas(connection, server)
        except DeniedError as error:
            yield PART.problem("privileges", error.what, f"GRANT {server.status_privilege} ON *.* TO {account}")
            return
        yield PART.ok("privileges", "the binlog's status can be read")
        yield from (PART.refused("settings", error) for error in unlogged)

    def _server_id(self, connection: pymysql.Connection, last: Epoch | None) -> Iterator[CheckResult]:
        """Checks that the server id of capture is free."""
        setting = self._settings.source.server_id
        if last is None and not setting:
            yield PART.ok("server id", "capture derives it from its stream id at the first epoch")
            return
        stream_id = last.stream_id if last else ""
        with translated(self._where):
            replicas = read_replicas(connection)
            number = chosen_number(setting, stream_id, replicas, self._where)
            require_free(connection, number, stream_id, self._where)
        message = f"{number} is used by no other capture"
        yield PART.ok("server id", message if replicas.registered is None else f"{message}, and no replica")

    def _sessions(self, connection: pymysql.Connection, server: Server) -> Iterator[CheckResult]:
        """Finds sessions that do not log rows in full. Only MySQL shows them."""
        with translated(self._where):
            sessions = deviating_sessions(connection, server.demands)
        for number, name, value in sessions[:_SESSIONS_MAX]:
            what = f"session {number} has {name} = {value}: each of its changes causes a re-snapshot of the table"
            yield PART.warning("sessions", what, f"KILL {number}")

    def _durability(self, connection: pymysql.Connection, server: Server) -> Iterator[CheckResult]:
        with translated(self._where):
            lax = lax_settings(connection)
        for name, risk in lax:
            remedy = persistent_statement(f"SET GLOBAL {name} = 1", is_mariadb=server.is_mariadb)
            yield PART.warning("durability", f"{name} is not 1: {risk}", remedy)
        if not lax:
            yield PART.ok("durability", "acknowledged transactions survive a crash of the server")

    def _binlog(
        self, connection: pymysql.Connection, server: Server, account: str, last: Epoch | None
    ) -> Iterator[CheckResult]:
        """Requests the binlog as capture does; without an epoch, from the server's current position."""
        with translated(self._where):
            gtid = str(_value(connection, f"SELECT @@GLOBAL.{server.gtid_variable}")).replace("\n", "")
        position = last.position if last else SourcePosition(gtid, "", 0)
        try:
            events = self._source.events(position)
            with contextlib.closing(events):
                for _, event in zip(range(_EVENTS_MAX), chain.from_iterable(events), strict=False):
                    if event[_TYPE_AT] in _PROOF_TYPES:
                        break
        except DeniedError as error:
            yield PART.problem("binlog", error.what, f"GRANT REPLICATION SLAVE ON *.* TO {account}")
            return
        message = f"it can be read from epoch {last.number}" if last else "it can be read"
        yield PART.ok("binlog", message)

    def _views(self, connection: pymysql.Connection, server: Server, account: str) -> Iterator[CheckResult]:
        if server.is_mariadb or log_status(connection) is not None:
            yield PART.ok("views", "snapshots and audits open their views without a lock")
            return
        table = "performance_schema.log_status"
        grants = f"GRANT BACKUP_ADMIN ON *.* TO {account}; GRANT SELECT ON {table} TO {account}"
        if _may_lock(connection, {table.schema for table in self._source.survey().tables.values()}):
            message = "snapshots and audits block writes to the tables while they open their views"
            yield PART.warning("views", message, grants)
        else:
            message = "the position of a view is unknown: the account may neither read the log's status nor lock tables"
            yield PART.problem("views", message, grants)

    def _retention(self, connection: pymysql.Connection, server: Server, lag_s: float | None) -> Iterator[CheckResult]:
        with translated(self._where):
            kept_s = _retention_s(_variables(connection, "%expire_logs%"))
        remedy = persistent_statement("SET GLOBAL binlog_expire_logs_seconds = 604800", is_mariadb=server.is_mariadb)
        if kept_s is not None and kept_s < RETENTION_S_MIN:
            yield PART.warning("binlog retention", f"binlogs are kept for only {duration(kept_s)}", remedy)
        yield PART.kept("binlog retention", "binlogs", kept_s, lag_s, remedy)

    def _tables(self, last: Epoch | None) -> Iterator[CheckResult]:
        survey = self._source.survey()
        tables = list(survey.tables.values())
        for error in survey.unmatched:
            yield PART.warning("tables", error.what, error.remedy or "see [tables] in the settings")
        for name, error in survey.errors.items():
            if isinstance(error, TableDeniedError):
                yield PART.problem("privileges", f"{name} {error.what}", error.remedy)
                continue
            message = f"{name} would be set aside: {error.what}"
            yield PART.warning("tables", message, error.remedy or "exclude it in [source] tables")
        without_key = sum(not table.key for table in tables)
        if not (survey.unmatched or survey.errors):
            yield PART.ok("tables", f"{len(tables)} tables can be captured, {without_key} of them without a key")
        yield self._audits(tables, last)

    def _cascades(self, connection: pymysql.Connection, server: Server) -> Iterator[CheckResult]:
        """Finds foreign keys of captured tables whose cascades are not logged."""
        tables = list(self._source.survey().tables.values())
        with translated(self._where):
            cascades = unlogged_cascades(connection, server, [(table.schema, table.name) for table in tables])
        captured = {table.table for table in tables}
        keys = cascades.between(captured)
        if not keys:
            yield PART.ok("cascades", "no captured table has an unlogged cascade")
            return
        message = f"the source does not log what {len(keys)} foreign keys cascade: {list_keys(keys)}"
        heals = self._settings.source.cascades == "heal"
        remedy = "run `datafingerprint audit --serve`, which checks" if heals else 'set [source] cascades = "heal"'
        yield PART.warning("cascades", message, remedy)
        uncaptured = sorted({key.parent for key in keys} - captured)
        if uncaptured:
            parents = _named(uncaptured)
            message = f"parents of such keys are not captured, so each of their changes may cascade: {parents}"
            yield PART.warning("cascades", message, "select them in [source] tables")

    def _audits(self, tables: Sequence[TableSchema], last: Epoch | None) -> CheckResult:
        """Checks that audits on their server, which may be a replica, are exact."""
        try:
            AuditSource(self._settings).preflight(tables, [last.position] if last else [])
        except (SourceError, Unavailable) as error:
            return PART.warning("audits", f"audits are impossible: {error.what}", error.remedy or "see [audit]")
        return PART.ok("audits", "the server can compute fingerprints")


def _may_lock(connection: pymysql.Connection, schemas: set[str]) -> bool:
    """Whether the account may lock the tables of these schemas, according to SHOW GRANTS."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        grants = [match for row in cursor.fetchall() if (match := _GRANT.match(str(row[0])))]
    scopes = [match["scope"].replace("``", "`") for match in grants if _LOCKS.search(match["privileges"])]
    return all(any(_covers(scope, schema) for scope in scopes) for schema in schemas)


def _covers(scope: str, schema: str) -> bool:
    """Whether a grant covers a schema. The scope of a grant is a LIKE pattern."""
    if scope == "*":
        return True
    pieces = re.findall(r"\\.|.", scope.strip("`"), re.DOTALL)
    wild = {"%": ".*", "_": "."}
    pattern = "".join(wild.get(piece) or re.escape(piece[-1]) for piece in pieces)
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
    """The retention of binlogs in seconds; None when the server keeps them for ever."""
    if variables.get("binlog_expire_logs_auto_purge", "ON") in {"OFF", "0"}:
        return None
    seconds = float(variables.get("binlog_expire_logs_seconds", 0))
    return seconds or 86_400 * float(variables.get("expire_logs_days", 0)) or None


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more
