"""The Iceberg table of a source table: name, columns, partition fields, properties."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.partitioning import PartitionField as IcebergField
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import (
    DayTransform,
    IdentityTransform,
    MonthTransform,
    YearTransform,
)
from pyiceberg.transforms import Transform as IcebergTransform
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestampType,
    TimestamptzType,
)

from datafingerprint.errors import ConfigError, LakeTableError
from datafingerprint.field_ids import FieldIds
from datafingerprint.partitions import Partitioning, Transform, partitioning
from datafingerprint.schema import Column, TableSchema
from datafingerprint.wire import lake_identifier

PARTITION_ID_FIRST = 1000  # where Iceberg begins to number partition fields

TABLE = "dfp.table"
KEY = "dfp.key"
PARTITION = "dfp.partition"
LEFT = "dfp.left"
"""For a table that left the stream: the source position up to which it holds the source's rows."""

_LAKE_TYPES: dict[pa.DataType, PrimitiveType] = {
    pa.int32(): IntegerType(),
    pa.int64(): LongType(),
    pa.float32(): FloatType(),
    pa.float64(): DoubleType(),
    pa.date32(): DateType(),
    pa.timestamp("us"): TimestampType(),
    pa.timestamp("us", tz="UTC"): TimestamptzType(),
    pa.string(): StringType(),
    pa.binary(): BinaryType(),
}
TRANSFORMS: dict[Transform, IcebergTransform[Any, Any]] = {
    Transform.IDENTITY: IdentityTransform(),
    Transform.YEAR: YearTransform(),
    Transform.MONTH: MonthTransform(),
    Transform.DAY: DayTransform(),
}
"""Iceberg's transform for each of ours."""


def identifier(table: TableSchema) -> tuple[str, str]:
    """Namespace and name in the catalog, encoded because a catalog splits names at dots."""
    return lake_identifier(table)


def location(warehouse: str, table: TableSchema) -> str:
    """The prefix of a table's files."""
    return "/".join([warehouse, *identifier(table)])


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns and partition fields of a lake table."""

    partitioning: Partitioning
    schema: Schema
    spec: PartitionSpec


def layout(table: TableSchema) -> Layout:
    """The layout for a definition.

    Raises:
        LakeTableError: a partition field is impossible, or Iceberg has no such column type.
    """
    try:
        parts = partitioning(table)
        schema = iceberg_schema(table)
        return Layout(parts, schema, partition_spec(schema, parts))
    except ConfigError as error:
        raise LakeTableError(error.what, where=table.table, remedy=error.remedy) from error
    except (ValueError, LookupError, TypeError) as error:
        why = f"the lake cannot hold the table ({type(error).__name__}: {error})"
        raise LakeTableError(why, where=table.table, remedy="alter its columns, or exclude the table") from error


def iceberg_type(column: Column) -> PrimitiveType:
    """The Iceberg type of a column, equal to its Arrow type."""
    arrow = column.arrow
    if pa.types.is_decimal(arrow):
        return DecimalType(arrow.precision, arrow.scale)
    return _LAKE_TYPES[arrow]


def field_ids(metadata: TableMetadata, schema: Schema | None = None) -> FieldIds:
    """The field ids of a lake table's columns, in its current schema or another one."""
    fields = (schema or metadata.schema()).fields
    return FieldIds({field.name: field.field_id for field in fields}, metadata.last_column_id)


def iceberg_schema(table: TableSchema) -> Schema:
    """The columns in the server's order, each with its MySQL type as a comment."""
    return Schema(
        *(
            NestedField(number, column.name, iceberg_type(column), required=False, doc=column.type)
            for number, column in enumerate(table.columns, start=1)
        )
    )


def partition_spec(schema: Schema, partitioning: Partitioning) -> PartitionSpec:
    """The partition fields. A name that a column already has gets underscores."""
    column_names = {field.name for field in schema.fields}
    fields = []
    for number, field in enumerate(partitioning.fields):
        name = field.name
        # Iceberg refuses a partition field with the name of a column, unless it is that column's identity.
        while field.transform is not Transform.IDENTITY and name in column_names:
            name += "_"
        source = schema.find_field(field.column.name).field_id
        fields.append(IcebergField(source, PARTITION_ID_FIRST + number, TRANSFORMS[field.transform], name))
    return PartitionSpec(*fields)


def our_specs(metadata: TableMetadata, partitioning: Partitioning) -> frozenset[int]:
    """The table's partition specs with the fields of a definition, under any names."""
    # A renamed column keeps its field id, so its files keep their partitions.
    names: dict[int, set[str]] = {}
    for field in (field for schema in metadata.schemas for field in schema.fields):
        names.setdefault(field.field_id, set()).add(field.name)

    def is_ours(spec: PartitionSpec) -> bool:
        return len(spec.fields) == len(partitioning.fields) and all(
            spec_field.transform == TRANSFORMS[field.transform]
            and field.column.name in names.get(spec_field.source_id, ())
            for spec_field, field in zip(spec.fields, partitioning.fields, strict=True)
        )

    return frozenset(spec.spec_id for spec in metadata.partition_specs if is_ours(spec))


def table_properties(table: TableSchema) -> dict[str, str]:
    """The properties of a lake table: how to write it, and its source table."""
    return {
        "format-version": "2",
        # A conflicting commit must not be retried: this once applied the append of a zombie twice.
        "commit.retry.num-retries": "0",
        "commit.manifest-merge.enabled": "true",
        "write.parquet.compression-codec": "zstd",
        # Other engines must not write delete files, since the live rows of a data file are then unknown.
        "write.delete.mode": "copy-on-write",
        "write.update.mode": "copy-on-write",
        "write.merge.mode": "copy-on-write",
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": "20",
        TABLE: table.table,
        KEY: json.dumps(table.key, ensure_ascii=False),
        PARTITION: json.dumps(table.partition, ensure_ascii=False),
    }


def fields_difference(metadata: TableMetadata, table: TableSchema, partitioning: Partitioning) -> str | None:
    """The first partition field that differs from a definition, in words; None if all are equal."""
    wanted = iceberg_schema(table)
    wanted_fields = _fields(wanted, partition_spec(wanted, partitioning))
    return _first_difference(_fields(metadata.schema(), metadata.spec()), wanted_fields, "partition field")


def first_difference(current: Schema, wanted: Schema) -> str | None:
    """The first column that differs in name or type, in words; None if all are equal."""
    return _first_difference(_columns(current), _columns(wanted), "column")


def _columns(schema: Schema) -> list[str]:
    return [f"{field.name} {field.field_type}" for field in schema.fields]


def _fields(schema: Schema, spec: PartitionSpec) -> list[str]:
    return [f"{field.transform}({schema.find_column_name(field.source_id)})" for field in spec.fields]


def _first_difference(current: list[str], wanted: list[str], noun: str) -> str | None:
    for number in range(max(len(current), len(wanted))):
        has = current[number] if number < len(current) else "nothing"
        wants = wanted[number] if number < len(wanted) else "nothing"
        if has != wants:
            return f"{noun} {number + 1} is {has} in the lake, but must be {wants}"
    return None
