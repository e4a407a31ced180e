"""The engines that read the lake, by name."""

from __future__ import annotations

from datafingerprint.sql.duckdb_files import DuckDB
from datafingerprint.sql.lake import LakeDialect
from datafingerprint.sql.redshift import Redshift
from datafingerprint.sql.spark import Spark
from datafingerprint.sql.trino import Presto, Trino

LAKE_ENGINES: dict[str, LakeDialect] = {
    dialect.name: dialect for dialect in (DuckDB(), Trino(), Presto(), Spark(), Redshift())
}
"""Every engine that statements over the lake are written for."""
