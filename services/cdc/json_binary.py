"""MySQL's binary JSON to the text that the server prints of it.

The layout is that of the server's source, "json_binary.h": a type octet, and a value whose offsets count from the
first octet after it. Objects and arrays come small (numbers of two octets) and large (of four); what fits into an
entry stands in it. The text is `CAST(c AS CHAR)`'s: members in the stored order, `, ` and `: ` between them.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring

from datafingerprint.errors import DecodeError
from services.cdc.log_types import DECIMAL_OCTETS, decimal_groups

_LITERALS = {0: "null", 1: "true", 2: "false"}
_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = range(5)
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING = range(5, 13)
_OPAQUE = 15
_TIMESTAMP, _DATE, _TIME, _DATETIME, _DECIMAL = 7, 10, 11, 12, 246
_COUNTS = {2: struct.Struct("<HH"), 4: struct.Struct("<II")}
_KEY, _ENTRY = {2: "HH", 4: "IH"}, {2: "BH", 4: "BI"}
_INLINED = {2: frozenset({_LITERAL, _INT16, _UINT16}), 4: frozenset({_LITERAL, _INT16, _UINT16, _INT32, _UINT32})}
_INT64_FORM, _FLOAT_FORM = struct.Struct("<q"), struct.Struct("<d")
_LENGTH_OCTETS_MAX = 5
_BASE64_LINE = 76
_DIGITS_PLAIN_MAX, _ZEROS_PLAIN_MAX = 15, 14
_INTEGERS_PLAIN_END = 10.0**_DIGITS_PLAIN_MAX

Reader = Callable[[bytes, int], str]
"""Makes the text of a value of one type, given the document and where the value begins."""

# Quotes, backslashes and control characters are escaped as the server escapes them; everything else stays.
_quoted = encode_basestring


def json_text(octets: bytes) -> str:
    """The text of a document as it lies in a row image.

    Raises:
        DecodeError: the bytes are no document.
    """
    if not octets:
        # What the server stores where NULL met a NOT NULL column in a lenient mode, and reads as this.
        return "null"
    try:
        return _Document(octets).value(octets[0], 1)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"a JSON document of {len(octets)} bytes is damaged") from error


@lru_cache(maxsize=1024)
def _form(width: int, keys: int, entries: int) -> struct.Struct:
    """The entries of so many keys and values, read at once."""
    return struct.Struct("<" + _KEY[width] * keys + _ENTRY[width] * entries)


class _Document:
    """A document while it is read."""

    __slots__ = ("_entries_left", "_octets")

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        # Every entry takes three octets: damaged offsets could lead in circles, or many times to one place.
        self._entries_left = len(octets) // 3

    def value(self, kind: int, at: int) -> str:
        """The text of the value that begins there."""
        if kind <= _LARGE_OBJECT:
            return self._object(at, 2 if kind == _SMALL_OBJECT else 4)
        if kind <= _LARGE_ARRAY:
            return self._array(at, 2 if kind == _SMALL_ARRAY else 4)
        reader = _READERS.get(kind)
        if reader is None:
            raise DecodeError(f"a JSON document holds a value of the unknown type {kind}")
        return reader(self._octets, at)

    def _count(self, start: int, width: int) -> int:
        count: int = _COUNTS[width].unpack_from(self._octets, start)[0]
        self._entries_left -= count
        if self._entries_left < 0:
            raise IndexError
        return count

    def _array(self, start: int, width: int) -> str:
        entries = _form(width, 0, self._count(start, width)).unpack_from(self._octets, start + 2 * width)
        return f"[{', '.join(self._values(start, width, entries))}]"

    def _object(self, start: int, width: int) -> str:
        count = self._count(start, width)
        fields = _form(width, count, count).unpack_from(self._octets, start + 2 * width)
        keys, entries = fields[: 2 * count], fields[2 * count :]
        names = [
            _quoted(_cut(self._octets, start + offset, length).decode())
            for offset, length in zip(keys[::2], keys[1::2], strict=True)
        ]
        values = self._values(start, width, entries)
        return f"{{{', '.join([f'{name}: {value}' for name, value in zip(names, values, strict=True)])}}}"

    def _values(self, start: int, width: int, entries: tuple[int, ...]) -> list[str]:
        """The values, each as it stands in its entry, or else where the entry says."""
        inlined = _INLINED[width]
        return [
            _inlined(kind, field) if kind in inlined else self.value(kind, start + field)
            for kind, field in zip(entries[::2], entries[1::2], strict=True)
        ]


def _inlined(kind: int, field: int) -> str:
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
    return lambda octets, at: str(unpack_from(octets, at)[0])


def _sized(octets: bytes, at: int) -> bytes:
    """What lies behind its length: seven bits an octet, the lowest ones first, the highest bit set but in the last."""
    length = 0
    for number in range(_LENGTH_OCTETS_MAX):
        octet = octets[at + number]
        length |= (octet & 0x7F) << 7 * number
        if octet < 0x80:  # noqa: PLR2004 - the highest bit
            return _cut(octets, at + number + 1, length)
    raise IndexError


def _cut(octets: bytes, at: int, length: int) -> bytes:
    if at + length > len(octets):
        raise IndexError
    return octets[at : at + length]


def double_text(value: float) -> str:
    """A double by the fewest digits that give it back, as the server writes them."""
    if not math.isfinite(value):
        raise DecodeError("a JSON document holds a double that is no number")
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
    """A value that JSON has no form for: a decimal as a number, days and times as strings, all else in base 64."""
    kind, octets = document[at], _sized(document, at + 1)
    if kind == _DECIMAL:
        return _decimal(octets[0], octets[1], octets[2:])
    if kind in (_DATE, _DATETIME, _TIMESTAMP, _TIME):
        return f'"{_moment(kind, *_INT64_FORM.unpack(octets))}"'
    plain = base64.b64encode(octets).decode()
    lines = [plain[at : at + _BASE64_LINE] for at in range(0, len(plain), _BASE64_LINE)]
    return f'"base64:type{kind}:' + "\\n".join(lines) + '"'


def _decimal(precision: int, scale: int, octets: bytes) -> str:
    groups = decimal_groups(precision, scale)
    if len(octets) != sum(DECIMAL_OCTETS[count] for count in groups):
        raise IndexError
    negative = octets[0] < 0x80  # noqa: PLR2004 - the sign bit, inverted
    plain = bytes(octet ^ 0xFF for octet in octets) if negative else octets
    plain = bytes([plain[0] ^ 0x80]) + plain[1:]
    digits, at = "", 0
    for count in groups:
        width = DECIMAL_OCTETS[count]
        digits += f"{int.from_bytes(plain[at : at + width], 'big'):0{count}}"
        at += width
    whole = digits[: precision - scale].lstrip("0") or "0"
    fraction = f".{digits[precision - scale :]}" if scale else ""
    return f"{'-' if negative else ''}{whole}{fraction}"


def _moment(kind: int, packed: int) -> str:
    """A day or time: a fraction in 24 bits, six for seconds and minutes each, then hours, or hours, day and month."""
    size = abs(packed)
    us, seconds, minutes = size & 0xFFFFFF, size >> 24 & 63, size >> 30 & 63
    clock = f"{minutes:02}:{seconds:02}.{us:06}"
    if kind == _TIME:
        return f"{'-' if packed < 0 else ''}{size >> 36 & 0x3FF:02}:{clock}"
    months = size >> 46
    day = f"{months // 13:04}-{months % 13:02}-{size >> 41 & 31:02}"
    return day if kind == _DATE else f"{day} {size >> 36 & 31:02}:{clock}"


_READERS: dict[int, Reader] = {
    _LITERAL: lambda octets, at: _LITERALS[octets[at]],
    _INT16: _number("<h"),
    _UINT16: _number("<H"),
    _INT32: _number("<i"),
    _UINT32: _number("<I"),
    _INT64: _number("<q"),
    _UINT64: _number("<Q"),
    _DOUBLE: lambda octets, at: double_text(_FLOAT_FORM.unpack_from(octets, at)[0]),
    _STRING: lambda octets, at: _quoted(_sized(octets, at).decode()),
    _OPAQUE: _opaque,
}
