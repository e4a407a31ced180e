"""Translates the errors of the MySQL client into this project's errors."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from datafingerprint.errors import (
    CutShortError,
    DataFingerprintError,
    DeniedError,
    SourceError,
    TableChangedError,
    Unavailable,
)
from datafingerprint.recovery import RESNAPSHOT_ALL

_AWAY = frozenset({0, 1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1927, 2002, 2003, 2006, 2013, 2055})
"""Codes of a server that is away, stopping or full, and of a broken connection."""

_ENDED = frozenset({1317, 1969, 3024})
"""The server or another user ended a statement. Only audits limit their own statements, and handle this themselves."""

_INIT_CONNECT = 1184

CHANGED_CODES = frozenset({1146, 1412})
"""A table was dropped or altered since it was read."""

LOCK_WAIT_TIMEOUT = 1205

_TRANSIENT = {_AWAY: "the source is away", _ENDED: "a statement was ended on the source"}
"""Errors that may pass by themselves, with their descriptions."""

_POSITION_GONE = 1236
_CUT_SHORT = "truncated in the middle of event"
"""MariaDB ends a dump with this text after a file in which a crash cut a transaction off."""

DENIED_CODES = frozenset({1044, 1045, 1142, 1143, 1227, 1698})
_LACKS_PRIVILEGE = 1227
_NEEDED = re.compile(r"the (?P<names>[A-Z_, ]+) privilege")
"""The last of the privileges that either would do is the least one."""

_UNKNOWN_SCHEMA = 1049
_NO_CRYPTOGRAPHY = "cryptography"
_NO_TLS = 2026
_PLAIN_REFUSED = frozenset({3159, 4226})
"""Codes of MySQL and MariaDB for a plain connection when `require_secure_transport` is on."""

_SAME_REPLICA = "same server_uuid/server_id"
"""The text of a dump that ended for a newer one. The codes differ between versions."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate client errors in the block into `Unavailable` or `SourceError`."""
    try:
        yield
    except pymysql.MySQLError as error:
        raise (tls_refusal(error, where) or _translation(error, where)) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            "a text of the source is not UTF-8",
            where=where,
            remedy="find it with HEX() and correct it, or exclude the table",
        ) from error
    except RuntimeError as error:
        if _NO_CRYPTOGRAPHY not in str(error):
            raise
        remedy = "set [source] tls = required, or install the Python package cryptography"
        raise SourceError("the source's login method needs TLS", where=where, remedy=remedy) from error
    except OSError as error:
        raise Unavailable(f"the source is away: {error.strerror or type(error).__name__}", where=where) from error


def tls_refusal(error: Exception, where: str) -> SourceError | None:
    """A permanent TLS error; None for any other error."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        what = f"the source's certificate is not accepted: {cause.verify_message}"
        return SourceError(what, where=where, remedy="check [source] tls_ca, and host where tls is verify_identity")
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        remedy = "check [source] tls, tls_cert, tls_key"
        return SourceError(f"the TLS connection to the source fails ({cause.reason})", where=where, remedy=remedy)
    if code == _NO_TLS:
        remedy = "turn TLS on there, or set [source] tls = preferred"
        return SourceError("the source does not offer TLS", where=where, remedy=remedy)
    if code in _PLAIN_REFUSED:
        remedy = "set [source] tls to required, verify_ca or verify_identity"
        return SourceError("the source refuses connections without TLS", where=where, remedy=remedy)
    return None


def _translation(error: pymysql.MySQLError, where: str) -> DataFingerprintError:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    if code in DENIED_CODES:
        return DeniedError(f"the source refuses us: {text}", where=where, remedy=_denied_remedy(code, text))
    if _SAME_REPLICA in text:
        return SourceError(
            "another process has taken over: a replica with our server id has connected",
            where=where,
            remedy="run one capture per [source] server_id, or set an unused number",
        )
    if code == _POSITION_GONE:
        return _no_position(text, where)
    if code == _INIT_CONNECT:
        remedy = "correct the statements that SHOW GLOBAL VARIABLES LIKE 'init_connect' shows"
        return SourceError(f"the source's init_connect fails for our account: {text}", where=where, remedy=remedy)
    if isinstance(error, pymysql.InterfaceError):
        return Unavailable(f"the source is away: {text}", where=where)
    return _statement_error(code, text, where)


def _denied_remedy(code: int, text: str) -> str:
    needed = _NEEDED.search(text)
    if code == _LACKS_PRIVILEGE and needed is not None:
        return f"GRANT {needed['names'].rpartition(', ')[2]} ON *.* TO the account that SELECT CURRENT_USER() shows"
    return "check [source] user, password, tls, grants"


def _statement_error(code: int, text: str, where: str) -> DataFingerprintError:
    if code in CHANGED_CODES:
        return TableChangedError(f"a table changed while it was read: {text}", where=where)
    if code == LOCK_WAIT_TIMEOUT:
        return TableChangedError(f"another session holds a lock: {text}", where=where)
    for codes, what in _TRANSIENT.items():
        if code in codes:
            return Unavailable(f"{what}: {text}", where=where)
    if code == _UNKNOWN_SCHEMA:
        return SourceError(f"the source lacks the schema: {text}", where=where, remedy="check [source] tables")
    return SourceError(
        f"the source refused a statement: {text}",
        where=where,
        remedy="run `datafingerprint doctor`, and read the source's log",
    )


def _no_position(text: str, where: str) -> DataFingerprintError:
    if _CUT_SHORT in text:
        return CutShortError(f"a binlog is truncated where the source crashed: {text}", where=where)
    return SourceError(
        f"the source cannot continue from the last epoch: {text}",
        where=where,
        remedy="the server purged, lost or never had that position: point [source] at the server that has it, and "
        f"keep binlogs longer than any pause of capture; or {RESNAPSHOT_ALL}",
    )
