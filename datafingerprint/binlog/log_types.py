"""The extent of a column's values in a row image, by the type in the table map.

The codes and their metadata are those of the server's manual, "Binary Log Format", and of both servers' sources
(`Field::save_field_metadata`). The extent depends on the log alone, so that columns that are not captured can be
skipped. `agrees` compares the log with a definition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datafingerprint.binlog.table_map import LoggedColumn
from datafingerprint.charsets import charset_of
from datafingerprint.schema import Column, Kind

TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, DATE, YEAR = 1, 2, 3, 4, 5, 8, 9, 10, 13
VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = 15, 16, 17, 18, 19
BLOB_COMPRESSED, VARCHAR_COMPRESSED = 140, 141
VECTOR, JSON, DECIMAL, ENUM, SET, BLOB, STRING, GEOMETRY = 242, 245, 246, 247, 248, 252, 254, 255

INTEGER_BYTES = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8}
_WIDTHS = {**INTEGER_BYTES, FLOAT: 4, DOUBLE: 8, DATE: 3, YEAR: 1}
_WITH_FRACTION = {TIMESTAMP2: 4, DATETIME2: 5, TIME2: 3}
_ONE_BYTE_LENGTH_MAX = 255
_LENGTH_BYTES_MAX = 4
_SAME_CHARSET = {"utf8", "utf8mb3"}
_UUID_BYTES, _INET4_BYTES = 16, 4
DECIMAL_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes of a group of digits in a packed DECIMAL, by the number of digits. A full group has nine digits."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes of a value: `width`, or a length of `prefix` bytes and as many as it says."""

    width: int
    prefix: int


def extent(logged: LoggedColumn) -> Extent | None:
    """The extent of a logged column's values, or None for an unknown type."""
    code, metadata = logged.type, logged.metadata
    if code in _WIDTHS:
        return Extent(_WIDTHS[code], 0)
    if code in _WITH_FRACTION:
        return Extent(_WITH_FRACTION[code] + (metadata + 1) // 2, 0)
    if code == DECIMAL:
        return Extent(_decimal_width(metadata & 0xFF, metadata >> 8), 0)
    if code == BIT:
        return Extent((metadata >> 8) + bool(metadata & 0xFF), 0)
    if code == STRING and metadata & 0xFF in (ENUM, SET):
        return Extent(metadata >> 8, 0)
    prefix = _prefix(code, metadata)
    return Extent(0, prefix) if prefix else None


def _prefix(code: int, metadata: int) -> int:
    if code in (BLOB, BLOB_COMPRESSED, JSON, GEOMETRY, VECTOR):
        return metadata if metadata <= _LENGTH_BYTES_MAX else 0
    if code in (VARCHAR, VARCHAR_COMPRESSED):
        return 1 if metadata <= _ONE_BYTE_LENGTH_MAX else 2
    if code == STRING and metadata & 0xFF:
        return 1 if string_bytes(metadata) <= _ONE_BYTE_LENGTH_MAX else 2
    return 0


def string_bytes(metadata: int) -> int:
    """The maximum length of a CHAR or BINARY.

    Its upper bits are stored, inverted, in the byte with the type.
    """
    real, low = metadata & 0xFF, metadata >> 8
    return low | (((real & 0x30) ^ 0x30) << 4)


def _decimal_width(precision: int, scale: int) -> int:
    return sum(DECIMAL_BYTES[digits] for digits in decimal_groups(precision, scale))


def decimal_groups(precision: int, scale: int) -> list[int]:
    """How many digits each group of a packed DECIMAL has, the most significant first."""
    whole = precision - scale
    groups = [whole % 9] * bool(whole % 9) + [9] * (whole // 9)
    return groups + [9] * (scale // 9) + [scale % 9] * bool(scale % 9)


def agrees(column: Column, logged: LoggedColumn) -> bool:
    """Whether the log and the definition have the same type for a column."""
    kind = column.stored_kind
    if kind in _STRINGS:
        return _is_string(column, logged)
    return logged.type == _code(column, kind) and _COMPARISONS.get(kind, _anything)(column, logged)


def in_same_charset(column: Column, logged: LoggedColumn) -> bool:
    """Whether a column is logged in its definition's character set, or in an unnamed one."""
    charset = charset_of(logged.collation) if column.charset else ""
    return charset in ("", column.charset) or {charset, column.charset} == _SAME_CHARSET


def _is_string(column: Column, logged: LoggedColumn) -> bool:
    fixed = logged.type == STRING and logged.metadata & 0xFF not in (ENUM, SET)
    if column.kind in (Kind.TEXT, Kind.BYTES):
        return fixed or logged.type in (VARCHAR, BLOB, VARCHAR_COMPRESSED, BLOB_COMPRESSED)
    return fixed and string_bytes(logged.metadata) == (_STRINGS[column.kind] or column.length)


def _code(column: Column, kind: Kind) -> int:
    if kind is Kind.INTEGER:
        return next(code for code, size_bytes in INTEGER_BYTES.items() if size_bytes == column.width_bytes)
    return _CODES[kind]


def _anything(_: Column, __: LoggedColumn) -> bool:
    return True


_COMPARISONS: dict[Kind, Callable[[Column, LoggedColumn], bool]] = {
    Kind.INTEGER: lambda column, logged: logged.unsigned == column.unsigned,
    Kind.DECIMAL: lambda column, logged: logged.metadata == column.precision | column.scale << 8,
    Kind.BIT: lambda column, logged: (logged.metadata >> 8) * 8 + (logged.metadata & 0xFF) == column.precision,
    Kind.ENUM: lambda _, logged: logged.metadata & 0xFF == ENUM,
    Kind.SET: lambda _, logged: logged.metadata & 0xFF == SET,
    **dict.fromkeys((Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME), lambda column, logged: logged.metadata == column.scale),
}
_STRINGS = {
    Kind.TEXT: 0,
    Kind.BYTES: 0,
    Kind.BINARY: 0,
    Kind.UUID: _UUID_BYTES,
    Kind.INET6: _UUID_BYTES,
    Kind.INET4: _INET4_BYTES,
}
"""Kinds that are logged as strings, and the width in bytes of those that have a fixed one."""

_CODES = {
    Kind.YEAR: YEAR,
    Kind.BIT: BIT,
    Kind.FLOAT: FLOAT,
    Kind.DOUBLE: DOUBLE,
    Kind.DECIMAL: DECIMAL,
    Kind.DATE: DATE,
    Kind.DATETIME: DATETIME2,
    Kind.TIMESTAMP: TIMESTAMP2,
    Kind.TIME: TIME2,
    Kind.ENUM: STRING,
    Kind.SET: STRING,
    Kind.JSON: JSON,
    Kind.GEOMETRY: GEOMETRY,
    Kind.VECTOR: VECTOR,
}
