"""A connection to the warehouse, encrypted as the settings say: the way in of all services."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pymysql

from datafingerprint.config import Source
from datafingerprint.errors import ConfigError

LOST_AFTER_S = 60
"""Seconds without a sign of life of the warehouse's host after which a connection to it is lost."""

_VERIFYING = frozenset({"verify_ca", "verify_identity"})
_FILES = "check [source] tls_ca, tls_cert, tls_key"


def connect(source: Source, **more: Any) -> pymysql.Connection:  # noqa: ANN401 - the library's own options
    """Opens a connection; what the client raises is for the caller to translate.

    Raises:
        ConfigError: the settings about TLS do not fit together, or a file is missing or no PEM.
    """
    connection = pymysql.connect(
        host=source.host,
        port=source.port,
        user=source.user,
        password=source.password.get_secret_value(),
        connect_timeout=max(int(source.connect_timeout_s), 1),
        charset="utf8mb4",
        autocommit=True,
        **_tls(source),
        **more,
    )
    _notice_a_lost_host(connection)
    return connection


def _notice_a_lost_host(connection: pymysql.Connection) -> None:
    """A host that vanishes without a word ends a wait for it within `LOST_AFTER_S`; the system would take hours.

    A bound on every read would end long statements too, which say nothing until they are done.
    """
    sock: socket.socket = connection._sock  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no name for it
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
    """What the client is told; without a word of it, it takes TLS where the server offers it."""
    if source.tls_ca and source.tls not in _VERIFYING:
        raise ConfigError(
            f"setting source.tls_ca is of no use with source.tls = {source.tls}",
            remedy="set source.tls to verify_ca or verify_identity",
        )
    if source.tls in {"disabled", "preferred"}:
        if source.tls_cert:
            raise ConfigError(
                f"setting source.tls_cert is of no use with source.tls = {source.tls}",
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
        # Authorities that MySQL makes for itself lack what RFC 5280 wants of them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = source.tls == "verify_identity"
        if source.tls not in _VERIFYING:
            context.verify_mode = ssl.CERT_NONE
        if source.tls_cert:
            context.load_cert_chain(source.tls_cert, source.tls_key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"a file of [source] tls cannot be used ({error})", remedy=_FILES) from None
    return context
