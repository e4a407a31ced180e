"""Packets and windows in native code, against the slow obvious way."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.binlog.native import Binlog, native_binlog

HEADER = 19


@pytest.fixture(scope="module")
def native() -> Binlog:
    """Built by `./run` wherever the tests run."""
    functions = native_binlog()
    assert functions is not None
    return functions


TYPE_AT, FORMAT_DESCRIPTION = 4, 15


def packet(event: bytes, sequence: int, *, has_checksum: bool, status: int = 0) -> bytes:
    checksum = zlib.crc32(event).to_bytes(4, "little") if has_checksum else b""
    content = bytes([status]) + event + checksum
    return len(content).to_bytes(3, "little") + bytes([sequence % 256]) + content


def in_python(data: bytes, sequence: int, *, have_checksums: bool) -> tuple[list[bytes], int]:
    """The events of ordinary packets, and the length of these packets."""
    events: list[bytes] = []
    at = 0
    while len(data) - at >= 4:
        size = int.from_bytes(data[at : at + 3], "little")
        content = data[at + 4 : at + 4 + size]
        least = 1 + HEADER + (4 if have_checksums else 0)
        number = (sequence + len(events)) % 256
        if size < least or size == 0xFFFFFF or len(content) < size or data[at + 3] != number or content[0]:
            break
        if content[1 + TYPE_AT] == FORMAT_DESCRIPTION:
            break
        event = content[1:-4] if have_checksums else content[1:]
        if have_checksums and zlib.crc32(event) != int.from_bytes(content[-4:], "little"):
            break
        events.append(event)
        at += 4 + size
    return events, at


@given(
    st.lists(st.binary(min_size=15, max_size=90), max_size=12),
    st.integers(0, 255),
    st.booleans(),
    st.none() | st.tuples(st.integers(0, 2000), st.integers(1, 255)),
    st.integers(0, 200),
)
@settings(max_examples=500, deadline=None)
def test_packets_are_taken_up_to_the_first_that_is_not_ordinary(
    bodies: list[bytes], sequence: int, has_checksums: bool, damage: tuple[int, int] | None, cut: int
) -> None:
    native = native_binlog()
    assert native is not None
    data = bytearray(b"".join(packet(body, sequence + n, has_checksum=has_checksums) for n, body in enumerate(bodies)))
    if damage and data:
        data[damage[0] % len(data)] ^= damage[1]
    data = data[: max(0, len(data) - cut)]
    packets = native.packets(bytes(data), sequence, have_checksums=has_checksums)
    events = [bytes(data[a:b]) for a, b in zip(packets.begins.tolist(), packets.ends.tolist(), strict=True)]
    assert (events, packets.length) == in_python(bytes(data), sequence, have_checksums=has_checksums)


def test_checksums_of_any_length_are_those_of_zlib(native: Binlog) -> None:
    chance = np.random.default_rng(3)
    for length in [*range(HEADER, 70), 1_000, 65_537]:
        event = chance.bytes(length)
        data = packet(event, 7, has_checksum=True)
        assert native.packets(data, 7, have_checksums=True).length == len(data)
        wrong = data[:-1] + bytes([data[-1] ^ 1])
        assert native.packets(wrong, 7, have_checksums=True).length == 0


def test_an_event_that_describes_its_file_is_left_to_the_caller(native: Binlog) -> None:
    first, other = packet(bytes(30), 0, has_checksum=True), bytes(4) + bytes([FORMAT_DESCRIPTION]) + bytes(30)
    assert native.packets(first + packet(other, 1, has_checksum=True), 0, have_checksums=True).length == len(first)


def test_an_error_an_end_and_the_longest_packet_are_left_to_the_client_library(native: Binlog) -> None:
    event = bytes(30)
    first = packet(event, 0, has_checksum=False)
    for status in (0xFF, 0xFE):
        other = packet(event, 1, has_checksum=False, status=status)
        assert native.packets(first + other, 0, have_checksums=False).length == len(first)
    longest = (0xFFFFFF).to_bytes(3, "little") + b"\1\0" + bytes(0xFFFFFE)
    assert native.packets(first + longest, 0, have_checksums=False).length == len(first)


@given(st.binary(min_size=30, max_size=60), st.lists(st.integers(0, 12)), st.integers(0, 17))
def test_windows_are_the_bytes_at_their_positions(data: bytes, positions: list[int], width: int) -> None:
    native = native_binlog()
    assert native is not None
    rows = native.windows(np.frombuffer(data, np.uint8), np.array(positions, np.int64), width)
    assert [row.tobytes() for row in rows] == [data[at : at + width] for at in positions]
