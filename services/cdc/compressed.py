"""Values of MariaDB's COMPRESSED columns, which lie in the log as the server stores them."""

from __future__ import annotations

import zlib

import pyarrow as pa

from datafingerprint.errors import DecodeError

_METHOD, _ZLIB = 0xF0, 0x80
_WITHOUT_HEADER, _LENGTH_OCTETS = 8, 7


def uncompressed(values: pa.Array, column: str) -> pa.Array:
    """The octets that were compressed, each different value once.

    Raises:
        DecodeError: a value was not compressed in the way that is known.
    """
    coded = values.dictionary_encode()
    try:
        made = [_inflated(one) for one in coded.dictionary.to_pylist()]
    except (zlib.error, ValueError) as error:
        raise DecodeError(f"a compressed value in column {column} cannot be decompressed: {error}") from error
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(made, pa.binary())).cast(pa.binary())


def _inflated(octets: bytes) -> bytes:
    """How it is compressed, the plain length from its highest octet on, and zlib's stream; or a zero, and the value."""
    if not octets:
        return b""
    how = octets[0]
    if how == 0:
        return octets[1:]
    if how & _METHOD != _ZLIB:
        raise ValueError(f"unknown way {how}")
    start = 1 + (how & _LENGTH_OCTETS)
    plain = zlib.decompress(octets[start:], -zlib.MAX_WBITS if how & _WITHOUT_HEADER else zlib.MAX_WBITS)
    if len(plain) != int.from_bytes(octets[1:start], "big"):
        raise ValueError("another length than it says")
    return plain
