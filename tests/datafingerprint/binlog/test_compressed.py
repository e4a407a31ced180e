"""Compressed values are decompressed, and anything else is rejected."""

from __future__ import annotations

import zlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.binlog.compressed import decompress
from datafingerprint.errors import DecodeError


def stored(plain: bytes, form: str) -> bytes:
    """As the server stores a value."""
    if not plain or form == "plain":
        return b"\0" + plain if plain else b""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS if form == "header" else -zlib.MAX_WBITS)
    width = (len(plain).bit_length() + 7) // 8
    method = 0x80 | width | (0 if form == "header" else 8)
    return bytes([method]) + len(plain).to_bytes(width, "big") + packer.compress(plain) + packer.flush()


@given(st.lists(st.none() | st.tuples(st.binary(max_size=400), st.sampled_from(["plain", "header", "bare"]))))
def test_a_compressed_value_is_decompressed(drawn: list[tuple[bytes, str] | None]) -> None:
    values = pa.array([None if value is None else stored(*value) for value in drawn], pa.binary())
    assert decompress(values, "c").to_pylist() == [None if value is None else value[0] for value in drawn]


@pytest.mark.parametrize("data", [b"\x90\x01a", b"\x81\x01junk", b"\x81\x02" + stored(b"a" * 9, "header")[2:], b"\x81"])
def test_a_damaged_value_is_rejected(data: bytes) -> None:
    with pytest.raises(DecodeError, match="compressed value in column c"):
        decompress(pa.array([data], pa.binary()), "c")
