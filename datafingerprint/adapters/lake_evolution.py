"""How a lake table becomes the one that a new definition asks for: its next schema, with field ids kept."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pyiceberg.schema import Schema
from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AddSchemaUpdate,
    AssertCurrentSchemaId,
    RemovePropertiesUpdate,
    SetCurrentSchemaUpdate,
    SetPropertiesUpdate,
    TableUpdate,
)
from pyiceberg.types import DecimalType, DoubleType, FloatType, IcebergType, IntegerType, LongType, NestedField

from datafingerprint.adapters.lake_definition import KEY, LEFT, first_difference, iceberg_schema
from datafingerprint.adapters.lake_stamps import nearest_stamped
from datafingerprint.errors import LakeError
from datafingerprint.remedies import reading_again
from datafingerprint.schema import TableSchema


@dataclass(frozen=True, slots=True)
class Evolution:
    """What one commit is to change of a lake table beside its rows.

    Attributes:
        schema: The schema that it is to have.
        is_changed: Whether that is another one.
        difference: How the columns that the live files have differ from it; empty when rows in them stay what they are.
        properties: Properties that are to have other values, None for those that are to go.
    """

    schema: Schema
    is_changed: bool
    difference: str
    properties: dict[str, str | None]

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to change."""
        return self.is_changed or bool(self.properties)

    def of(self, metadata: TableMetadata) -> TableMetadata:
        """The metadata as the change would leave it, as far as files are concerned."""
        if not self.is_changed:
            return metadata
        changed = {"schemas": [*metadata.schemas, self.schema], "current_schema_id": self.schema.schema_id}
        return metadata.model_copy(update=changed)

    def stage(self, transaction: Transaction) -> None:
        """Puts the change into a commit that is being prepared."""
        updates: list[TableUpdate] = []
        if self.is_changed:
            updates += [AddSchemaUpdate(schema_=self.schema), SetCurrentSchemaUpdate(schema_id=self.schema.schema_id)]
        given = {name: text for name, text in self.properties.items() if text is not None}
        gone = [name for name, text in self.properties.items() if text is None]
        if given:
            updates.append(SetPropertiesUpdate(updates=given))
        if gone:
            updates.append(RemovePropertiesUpdate(removals=gone))
        if updates:
            present = AssertCurrentSchemaId(current_schema_id=transaction.table_metadata.current_schema_id)
            transaction._apply(tuple(updates), (present,))  # noqa: SLF001 - as pyiceberg's own updates are applied


def evolution(metadata: TableMetadata, table: TableSchema) -> Evolution:
    """What is to change of a lake table so that it mirrors a definition.

    A column keeps its field id as long as its name and type are the same, or its type becomes one that Iceberg knows
    as wider; anything else is another column, which old files do not have.

    Raises:
        LakeError: a column that partitions the table would be another one.
    """
    there = metadata.schema()
    wanted = iceberg_schema(table)
    known = {field.name: field for field in there.fields}
    last = metadata.last_column_id
    fields = []
    for field in wanted.fields:
        old = known.get(field.name)
        if old is not None and _is_kept(old.field_type, field.field_type):
            number = old.field_id
        else:
            last += 1
            number = last
        fields.append(NestedField(number, field.name, field.field_type, required=False, doc=field.doc))
    _require_fields(metadata, {field.field_id for field in fields}, table)
    is_changed = [(one.field_id, one.name, one.field_type) for one in fields] != [
        (one.field_id, one.name, one.field_type) for one in there.fields
    ]
    number = max(schema.schema_id for schema in metadata.schemas) + 1
    schema = Schema(*fields, schema_id=number) if is_changed else there
    return Evolution(schema, is_changed, _difference(metadata, wanted), _properties(metadata, table))


def _is_kept(old: IcebergType, new: IcebergType) -> bool:
    if isinstance(old, DecimalType) and isinstance(new, DecimalType):
        return old.scale == new.scale and old.precision <= new.precision
    return old == new or (type(old), type(new)) in {(IntegerType, LongType), (FloatType, DoubleType)}


def _difference(metadata: TableMetadata, wanted: Schema) -> str:
    """The first difference that is more than a new column.

    A column that the writer left and that is gone, or bears another id, is not a new one: the rows that are there
    have lost its values, which the same name given again would hide.
    """
    there = metadata.schema()
    ids = {field.name: field.field_id for field in there.fields}
    old = Schema(*(field for field in wanted.fields if field.name in ids))
    altered = (
        f"another engine dropped or replaced column {field.name}"
        for field in _left(metadata).fields
        if ids.get(field.name) != field.field_id and field.name in wanted.column_names
    )
    return first_difference(there, old) or next(altered, "")


def _left(metadata: TableMetadata) -> Schema:
    """The columns as the writer's last commit left them."""
    stamped = nearest_stamped(metadata, metadata.current_snapshot())
    schema_id = stamped.schema_id if stamped else None
    return next((schema for schema in metadata.schemas if schema.schema_id == schema_id), metadata.schema())


def _require_fields(metadata: TableMetadata, ids: set[int], table: TableSchema) -> None:
    for field in metadata.spec().fields:
        if field.source_id not in ids:
            raise LakeError(
                f"column {metadata.schema().find_column_name(field.source_id)}, which partitions the lake table, "
                "is of another type now",
                where=table.table,
                remedy=f"drop the lake table, read it again, and start the lake writer: {reading_again(table.table)}",
            )


def _properties(metadata: TableMetadata, table: TableSchema) -> dict[str, str | None]:
    changed: dict[str, str | None] = {}
    key = json.dumps(table.key, ensure_ascii=False)
    if metadata.properties.get(KEY, key) != key:
        changed[KEY] = key
    if LEFT in metadata.properties:
        changed[LEFT] = None
    return changed
