"""Row images to Arrow columns: a decoder made for one table from its table map.

An image is a bitmap of NULLs followed by the values of the columns that are not NULL, some of fixed width, some
with their length in front. Where each image begins is found by walking them once (`services.cdc.cells`); then every
column is cut out of all images at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from datafingerprint.errors import DecodeError
from datafingerprint.kernel.binlog import binlog
from datafingerprint.remedies import reading_again
from datafingerprint.schema import Column, TableSchema
from services.cdc.cells import cuts, image_starts
from services.cdc.log_types import Extent, agrees, extent, in_same_charset
from services.cdc.table_map import LoggedColumn, TableMap
from services.cdc.values import Integers, decoded

_HIDDEN = "DB_ROW_HASH_"
"""How MariaDB names the columns that it adds for a UNIQUE on a long text; nobody can select them."""


@dataclass(frozen=True, slots=True)
class Field(Extent):
    """What one logged column takes, and the column that it is; None when nobody looks at it."""

    column: Column | None
    logged: LoggedColumn


def fields(table: TableSchema, table_map: TableMap, where: str) -> tuple[Field, ...]:
    """The fields of a table's images.

    Raises:
        DecodeError: the logged table is not the one that was put under watch.
    """
    passed = {*table.left_out}
    by_name = {column.name: column for column in table.columns}
    found = tuple(_field(table, by_name.get(logged.name), logged, where) for logged in table_map.columns)
    names = [one.logged.name for one in found if one.logged.name not in passed and not _is_hidden(one)]
    if names != [column.name for column in table.columns]:
        raise _changed(table, where, "its columns are others than when it was put under watch")
    return found


def _is_hidden(field: Field) -> bool:
    return field.column is None and field.logged.name.startswith(_HIDDEN)


def _changed(table: TableSchema, where: str, how: str) -> DecodeError:
    return DecodeError(
        f"the definition of {table.table} has changed: {how}",
        where=where,
        remedy=f"read it again with its present definition: {reading_again(table.table)}",
    )


def _field(table: TableSchema, column: Column | None, logged: LoggedColumn, where: str) -> Field:
    found = extent(logged)
    if column is not None and (found is None or not agrees(column, logged)):
        raise _changed(table, where, f"column {column.name} is no longer a {column.type}")
    if column is not None and not in_same_charset(column, logged):
        raise _changed(table, where, f"column {column.name} is no longer stored in {column.charset}")
    if found is None:
        raise _changed(table, where, f"column {logged.name} is of a type that is not known, {logged.type}")
    return Field(found.width, found.prefix, column, logged)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows, and how many dates of each column were no days of the calendar."""

    rows: pa.Table
    starts: Integers
    impossible: dict[str, int]


def decode(octets: bytes, layout: tuple[Field, ...], table: TableSchema) -> Decoded:
    """The rows in images that lie back to back.

    Raises:
        DecodeError: the bytes are no images of this layout, a value has no meaning in its column's type, or a
            key holds a date that is no day of the calendar, so that rows could not be told apart.
    """
    native = binlog()
    starts = image_starts(octets, layout, native)
    columns: list[pa.Array] = []
    impossible: dict[str, int] = {}
    for field, cut in zip(layout, cuts(octets, starts, layout, native), strict=True):
        if field.column is None:
            continue
        values = decoded(cut, field.column, field.logged, field.prefix)
        columns.append(values)
        missing = values.null_count - int(cut.null.sum())
        if missing:
            impossible[field.column.name] = missing
    _require_keys(table, impossible)
    return Decoded(pa.table(columns, schema=table.arrow), starts, impossible)


def _require_keys(table: TableSchema, impossible: dict[str, int]) -> None:
    for name in table.key:
        if name in impossible:
            raise DecodeError(
                f"a date that is no day of the calendar stands in key column {name} of {table.table}",
                remedy="mend the rows on the source, or take the table out of [source] tables",
            )
