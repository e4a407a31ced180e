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

from datafingerprint.adapters.runtime import postgres
from datafingerprint.errors import ConfigError, DataFingerprintError, StateError, Unavailable

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process's transaction; steps of the fingerprinter take far less."""

POSTGRES_IDLE_S = 60
"""After how long PostgreSQL ends a writer that says nothing: one whose host is gone would keep all others waiting."""

_WAL_RETRY_S = 0.02

_WRITES = "dfp_writes"
"""Execution option of connections that will write: they take the write lock at BEGIN, not half-way."""

_POSTGRES_WRITERS = 0x6466_7073  # "dfps"
"""The advisory lock that is the write lock on PostgreSQL, which has none of its own for a whole database."""

_SQLITE_TRANSIENT = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_NOMEM", "SQLITE_PROTOCOL")
_SQLITE_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def open_engine(url: str) -> sa.Engine:
    """An engine for this URL; nothing is connected yet, only SQLite's directory is made.

    Raises:
        ConfigError: the URL is none, or of a database or a driver that the store does not know, or that is missing.
        StateError: the directory cannot be made.
    """
    parsed = postgres.parsed(url, "state.url")
    if parsed is None:
        raise ConfigError("setting state.url is no database URL", remedy="write sqlite:///path/of/state.db")
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    if postgres.is_postgres(parsed):
        return _open_postgres(parsed)
    raise ConfigError(
        "setting state.url names a kind of database that the state store does not know",
        remedy="use sqlite:///path/of/state.db or postgresql://host/database",
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
            f"cannot make the directory of the state store ({error.strerror})",
            where=str(directory),
            remedy="let this user write there, or name another place as state.url",
        ) from error
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _open_postgres(url: sa.URL) -> sa.Engine:
    # A reader sees one moment in all its statements, as SQLite's does.
    engine = sa.create_engine(
        postgres.prepared(url, "state.url"), pool_pre_ping=True, isolation_level="REPEATABLE READ"
    )
    postgres.set_up(engine)
    event.listen(engine, "begin", _begin_on_postgres)
    return engine


def writers(engine: sa.Engine) -> sa.Engine:
    """The same database, for transactions that write: one at a time, on PostgreSQL too.

    Each transaction sees all that the ones before it have done. So what is checked and then written is as right as on
    SQLite: a scan's limit, a waiting audit, counted files.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_WRITES: True})
    # At the reader's level a transaction would see what was there before it had waited for the lock.
    return engine.execution_options(**{_WRITES: True}, isolation_level="READ COMMITTED")


def place(engine: sa.Engine) -> str:
    """Names the store in errors: its URL without password and parameters."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


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
    """Turns the write-ahead log on.

    If two processes do so to a new file, SQLite refuses one of them without waiting.
    """
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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _is_to_write(connection) else "BEGIN")


def _begin_on_postgres(connection: sa.Connection) -> None:
    if not _is_to_write(connection):
        return
    limits = {
        "lock_timeout": f"'{BUSY_TIMEOUT_MS}ms'",
        "idle_in_transaction_session_timeout": f"'{POSTGRES_IDLE_S}s'",
    }
    set_all = ", ".join(f"set_config('{name}', {value}, true)" for name, value in limits.items())
    connection.exec_driver_sql(f"SELECT {set_all}, {postgres.DURABLE}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_WRITERS})")


def _is_to_write(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get(_WRITES, False))


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
    reason = str(cause).strip().split("\n")[0]
    if _may_heal(error, cause):
        return Unavailable(f"the state store is away ({reason})", where=where)
    if _is_damaged(cause):
        return StateError(f"the state store is damaged: {reason}", where=where, remedy=_rebuilding(where))
    return StateError(
        f"the state store refused: {reason}",
        where=where,
        remedy="check state.url, that the database is this project's, and that its user may read and write it",
    )


def _is_damaged(cause: BaseException) -> bool:
    """Whether the file is no database or a damaged one, or PostgreSQL reports a damaged page."""
    if isinstance(cause, sqlite3.Error):
        return str(getattr(cause, "sqlite_errorname", "")).startswith(_SQLITE_DAMAGED)
    return postgres.is_damaged(cause)


def _rebuilding(where: str) -> str:
    """How to rebuild the store.

    Everything in it except the history of audits and scans is in the topics and the lake.
    """
    path = where.partition(":///")[2]
    deleting = f"rm -f '{path}' '{path}-wal' '{path}-shm'" if where.startswith("sqlite") else "drop its tables there"
    return f"stop the services that use it, {deleting}, and start them again: it is filled again from topics and lake"


def _may_heal(error: Exception, cause: BaseException) -> bool:
    if isinstance(cause, sqlite3.Error):
        return str(getattr(cause, "sqlite_errorname", "")).startswith(_SQLITE_TRANSIENT)
    heals = postgres.is_transient(cause)
    if heals is not None:
        return heals
    return isinstance(error, exc.TimeoutError | exc.OperationalError | exc.InterfaceError)
