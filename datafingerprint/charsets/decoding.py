"""Whole columns of stored octets to texts."""

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

Integers = npt.NDArray[np.int64]

_NONE = "\ufffe"
"""What `charmap_decode` takes for no character."""

_SURROGATES, _SURROGATES_LOW, _SURROGATES_END = 0xD800, 0xDC00, 0xE000
_OCTETS = 256
_LONGER = (0x80, 0x800, 0x10000)
"""The first numbers of characters that take one octet of UTF-8 more."""


def texts(values: pa.Array, charset: str, column: str) -> pa.Array:
    """The texts that are stored as these octets.

    Args:
        values: Binary, NULL where there is no value.
        charset: The server's name of the character set that they are stored in.
        column: Whose values they are, for the error.

    Raises:
        DecodeError: octets stand for no character, or for one that the server stores otherwise.
    """
    try:
        return _texts(values, charset)
    except (UnicodeDecodeError, KeyError, pa.ArrowInvalid) as error:
        which = f"x'{error.args[0].hex()}'" if isinstance(error, KeyError) and error.args else "octets"
        raise DecodeError(
            f"a text in column {column} holds {which}, which {charset} has no exact character for",
            remedy=f"mend the row on the source, or carry the column as bytes (as_bytes = ['{column}'] in the table's "
            "settings) and read the table again",
        ) from None


def _texts(values: pa.Array, charset: str) -> pa.Array:
    if charset in UTF8 or not len(values):
        return values.cast(pa.string())
    if charset in IN_CODE_UNITS:
        return _of_code_units(values, charset)
    return _of_octets(values, charset) if _is_of_octets(charset) else _of_unique(values, charset)


def _octets(values: pa.Array) -> tuple[bytes, Integers]:
    """The values back to back, and where each begins and the last one ends."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = values.buffers()[2]
    start, end = int(offsets[0]), int(offsets[-1])
    return (data.slice(start, end - start).to_pybytes() if data else b""), offsets.astype(np.int64) - start


def _rebuilt(values: pa.Array, text: str, ends: Integers) -> pa.Array:
    """Texts from all of them back to back; `ends` are the octets of UTF-8 up to each begin, and to the last end."""
    if ends[-1] > np.iinfo(np.int32).max:
        raise DecodeError("more than 2 GiB of texts in one piece")
    validity = pa.array(values.is_valid()).buffers()[1] if values.null_count else None
    buffers = [validity, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(text.encode())]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _of_octets(values: pa.Array, charset: str) -> pa.Array:
    """A character for every octet: all values at once."""
    data, offsets = _octets(values)
    letters, sizes = _letters(charset)
    if _NONE in letters and (missing := set(data).intersection(_missing(charset))):
        raise KeyError(bytes([min(missing)]))
    text, _ = codecs.charmap_decode(data, "strict", letters)
    upto = np.concatenate([[0], np.cumsum(sizes[np.frombuffer(data, np.uint8)])])
    return _rebuilt(values, text, upto[offsets])


@lru_cache
def _letters(charset: str) -> tuple[str, Integers]:
    """The character of each octet, and the size of its UTF-8."""
    table = table_of(charset)
    letters = "".join(table.get(bytes([octet]), _NONE) for octet in range(_OCTETS))
    return letters, np.array([len(letter.encode()) for letter in letters], dtype=np.int64)


@lru_cache
def _missing(charset: str) -> frozenset[int]:
    return frozenset(octet for octet in range(_OCTETS) if bytes([octet]) not in table_of(charset))


@lru_cache
def _is_of_octets(charset: str) -> bool:
    return all(len(code) == 1 for code in table_of(charset))


def _of_code_units(values: pa.Array, charset: str) -> pa.Array:
    """Unicode in units of one width: all values at once."""
    codec, unit = IN_CODE_UNITS[charset]
    data, offsets = _octets(values)
    width = int(unit[-1])
    if (offsets % width).any():
        raise KeyError
    units = np.frombuffer(data, unit).astype(np.int64)
    surrogate = (units >= _SURROGATES) & (units < _SURROGATES_END)
    firsts = offsets[:-1][offsets[:-1] < offsets[1:]] // width
    # Halves of one character could otherwise stand in two values.
    if (charset == "ucs2" and surrogate.any()) or (surrogate[firsts] & (units[firsts] >= _SURROGATES_LOW)).any():
        raise KeyError
    sizes = 1 + sum((units >= longer).astype(np.int64) for longer in _LONGER) - surrogate
    upto = np.concatenate([[0], np.cumsum(sizes)])
    return _rebuilt(values, data.decode(codec), upto[offsets // width])


def _of_unique(values: pa.Array, charset: str) -> pa.Array:
    """Codes of several lengths: each different value once."""
    decode = decoder(charset)
    coded = values.dictionary_encode()
    made = [decode(one) for one in coded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(made, pa.string())).cast(pa.string())


_IN_GB18030 = re.compile(rb"(?s)[\x81-\xfe][0-9][\x81-\xfe][0-9]|[\x81-\xfe].|.")


class _Gb18030(dict[bytes, str]):
    """Codes of four octets follow a rule that the library knows; the table has those of one and two, and exceptions."""

    def __missing__(self, code: bytes) -> str:
        if len(code) != 4:  # noqa: PLR2004 - octets
            raise KeyError(code)
        try:
            return code.decode("gb18030")
        except UnicodeDecodeError:
            raise KeyError(code) from None


@lru_cache
def decoder(charset: str) -> Callable[[bytes], str]:
    """What makes a text of one value.

    The function raises KeyError, with the code, where there is no character for it.
    """
    table = table_of(charset)
    if charset == "gb18030":
        table, codes = _Gb18030(table), _IN_GB18030
    else:
        codes = _codes(table)
    find, character = codes.findall, table.__getitem__
    return lambda octets: "".join(map(character, find(octets)))


def _codes(table: dict[bytes, str]) -> re.Pattern[bytes]:
    """Takes the codes of a text apart; the first octet tells how many belong to one."""
    leads: dict[int, set[bytes]] = {}
    for code in table:
        leads.setdefault(len(code), set()).add(re.escape(code[:1]))
    forms = [b"[%b].{%d}" % (b"".join(sorted(found)), length - 1) for length, found in leads.items() if length > 1]
    return re.compile(b"|".join([*forms, b"."]), re.DOTALL)
