"""What an engine must know of the system whose lake and warehouse it reads, taken from the `DFP_` variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from datafingerprint.config import Settings, load_settings
from deploy.embedded.part import PartError

ENGINES = Path(__file__).resolve().parents[2] / ".local" / "engines"
LAKE, SOURCE = "lake", "source"
"""What the two catalogs are called."""


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
    def of(environment: Mapping[str, str], source: str = "mariadb") -> System:
        """As the variables say."""
        return System(
            load_settings({}, {key: text for key, text in environment.items() if key.startswith("DFP_")}), source
        )

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
