"""The canonical row: the bytes of a row that are digested (format version 1).

Fields are in the order of their lower-cased names (by UTF-8 bytes). NULL fields are left out, a field is `name=value`,
and `|` joins fields. Only length-prefixed values can contain a `|`, so no two rows have the same canonical row. This
module defines the text of one value in plain Python. The engines' SQL in `datafingerprint.sql` must agree with it, and
tests check that.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind

FORMAT_VERSION = 1

_RESERVED = {"%": "%25", "=": "%3D", "|": "%7C"}


def field_name(column_name: str) -> str:
    """A column's name in the canonical row: lower-cased, with `%`, `=` and `|` encoded."""
    return "".join(_RESERVED.get(character, character) for character in column_name.lower())


def field_order(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns in the order of the canonical row, which is not the table's."""
    return tuple(sorted(columns, key=lambda column: column.name.lower().encode()))


def _double_bits(value: float) -> str:
    # Adding zero turns -0.0 into 0.0. Servers print both alike, so both must have the same digest.
    return str(struct.unpack(">q", struct.pack(">d", float(value) + 0.0))[0])


def _moment(value: dt.datetime) -> str:
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return value.isoformat(" ", "microseconds")


def _text(value: str) -> str:
    return f"{len(value.encode())}:{value}"


def _decimal(value: Decimal | str) -> str:
    # A decimal with more digits than Parquet allows is carried as text, which already has this form.
    return value if isinstance(value, str) else format(value or abs(value), "f")


def _whole(value: Any) -> str:  # noqa: ANN401 - an integer, or a decimal that holds one
    return str(int(value))


_RENDERERS: dict[Kind, Callable[[Any], str]] = {
    **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.TIME), _whole),
    Kind.FLOAT: _double_bits,
    Kind.DOUBLE: _double_bits,
    Kind.DECIMAL: _decimal,
    Kind.DATE: dt.date.isoformat,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    **dict.fromkeys(TEXT_KINDS, _text),
    **dict.fromkeys(BYTES_KINDS, bytes.hex),
}


def canonical(row: Mapping[str, Any], columns: tuple[Column, ...]) -> bytes:
    """The canonical row of one row, given as Python values by column name."""
    return "|".join(
        f"{field_name(column.name)}={_RENDERERS[column.kind](row[column.name])}"
        for column in field_order(columns)
        if row[column.name] is not None
    ).encode()


def digest(row: Mapping[str, Any], columns: tuple[Column, ...]) -> bytes:
    """The MD5 of the canonical row, 16 bytes."""
    return hashlib.md5(canonical(row, columns), usedforsecurity=False).digest()
