"""Row images to Arrow columns: a decoder made for one table from its table map.

An image is a bitmap of NULLs followed by the values of the columns that are not NULL, some of fixed width, some
with their length in front. Where each image begins is found by walking them once (a few steps per image, none
where all columns have a fixed width and no row a NULL); then every column is cut out of all images at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datafingerprint import temporal
from datafingerprint.errors import DecodeError
from datafingerprint.schema import Column, Kind, TableSchema
from services.cdc.binlog import LoggedColumn, TableMap

Octets = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_TINY, _SHORT, _LONG, _FLOAT, _DOUBLE, _LONGLONG, _INT24, _DATE = 1, 2, 3, 4, 5, 8, 9, 10
_VARCHAR, _TIMESTAMP2, _DATETIME2, _DECIMAL, _BLOB, _STRING = 15, 17, 18, 246, 252, 254

_INTEGER_OCTETS = {_TINY: 1, _SHORT: 2, _INT24: 3, _LONG: 4, _LONGLONG: 8}
_ONE_OCTET_LENGTH_MAX = 255
_DECIMAL_OCTETS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes of a group of so many digits in a packed DECIMAL; a whole group has nine digits in four bytes."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where one column lies: `width` bytes, or, when `prefix` is set, a length of `prefix` bytes and the value."""

    column: Column
    logged: LoggedColumn
    width: int
    prefix: int


def fields(table: TableSchema, table_map: TableMap, where: str) -> tuple[Field, ...]:
    """The fields of a table's images.

    Raises:
        DecodeError: the logged table is not the one that was put under watch.
    """
    logged_names = [logged.name for logged in table_map.columns]
    if logged_names != [column.name for column in table.columns]:
        raise _changed(table, where, "its columns are others than when it was put under watch")
    pairs = zip(table.columns, table_map.columns, strict=True)
    return tuple(_field(table, column, logged, where) for column, logged in pairs)


def _changed(table: TableSchema, where: str, how: str) -> DecodeError:
    return DecodeError(
        f"the definition of {table.table} has changed: {how}",
        where=where,
        remedy="changed definitions are not followed yet: capture again under another prefix",
    )


def _field(table: TableSchema, column: Column, logged: LoggedColumn, where: str) -> Field:
    width, prefix = _extent(column, logged)
    if not width and not prefix:
        raise _changed(table, where, f"column {column.name} is no longer a {column.type}")
    return Field(column, logged, width, prefix)


def _extent(column: Column, logged: LoggedColumn) -> tuple[int, int]:
    """Fixed width and length prefix of a column; (0, 0) when the log and the definition disagree."""
    kind, code, metadata = column.kind, logged.type, logged.metadata
    if kind is Kind.INTEGER:
        fits = _INTEGER_OCTETS.get(code) == column.octets and logged.unsigned == column.unsigned
        return (column.octets if fits else 0), 0
    if kind is Kind.DECIMAL:
        precision, scale = metadata & 0xFF, metadata >> 8
        fits = code == _DECIMAL and (precision, scale) == (column.precision, column.scale)
        return (_decimal_width(precision, scale) if fits else 0), 0
    if kind in (Kind.TEXT, Kind.BYTES):
        return 0, _prefix(code, metadata)
    if kind in (Kind.DATETIME, Kind.TIMESTAMP):
        expected = _DATETIME2 if kind is Kind.DATETIME else _TIMESTAMP2
        base = 5 if kind is Kind.DATETIME else 4
        return (base + (metadata + 1) // 2 if code == expected and metadata == column.scale else 0), 0
    simple = {Kind.FLOAT: (_FLOAT, 4), Kind.DOUBLE: (_DOUBLE, 8), Kind.DATE: (_DATE, 3)}
    expected, width = simple[kind]
    return (width if code == expected else 0), 0


def _prefix(code: int, metadata: int) -> int:
    """Bytes of the length in front of a string; 0 when it is none."""
    if code == _BLOB:
        return metadata
    if code == _VARCHAR:
        return 1 if metadata <= _ONE_OCTET_LENGTH_MAX else 2
    if code == _STRING and metadata & 0xFF:
        # The upper bits of a CHAR's length are hidden, inverted, in its type octet.
        real, low = metadata & 0xFF, metadata >> 8
        length = low | (((real & 0x30) ^ 0x30) << 4)
        return 1 if length <= _ONE_OCTET_LENGTH_MAX else 2
    return 0


def _decimal_width(precision: int, scale: int) -> int:
    whole = precision - scale
    return sum((digits // 9) * 4 + _DECIMAL_OCTETS[digits % 9] for digits in (whole, scale))


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
        DecodeError: the bytes are no images of this layout, or a text is no UTF-8.
    """
    starts = image_starts(octets, layout)
    # Values are cut out as windows of the widest field; so many zero bytes follow the last image.
    padded = np.frombuffer(octets + bytes(16), np.uint8)
    bitmap_octets = (len(layout) + 7) // 8
    nulls = np.unpackbits(_windows(padded, starts, bitmap_octets), axis=1, bitorder="little").astype(np.bool_)
    position = starts + bitmap_octets
    columns: list[pa.Array] = []
    impossible: dict[str, int] = {}
    for index, field in enumerate(layout):
        null = nulls[:, index]
        values, size = _column(padded, position, null, field)
        columns.append(values)
        missing = values.null_count - int(null.sum())
        if missing:
            impossible[field.column.name] = missing
        position = position + np.where(null, 0, size)
    return Decoded(pa.table(columns, schema=table.arrow), starts, impossible)


def _windows(octets: Octets, positions: Integers, width: int) -> Octets:
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(octets, width)[positions])


def _column(octets: Octets, position: Integers, null: Mask, field: Field) -> tuple[pa.Array, Integers | int]:
    """One column of all images, and how many bytes it takes in each where it is not NULL."""
    at = np.where(null, 0, position)
    if field.prefix:
        return _strings(octets, at, null, field)
    raw = _windows(octets, at, field.width)
    return _DECODERS[field.column.kind](raw, null, field), field.width


def _strings(octets: Octets, at: Integers, null: Mask, field: Field) -> tuple[pa.Array, Integers]:
    lengths = np.where(null, 0, _little(_windows(octets, at, field.prefix)))
    starts = at + field.prefix
    offsets = np.zeros(len(at) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise DecodeError(f"more than 2 GiB in column {field.column.name} of one epoch")
    source = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    validity = pa.array(~null).buffers()[1] if null.any() else None
    values = pa.Array.from_buffers(
        field.column.arrow,
        len(at),
        [validity, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(octets[source])],
    )
    _require_utf8(values, field)
    return values, lengths + field.prefix


def _require_utf8(values: pa.Array, field: Field) -> None:
    if field.column.kind is not Kind.TEXT:
        return
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        raise DecodeError(f"a text in column {field.column.name} is no UTF-8") from None


def _little(raw: Octets) -> Integers:
    """Unsigned little-endian integers of up to 7 bytes (8 bytes wrap to negative ones)."""
    wide = np.zeros((len(raw), 8), dtype=np.uint8)
    wide[:, : raw.shape[1]] = raw
    return np.asarray(wide.view(np.int64)[:, 0], dtype=np.int64)


def _big(raw: Octets) -> Integers:
    """Unsigned big-endian integers of up to 7 bytes."""
    return _little(raw[:, ::-1])


def _integers(raw: Octets, null: Mask, field: Field) -> pa.Array:
    octets = field.width
    values = _little(raw)
    if field.column.unsigned:
        if octets == 8:  # noqa: PLR2004 - BIGINT UNSIGNED
            return pa.array(values.view(np.uint64), pa.uint64(), mask=null).cast(field.column.arrow)
        return pa.array(values, pa.int64(), mask=null).cast(field.column.arrow)
    shift = 64 - 8 * octets
    return pa.array((values << shift) >> shift, pa.int64(), mask=null).cast(field.column.arrow)


def _floats(raw: Octets, null: Mask, field: Field) -> pa.Array:
    return pa.array(raw.view(f"<f{field.width}").reshape(-1), field.column.arrow, mask=null)


def _dates(raw: Octets, null: Mask, _: Field) -> pa.Array:
    packed = _little(raw)
    return temporal.date_column(temporal.days(packed >> 9, (packed >> 5) & 15, packed & 31), null)


def _fraction_us(raw: Octets, digits: int) -> Integers:
    if not raw.shape[1]:
        return np.zeros(len(raw), dtype=np.int64)
    return _big(raw) * np.int64(10 ** (6 - (digits + 1) // 2 * 2))


def _datetimes(raw: Octets, null: Mask, field: Field) -> pa.Array:
    packed = _big(raw[:, :5]) - 0x8000000000
    months, clock = packed >> 22, packed & 0x1FFFF
    found = temporal.days(months // 13, months % 13, (packed >> 17) & 31)
    seconds = (clock >> 12) * 3600 + ((clock >> 6) & 63) * 60 + (clock & 63)
    day_us = seconds * 1_000_000 + _fraction_us(raw[:, 5:], field.column.scale)
    return temporal.moment_column(found, day_us, null, field.column.arrow)


def _timestamps(raw: Octets, null: Mask, field: Field) -> pa.Array:
    seconds = _big(raw[:, :4])
    fraction = _fraction_us(raw[:, 4:], field.column.scale)
    zero = (seconds == 0) & (fraction == 0)  # how the server stores 0000-00-00 00:00:00
    return pa.array(seconds * 1_000_000 + fraction, pa.int64(), mask=null | zero).cast(field.column.arrow)


def _decimals(raw: Octets, null: Mask, field: Field) -> pa.Array:
    """Packed decimals: groups of digits, most significant first; negative ones have every bit inverted."""
    precision, scale = field.column.precision, field.column.scale
    negative = raw[:, 0] < 0x80  # noqa: PLR2004 - the sign bit, inverted
    digits = np.where(negative[:, None], ~raw, raw)
    digits[:, 0] ^= 0x80
    value = np.zeros(len(raw), dtype=np.int64)
    start = 0
    for count in _decimal_groups(precision - scale, scale):
        width = _DECIMAL_OCTETS[count]
        value = value * 10**count + _big(digits[:, start : start + width])
        start += width
    value = np.where(negative, -value, value)
    unscaled = pa.array(value, pa.int64(), mask=null).cast(pa.decimal128(19, 0))
    buffers = unscaled.buffers()
    return pa.Array.from_buffers(field.column.arrow, len(raw), buffers, unscaled.null_count)


def _decimal_groups(whole: int, scale: int) -> list[int]:
    groups = [whole % 9] * bool(whole % 9) + [9] * (whole // 9)
    return groups + [9] * (scale // 9) + [scale % 9] * bool(scale % 9)


_DECODERS: dict[Kind, Callable[[Octets, Mask, Field], pa.Array]] = {
    Kind.INTEGER: _integers,
    Kind.FLOAT: _floats,
    Kind.DOUBLE: _floats,
    Kind.DATE: _dates,
    Kind.DATETIME: _datetimes,
    Kind.TIMESTAMP: _timestamps,
    Kind.DECIMAL: _decimals,
}
