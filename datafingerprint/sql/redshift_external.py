"""A lake table as an external table of Redshift, over a manifest of its live files."""

from __future__ import annotations

import pyarrow as pa

from datafingerprint.partitions import partitioning
from datafingerprint.schema import Column, TableSchema
from datafingerprint.sql.lake import TableLocation, lake_name
from datafingerprint.sql.redshift import Redshift

_TYPES = {
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "REAL",
    pa.float64(): "DOUBLE PRECISION",
    pa.date32(): "DATE",
    pa.timestamp("us"): "TIMESTAMP",
    # External tables have no type with a zone. Parquet has UTC, as the session of the statements does.
    pa.timestamp("us", tz="UTC"): "TIMESTAMP",
    # The longest types: a value that exceeds its column would be truncated or refused.
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
    """The location of a table's manifest below their prefix, such as `s3://dfp-lake/manifests`."""
    return f"{manifests}/{'/'.join(lake_name(table))}.manifest"


def external_table(table: TableSchema, manifests: str) -> str:
    """The CREATE EXTERNAL TABLE for the table that the other statements read.

    Files have every column, also the partition fields, so there is no PARTITIONED BY.

    Raises:
        ConfigError: Redshift cannot render a column exactly.
    """
    dialect = Redshift()
    dialect.require(table, partitioning(table))
    columns = ",\n".join(f"  {dialect.identifier(column.name)} {column_type(column)}" for column in table.columns)
    location = dialect.literal(manifest_location(manifests, table))
    name = dialect.relation(table, TableLocation())
    return f"CREATE EXTERNAL TABLE {name} (\n{columns}\n)\nSTORED AS PARQUET\nLOCATION {location}"
