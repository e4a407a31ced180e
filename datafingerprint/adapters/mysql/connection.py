"""Opens the connections of all services to the warehouse, with TLS as configured."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymysql
from pymysql.cursors import Cursor

from datafingerprint.config import Source
from datafingerprint.errors import ConfigError, SourceError
from datafingerprint.sql.mysql_session import FIRST, IF_PERMITTED, READING, WRITING, WRITING_MODE

LOST_AFTER_S = 60
"""Seconds without an answer of the warehouse's host, after which a connection is lost."""

_SET_REFUSED = frozenset({1227, 1238, 1621, 1651})
"""Codes for: privilege missing, variable read-only in this session, or feature turned off."""

_VERIFYING = frozenset({"verify_ca", "verify_identity"})
_FILES = "check [source] tls_ca, tls_cert, tls_key"


def connect(source: Source, *, writes: bool = False, **more: Any) -> pymysql.Connection:  # noqa: ANN401 - the library's own options
    """Open a connection and set its session variables. The caller translates client errors.

    Args:
        source: Address, login and TLS settings.
        writes: Whether the session writes rows, which needs more variables to be set.
        more: Options of the client library.

    Raises:
        ConfigError: TLS settings contradict each other, or a file is missing or is not PEM.
        SourceError: the server refuses to set a variable that changes the values read.
    """
    connection = pymysql.connect(
        host=source.host,
        port=source.port,
        user=source.user,
        # UTF-8, as the server's own clients send it. The library would use Latin 1 and fail on other characters.
        password=source.password.get_secret_value().encode(),
        connect_timeout=max(int(source.connect_timeout_s), 1),
        charset="utf8mb4",
        autocommit=True,
        **_tls(source),
        **more,
    )
    try:
        _detect_lost_host(connection)
        set_up(connection, f"{source.host}:{source.port}", writes=writes)
    except BaseException:
        connection._force_close()  # type: ignore[attr-defined]  # noqa: SLF001 - frees the socket, also of a broken one
        raise
    return connection


def set_up(connection: pymysql.Connection, where: str, *, writes: bool = False) -> None:
    """Set the session variables of `sql.mysql_session`, which override `init_connect`.

    Raises:
        SourceError: the server refuses to set a variable.
    """
    wanted = WRITING if writes else READING
    with connection.cursor(Cursor) as cursor:
        for statement in (*FIRST, *([WRITING_MODE] if writes else [])):
            cursor.execute(statement)
        # All variables: a list of names could exceed the smallest `max_allowed_packet` of a server.
        cursor.execute("SHOW SESSION VARIABLES")
        current = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
        changed = [name for name in wanted if current.get(name, wanted[name]) != wanted[name]]
        needed = [name for name in changed if name not in IF_PERMITTED]
        try:
            _assign(cursor, needed, wanted)
        except pymysql.MySQLError as error:
            _require_refusal(error)
            for name in needed:
                _assign_one(cursor, name, wanted[name], where)
        for name in IF_PERMITTED.intersection(changed):
            try:
                _assign(cursor, [name], wanted)
            except pymysql.MySQLError as error:
                _require_refusal(error)


def _assign(cursor: Cursor, names: Sequence[str], values: Mapping[str, str]) -> None:
    if names:
        cursor.execute(f"SET {', '.join(f'SESSION {name} = {_literal(values[name])}' for name in names)}")


def _assign_one(cursor: Cursor, name: str, value: str, where: str) -> None:
    try:
        _assign(cursor, [name], {name: value})
    except pymysql.MySQLError as error:
        _require_refusal(error)
        raise SourceError(
            f"the source refuses to set {name} to {value} for our session: {error.args[1]}",
            where=where,
            remedy=f"SET GLOBAL {name} = {_literal(value)}; or grant the account SESSION_VARIABLES_ADMIN (MySQL) or "
            "BINLOG ADMIN (MariaDB)",
        ) from error


def _require_refusal(error: pymysql.MySQLError) -> None:
    """Re-raises an error unless the server refuses to set a variable."""
    if not error.args or error.args[0] not in _SET_REFUSED:
        raise error


def _literal(value: str) -> str:
    return value if value.isdigit() or value == "DEFAULT" else f"'{value}'"


def _detect_lost_host(connection: pymysql.Connection) -> None:
    """Detect a host that vanished within `LOST_AFTER_S`; by default the system takes hours.

    A timeout of each read would also end long statements, which send nothing until they are done.
    """
    sock: socket.socket = connection._sock  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no public name for it
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", LOST_AFTER_S // 2),
        ("TCP_KEEPINTVL", LOST_AFTER_S // 6),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", 1000 * LOST_AFTER_S),
    ):
        if hasattr(socket, name):  # not every system has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _tls(source: Source) -> dict[str, Any]:
    """The TLS options of the client. Without options, it uses TLS if the server offers it."""
    if source.tls_ca and source.tls not in _VERIFYING:
        raise ConfigError(
            f"setting source.tls_ca has no effect with source.tls = {source.tls}",
            remedy="set source.tls to verify_ca or verify_identity",
        )
    if source.tls in {"disabled", "preferred"}:
        if source.tls_cert:
            raise ConfigError(
                f"setting source.tls_cert has no effect with source.tls = {source.tls}",
                remedy="set source.tls to required, verify_ca or verify_identity",
            )
        return {"ssl_disabled": True} if source.tls == "disabled" else {}
    return {"ssl": _context(source)}


def _context(source: Source) -> ssl.SSLContext:
    if bool(source.tls_cert) != bool(source.tls_key):
        raise ConfigError("settings source.tls_cert and source.tls_key belong together", remedy="set both, or neither")
    for path in filter(None, (source.tls_ca, source.tls_cert, source.tls_key)):
        if not Path(path).is_file():
            raise ConfigError(f"there is no file {path}", remedy=_FILES)
    try:
        context = ssl.create_default_context(cafile=source.tls_ca or None)
        # Authorities that MySQL generates do not conform to RFC 5280.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = source.tls == "verify_identity"
        if source.tls not in _VERIFYING:
            context.verify_mode = ssl.CERT_NONE
        if source.tls_cert:
            context.load_cert_chain(source.tls_cert, source.tls_key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"a file of [source] tls cannot be used ({error})", remedy=_FILES) from None
    return context
