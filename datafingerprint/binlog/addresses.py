"""UUIDs and IP addresses as MariaDB prints them, from the bytes that it stores."""

from __future__ import annotations

from itertools import groupby, pairwise

_UUID_GROUPS = (0, 8, 12, 16, 20, 32)
_WORDS = 8
_V4_MAPPED = 0xFFFF
_V4_WORDS = 6
"""Words before an IPv4 address inside an IPv6 one."""


def uuid_text(raw: bytes) -> str:
    """`3f06af63-a93c-11e4-9797-00505690773f`, from 16 bytes."""
    digits = raw.hex()
    return "-".join(digits[start:stop] for start, stop in pairwise(_UUID_GROUPS))


def inet4_text(raw: bytes) -> str:
    """`192.0.2.1`, from 4 bytes."""
    return ".".join(map(str, raw))


def inet6_text(raw: bytes) -> str:
    """`2001:db8::ff00:42:8329`, from 16 bytes.

    The first of the longest runs of zero words becomes `::`. Unlike in RFC 5952, a single zero word is such a run too.
    IPv4-mapped and IPv4-compatible addresses end in dotted form.
    """
    words = [int.from_bytes(raw[at : at + 2]) for at in range(0, 2 * _WORDS, 2)]
    start, length = _longest_zeros(words)
    if start == 0 and length == _V4_WORDS:
        return f"::{inet4_text(raw[12:])}"
    if start == 0 and length == _V4_WORDS - 1 and words[length] == _V4_MAPPED:
        return f"::ffff:{inet4_text(raw[12:])}"
    before, after = (":".join(f"{word:x}" for word in part) for part in (words[:start], words[start + length :]))
    return f"{before}::{after}" if length else before


def _longest_zeros(words: list[int]) -> tuple[int, int]:
    """Start and length of the first of the longest runs of zeros.

    Returns:
        The end of the words, and length 0, if no word is zero.
    """
    longest, at = (_WORDS, 0), 0
    for is_zero, run in groupby(words, key=lambda word: word == 0):
        length = len(list(run))
        if is_zero and length > longest[1]:
            longest = (at, length)
        at += length
    return longest
