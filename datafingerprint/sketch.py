"""Sketches of sets of rows. The difference of two sketches names the rows that differ.

A sketch is an invertible Bloom lookup table (Eppstein, Goodrich, Uyeda, Varghese: "What's the Difference?", SIGCOMM
2011). Every row version is added to four cells, and every cell is a sum modulo 2^64. Sketches are therefore a group
under addition, as fingerprints are: exact, independent of order, and a change costs the same in any table.

`docs/design/sketches.md` specifies the cells in bytes.
"""

from __future__ import annotations

import itertools
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datafingerprint.fingerprint import MODULUS, Fingerprint
from datafingerprint.sketch_limits import CELLS_MAX, PLACES

WORDS = 6
"""Words of 64 bits of a cell: count, key hi, key lo, digest hi, digest lo, check."""

HALVINGS_MAX = 3
"""A cell of one row version that counts a multiple of 2^4 copies is not taken apart."""

_COUNT, _CHECK = 0, 5
_SLICE_BITS = 16
_MASK = MODULUS - 1
_KEY_HI, _KEY_LO = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F
_MIX_1, _MIX_2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
_SHIFT = 33
_HALF = 32

Words = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Entries:
    """Row versions as whole columns: the two halves of their packed keys and of their digests."""

    key_hi: Words
    key_lo: Words
    digest_hi: Words
    digest_lo: Words

    def __len__(self) -> int:
        return len(self.key_hi)

    def take(self, rows: np.ndarray[Any, Any]) -> Entries:
        """The entries of some rows, by their places."""
        return Entries(self.key_hi[rows], self.key_lo[rows], self.digest_hi[rows], self.digest_lo[rows])


@dataclass(frozen=True, slots=True, order=True)
class RowVersion:
    """One row as one side has it: its packed key and its digest, as numbers of 128 bits."""

    key: int
    digest: int


@dataclass(frozen=True, slots=True)
class Overflow:
    """More row versions differ than the sketch can name."""


class Sketch:
    """Cells of a set of row versions; a value, never altered after it was made.

    Args:
        cells: One line of six unsigned 64-bit words a cell, as `WORDS` lists them.
    """

    __slots__ = ("cells",)

    def __init__(self, cells: Words) -> None:
        self.cells = cells

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and bool(np.array_equal(self.cells, other.cells))

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.cells)

    def __add__(self, other: Sketch) -> Sketch:
        return Sketch(self.cells + other.cells)

    def __sub__(self, other: Sketch) -> Sketch:
        return Sketch(self.cells - other.cells)

    def __neg__(self) -> Sketch:
        return Sketch(np.zeros_like(self.cells) - self.cells)

    def __mul__(self, times: int) -> Sketch:
        return Sketch(self.cells * np.uint64(times % MODULUS))

    @property
    def is_zero(self) -> bool:
        """Whether nothing is in it."""
        return not self.cells.any()

    def to_bytes(self) -> bytes:
        """The cells as they are stored: word by word, byte by byte, deflated.

        Like bytes lie together, so that what is nought in all cells (high halves of small keys, untouched cells)
        takes next to no room.
        """
        content = np.ascontiguousarray(self.cells.T, "<u8").view(np.uint8).reshape(-1, 8)
        return zlib.compress(np.ascontiguousarray(content.T).tobytes(), 1)

    @staticmethod
    def from_bytes(stored: bytes) -> Sketch:
        """What `to_bytes` wrote.

        Raises:
            ValueError: it is not that.
        """
        try:
            content = np.frombuffer(zlib.decompress(stored), np.uint8)
        except zlib.error as error:
            raise ValueError("stored cells are damaged") from error
        if len(content) % (WORDS * 8 * PLACES):
            raise ValueError("stored cells are of another length")
        words = np.ascontiguousarray(content.reshape(8, -1).T).view("<u8").reshape(WORDS, -1)
        return Sketch(np.ascontiguousarray(words.T, np.uint64))


def zero(cells: int) -> Sketch:
    """The sketch of no rows.

    Raises:
        ValueError: no sketch has so many cells.
    """
    if cells % PLACES or not PLACES <= cells <= CELLS_MAX:
        raise ValueError(f"a sketch has a multiple of {PLACES} cells, at most {CELLS_MAX}, not {cells}")
    return Sketch(np.zeros((cells, WORDS), np.uint64))


def of_entries(entries: Entries, cells: int) -> Sketch:
    """The sketch of row versions: whole columns in numpy, and the oracle of the native code."""
    made = zero(cells)
    checks = checks_of(entries)
    added = np.stack(
        [np.ones(len(entries), np.uint64), entries.key_hi, entries.key_lo, entries.digest_hi, entries.digest_lo, checks]
    ).T
    for quarter in range(PLACES):
        np.add.at(made.cells, _places(checks, quarter, cells // PLACES), added)
    return made


def checks_of(entries: Entries) -> Words:
    """The check hash of every row version."""
    first = _mixed(entries.digest_hi + _turned(entries.key_hi) * np.uint64(_KEY_HI))
    return _mixed(first ^ (entries.digest_lo + _turned(entries.key_lo) * np.uint64(_KEY_LO)))


def _turned(words: Words) -> Words:
    """Words with their halves exchanged.

    A cell of copies loses the highest bits of its words. So they must not be the highest ones in both key and digest.
    """
    return (words << np.uint64(_HALF)) | (words >> np.uint64(_HALF))


def _mixed(words: Words) -> Words:
    shift = np.uint64(_SHIFT)
    words = (words ^ (words >> shift)) * np.uint64(_MIX_1)
    words = (words ^ (words >> shift)) * np.uint64(_MIX_2)
    return words ^ (words >> shift)


def _places(checks: Words, quarter: int, width: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    slices = (checks >> np.uint64(_SLICE_BITS * quarter)) & np.uint64((1 << _SLICE_BITS) - 1)
    return (quarter * width + ((slices * np.uint64(width)) >> np.uint64(_SLICE_BITS))).astype(np.int64)


# --- taking a difference apart


def peel(difference: Sketch, expected: Fingerprint) -> Counter[RowVersion] | Overflow:
    """The row versions that the one side of a difference has more often than the other.

    Args:
        difference: The source's sketch less the lake's.
        expected: The source's fingerprint less the lake's. What was found must add up to it.

    Returns:
        By row version how many more of it the source has, negative where the lake has more.
    """
    cells = [[int(word) for word in line] for line in difference.cells]
    width = len(cells) // PLACES
    versions: Counter[RowVersion] = Counter()
    waiting = list(range(len(cells)))
    # A cell is looked at once, and again whenever a row version was taken out of it. Every true one empties a cell,
    # so that more of them than cells cannot be; this bound ends a chain of cells that only seemed to hold one.
    left = 2 * len(cells)
    while waiting and left:
        taken = _only(cells[waiting.pop()])
        if taken is None:
            continue
        left -= 1
        version, times = taken
        versions[version] += times
        check = check_of(version)
        for place in places_of(check, width):
            _take_out(cells[place], version, check, times)
            waiting.append(place)
    if any(map(any, cells)) or _sum(versions) != expected:
        return Overflow()
    return Counter({version: times for version, times in versions.items() if times})


def check_of(version: RowVersion) -> int:
    """The check hash of one row version: the definition."""
    first = _mix(_hi(version.digest) + _turn(_hi(version.key)) * _KEY_HI)
    return _mix(first ^ ((_lo(version.digest) + _turn(_lo(version.key)) * _KEY_LO) & _MASK))


def _turn(word: int) -> int:
    return (word << _HALF | word >> _HALF) & _MASK


def places_of(check: int, width: int) -> Iterator[int]:
    """The cells of a row version, where a quarter of the sketch has `width` cells."""
    for quarter in range(PLACES):
        part = (check >> (_SLICE_BITS * quarter)) & ((1 << _SLICE_BITS) - 1)
        yield quarter * width + (part * width >> _SLICE_BITS)


def _mix(word: int) -> int:
    word &= _MASK
    word = (word ^ (word >> _SHIFT)) * _MIX_1 & _MASK
    word = (word ^ (word >> _SHIFT)) * _MIX_2 & _MASK
    return word ^ (word >> _SHIFT)


def _hi(number: int) -> int:
    return number >> 64


def _lo(number: int) -> int:
    return number & _MASK


def _only(cell: Sequence[int]) -> tuple[RowVersion, int] | None:
    """The row version that a cell holds, and how often, if it holds copies of one alone."""
    count = cell[_COUNT] - MODULUS if cell[_COUNT] >> 63 else cell[_COUNT]
    if not count:
        return None
    halvings = (count & -count).bit_length() - 1
    unit = (1 << halvings) - 1
    if halvings > HALVINGS_MAX or any(word & unit for word in cell[1:]):
        return None
    # All sums are `count` times the row's words. An odd factor is divided out exactly; a factor of two loses the
    # highest bit, so that both values of that bit are tried.
    inverse = pow(count >> halvings, -1, MODULUS)
    halves = [(word >> halvings) * inverse & (_MASK >> halvings) for word in cell[1:_CHECK]]
    high_bits = [high << (64 - halvings) for high in range(unit + 1)]
    for highs in itertools.product(high_bits, repeat=len(halves)):
        key_hi, key_lo, digest_hi, digest_lo = (low | high for low, high in zip(halves, highs, strict=True))
        version = RowVersion(key_hi << 64 | key_lo, digest_hi << 64 | digest_lo)
        if check_of(version) * count & _MASK == cell[_CHECK]:
            return version, count
    return None


def _take_out(cell: list[int], version: RowVersion, check: int, times: int) -> None:
    words = (1, _hi(version.key), _lo(version.key), _hi(version.digest), _lo(version.digest), check)
    for place, word in enumerate(words):
        cell[place] = (cell[place] - word * times) & _MASK


def _sum(versions: Counter[RowVersion]) -> Fingerprint:
    rows = sum(versions.values())
    hi = sum(_hi(version.digest) * times for version, times in versions.items())
    lo = sum(_lo(version.digest) * times for version, times in versions.items())
    return Fingerprint(rows, hi % MODULUS, lo % MODULUS)
