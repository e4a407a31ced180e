"""A PrestoDB of one node over a copy of the lake's catalog and the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy.embedded.java import java_command, render_properties
from deploy.embedded.part import HOST, Part, accepts_connections
from deploy.embedded.private import make_private, write_private
from deploy.engines.system import ENGINES, LAKE, SOURCE, System

HEAP = "2g"
USER = "datafingerprint"
FOLDER = ENGINES / "presto"
OPEN_PACKAGES = (
    "java.lang",
    "java.lang.ref",
    "java.lang.reflect",
    "java.util",
    "java.util.concurrent",
    "java.net",
    "java.nio",
    "java.io",
    "java.text",
    "java.security",
    "sun.nio.ch",
)


@dataclass(frozen=True)
class Presto(Part):
    """One coordinator that is its own worker.

    Attributes:
        system: The system that it reads.
    """

    system: System

    @property
    def name(self) -> str:
        """See `Part`."""
        return "presto"

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def metastore(self) -> str:
        """The folder with the lake's tables; see `datafingerprint export-catalog`."""
        return str(self.directory / "metastore")

    def prepare(self) -> None:
        """Writes the settings and the two catalogs."""
        make_private(self.directory)
        make_private(self.directory / "catalog")
        make_private(self.directory / "metastore")
        for file, properties in (
            ("config.properties", self._config()),
            ("log.properties", {"com.facebook.presto": "WARN", "com.facebook.airlift": "WARN", "Bootstrap": "WARN"}),
            (f"catalog/{LAKE}.properties", self.lake()),
            (f"catalog/{SOURCE}.properties", self.source()),
        ):
            write_private(self.directory / file, render_properties(properties))

    def lake(self) -> dict[str, str]:
        """The catalog of the lake: the Iceberg connector on a file metastore."""
        s3 = self.system.settings.s3
        return {
            "connector.name": "iceberg",
            "iceberg.catalog.type": "hive",
            "hive.metastore": "file",
            "hive.metastore.catalog.dir": f"file://{self.metastore}",
            "hive.s3.endpoint": s3.endpoint,
            "hive.s3.path-style-access": "true",
            "hive.s3.aws-access-key": s3.access_key,
            "hive.s3.aws-secret-key": s3.secret_key.get_secret_value(),
            "hive.s3.ssl.enabled": str(s3.endpoint.startswith("https")).lower(),
        }

    def source(self) -> dict[str, str]:
        """The catalog of the warehouse."""
        source = self.system.settings.source
        return {
            "connector.name": "mysql",
            "connection-url": f"jdbc:mysql://{source.host}:{source.port}?serverTimezone=UTC&zeroDateTimeBehavior=convertToNull",
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
            "discovery-server.enabled": "true",
            "discovery.uri": self.endpoint,
            "query.max-memory": "512MB",
            "query.max-memory-per-node": "512MB",
            "query.max-total-memory-per-node": "1GB",
            "plugin.dir": str(FOLDER / "plugin"),
            "catalog.config-dir": str(self.directory / "catalog"),
            "presto.version": "0.287",
        }

    def command(self) -> list[str]:
        """See `Part`."""
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPEN_PACKAGES]
        options = (
            *opened,
            "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
            "-Djdk.attach.allowAttachSelf=true",
            # A timestamp without a zone is read as one of this zone.
            "-Duser.timezone=UTC",
            f"-Dconfig={self.directory / 'config.properties'}",
            f"-Dlog.levels-file={self.directory / 'log.properties'}",
            "-Dnode.environment=datafingerprint",
            "-Dnode.id=one",
            f"-Dnode.data-dir={self.directory / 'data'}",
        )
        return java_command(FOLDER / "lib", "com.facebook.presto.server.PrestoServer", heap=HEAP, options=options)

    def is_ready(self) -> bool:
        """Whether a query over a catalog is answered; the port is open long before.

        For some more seconds queries that read a table find no node. So known tables are read too.
        """
        if not accepts_connections(self.port):
            return False
        from prestodb.exceptions import Error, PrestoQueryError  # noqa: PLC0415 - only who starts it has its client

        try:
            cursor = self.connect().cursor()
            cursor.execute(
                f"SELECT table_schema, table_name FROM {LAKE}.information_schema.tables "
                "WHERE table_schema <> 'information_schema' LIMIT 1"
            )
            tables = cursor.fetchall()
        except (Error, PrestoQueryError, OSError):
            return False
        try:
            for schema, table in tables:
                cursor.execute(f'SELECT 1 FROM {LAKE}."{schema}"."{table}" LIMIT 1')
                cursor.fetchall()
        except PrestoQueryError as error:
            # Other errors of a table do not concern the nodes.
            return bool(error.error_name != "NO_NODES_AVAILABLE")
        except (Error, OSError):
            return False
        return True

    def connect(self) -> Any:  # noqa: ANN401 - the client publishes no types
        """A connection."""
        from prestodb import dbapi  # noqa: PLC0415 - as above

        return dbapi.connect(host=HOST, port=self.port, user=USER, http_headers={"X-Presto-Time-Zone": "UTC"})

    def environment(self) -> dict[str, str]:
        """See `Part`."""
        return {}
