"""Converts MySQL's binary JSON to the text that the server prints.

The layout is that of the server's source, "json_binary.h": a byte with the type, and a value. Its offsets count from
the first byte after the type. Small objects and arrays have numbers of two bytes, and large ones of four. A value
that is short enough is stored in its entry. The text is that of `CAST(c AS CHAR)`: members in the stored order, with
`, ` and `: ` between them.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring

from datafingerprint.binlog.log_types import DECIMAL_BYTES, decimal_groups
from datafingerprint.errors import DecodeError

_LITERALS = {0: "null", 1: "true", 2: "false"}
_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = range(5)
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING = range(5, 13)
_OPAQUE = 15
_TIMESTAMP, _DATE, _TIME, _DATETIME, _DECIMAL = 7, 10, 11, 12, 246
_COUNTS = {2: struct.Struct("<HH"), 4: struct.Struct("<II")}
_KEY, _ENTRY = {2: "HH", 4: "IH"}, {2: "BH", 4: "BI"}
_INLINED = {2: frozenset({_LITERAL, _INT16, _UINT16}), 4: frozenset({_LITERAL, _INT16, _UINT16, _INT32, _UINT32})}
_INT64_FORM, _FLOAT_FORM = struct.Struct("<q"), struct.Struct("<d")
_LENGTH_BYTES_MAX = 5
_BASE64_LINE = 76
_DIGITS_PLAIN_MAX, _ZEROS_PLAIN_MAX = 15, 14
_INTEGERS_PLAIN_END = 10.0**_DIGITS_PLAIN_MAX

Reader = Callable[[bytes, int], str]
"""Makes the text of a value of one type, given the document and the value's offset."""

# Escapes quotes, backslashes and control characters as the server does, and nothing else.
_quote = encode_basestring


def json_text(document: bytes) -> str:
    """The text of a document as a row image stores it.

    Raises:
        DecodeError: the document is damaged.
    """
    if not document:
        # In a lenient mode the server stores this for NULL in a NOT NULL column, and prints `null`.
        return "null"
    try:
        return _Document(document).value(document[0], 1)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"a JSON document of {len(document)} bytes is damaged") from error


@lru_cache(maxsize=1024)
def _form(width: int, keys: int, entries: int) -> struct.Struct:
    """Parses the entries of some keys and values at once."""
    return struct.Struct("<" + _KEY[width] * keys + _ENTRY[width] * entries)


class _Document:
    """A document that is being converted."""

    __slots__ = ("_document", "_entries_left")

    def __init__(self, document: bytes) -> None:
        self._document = document
        # Every entry takes three bytes. Without this limit damaged offsets could lead in circles.
        self._entries_left = len(document) // 3

    def value(self, kind: int, at: int) -> str:
        """The text of the value at this offset."""
        if kind <= _LARGE_OBJECT:
            return self._object(at, 2 if kind == _SMALL_OBJECT else 4)
        if kind <= _LARGE_ARRAY:
            return self._array(at, 2 if kind == _SMALL_ARRAY else 4)
        reader = _READERS.get(kind)
        if reader is None:
            raise DecodeError(f"a JSON document holds a value of the unknown type {kind}")
        return reader(self._document, at)

    def _count(self, start: int, width: int) -> int:
        count: int = _COUNTS[width].unpack_from(self._document, start)[0]
        self._entries_left -= count
        if self._entries_left < 0:
            raise IndexError
        return count

    def _array(self, start: int, width: int) -> str:
        entries = _form(width, 0, self._count(start, width)).unpack_from(self._document, start + 2 * width)
        return f"[{', '.join(self._values(start, width, entries))}]"

    def _object(self, start: int, width: int) -> str:
        count = self._count(start, width)
        fields = _form(width, count, count).unpack_from(self._document, start + 2 * width)
        keys, entries = fields[: 2 * count], fields[2 * count :]
        names = [
            _quote(_slice(self._document, start + offset, length).decode())
            for offset, length in zip(keys[::2], keys[1::2], strict=True)
        ]
        values = self._values(start, width, entries)
        return f"{{{', '.join([f'{name}: {value}' for name, value in zip(names, values, strict=True)])}}}"

    def _values(self, start: int, width: int, entries: tuple[int, ...]) -> list[str]:
        """The texts of the values, which are in the entries themselves or at their offsets."""
        inlined = _INLINED[width]
        return [
            _inline_value(kind, field) if kind in inlined else self.value(kind, start + field)
            for kind, field in zip(entries[::2], entries[1::2], strict=True)
        ]


def _inline_value(kind: int, field: int) -> str:
    if kind == _LITERAL:
        return _LITERALS[field & 0xFF]
    if kind == _INT16:
        field &= 0xFFFF
        return str(field - 0x10000 if field >= 0x8000 else field)  # noqa: PLR2004 - the sign bit
    if kind == _INT32:
        return str(field - 0x100000000 if field >= 0x80000000 else field)  # noqa: PLR2004 - the sign bit
    return str(field & 0xFFFF if kind == _UINT16 else field)


def _number(form: str) -> Reader:
    unpack_from = struct.Struct(form).unpack_from
    return lambda document, at: str(unpack_from(document, at)[0])


def _string(document: bytes, at: int) -> bytes:
    """The bytes that follow their length.

    Each byte of the length has seven bits, the lowest first. The highest bit is set in all but the last.
    """
    length = 0
    for number in range(_LENGTH_BYTES_MAX):
        byte = document[at + number]
        length |= (byte & 0x7F) << 7 * number
        if byte < 0x80:  # noqa: PLR2004 - the highest bit
            return _slice(document, at + number + 1, length)
    raise IndexError


def _slice(document: bytes, at: int, length: int) -> bytes:
    if at + length > len(document):
        raise IndexError
    return document[at : at + length]


def double_text(value: float) -> str:
    """A double in the server's form: the fewest digits that identify it."""
    if not math.isfinite(value):
        raise DecodeError("a JSON document holds a double that is not finite")
    shortest = repr(value)
    if "e" not in shortest and (abs(value) < _INTEGERS_PLAIN_END or not shortest.endswith(".0")):
        return shortest
    sign = "-" if value < 0 else ""
    digits, point = _digits(shortest.removeprefix("-"))
    # The value is 0.digits times ten to the power of `point`.
    if -_ZEROS_PLAIN_MAX <= point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1}"


def _digits(shortest: str) -> tuple[str, int]:
    mantissa, _, exponent = shortest.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).rstrip("0")
    return digits, len(whole) + int(exponent or 0)


def _opaque(document: bytes, at: int) -> str:
    """A value of another type: a decimal, a date or time, or base 64 of anything else."""
    kind, raw = document[at], _string(document, at + 1)
    if kind == _DECIMAL:
        return _decimal(raw[0], raw[1], raw[2:])
    if kind in (_DATE, _DATETIME, _TIMESTAMP, _TIME):
        return f'"{_temporal(kind, *_INT64_FORM.unpack(raw))}"'
    plain = base64.b64encode(raw).decode()
    lines = [plain[at : at + _BASE64_LINE] for at in range(0, len(plain), _BASE64_LINE)]
    return f'"base64:type{kind}:' + "\\n".join(lines) + '"'


def _decimal(precision: int, scale: int, raw: bytes) -> str:
    groups = decimal_groups(precision, scale)
    if len(raw) != sum(DECIMAL_BYTES[count] for count in groups):
        raise IndexError
    negative = raw[0] < 0x80  # noqa: PLR2004 - the sign bit, inverted
    plain = bytes(byte ^ 0xFF for byte in raw) if negative else raw
    plain = bytes([plain[0] ^ 0x80]) + plain[1:]
    digits, at = "", 0
    for count in groups:
        width = DECIMAL_BYTES[count]
        digits += f"{int.from_bytes(plain[at : at + width], 'big'):0{count}}"
        at += width
    whole = digits[: precision - scale].lstrip("0") or "0"
    fraction = f".{digits[precision - scale :]}" if scale else ""
    return f"{'-' if negative else ''}{whole}{fraction}"


def _temporal(kind: int, packed: int) -> str:
    """A date or time.

    From the low end: 24 bits of microseconds, six each of seconds and minutes, then hours, day and month.
    """
    size = abs(packed)
    us, seconds, minutes = size & 0xFFFFFF, size >> 24 & 63, size >> 30 & 63
    clock = f"{minutes:02}:{seconds:02}.{us:06}"
    if kind == _TIME:
        return f"{'-' if packed < 0 else ''}{size >> 36 & 0x3FF:02}:{clock}"
    months = size >> 46
    day = f"{months // 13:04}-{months % 13:02}-{size >> 41 & 31:02}"
    return day if kind == _DATE else f"{day} {size >> 36 & 31:02}:{clock}"


_READERS: dict[int, Reader] = {
    _LITERAL: lambda document, at: _LITERALS[document[at]],
    _INT16: _number("<h"),
    _UINT16: _number("<H"),
    _INT32: _number("<i"),
    _UINT32: _number("<I"),
    _INT64: _number("<q"),
    _UINT64: _number("<Q"),
    _DOUBLE: lambda document, at: double_text(_FLOAT_FORM.unpack_from(document, at)[0]),
    _STRING: lambda document, at: _quote(_string(document, at).decode()),
    _OPAQUE: _opaque,
}
