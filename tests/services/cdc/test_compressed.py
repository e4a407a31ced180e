"""Compressed values: what was put in comes out, and what was compressed otherwise is refused."""

from __future__ import annotations

import zlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.errors import DecodeError
from services.cdc.compressed import uncompressed


def stored(plain: bytes, form: str) -> bytes:
    """As the server stores a value."""
    if not plain or form == "plain":
        return b"\0" + plain if plain else b""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS if form == "header" else -zlib.MAX_WBITS)
    width = (len(plain).bit_length() + 7) // 8
    how = 0x80 | width | (0 if form == "header" else 8)
    return bytes([how]) + len(plain).to_bytes(width, "big") + packer.compress(plain) + packer.flush()


@given(st.lists(st.none() | st.tuples(st.binary(max_size=400), st.sampled_from(["plain", "header", "bare"]))))
def test_what_was_compressed_comes_out(drawn: list[tuple[bytes, str] | None]) -> None:
    values = pa.array([None if one is None else stored(*one) for one in drawn], pa.binary())
    assert uncompressed(values, "c").to_pylist() == [None if one is None else one[0] for one in drawn]


@pytest.mark.parametrize(
    "octets", [b"\x90\x01a", b"\x81\x01junk", b"\x81\x02" + stored(b"a" * 9, "header")[2:], b"\x81"]
)
def test_what_was_not_is_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError, match="compressed value in column c"):
        uncompressed(pa.array([octets], pa.binary()), "c")
