"""How wide a column's values lie in a row image, from the type that the table map logs.

The codes and their metadata are those of the server's manual, "Binary Log Format", and of both servers' sources
(`Field::save_field_metadata`). The extent comes from the log alone, so that columns nobody looks at can be stepped
over; whether the log agrees with a definition is a question of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datafingerprint.charsets import charset_of
from datafingerprint.schema import Column, Kind
from services.cdc.table_map import LoggedColumn

TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, DATE, YEAR = 1, 2, 3, 4, 5, 8, 9, 10, 13
VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = 15, 16, 17, 18, 19
BLOB_COMPRESSED, VARCHAR_COMPRESSED = 140, 141
VECTOR, JSON, DECIMAL, ENUM, SET, BLOB, STRING, GEOMETRY = 242, 245, 246, 247, 248, 252, 254, 255

INTEGER_OCTETS = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8}
_WIDTHS = {**INTEGER_OCTETS, FLOAT: 4, DOUBLE: 8, DATE: 3, YEAR: 1}
_WITH_FRACTION = {TIMESTAMP2: 4, DATETIME2: 5, TIME2: 3}
_ONE_OCTET_LENGTH_MAX = 255
_LENGTH_OCTETS_MAX = 4
_SAME_CHARSET = {"utf8", "utf8mb3"}
_UUID_OCTETS, _INET4_OCTETS = 16, 4
DECIMAL_OCTETS = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes of a group of so many digits in a packed DECIMAL; a whole group has nine digits in four bytes."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a value lies: in `width` bytes, or, when `prefix` is set, behind its length in `prefix` bytes."""

    width: int
    prefix: int


def extent(logged: LoggedColumn) -> Extent | None:
    """The extent of a logged column's values; None for a type whose form is not known."""
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
        return metadata if metadata <= _LENGTH_OCTETS_MAX else 0
    if code in (VARCHAR, VARCHAR_COMPRESSED):
        return 1 if metadata <= _ONE_OCTET_LENGTH_MAX else 2
    if code == STRING and metadata & 0xFF:
        return 1 if string_octets(metadata) <= _ONE_OCTET_LENGTH_MAX else 2
    return 0


def string_octets(metadata: int) -> int:
    """The longest that a CHAR or BINARY gets, whose upper bits are hidden, inverted, in its type octet."""
    real, low = metadata & 0xFF, metadata >> 8
    return low | (((real & 0x30) ^ 0x30) << 4)


def _decimal_width(precision: int, scale: int) -> int:
    return sum(DECIMAL_OCTETS[digits] for digits in decimal_groups(precision, scale))


def decimal_groups(precision: int, scale: int) -> list[int]:
    """Digits of each group of a packed DECIMAL, from the most significant one."""
    whole = precision - scale
    groups = [whole % 9] * bool(whole % 9) + [9] * (whole // 9)
    return groups + [9] * (scale // 9) + [scale % 9] * bool(scale % 9)


def agrees(column: Column, logged: LoggedColumn) -> bool:
    """Whether the log and the definition say the same of a column."""
    if column.kind in _STRINGS:
        return _is_string(column, logged)
    return logged.type == _code(column) and _MEASURES.get(column.kind, _anything)(column, logged)


def in_same_charset(column: Column, logged: LoggedColumn) -> bool:
    """Whether the log says that a text is stored in the character set of its definition, or does not say which."""
    found = charset_of(logged.collation) if column.charset else ""
    return found in ("", column.charset) or {found, column.charset} == _SAME_CHARSET


def _is_string(column: Column, logged: LoggedColumn) -> bool:
    fixed = logged.type == STRING and logged.metadata & 0xFF not in (ENUM, SET)
    if column.kind in (Kind.TEXT, Kind.BYTES):
        return fixed or logged.type in (VARCHAR, BLOB, VARCHAR_COMPRESSED, BLOB_COMPRESSED)
    return fixed and string_octets(logged.metadata) == (_STRINGS[column.kind] or column.length)


def _code(column: Column) -> int:
    if column.kind is Kind.INTEGER:
        return next(code for code, octets in INTEGER_OCTETS.items() if octets == column.octets)
    return _CODES[column.kind]


def _anything(_: Column, __: LoggedColumn) -> bool:
    return True


_MEASURES: dict[Kind, Callable[[Column, LoggedColumn], bool]] = {
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
    Kind.UUID: _UUID_OCTETS,
    Kind.INET6: _UUID_OCTETS,
    Kind.INET4: _INET4_OCTETS,
}
"""Kinds that are logged as strings, and the octets of those that have one width."""

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
