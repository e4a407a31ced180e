"""How a PostgreSQL is connected to, by the state store and by the lake's catalog."""

from __future__ import annotations

import importlib
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL

from datafingerprint.errors import ConfigError

DRIVER = "psycopg"

# Parameters of libpq; what the URL itself says of them goes before.
_PARAMETERS = {
    "connect_timeout": "10",
    # A host that vanished is noticed within a minute, in the middle of a statement too.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    # A database in SQL_ASCII would otherwise give bytes for texts.
    "client_encoding": "utf8",
    "application_name": "datafingerprint",
}


DURABLE = "set_config('synchronous_commit', coalesce(nullif(current_setting('synchronous_commit'), 'off'), 'on'), true)"
"""Part of a SELECT after which what the transaction commits survives a crash, whatever the server's own rule is."""

# Classes of SQLSTATE that may heal: connection, rollback, resources, locks, operator (shutdown), system.
_TRANSIENT = frozenset({"08", "40", "53", "55", "57", "58"})
_IDLED = "25P03"

# A failed login carries no SQLSTATE, only the server's words.
_REFUSED = ("authentication failed", "no password supplied", "does not exist", "permission denied", "no pg_hba.conf")


def is_postgres(url: URL) -> bool:
    """Whether it names a PostgreSQL, by whatever driver."""
    return url.get_backend_name() == "postgresql"


def prepared(url: URL, setting: str) -> URL:
    """The URL as it is connected to.

    Args:
        url: What the setting says; `postgresql://` is enough.
        setting: Its name, for errors.

    Raises:
        ConfigError: it names another driver than the one that is tried, or that is not installed.
    """
    if url.drivername not in ("postgresql", f"postgresql+{DRIVER}"):
        raise ConfigError(
            f"setting {setting} names the driver of {url.drivername}, which is not supported",
            remedy="write postgresql://user:password@host/database",
        )
    try:
        importlib.import_module(DRIVER)
    except ImportError as error:
        # Without a library of PostgreSQL's own it is there, and cannot be loaded.
        said = str(error).splitlines()[0]
        raise ConfigError(
            f"setting {setting} needs a driver that cannot be loaded ({said})",
            remedy="pip install 'datafingerprint[postgres]'",
        ) from None
    return url.set(drivername=f"postgresql+{DRIVER}", query={**_PARAMETERS, **url.query})


def may_heal(error: BaseException) -> bool | None:
    """Whether what the driver raised may go away by itself; None when it is no error of this driver's."""
    if type(error).__module__.split(".")[0] != DRIVER:
        return None
    state = getattr(error, "sqlstate", None)
    if state:
        return str(state)[:2] in _TRANSIENT or state == _IDLED
    is_of_connection = any(kind.__name__ in ("OperationalError", "InterfaceError") for kind in type(error).__mro__)
    return is_of_connection and not any(words in str(error) for words in _REFUSED)


def commit_durably(engine: Engine) -> None:
    """Lets no transaction of the engine be lost that its caller was told is committed."""
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"SELECT {DURABLE}"))


def set_up(engine: Engine) -> None:
    """Lets every connection of the engine work behind a pooler as well, which knows no prepared statements."""
    event.listen(engine, "connect", _forget_statements)


def _forget_statements(connection: Any, _record: object) -> None:  # noqa: ANN401 - SQLAlchemy's event has any driver's
    connection.prepare_threshold = None
