"""What an engine must know of the system whose lake and warehouse it reads, taken from the `DFP_` variables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql
from sqlalchemy.engine import make_url

from datafingerprint.adapters.mysql_connection import connect
from datafingerprint.config import Settings, load_settings
from deploy.embedded.part import PartError

ENGINES = Path(__file__).resolve().parents[2] / ".local" / "engines"
LAKE, SOURCE = "lake", "source"
"""What the two catalogs are called."""


def _asked(settings: Settings) -> str:
    try:
        with contextlib.closing(connect(settings.source)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            return "mariadb" if "mariadb" in str(cursor.fetchone()).lower() else "mysql"
    except (pymysql.MySQLError, OSError) as error:
        where = f"{settings.source.host}:{settings.source.port}"
        raise PartError(f"the warehouse at {where} does not say what it is ({error}): say --source") from error


@dataclass(frozen=True)
class System:
    """The lake's store and catalog, and the warehouse.

    Attributes:
        settings: Where they are.
        source: Which server the warehouse is.
    """

    settings: Settings
    source: str = "mariadb"

    @staticmethod
    def of(environment: Mapping[str, str], source: str | None = None) -> System:
        """As the variables say, and the warehouse itself where it is not said what that is.

        Raises:
            PartError: the warehouse cannot be asked.
        """
        given = load_settings({}, {key: text for key, text in environment.items() if key.startswith("DFP_")})
        return System(given, source or _asked(given))

    @property
    def catalog(self) -> dict[str, str]:
        """Driver, URL, user and password of the SQL catalog, for JDBC.

        Raises:
            PartError: it is in a database that no engine here has a driver for.
        """
        url = make_url(self.settings.lake.catalog.get_secret_value())
        if url.get_backend_name() == "sqlite":
            return {"driver": "org.sqlite.JDBC", "url": f"jdbc:sqlite:{Path(url.database or '').absolute()}"}
        if url.get_backend_name() == "postgresql":
            place = f"jdbc:postgresql://{url.host}:{url.port or 5432}/{url.database}"
            return {
                "driver": "org.postgresql.Driver",
                "url": place,
                "user": url.username or "",
                "password": str(url.password or ""),
            }
        raise PartError(f"the catalog is in {url.get_backend_name()}: engines reach it in PostgreSQL or SQLite")

    @property
    def warehouse(self) -> str:
        """The prefix below which the lake lies."""
        return f"s3://{self.settings.s3.bucket}/{self.settings.lake.path.strip('/')}"
