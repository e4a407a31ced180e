"""Connections to PostgreSQL, for the state store and for the lake's catalog."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from datafingerprint.database_urls import require_plain
from datafingerprint.errors import ConfigError

DRIVER = "psycopg"

# Parameters of libpq. Those in the URL override them.
_PARAMETERS = {
    "connect_timeout": "10",
    # Detects a lost host within a minute, also during a statement.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    # A database in SQL_ASCII would otherwise return bytes for texts.
    "client_encoding": "utf8",
    "application_name": "datafingerprint",
}


DURABLE = "set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), true)"
"""Part of a SELECT that makes its transaction survive a crash, although the server's default may not."""

_WRITERS = "SELECT,INSERT,UPDATE,DELETE"

# Classes of SQLSTATE that may pass: connection, rollback, resources, locks, operator (shutdown), system.
_TRANSIENT = frozenset({"08", "40", "53", "55", "57", "58"})
_IDLED = "25P03"
_CORRUPTED = frozenset({"XX001", "XX002"})

# A failed login carries no SQLSTATE, only the server's message.
_REFUSED = ("authentication failed", "no password supplied", "does not exist", "permission denied", "no pg_hba.conf")


def is_postgres(url: URL) -> bool:
    """Whether a URL names PostgreSQL, with any driver."""
    return url.get_backend_name() == "postgresql"


def parsed(text: str, setting: str) -> URL | None:
    """A setting as a database URL. Errors never show its user and password.

    Returns:
        None when the text is no URL.

    Raises:
        ConfigError: the URL is ambiguous.
    """
    section = setting.partition(".")[0]
    login = ("lake.catalog_user", "lake.catalog_password") if section == "lake" else ("state.user", "state.password")
    require_plain(text, setting, *login)
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        return None


def prepared(url: URL, setting: str) -> URL:
    """The URL to connect to, with driver and parameters.

    Args:
        url: The URL of the setting; `postgresql://` is enough.
        setting: The name of the setting, for errors.

    Raises:
        ConfigError: the URL names an unsupported driver, or the driver is not installed.
    """
    if url.drivername not in ("postgresql", f"postgresql+{DRIVER}"):
        raise ConfigError(
            f"setting {setting} names the driver of {url.drivername}, which is not supported",
            remedy="write postgresql://host/database",
        )
    try:
        importlib.import_module(DRIVER)
    except ImportError as error:
        # The driver may be installed without libpq, and then cannot be loaded.
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"setting {setting} needs a driver that cannot be loaded ({reason})",
            remedy="pip install 'psycopg[binary]'",
        ) from None
    return url.set(drivername=f"postgresql+{DRIVER}", query={**_PARAMETERS, **url.query})


def is_transient(error: BaseException) -> bool | None:
    """Whether a driver error may pass by itself; None for an error of another driver."""
    if type(error).__module__.split(".")[0] != DRIVER:
        return None
    state = getattr(error, "sqlstate", None)
    if state:
        return str(state)[:2] in _TRANSIENT or state == _IDLED
    is_connection_error = any(kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(error).__mro__)
    return is_connection_error and not any(words in str(error) for words in _REFUSED)


def lacking_grant(engine: Engine, tables: Sequence[str]) -> str:
    """The GRANT statements that a role lacks to create, read and write tables.

    Returns:
        Empty when the role lacks nothing, and for other databases than PostgreSQL.
    """
    if engine.dialect.name != "postgresql":
        return ""
    with engine.connect() as connection:
        return "; ".join(_lacking_grants(connection, tables))


def _lacking_grants(connection: Connection, tables: Sequence[str]) -> Iterator[str]:
    schema, role, may_create = connection.execute(
        text(
            "SELECT quote_ident(current_schema()), quote_ident(current_user), "
            "has_schema_privilege(current_schema(), 'CREATE')"
        )
    ).one()
    if schema is None:
        yield f"GRANT USAGE, CREATE ON SCHEMA public TO {role}"
        return
    present = set(inspect(connection).get_table_names())
    if not set(tables) <= present and not may_create:
        yield f"GRANT CREATE ON SCHEMA {schema} TO {role}"
    for table in sorted(present.intersection(tables)):
        has_privileges = text(
            "SELECT bool_and(has_table_privilege(:name, p)) FROM unnest(string_to_array(:wanted, ',')) AS p"
        )
        if not connection.scalar(has_privileges, {"name": table, "wanted": _WRITERS}):
            yield f"GRANT {_WRITERS} ON {table} TO {role}"


def is_damaged(error: BaseException) -> bool:
    """Whether the server reports corrupt data or a corrupt index."""
    return type(error).__module__.split(".")[0] == DRIVER and getattr(error, "sqlstate", None) in _CORRUPTED


def commit_durably(engine: Engine) -> None:
    """Make every acknowledged commit of the engine survive a crash of the server."""
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"SELECT {DURABLE}"))


def set_up(engine: Engine) -> None:
    """Turn prepared statements off, so that connections also work through a pooler."""
    event.listen(engine, "connect", _disable_prepared_statements)


def _disable_prepared_statements(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's event has any driver's
    connection.prepare_threshold = None
