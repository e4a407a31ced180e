"""Decodes row images to Arrow columns, by a layout made once per table map.

An image is a bitmap of NULLs and the values of the columns that are not NULL. Values have a fixed width, or follow
their length. `cells` finds the start of each image in one pass. Then each column is decoded from all images at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from datafingerprint.binlog.cells import row_starts, slice_columns
from datafingerprint.binlog.log_types import Extent, agrees, extent, in_same_charset
from datafingerprint.binlog.native import native_binlog
from datafingerprint.binlog.table_map import LoggedColumn, TableMap
from datafingerprint.binlog.values import Integers, decode_column
from datafingerprint.errors import DecodeError
from datafingerprint.schema import Column, TableSchema

_HIDDEN = "DB_ROW_HASH_"
"""Prefix of the columns that MariaDB adds for a UNIQUE on a long text. No query can select them."""


@dataclass(frozen=True, slots=True)
class Field(Extent):
    """A logged column: its extent, and its definition, or None if it is not captured."""

    column: Column | None
    logged: LoggedColumn


def fields(table: TableSchema, table_map: TableMap, where: str) -> tuple[Field, ...]:
    """The fields of a table's images.

    Raises:
        DecodeError: the logged table is not the one that is captured.
    """
    left_out = {*table.left_out}
    by_name = {column.name: column for column in table.columns}
    image_fields = tuple(_field(table, by_name.get(logged.name), logged, where) for logged in table_map.columns)
    names = [field.logged.name for field in image_fields if field.logged.name not in left_out and not _is_hidden(field)]
    if names != [column.name for column in table.columns]:
        raise _definition_error(table, where, "its columns are not those that are captured")
    return image_fields


def _is_hidden(field: Field) -> bool:
    return field.column is None and field.logged.name.startswith(_HIDDEN)


def _definition_error(table: TableSchema, where: str, how: str) -> DecodeError:
    return DecodeError(
        f"the definition of {table.table} has changed: {how}",
        where=where,
    )


def _field(table: TableSchema, column: Column | None, logged: LoggedColumn, where: str) -> Field:
    logged_extent = extent(logged)
    if column is not None and (logged_extent is None or not agrees(column, logged)):
        raise _definition_error(table, where, f"column {column.name} is no longer of type {column.type}")
    if column is not None and not in_same_charset(column, logged):
        raise _definition_error(table, where, f"column {column.name} is no longer stored in {column.charset}")
    if logged_extent is None:
        raise _definition_error(table, where, f"column {logged.name} is of the unknown type {logged.type}")
    return Field(logged_extent.width, logged_extent.prefix, column, logged)


@dataclass(frozen=True, slots=True)
class DecodedRows:
    """Rows, the offset of each one's image, and how many impossible dates each column had."""

    rows: pa.Table
    starts: Integers
    impossible: dict[str, int]


def decode(image_bytes: bytes, layout: tuple[Field, ...], table: TableSchema) -> DecodedRows:
    """The rows in images that are stored back to back.

    Raises:
        DecodeError: the bytes are no images of this layout, or a value is invalid for its column's type. The same
            for an impossible date in a key: it is decoded as NULL, so different rows could have the same key.
    """
    native = native_binlog()
    starts = row_starts(image_bytes, layout, native)
    columns: list[pa.Array] = []
    impossible: dict[str, int] = {}
    for field, column_slice in zip(layout, slice_columns(image_bytes, starts, layout, native), strict=True):
        if field.column is None:
            continue
        values = decode_column(column_slice, field.column, field.logged, field.prefix)
        columns.append(values)
        missing = values.null_count - int(column_slice.null.sum())
        if missing:
            impossible[field.column.name] = missing
    _require_keys(table, impossible)
    return DecodedRows(pa.table(columns, schema=table.arrow), starts, impossible)


def _require_keys(table: TableSchema, impossible: dict[str, int]) -> None:
    for name in table.key:
        if name in impossible:
            raise DecodeError(
                f"key column {name} of {table.table} holds an impossible date",
                remedy="correct the rows on the source, or remove the table from [source] tables",
            )
