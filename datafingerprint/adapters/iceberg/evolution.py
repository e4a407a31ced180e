"""The schema change that makes a lake table match a new definition, with field ids kept."""

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

from datafingerprint.adapters.iceberg.definition import KEY, LEFT, first_difference, iceberg_schema
from datafingerprint.adapters.iceberg.stamps import nearest_stamped
from datafingerprint.schema import TableSchema


@dataclass(frozen=True, slots=True)
class Evolution:
    """The changes of a commit to a lake table other than its rows.

    Attributes:
        schema: The new schema.
        is_changed: Whether the new schema differs from the current one.
        difference: How the columns of the live files differ; empty if their rows stay valid.
        properties: New values of properties; None removes a property.
        lost: The partition column that was replaced, which requires a new table; empty if none was.
    """

    schema: Schema
    is_changed: bool
    difference: str
    properties: dict[str, str | None]
    lost: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether anything changes."""
        return self.is_changed or bool(self.properties)

    def of(self, metadata: TableMetadata) -> TableMetadata:
        """The metadata after the change, as far as it concerns files."""
        if not self.is_changed:
            return metadata
        changed = {"schemas": [*metadata.schemas, self.schema], "current_schema_id": self.schema.schema_id}
        return metadata.model_copy(update=changed)

    def stage(self, transaction: Transaction) -> None:
        """Adds the change to a transaction."""
        updates: list[TableUpdate] = []
        if self.is_changed:
            updates += [AddSchemaUpdate(schema_=self.schema), SetCurrentSchemaUpdate(schema_id=self.schema.schema_id)]
        values = {name: text for name, text in self.properties.items() if text is not None}
        removals = [name for name, text in self.properties.items() if text is None]
        if values:
            updates.append(SetPropertiesUpdate(updates=values))
        if removals:
            updates.append(RemovePropertiesUpdate(removals=removals))
        if updates:
            requirement = AssertCurrentSchemaId(current_schema_id=transaction.table_metadata.current_schema_id)
            transaction._apply(tuple(updates), (requirement,))  # noqa: SLF001 - as pyiceberg's own updates are applied


def evolution(metadata: TableMetadata, table: TableSchema) -> Evolution:
    """The changes that make a lake table match a definition.

    A column keeps its field id if its name stays the same and its type stays the same or is widened as Iceberg allows.
    Any other change makes it a new column, which old files do not have.
    """
    current = metadata.schema()
    wanted = iceberg_schema(table)
    known = {field.name: field for field in current.fields}
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
    is_changed = [(field.field_id, field.name, field.field_type) for field in fields] != [
        (field.field_id, field.name, field.field_type) for field in current.fields
    ]
    number = max(schema.schema_id for schema in metadata.schemas) + 1
    schema = Schema(*fields, schema_id=number) if is_changed else current
    lost = _lost_field(metadata, {field.field_id for field in fields})
    return Evolution(schema, is_changed, _difference(metadata, wanted), _properties(metadata, table), lost)


def _is_kept(old: IcebergType, new: IcebergType) -> bool:
    if isinstance(old, DecimalType) and isinstance(new, DecimalType):
        return old.scale == new.scale and old.precision <= new.precision
    return old == new or (type(old), type(new)) in {(IntegerType, LongType), (FloatType, DoubleType)}


def _difference(metadata: TableMetadata, wanted: Schema) -> str:
    """The first difference that is more than a new column, in words; empty if there is none.

    A column of the writer's last commit that is missing or has another field id is not a new column. Its values are
    lost in the existing rows, and adding the name again would hide that.
    """
    current = metadata.schema()
    ids = {field.name: field.field_id for field in current.fields}
    old = Schema(*(field for field in wanted.fields if field.name in ids))
    altered = (
        f"another engine dropped or replaced column {field.name}"
        for field in _written_schema(metadata).fields
        if ids.get(field.name) != field.field_id and field.name in wanted.column_names
    )
    return first_difference(current, old) or next(altered, "")


def _written_schema(metadata: TableMetadata) -> Schema:
    """The schema of the writer's last commit."""
    stamped = nearest_stamped(metadata, metadata.current_snapshot())
    schema_id = stamped.schema_id if stamped else None
    return next((schema for schema in metadata.schemas if schema.schema_id == schema_id), metadata.schema())


def _lost_field(metadata: TableMetadata, ids: set[int]) -> str:
    for field in metadata.spec().fields:
        if field.source_id not in ids:
            name = metadata.schema().find_column_name(field.source_id)
            return f"column {name}, which partitions the lake table, was replaced"
    return ""


def _properties(metadata: TableMetadata, table: TableSchema) -> dict[str, str | None]:
    changed: dict[str, str | None] = {}
    key = json.dumps(table.key, ensure_ascii=False)
    if metadata.properties.get(KEY, key) != key:
        changed[KEY] = key
    if LEFT in metadata.properties:
        changed[LEFT] = None
    return changed
