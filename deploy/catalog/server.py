"""Iceberg's own REST catalog server, over a SQLite database of its own.

It checks no login, and it listens on all addresses of the machine: it is for tests and trials only.
"""

from __future__ import annotations

import shlex
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.java import QUIET_SLF4J, java_command
from deploy.embedded.part import HOST, Part, PartError, accepts_connections
from deploy.embedded.private import make_private, write_private
from deploy.embedded.s3 import S3

ROOT = Path(__file__).resolve().parents[2] / ".local" / "catalog"
STAMP = ROOT.parent / "stamps" / "catalog"

HEAP = "256m"
TIMEOUT_S = 5.0
MAIN_CLASS = "org.apache.iceberg.rest.RESTCatalogServer"
# Hadoop's access to files calls an interface that newer Javas have closed.
OPENED = ("--add-opens=java.base/java.lang=ALL-UNNAMED",)


@dataclass(frozen=True)
class RestCatalogServer(Part):
    """The server, with a catalog that outlives its process.

    Attributes:
        warehouse: The location below which tables are created that name none.
        s3: The store of the warehouse; None for folders of this machine.
    """

    warehouse: str
    s3: S3 | None = None

    @property
    def name(self) -> str:
        """See `Part`."""
        return "rest-catalog"

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://{HOST}:{self.port}"

    def variables(self) -> dict[str, str]:
        """The server's settings.

        A single underscore is a dot of the property's name, a double one a dash.
        """
        of_catalog = {
            "CATALOG_REST_PORT": str(self.port),
            "CATALOG_CATALOG__IMPL": "org.apache.iceberg.jdbc.JdbcCatalog",
            "CATALOG_URI": f"jdbc:sqlite:{self.directory}/catalog.db?journal_mode=WAL&busy_timeout=30000",
            "CATALOG_JDBC_SCHEMA__VERSION": "V1",
            "CATALOG_CLIENTS": "1",
            "CATALOG_WAREHOUSE": self.warehouse,
            "CATALOG_IO__IMPL": "org.apache.iceberg.io.ResolvingFileIO",
        }
        if self.s3 is None:
            return of_catalog
        return of_catalog | {
            "CATALOG_S3_ENDPOINT": self.s3.endpoint,
            "CATALOG_S3_PATH__STYLE__ACCESS": "true",
            "CATALOG_S3_ACCESS__KEY__ID": self.s3.access_key,
            "CATALOG_S3_SECRET__ACCESS__KEY": self.s3.secret_key,
            "CATALOG_CLIENT_REGION": self.s3.environment()["DFP_S3_REGION"],
        }

    def prepare(self) -> None:
        """Creates the folder, and writes the settings for the owner alone."""
        make_private(self.directory)
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in self.variables().items()]
        write_private(self._settings, "".join(lines))

    def command(self) -> list[str]:
        """See `Part`. The settings hold a key, so the command line names their file only."""
        if not STAMP.exists():
            raise PartError("the REST catalog server is not installed: `./run install catalog` fetches it")
        command = java_command(ROOT / "lib", MAIN_CLASS, heap=HEAP, options=(*QUIET_SLF4J, *OPENED))
        return ["/bin/sh", "-c", '. "$0" && exec "$@"', str(self._settings), *command]

    def is_ready(self) -> bool:
        """Whether it answers a client's first question."""
        if not accepts_connections(self.port):
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/v1/config", timeout=TIMEOUT_S) as answer:  # noqa: S310 - http, always
                return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
        except (urllib.error.URLError, TimeoutError):
            return False

    def environment(self) -> dict[str, str]:
        """See `Part`."""
        return {"DFP_LAKE_CATALOG": self.url}

    @property
    def _settings(self) -> Path:
        return self.directory / "settings"
