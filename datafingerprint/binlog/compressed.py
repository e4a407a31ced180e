"""Values of MariaDB's COMPRESSED columns, which the binlog holds as the server stores them."""

from __future__ import annotations

import zlib

import pyarrow as pa

from datafingerprint.errors import DecodeError

_METHOD, _ZLIB = 0xF0, 0x80
_WITHOUT_HEADER, _LENGTH_BYTES = 8, 7


def decompress(values: pa.Array, column: str) -> pa.Array:
    """The plain values. Each different value is decompressed once.

    Raises:
        DecodeError: a value is compressed by an unknown method, or damaged.
    """
    encoded = values.dictionary_encode()
    try:
        plain = [_decompress_value(value) for value in encoded.dictionary.to_pylist()]
    except (zlib.error, ValueError) as error:
        raise DecodeError(f"a compressed value in column {column} cannot be decompressed: {error}") from error
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(plain, pa.binary())).cast(pa.binary())


def _decompress_value(value: bytes) -> bytes:
    """One plain value.

    The first byte names the method and the width of the length. The plain length follows, its highest byte first, and
    then zlib's stream. After a first byte of 0 the value is plain.
    """
    if not value:
        return b""
    method = value[0]
    if method == 0:
        return value[1:]
    if method & _METHOD != _ZLIB:
        raise ValueError(f"unknown method {method}")
    start = 1 + (method & _LENGTH_BYTES)
    plain = zlib.decompress(value[start:], -zlib.MAX_WBITS if method & _WITHOUT_HEADER else zlib.MAX_WBITS)
    if len(plain) != int.from_bytes(value[1:start], "big"):
        raise ValueError("its length is not the one that it names")
    return plain
