"""The fingerprint of a set of rows: exact, additive, and independent of the rows' order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MODULUS = 1 << 64


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The sum over a multiset of rows: their number and both halves of their digests.

    The halves are modulo 2^64. `rows` is negative in a difference that removes more rows than it adds. An unknown sum
    is `None`, never `ZERO`: an unread partition is not an empty one.
    """

    rows: int
    hi: int
    lo: int

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.rows + other.rows, (self.hi + other.hi) % MODULUS, (self.lo + other.lo) % MODULUS)

    def __mul__(self, times: int) -> Fingerprint:
        return Fingerprint(self.rows * times, self.hi * times % MODULUS, self.lo * times % MODULUS)

    def __neg__(self) -> Fingerprint:
        return Fingerprint(-self.rows, -self.hi % MODULUS, -self.lo % MODULUS)

    def __sub__(self, other: Fingerprint) -> Fingerprint:
        return self + -other

    @property
    def value(self) -> str:
        """The number that users compare, in decimal digits (64 bits exceed a JSON number)."""
        return str(self.lo)

    @property
    def digest(self) -> str:
        """All 128 bits in hexadecimal, the high half first."""
        return f"{self.hi:016x}{self.lo:016x}"


ZERO = Fingerprint(0, 0, 0)


def total(parts: Iterable[Fingerprint]) -> Fingerprint:
    """Adds up fingerprints."""
    result = ZERO
    for part in parts:
        result += part
    return result


def of_digests(digests: Iterable[bytes]) -> Fingerprint:
    """The fingerprint of rows with these 16-byte digests: the definition, and the tests' oracle."""
    result = ZERO
    for digest in digests:
        hi, lo = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
        result += Fingerprint(1, hi, lo)
    return result


def of_words(rows: int, words: Sequence[int]) -> Fingerprint:
    """Combines sums of the digests' four 32-bit words, the most significant first."""
    first, second, third, fourth = words
    return Fingerprint(rows, ((first << 32) + second) % MODULUS, ((third << 32) + fourth) % MODULUS)
