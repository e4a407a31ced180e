"""A local Spark over the lake's own catalog: its `spark-defaults.conf`."""

from __future__ import annotations

from pathlib import Path

from datafingerprint.adapters.iceberg.connection import CATALOG_NAME
from deploy.embedded.part import HOST
from deploy.embedded.private import make_private, write_private
from deploy.engines.system import ENGINES, System

MEMORY = "1g"
FILE = "spark-defaults.conf"


def options(system: System) -> dict[str, str]:
    """The settings of a session in this process."""
    s3, prefix = system.settings.s3, f"spark.sql.catalog.{CATALOG_NAME}"
    jars = [str(path) for folder in ("spark", "sqlite") for path in sorted((ENGINES / folder).glob("*.jar"))]
    return {
        "spark.master": "local[2]",
        "spark.jars": ",".join(jars),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.driver.memory": MEMORY,
        "spark.sql.shuffle.partitions": "2",
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        # Its query for the catalog's tables stays open, and a session would then read the catalog as of that moment.
        f"{prefix}.jdbc.init-catalog-tables": "false",
        f"{prefix}.catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        f"{prefix}.uri": system.catalog["url"],
        f"{prefix}.jdbc.schema-version": "V0",
        f"{prefix}.warehouse": system.warehouse,
        f"{prefix}.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        f"{prefix}.cache-enabled": "false",
        f"{prefix}.s3.endpoint": s3.endpoint,
        f"{prefix}.s3.path-style-access": "true",
        f"{prefix}.s3.access-key-id": s3.access_key,
        f"{prefix}.s3.secret-access-key": s3.secret_key.get_secret_value(),
        f"{prefix}.client.region": s3.region,
    }


def write_configuration(system: System, folder: Path) -> None:
    """Writes the configuration for a Spark with SPARK_CONF_DIR set to `folder`."""
    make_private(folder)
    lines = (f"{name} {value}\n" for name, value in options(system).items())
    write_private(folder / FILE, "".join(lines))
