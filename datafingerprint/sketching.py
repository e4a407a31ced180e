"""Sums and sketches of whole columns by partition. Each row is digested once for both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa

from datafingerprint.digests import identities, native_sums
from datafingerprint.fingerprint import MODULUS, Fingerprint
from datafingerprint.grouping import Grouping, group_rows
from datafingerprint.native.library import library
from datafingerprint.partitions import Partitioning
from datafingerprint.schema import Column
from datafingerprint.sketch import Entries, Sketch, Words, of_entries
from datafingerprint.sketch_keys import Keys, SketchForm, halves_of

Key = TypeVar("Key")

CELLS_AT_ONCE = 1 << 17
"""Cells that are filled in one go, 48 bytes each; of more partitions one after another is."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What rows add to the sums and sketches of their partitions.

    Attributes:
        sums: By partition, the fingerprint of its rows.
        form: How sketches are made.
        keys: The halves of the rows' packed keys.
        digests: Both halves of every row's digest, one behind the other.
        groups: The partition of each row.
    """

    sums: dict[str, Fingerprint]
    form: SketchForm
    keys: Keys
    digests: Words
    groups: Grouping

    def sketches(self) -> Iterator[tuple[str, Sketch]]:
        """The sketch of each partition, one at a time. There may be as many partitions as rows."""
        names, codes = self.groups.names, self.groups.codes
        native = library()
        if native is not None and len(names) * self.form.cells <= CELLS_AT_ONCE:
            made = native.sketches.by_group(self.keys, self.digests, codes, len(names), self.form.cells)
            yield from zip(names, made, strict=True)
            return
        if codes is None:
            for name in names:
                yield name, self._sketch(None, 0, len(self.digests) // 2)
            return
        order = np.argsort(codes, kind="stable").astype(np.int64)
        ends = np.cumsum(np.bincount(codes, minlength=len(names)))
        start = 0
        for name, end in zip(names, ends.tolist(), strict=True):
            yield name, self._sketch(order, start, end)
            start = end

    def _sketch(self, order: np.ndarray[Any, Any] | None, start: int, end: int) -> Sketch:
        native = library()
        if native is not None:
            return native.sketches.sketch(self.keys, self.digests, order, (start, end), self.form.cells)
        pairs = self.digests.reshape(-1, 2)
        rows = np.arange(start, end) if order is None else order[start:end]
        entries = Entries(*self.keys, pairs[:, 0], pairs[:, 1]).take(rows)
        return of_entries(entries, self.form.cells)


class HeldSketches(Generic[Key]):
    """Sketches that grow, by a key. Where there are many, they are held deflated."""

    def __init__(self) -> None:
        self._held: dict[Key, Sketch | bytes] = {}

    def get(self, key: Key) -> Sketch | None:
        """The sketch of a key, if there is one."""
        held = self._held.get(key)
        return Sketch.from_bytes(held) if isinstance(held, bytes) else held

    def add(self, key: Key, sketch: Sketch) -> None:
        """Adds to the sketch of a key."""
        before = self.get(key)
        self.put(key, sketch if before is None else before + sketch)

    def put(self, key: Key, sketch: Sketch) -> None:
        """Sets the sketch of a key."""
        is_few = len(self._held) * len(sketch) <= CELLS_AT_ONCE
        self._held[key] = sketch if is_few else sketch.to_bytes()

    def remove(self, key: Key) -> None:
        """Forgets the sketch of a key, if there is one."""
        self._held.pop(key, None)

    def take(self) -> dict[Key, bytes]:
        """All sketches as they are stored; none is held afterwards."""
        held, self._held = self._held, {}
        return {
            key: sketch_or_bytes if isinstance(sketch_or_bytes, bytes) else sketch_or_bytes.to_bytes()
            for key, sketch_or_bytes in held.items()
        }


def count_rows(rows: pa.Table, columns: tuple[Column, ...], partitioning: Partitioning, form: SketchForm) -> Counted:
    """Sums and sketches of rows by partition."""
    groups = group_rows(rows, partitioning)
    digests = np.empty(2 * rows.num_rows, np.uint64)
    sums = native_sums(rows, columns, partitioning, groups, digests) if rows.num_rows else {}
    if sums is None:
        digests = np.stack(halves_of(identities(rows, columns)), axis=1).reshape(-1)
        sums = _sums(digests.reshape(-1, 2), groups)
    return Counted(sums, form, form.keys(rows, digests), digests, groups)


def _sums(digests: Words, groups: Grouping) -> dict[str, Fingerprint]:
    codes = np.zeros(len(digests), np.int64) if groups.codes is None else groups.codes
    sums = np.zeros((len(groups.names), 2), np.uint64)
    np.add.at(sums, codes, digests)
    rows = np.bincount(codes, minlength=len(groups.names)).tolist()
    return {
        name: Fingerprint(count, hi, lo % MODULUS)
        for name, count, (hi, lo) in zip(groups.names, rows, sums.tolist(), strict=True)
    }
