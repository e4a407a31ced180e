"""Columns as a server's data dictionary describes them: from COLUMN_TYPE to a `Column`.

`docs/types.md` specifies how each type is carried. A type that cannot be carried exactly is refused when its table is
captured, and not when its first row arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from datafingerprint.charsets import BINARY, KNOWN
from datafingerprint.errors import SourceError
from datafingerprint.schema import Column, Kind

_INTEGER_BYTES = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
_GEOMETRIES = (
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
)
_KINDS: dict[str, Kind] = {
    **{
        kind.value: kind
        for kind in (
            Kind.YEAR,
            Kind.BIT,
            Kind.FLOAT,
            Kind.DOUBLE,
            Kind.DECIMAL,
            Kind.DATE,
            Kind.DATETIME,
            Kind.TIMESTAMP,
            Kind.TIME,
            Kind.ENUM,
            Kind.SET,
            Kind.JSON,
            Kind.UUID,
            Kind.INET4,
            Kind.INET6,
            Kind.BINARY,
            Kind.VECTOR,
        )
    },
    **dict.fromkeys(_INTEGER_BYTES, Kind.INTEGER),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    **dict.fromkeys(("varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Kind.BYTES),
    **dict.fromkeys(_GEOMETRIES, Kind.GEOMETRY),
}
_LABELLED = frozenset({Kind.ENUM, Kind.SET})
_IN_CHARSET = _LABELLED | {Kind.TEXT}


def _with_fraction(plain: Column, args: str) -> Column:
    return replace(plain, scale=int(args or 0))


_MEASURED: dict[Kind, Callable[[Column, str], Column]] = {
    Kind.BIT: lambda plain, args: replace(plain, precision=int(args or 1)),
    Kind.BINARY: lambda plain, args: replace(plain, length=int(args or 1)),
    **dict.fromkeys((Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME), _with_fraction),
}
"""What the number in brackets means, and its value if there is none."""

_TYPE = re.compile(r"^(?P<base>[a-z0-9]+)(?:\((?P<args>.*)\))?(?P<rest>[^()]*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Parsed:
    base: str
    args: str
    rest: str


def column(name: str, type_text: str, *, nullable: bool, charset: str | None, as_bytes: bool = False) -> Column:
    """Builds a column from COLUMN_TYPE and CHARACTER_SET_NAME of `information_schema.COLUMNS`.

    Args:
        name: COLUMN_NAME.
        type_text: COLUMN_TYPE.
        nullable: Whether IS_NULLABLE is YES.
        charset: CHARACTER_SET_NAME, None where the type has none. An ENUM or SET of bytes has `binary`, or None.
        as_bytes: Whether a text is carried as the bytes that the server stores.

    Raises:
        SourceError: values of this type cannot be carried exactly, or not as bytes.
    """
    match = _TYPE.match(type_text.lower())
    parsed = _Parsed(match["base"], match["args"] or "", match["rest"]) if match else _Parsed("", "", "")
    kind = _KINDS.get(parsed.base)
    # Temporal types from before MariaDB 5.3 are logged in forms of their own.
    if kind is None or "mariadb-5.3" in parsed.rest:
        raise SourceError(f"type {type_text} of column {name} cannot be carried exactly")
    if as_bytes:
        return _as_bytes_column(name, type_text, kind, nullable=nullable)
    if kind in _LABELLED and charset in (BINARY, None):
        # Its labels are bytes, which need not be a text in any character set. MySQL names no character set then.
        return Column(name, type_text, Kind.BYTES, nullable=nullable, charset=BINARY)
    if kind in _IN_CHARSET and charset not in KNOWN:
        raise SourceError(f"type {type_text} in {charset} of column {name} cannot be carried exactly")
    return _described(Column(name, type_text, kind, nullable=nullable), parsed, charset or "")


def _as_bytes_column(name: str, type_text: str, kind: Kind, *, nullable: bool) -> Column:
    if kind is not Kind.TEXT:
        raise SourceError(f"column {name} is a {type_text}; only texts can be carried as bytes")
    return Column(name, type_text, Kind.BYTES, nullable=nullable)


def _described(plain: Column, parsed: _Parsed, charset: str) -> Column:
    kind = plain.kind
    if kind is Kind.INTEGER:
        return replace(plain, width_bytes=_INTEGER_BYTES[parsed.base], unsigned="unsigned" in parsed.rest)
    if kind is Kind.DECIMAL:
        precision, scale = (int(part) for part in parsed.args.split(","))
        return replace(plain, precision=precision, scale=scale)
    if kind in _IN_CHARSET:
        return replace(plain, charset=charset)
    # One number in brackets: bits, bytes, or digits of a second's fraction.
    measure = _MEASURED.get(kind)
    return measure(plain, parsed.args) if measure else plain
