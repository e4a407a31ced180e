"""Turns the MySQL client's errors into this project's, at the seam and nowhere else."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from datafingerprint.errors import CutShortError, DataFingerprintError, DeniedError, SourceError, Unavailable
from datafingerprint.remedies import READ_ALL_AGAIN

_AWAY = frozenset({0, 1040, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1205, 1927, 2002, 2003, 2006, 2013, 2055})
"""Server and client codes of a server that is away, stopping, full, or of a connection that broke."""

_CHANGED = frozenset({1146, 1412})
"""A table is gone, or was altered, since it was looked at."""

_POSITION_GONE = 1236
_CUT_SHORT = "truncated in the middle of event"
"""So MariaDB ends a dump at the end of a file that it was writing a transaction to when it was killed."""

_DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1698})
_UNKNOWN_SCHEMA = 1049
_NO_CRYPTOGRAPHY = "cryptography"
_NO_TLS = 2026
_PLAIN_REFUSED = frozenset({3159, 4226})
"""What MySQL and MariaDB say to whoever does not encrypt where `require_secure_transport` is on."""

_SAME_REPLICA = "same server_uuid/server_id"
"""In the words of MariaDB and MySQL when they end a dump for a newer one; the codes differ between versions."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Runs client calls; what they raise comes out as `Unavailable` or `SourceError`."""
    try:
        yield
    except pymysql.MySQLError as error:
        raise (tls_refusal(error, where) or _translation(error, where)) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            "a text of the source is no UTF-8",
            where=where,
            remedy="find it by HEX() and mend it, or exclude the table",
        ) from error
    except RuntimeError as error:
        if _NO_CRYPTOGRAPHY not in str(error):
            raise
        remedy = "set [source] tls = required, or install the Python package cryptography"
        raise SourceError("the source's way to log in needs TLS", where=where, remedy=remedy) from error
    except OSError as error:
        raise Unavailable(f"the source is away: {error.strerror or type(error).__name__}", where=where) from error


def tls_refusal(error: Exception, where: str) -> SourceError | None:
    """What no waiting heals about the encryption of a connection; None for any other error."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = f"the source's certificate is not accepted: {cause.verify_message}"
        return SourceError(said, where=where, remedy="check [source] tls_ca, and host where tls is verify_identity")
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        remedy = "check [source] tls, tls_cert, tls_key"
        return SourceError(f"the source cannot be talked to over TLS ({cause.reason})", where=where, remedy=remedy)
    if code == _NO_TLS:
        remedy = "turn TLS on there, or set [source] tls = preferred"
        return SourceError("the source does not offer TLS", where=where, remedy=remedy)
    if code in _PLAIN_REFUSED:
        remedy = "set [source] tls to required, verify_ca or verify_identity"
        return SourceError("the source lets nobody in without TLS", where=where, remedy=remedy)
    return None


def _translation(error: pymysql.MySQLError, where: str) -> DataFingerprintError:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    if code in _DENIED:
        return DeniedError(
            f"the source refuses us: {text}", where=where, remedy="check [source] user, password, tls, grants"
        )
    if _SAME_REPLICA in text:
        return SourceError(
            "another process has taken over: a replica with our server id has connected",
            where=where,
            remedy="run one capture per [source] server_id, or set that to a number of its own",
        )
    if code == _POSITION_GONE:
        return _no_position(text, where)
    if code == _UNKNOWN_SCHEMA:
        return SourceError(f"the source lacks the schema: {text}", where=where, remedy="check [source] tables")
    if code in _AWAY | _CHANGED or isinstance(error, pymysql.InterfaceError):
        what = "a table changed while it was looked at" if code in _CHANGED else "the source is away"
        return Unavailable(f"{what}: {text}", where=where)
    return SourceError(f"the source refused a statement: {text}", where=where)


def _no_position(text: str, where: str) -> DataFingerprintError:
    if _CUT_SHORT in text:
        return CutShortError(f"a binlog breaks off where the source crashed: {text}", where=where)
    return SourceError(
        f"the source cannot go on from the last epoch: {text}",
        where=where,
        remedy="the server purged, lost or never had that position: point [source] at the server that has it, and "
        f"let binlogs be kept for longer than any pause of capture; or {READ_ALL_AGAIN}",
    )
