"""Row images to Arrow columns: a decoder made for one table from its table map.

An image is a bitmap of NULLs followed by the values of the columns that are not NULL, some of fixed width, some
with their length in front. Where each image begins is found by walking them once (a few steps per image, none
where all columns have a fixed width and no row a NULL); then every column is cut out of all images at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from datafingerprint.errors import DecodeError
from datafingerprint.remedies import reading_again
from datafingerprint.schema import Column, TableSchema
from services.cdc.log_types import agrees, extent, in_same_charset
from services.cdc.table_map import LoggedColumn, TableMap
from services.cdc.values import Cut, Integers, Octets, decoded, little, windows

_HIDDEN = "DB_ROW_HASH_"
"""How MariaDB names the columns that it adds for a UNIQUE on a long text; nobody can select them."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where one logged column lies, and the column that it is; None when nobody looks at it."""

    column: Column | None
    logged: LoggedColumn
    width: int
    prefix: int


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
    return Field(column, logged, found.width, found.prefix)


def image_starts(octets: bytes, layout: tuple[Field, ...]) -> Integers:
    """Where each image begins.

    Raises:
        DecodeError: the images do not end where the bytes do.
    """
    bitmap_octets = (len(layout) + 7) // 8
    if not any(field.prefix for field in layout):
        starts = _even_starts(octets, layout, bitmap_octets)
        if starts is not None:
            return starts
    return _walked_starts(octets, layout, bitmap_octets)


def _even_starts(octets: bytes, layout: tuple[Field, ...], bitmap_octets: int) -> Integers | None:
    """The starts when every image has the NULLs of the first one; None when they differ."""
    first = int.from_bytes(octets[:bitmap_octets], "little")
    width = bitmap_octets + sum(field.width for i, field in enumerate(layout) if not first >> i & 1)
    if len(octets) % width:
        return None
    images = np.frombuffer(octets, np.uint8).reshape(-1, width)
    if (images[:, :bitmap_octets] != images[0, :bitmap_octets]).any():
        return None
    return np.arange(0, len(octets), width, dtype=np.int64)


def _walked_starts(octets: bytes, layout: tuple[Field, ...], bitmap_octets: int) -> Integers:
    plans: dict[bytes, tuple[list[tuple[int, int]], int]] = {}
    starts: list[int] = []
    position, end = 0, len(octets)
    while position < end:
        starts.append(position)
        bitmap = octets[position : position + bitmap_octets]
        plan = plans.get(bitmap)
        if plan is None:
            plan = plans[bitmap] = _plan(bitmap, layout)
        steps, tail = plan
        position += bitmap_octets
        for skip, prefix in steps:
            position += skip
            if prefix == 1:
                # One past the end is read as no length; the check below finds it.
                position += 1 + (octets[position] if position < end else 0)
            else:
                position += prefix + int.from_bytes(octets[position : position + prefix], "little")
        position += tail
    if position != end:
        raise DecodeError("row images do not end where their event does")
    return np.array(starts, dtype=np.int64)


def _plan(bitmap: bytes, layout: tuple[Field, ...]) -> tuple[list[tuple[int, int]], int]:
    """For one bitmap: the fixed widths before each length prefix, and the width after the last one."""
    nulls = int.from_bytes(bitmap, "little")
    steps: list[tuple[int, int]] = []
    skip = 0
    for index, field in enumerate(layout):
        if nulls >> index & 1:
            continue
        if field.prefix:
            steps.append((skip, field.prefix))
            skip = 0
        else:
            skip += field.width
    return steps, skip


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
    starts = image_starts(octets, layout)
    bitmap_octets = (len(layout) + 7) // 8
    # Values are cut out as windows of the widest field; so many zero bytes follow the last image.
    widest = max([16, *(field.width for field in layout)])
    padded = np.frombuffer(octets + bytes(widest), np.uint8)
    nulls = np.unpackbits(windows(padded, starts, bitmap_octets), axis=1, bitorder="little").astype(np.bool_)
    position = starts + bitmap_octets
    columns: list[pa.Array] = []
    impossible: dict[str, int] = {}
    for index, field in enumerate(layout):
        null = nulls[:, index]
        at = np.where(null, 0, position)
        size = np.where(null, 0, _sizes(padded, at, field))
        position = position + size
        if field.column is None:
            continue
        values = decoded(Cut(padded, at, size, null), field.column, field.logged, field.prefix)
        columns.append(values)
        missing = values.null_count - int(null.sum())
        if missing:
            impossible[field.column.name] = missing
    _require_keys(table, impossible)
    return Decoded(pa.table(columns, schema=table.arrow), starts, impossible)


def _sizes(octets: Octets, at: Integers, field: Field) -> Integers | int:
    return field.prefix + little(windows(octets, at, field.prefix)) if field.prefix else field.width


def _require_keys(table: TableSchema, impossible: dict[str, int]) -> None:
    for name in table.key:
        if name in impossible:
            raise DecodeError(
                f"a date that is no day of the calendar stands in key column {name} of {table.table}",
                remedy="mend the rows on the source, or take the table out of [source] tables",
            )
