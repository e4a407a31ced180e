"""A table of the lake as Redshift Spectrum's external table: over a manifest of its live files, never over a prefix."""

from __future__ import annotations

import pyarrow as pa

from datafingerprint.partitions import partitioning
from datafingerprint.schema import Column, TableSchema
from datafingerprint.sql.lake import Place, lake_name
from datafingerprint.sql.redshift import Redshift

_TYPES = {
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE PRECISION",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    # External tables have no type with a zone; Parquet's moments are in UTC, as the session of the statements is.
    pa.timestamp("us", tz="UTC"): "TIMESTAMP",
    # The longest that there are: a value that is longer than its column would be cut or refused.
    pa.string(): "VARCHAR(65535)",
    pa.binary(): "VARBYTE(64000)",
}


def column_type(column: Column) -> str:
    """The type of a column in an external table over Parquet."""
    arrow = column.arrow
    if pa.types.is_decimal(arrow):
        return f"DECIMAL({arrow.precision}, {arrow.scale})"
    return _TYPES[arrow]


def manifest_location(manifests: str, table: TableSchema) -> str:
    """Where a table's manifest lies below the prefix of all of them, such as `s3://dfp-lake/manifests`."""
    return f"{manifests}/{'/'.join(lake_name(table))}.manifest"


def external_table(table: TableSchema, manifests: str) -> str:
    """The statement that makes the external table that the other statements read.

    Files hold every column, those too that split the table, so there is nothing to be PARTITIONED BY.

    Raises:
        ConfigError: Redshift cannot render a column exactly, so it could not be compared.
    """
    dialect = Redshift()
    dialect.require(table, partitioning(table))
    columns = ",\n".join(f"  {dialect.identifier(one.name)} {column_type(one)}" for one in table.columns)
    location = dialect.literal(manifest_location(manifests, table))
    name = dialect.relation(table, Place())
    return f"CREATE EXTERNAL TABLE {name} (\n{columns}\n)\nSTORED AS PARQUET\nLOCATION {location}"
