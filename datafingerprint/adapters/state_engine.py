"""Opens the database of the state store and turns its errors into this project's."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from datafingerprint.errors import ConfigError, DataFingerprintError, StateError, Unavailable

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process's transaction; steps of the fingerprinter take far less."""

POSTGRES_CONNECT_TIMEOUT_S = 10

_WAL_RETRY_S = 0.02

WRITES = "dfp_writes"
"""Execution option of connections that will write: SQLite then takes the write lock at BEGIN, not half-way."""

_SQLITE_TRANSIENT = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_PROTOCOL")

# Classes of SQLSTATE that may heal: connection, rollback, resources, locks, operator (shutdown), system.
_POSTGRES_TRANSIENT = frozenset({"08", "40", "53", "55", "57", "58"})

# A failed login carries no SQLSTATE in some drivers, only the server's words.
_POSTGRES_REFUSED = ("authentication failed", "does not exist", "permission denied", "no pg_hba.conf entry")


def open_engine(url: str) -> sa.Engine:
    """An engine for this URL; nothing is connected yet, only SQLite's directory is made.

    Raises:
        ConfigError: the URL is none, or of a database that the store does not know, or its driver is missing.
        StateError: the directory cannot be made.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(parsed)
        if parsed.get_backend_name() == "postgresql":
            return _open_postgres(parsed)
    except exc.ArgumentError:
        raise ConfigError("setting state.url is no database URL", remedy="write sqlite:///path/of/state.db") from None
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"setting state.url needs the driver {error.name}", remedy=f"pip install {error.name}"
        ) from None
    raise ConfigError(
        f"setting state.url names {parsed.get_backend_name()}, which the state store does not know",
        remedy="use sqlite:///path/of/state.db or postgresql://user@host/database",
    )


def _open_sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError(
            "setting state.url names a database in memory, which other processes cannot read",
            remedy="write sqlite:///path/of/state.db",
        )
    directory = Path(url.database).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            "cannot make the directory of the state store", where=str(directory), remedy=str(error.strerror)
        ) from error
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _open_postgres(url: sa.URL) -> sa.Engine:
    return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": POSTGRES_CONNECT_TIMEOUT_S})


def _set_pragmas(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's event has any driver's
    connection.isolation_level = None  # the driver would begin before writes only, and reads see no one snapshot
    cursor = connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _switch_to_wal(cursor)
        cursor.execute("PRAGMA synchronous = FULL")  # WAL's own default may lose the last commits with the power
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Turns the write-ahead log on; of two that do so to a new file SQLite refuses one without waiting for it."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= deadline:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            return


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turns the database's errors into this project's.

    Raises:
        Unavailable: the database is away, busy, stopping or full.
        StateError: it is another one, damaged, or may not be used.
    """
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise _translate(error, where) from error


def _translate(error: Exception, where: str) -> DataFingerprintError:
    cause = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    said = str(cause).strip().split("\n")[0]
    if _may_heal(error, cause):
        return Unavailable(f"the state store is away ({said})", where=where)
    return StateError(
        f"the state store refused: {said}",
        where=where,
        remedy="check state.url, that the database is this project's, and that its user may read and write it",
    )


def _may_heal(error: Exception, cause: BaseException) -> bool:
    if isinstance(cause, sqlite3.Error):
        return str(getattr(cause, "sqlite_errorname", "")).startswith(_SQLITE_TRANSIENT)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state:
        return str(state)[:2] in _POSTGRES_TRANSIENT
    if isinstance(error, exc.TimeoutError):
        return True
    return isinstance(error, exc.OperationalError | exc.InterfaceError) and not any(
        words in str(cause) for words in _POSTGRES_REFUSED
    )
