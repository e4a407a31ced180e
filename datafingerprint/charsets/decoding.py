"""Decodes whole columns of stored bytes to texts."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datafingerprint.charsets.tables import IN_CODE_UNITS, UTF8, table_of
from datafingerprint.errors import DecodeError
from datafingerprint.recovery import DECODE_FEWER_ROWS

Integers = npt.NDArray[np.int64]

_NO_CHARACTER = "\ufffe"
"""The sign by which `charmap_decode` knows that a byte has no character."""

_SURROGATES, _SURROGATES_LOW, _SURROGATES_END = 0xD800, 0xDC00, 0xE000
_BYTES = 256
_LONGER = (0x80, 0x800, 0x10000)
"""The code points from which a character takes one more byte in UTF-8."""


def texts(values: pa.Array, charset: str, column: str) -> pa.Array:
    """The texts of binary values.

    Args:
        values: The stored bytes, which may be NULL.
        charset: The character set in which they are stored, by the server's name.
        column: The name of the column, for the error.

    Raises:
        DecodeError: a code has no character, or one that the server stores as another code.
    """
    try:
        return _texts(values, charset)
    except (UnicodeDecodeError, KeyError, pa.ArrowInvalid) as error:
        unknown = f"x'{error.args[0].hex()}'" if isinstance(error, KeyError) and error.args else "bytes"
        raise DecodeError(
            f"a text in column {column} holds {unknown}, which {charset} has no exact character for",
            remedy=f"correct the row on the source, or capture the column as bytes (as_bytes = ['{column}'] in the "
            "table's settings) and re-snapshot the table",
        ) from None


def _texts(values: pa.Array, charset: str) -> pa.Array:
    if charset in UTF8 or not len(values):
        return values.cast(pa.string())
    if charset in IN_CODE_UNITS:
        return _from_code_units(values, charset)
    return _from_single_bytes(values, charset) if _is_single_byte(charset) else _from_table(values, charset)


def _joined(values: pa.Array) -> tuple[bytes, Integers]:
    """All values back to back, with the offset of each, and the end of the last."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = values.buffers()[2]
    start, end = int(offsets[0]), int(offsets[-1])
    return (data.slice(start, end - start).to_pybytes() if data else b""), offsets.astype(np.int64) - start


def _text_array(values: pa.Array, text: str, ends: Integers) -> pa.Array:
    """Splits a text into an array.

    Args:
        values: The stored values, with their NULLs.
        text: All texts back to back.
        ends: Offset of each text in UTF-8, and the end of the last.
    """
    if ends[-1] > np.iinfo(np.int32).max:
        raise DecodeError("more than 2 GiB of texts in one batch", remedy=DECODE_FEWER_ROWS)
    validity = pa.array(values.is_valid()).buffers()[1] if values.null_count else None
    buffers = [validity, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(text.encode())]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _from_single_bytes(values: pa.Array, charset: str) -> pa.Array:
    """Decodes character sets with one byte per character, all values at once."""
    data, offsets = _joined(values)
    letters, sizes = _letters(charset)
    if _NO_CHARACTER in letters and (missing := set(data).intersection(_missing_bytes(charset))):
        raise KeyError(bytes([min(missing)]))
    text, _ = codecs.charmap_decode(data, "strict", letters)
    utf8_offsets = np.concatenate([[0], np.cumsum(sizes[np.frombuffer(data, np.uint8)])])
    return _text_array(values, text, utf8_offsets[offsets])


@lru_cache
def _letters(charset: str) -> tuple[str, Integers]:
    """The character of each byte, and its size in UTF-8."""
    table = table_of(charset)
    letters = "".join(table.get(bytes([byte]), _NO_CHARACTER) for byte in range(_BYTES))
    return letters, np.array([len(letter.encode()) for letter in letters], dtype=np.int64)


@lru_cache
def _missing_bytes(charset: str) -> frozenset[int]:
    return frozenset(byte for byte in range(_BYTES) if bytes([byte]) not in table_of(charset))


@lru_cache
def _is_single_byte(charset: str) -> bool:
    return all(len(code) == 1 for code in table_of(charset))


def _from_code_units(values: pa.Array, charset: str) -> pa.Array:
    """Decodes Unicode in units of one width, all values at once."""
    codec, unit = IN_CODE_UNITS[charset]
    data, offsets = _joined(values)
    width = int(unit[-1])
    if (offsets % width).any():
        raise KeyError
    units = np.frombuffer(data, unit).astype(np.int64)
    surrogate = (units >= _SURROGATES) & (units < _SURROGATES_END)
    firsts = offsets[:-1][offsets[:-1] < offsets[1:]] // width
    # Without this check the two halves of a character could be in two values.
    if (charset == "ucs2" and surrogate.any()) or (surrogate[firsts] & (units[firsts] >= _SURROGATES_LOW)).any():
        raise KeyError
    sizes = 1 + sum((units >= first).astype(np.int64) for first in _LONGER) - surrogate
    utf8_offsets = np.concatenate([[0], np.cumsum(sizes)])
    return _text_array(values, data.decode(codec), utf8_offsets[offsets // width])


def _from_table(values: pa.Array, charset: str) -> pa.Array:
    """Decodes codes of several lengths. Each different value is decoded once."""
    decode = decoder(charset)
    encoded = values.dictionary_encode()
    converted = [decode(value) for value in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(converted, pa.string())).cast(pa.string())


_IN_GB18030 = re.compile(rb"(?s)[\x81-\xfe][0-9][\x81-\xfe][0-9]|[\x81-\xfe].|.")


class _Gb18030(dict[bytes, str]):
    """A table that leaves most codes of four bytes to Python's codec.

    It has the codes of one and two bytes, and the codes of four bytes that differ on the servers.
    """

    def __missing__(self, code: bytes) -> str:
        if len(code) != 4:  # noqa: PLR2004 - bytes
            raise KeyError(code)
        try:
            return code.decode("gb18030")
        except UnicodeDecodeError:
            raise KeyError(code) from None


@lru_cache
def decoder(charset: str) -> Callable[[bytes], str]:
    """A function that decodes one value.

    It raises KeyError, with the code, if a code has no character.
    """
    table = table_of(charset)
    if charset == "gb18030":
        table, codes = _Gb18030(table), _IN_GB18030
    else:
        codes = _codes(table)
    find, character = codes.findall, table.__getitem__
    return lambda raw: "".join(map(character, find(raw)))


def _codes(table: dict[bytes, str]) -> re.Pattern[bytes]:
    """A pattern that splits a text into codes. The first byte of a code determines its length."""
    leads: dict[int, set[bytes]] = {}
    for code in table:
        leads.setdefault(len(code), set()).add(re.escape(code[:1]))
    forms = [
        b"[%b].{%d}" % (b"".join(sorted(lead_bytes)), length - 1) for length, lead_bytes in leads.items() if length > 1
    ]
    return re.compile(b"|".join([*forms, b"."]), re.DOTALL)
