"""The lake and warehouse of a running system for engines, from the `DFP_` variables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql
from sqlalchemy.engine import make_url

from datafingerprint.adapters.mysql.connection import connect
from datafingerprint.config import Settings, load_settings
from deploy.embedded.part import PartError

ENGINES = Path(__file__).resolve().parents[2] / ".local" / "engines"
LAKE, SOURCE = "lake", "source"
"""The names of the two catalogs."""


def _detect_source(settings: Settings) -> str:
    try:
        with contextlib.closing(connect(settings.source)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            return "mariadb" if "mariadb" in str(cursor.fetchone()).lower() else "mysql"
    except (pymysql.MySQLError, OSError) as error:
        where = f"{settings.source.host}:{settings.source.port}"
        raise PartError(f"the kind of the warehouse at {where} is unknown ({error}): add --source") from error


@dataclass(frozen=True)
class System:
    """The lake's store and catalog, and the warehouse.

    Attributes:
        settings: Their settings.
        source: The kind of the warehouse.
    """

    settings: Settings
    source: str = "mariadb"

    @staticmethod
    def of(environment: Mapping[str, str], source: str | None = None) -> System:
        """Reads the variables; asks the warehouse for its kind if `source` is None.

        Raises:
            PartError: the warehouse does not answer.
        """
        settings = load_settings({}, {key: text for key, text in environment.items() if key.startswith("DFP_")})
        return System(settings, source or _detect_source(settings))

    @property
    def catalog(self) -> dict[str, str]:
        """Driver, URL, user and password of the SQL catalog, for JDBC.

        Raises:
            PartError: no engine here has a driver for the catalog's database.
        """
        url = make_url(self.settings.lake.database.get_secret_value())
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
        """The lake's prefix."""
        return f"s3://{self.settings.s3.bucket}/{self.settings.lake.path.strip('/')}"
