"""The columns that a server's data dictionary describes: from COLUMN_TYPE's text to a `Column`.

What a type becomes on every way is laid down in `docs/types.md`. A type that cannot be carried exactly is refused
here, when its table is put under watch, and not when its first row arrives.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from datafingerprint.charsets import KNOWN
from datafingerprint.errors import SourceError
from datafingerprint.schema import Column, Kind

_INTEGER_OCTETS = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
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
    **dict.fromkeys(_INTEGER_OCTETS, Kind.INTEGER),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    **dict.fromkeys(("varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Kind.BYTES),
    **dict.fromkeys(_GEOMETRIES, Kind.GEOMETRY),
}
_IN_CHARSET = frozenset({Kind.TEXT, Kind.ENUM, Kind.SET})


def _with_fraction(plain: Column, args: str) -> Column:
    return replace(plain, scale=int(args or 0))


_MEASURED: dict[Kind, Callable[[Column, str], Column]] = {
    Kind.BIT: lambda plain, args: replace(plain, precision=int(args or 1)),
    Kind.BINARY: lambda plain, args: replace(plain, length=int(args or 1)),
    **dict.fromkeys((Kind.DATETIME, Kind.TIMESTAMP, Kind.TIME), _with_fraction),
}
"""What the number in brackets is, and its value when there is none."""

_TYPE = re.compile(r"^(?P<base>[a-z0-9]+)(?:\((?P<args>.*)\))?(?P<rest>[^()]*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Parsed:
    base: str
    args: str
    rest: str


def column(name: str, type_text: str, *, nullable: bool, charset: str | None, as_bytes: bool = False) -> Column:
    """The column that `information_schema.COLUMNS` describes by COLUMN_TYPE and CHARACTER_SET_NAME.

    Args:
        name: COLUMN_NAME.
        type_text: COLUMN_TYPE.
        nullable: Whether IS_NULLABLE says YES.
        charset: CHARACTER_SET_NAME, None where the type has none.
        as_bytes: Whether a text is to be carried as the octets that the server stores, whatever they mean.

    Raises:
        SourceError: values of this type cannot be carried exactly, or have no octets to be carried as.
    """
    match = _TYPE.match(type_text.lower())
    parsed = _Parsed(match["base"], match["args"] or "", match["rest"]) if match else _Parsed("", "", "")
    kind = _KINDS.get(parsed.base)
    # Old temporals (`/* mariadb-5.3 */`) are logged in forms of their own.
    if kind is None or "mariadb-5.3" in parsed.rest:
        raise SourceError(f"type {type_text} of column {name} cannot be carried exactly")
    if as_bytes:
        return _octets(name, type_text, kind, nullable=nullable)
    if kind in _IN_CHARSET and charset not in KNOWN:
        raise SourceError(f"type {type_text} in {charset} of column {name} cannot be carried exactly")
    return _described(Column(name, type_text, kind, nullable=nullable), parsed, charset or "")


def _octets(name: str, type_text: str, kind: Kind, *, nullable: bool) -> Column:
    if kind is not Kind.TEXT:
        raise SourceError(f"column {name} is a {type_text}, and only texts can be watched as bytes")
    return Column(name, type_text, Kind.BYTES, nullable=nullable)


def _described(plain: Column, parsed: _Parsed, charset: str) -> Column:
    kind = plain.kind
    if kind is Kind.INTEGER:
        return replace(plain, octets=_INTEGER_OCTETS[parsed.base], unsigned="unsigned" in parsed.rest)
    if kind is Kind.DECIMAL:
        precision, scale = (int(part) for part in parsed.args.split(","))
        return replace(plain, precision=precision, scale=scale)
    if kind in _IN_CHARSET:
        return replace(plain, charset=charset)
    # One number in brackets: bits, octets or digits of a second's fraction.
    measure = _MEASURED.get(kind)
    return measure(plain, parsed.args) if measure else plain
