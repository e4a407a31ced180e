"""The functions of `sketch.c`: they make sketches and pack short texts as keys."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pyarrow as pa

from datafingerprint.fingerprint import MODULUS
from datafingerprint.sketch import WORDS, Entries, Sketch, Words, of_entries, zero
from datafingerprint.sketch_limits import PLACES

_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64
_TRIED_ROWS, _TRIED_CELLS = 50, 24
_TRIED_TEXTS = ("", "a", "exactly fifteen", "sixteen  bytes !", None, "é|\x00")


class Sketches:
    """Both functions; they let other threads run meanwhile."""

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._sketch, self._pack = loaded.dfp_sketch, loaded.dfp_pack
        self._sketch.argtypes = (*[_POINTER] * 5, _LONG, _LONG, ctypes.c_uint32, _POINTER)
        self._sketch.restype = None
        self._pack.argtypes = (_POINTER, ctypes.c_int32, _POINTER, _POINTER, _LONG, _LONG, _POINTER, _POINTER)
        self._pack.restype = None

    def sketch(
        self,
        keys: tuple[Words, Words],
        digests: Words,
        order: np.ndarray[Any, Any] | None,
        rows: tuple[int, int],
        cells: int,
    ) -> Sketch:
        """The sketch of some rows.

        Args:
            keys: The high and the low halves of the rows' keys.
            digests: Both halves of every row's digest, one behind the other.
            order: Places of rows as 64-bit integers; None for all rows in their own order.
            rows: Which of these places count: the first, and the one behind the last.
            cells: How many cells the sketch has.
        """
        made = zero(cells)
        places = None if order is None else order.ctypes.data
        self._add(keys, digests, (places, None), rows, made.cells)
        return made

    def by_group(
        self, keys: tuple[Words, Words], digests: Words, groups: np.ndarray[Any, Any] | None, count: int, cells: int
    ) -> list[Sketch]:
        """The sketches of all groups of rows, at once.

        Args:
            keys: See `sketch`.
            digests: See `sketch`.
            groups: Of each row its group, as 32-bit integers; None when all are of group 0.
            count: How many groups there are.
            cells: How many cells a sketch has.
        """
        made = np.zeros((count, cells, WORDS), np.uint64)
        place = None if groups is None else groups.ctypes.data
        self._add(keys, digests, (None, place), (0, len(digests) // 2), made)
        return [Sketch(cells_of_one) for cells_of_one in made]

    def _add(
        self,
        keys: tuple[Words, Words],
        digests: Words,
        places: tuple[int | None, int | None],
        rows: tuple[int, int],
        made: Words,
    ) -> None:
        hi, lo = (np.ascontiguousarray(half, np.uint64) for half in keys)
        width = made.shape[-2] // PLACES
        self._sketch(hi.ctypes.data, lo.ctypes.data, digests.ctypes.data, *places, *rows, width, made.ctypes.data)

    def pack(self, texts: pa.Array, hi: Words, lo: Words) -> None:
        """Writes the keys of texts of at most 15 bytes to their places, and no others."""
        valid, offsets, data = texts.buffers()
        is_long = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
        places = (offsets.address, is_long, data.address if data else None, valid.address if valid else None)
        self._pack(*places, texts.offset, len(texts), hi.ctypes.data, lo.ctypes.data)

    def agree(self) -> bool:
        """Whether the functions do on a few rows what the plain definitions say."""
        words = np.random.default_rng(1).integers(0, MODULUS, (4, _TRIED_ROWS), np.uint64)
        entries = Entries(*words)
        digests = np.ascontiguousarray(words[2:].T)
        order = np.arange(_TRIED_ROWS, dtype=np.int64)
        made = self.sketch((words[0], words[1]), digests, order, (0, _TRIED_ROWS), _TRIED_CELLS)
        return made == of_entries(entries, _TRIED_CELLS) and self._packs()

    def _packs(self) -> bool:
        texts = pa.array([None, *_TRIED_TEXTS], pa.string())[1:]
        hi, lo = (np.zeros(len(texts), np.uint64) for _ in range(2))
        self.pack(texts, hi, lo)
        made = [(int(high) << 64) + int(low) for high, low in zip(hi, lo, strict=True)]
        return made == [packed_text(text.encode()) if text is not None else 0 for text in _TRIED_TEXTS]


PACKED_MAX = 15
"""Bytes of a text that fit into a key after their number."""


def packed_text(content: bytes) -> int:
    """The key of a short text: its length, its bytes, zeros. It is 0 for a longer text."""
    if len(content) > PACKED_MAX:
        return 0
    return int.from_bytes((bytes([len(content)]) + content).ljust(16, b"\0"))
