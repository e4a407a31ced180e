"""What an Iceberg table must look like to mirror a source table: its name, columns, partition fields, properties."""

from __future__ import annotations

import json
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

from datafingerprint.errors import LakeError
from datafingerprint.field_ids import FieldIds
from datafingerprint.partitions import Partitioning, Transform
from datafingerprint.remedies import reading_again
from datafingerprint.schema import Column, TableSchema
from datafingerprint.wire import encoded_name

PARTITION_ID_FIRST = 1000  # where Iceberg begins to number partition fields

TABLE = "dfp.table"
KEY = "dfp.key"
PARTITION = "dfp.partition"
LEFT = "dfp.left"
"""Of a table that left the stream: the position of the source up to which it holds what the source held."""

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
"""What Iceberg calls our transforms."""


def identifier(table: TableSchema) -> tuple[str, str]:
    """Namespace and name in the catalog; encoded, for a catalog takes a dot in a name for another level."""
    return encoded_name(table.schema), encoded_name(table.name)


def location(warehouse: str, table: TableSchema) -> str:
    """The prefix below which a table's files lie."""
    return "/".join([warehouse, *identifier(table)])


def iceberg_type(column: Column) -> PrimitiveType:
    """The Iceberg type that is the column's Arrow type."""
    arrow = column.arrow
    if pa.types.is_decimal(arrow):
        return DecimalType(arrow.precision, arrow.scale)
    return _LAKE_TYPES[arrow]


def field_ids(metadata: TableMetadata, schema: Schema | None = None) -> FieldIds:
    """The columns of a lake table as its present schema has them, or another one of its schemas."""
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
    """The partition fields, named as this project names them unless a column has that name already."""
    taken = {field.name for field in schema.fields}
    fields = []
    for number, field in enumerate(partitioning.fields):
        name = field.name
        # Iceberg refuses a field `date_year` beside a column `date_year` that it is not the identity of.
        while field.transform is not Transform.IDENTITY and name in taken:
            name += "_"
        source = schema.find_field(field.column.name).field_id
        fields.append(IcebergField(source, PARTITION_ID_FIRST + number, TRANSFORMS[field.transform], name))
    return PartitionSpec(*fields)


def our_specs(metadata: TableMetadata, partitioning: Partitioning) -> frozenset[int]:
    """The table's partition specs whose fields are those that a definition asks for, whatever they are called."""
    # A column that is renamed keeps its id, and what is filed by it is filed by it still.
    names: dict[int, set[str]] = {}
    for field in (field for schema in metadata.schemas for field in schema.fields):
        names.setdefault(field.field_id, set()).add(field.name)

    def is_ours(spec: PartitionSpec) -> bool:
        return len(spec.fields) == len(partitioning.fields) and all(
            there.transform == TRANSFORMS[field.transform] and field.column.name in names.get(there.source_id, ())
            for there, field in zip(spec.fields, partitioning.fields, strict=True)
        )

    return frozenset(spec.spec_id for spec in metadata.partition_specs if is_ours(spec))


def table_properties(table: TableSchema) -> dict[str, str]:
    """How the table is written, by us and by others, and where it comes from."""
    return {
        "format-version": "2",
        # A conflicting commit must not be rebased: a zombie's append was once applied twice that way.
        "commit.retry.num-retries": "0",
        "commit.manifest-merge.enabled": "true",
        "write.parquet.compression-codec": "zstd",
        # Another engine that changes rows must not leave delete files, which make a file's rows unknowable.
        "write.delete.mode": "copy-on-write",
        "write.update.mode": "copy-on-write",
        "write.merge.mode": "copy-on-write",
        "write.metadata.delete-after-commit.enabled": "true",
        "write.metadata.previous-versions-max": "20",
        TABLE: table.table,
        KEY: json.dumps(table.key, ensure_ascii=False),
        PARTITION: json.dumps(table.partition, ensure_ascii=False),
    }


def require_same_fields(metadata: TableMetadata, table: TableSchema, partitioning: Partitioning) -> None:
    """Demands that an existing lake table has the partition fields that a definition asks for.

    Raises:
        LakeError: they differ; the first difference is named.
    """
    wanted = iceberg_schema(table)
    wanted_fields = _fields(wanted, partition_spec(wanted, partitioning))
    difference = _first_difference(_fields(metadata.schema(), metadata.spec()), wanted_fields, "partition field")
    if difference is not None:
        raise LakeError(
            f"the lake table differs from its source: {difference}",
            where=table.table,
            remedy=f"drop the lake table, read it again, and start the lake writer: {reading_again(table.table)}",
        )


def first_difference(there: Schema, wanted: Schema) -> str | None:
    """The first column that differs in name or type, in words; None when all are the same."""
    return _first_difference(_columns(there), _columns(wanted), "column")


def _columns(schema: Schema) -> list[str]:
    return [f"{field.name} {field.field_type}" for field in schema.fields]


def _fields(schema: Schema, spec: PartitionSpec) -> list[str]:
    return [f"{field.transform}({schema.find_column_name(field.source_id)})" for field in spec.fields]


def _first_difference(there: list[str], wanted: list[str], noun: str) -> str | None:
    for number in range(max(len(there), len(wanted))):
        has = there[number] if number < len(there) else "nothing"
        wants = wanted[number] if number < len(wanted) else "nothing"
        if has != wants:
            return f"{noun} {number + 1} is {has} in the lake, {wants} is wanted"
    return None
