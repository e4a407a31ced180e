"""The identities that leave a lake table, in parts on disk, and which rows of its files they take along."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from datafingerprint.digests import run
from datafingerprint.routing import cut, parts_of
from datafingerprint.scratch import Scratch
from services.lake_writer.fold import LEFT, TAKEN, Mask
from services.lake_writer.laid_aside import LaidAside, Place


class Removals:
    """What `NetChange.removed_ids` of all parts say together.

    Args:
        parts: In how many parts the identities are cut.
        every_copy: Whether an identity takes all rows that have it; else as many as `copies` says, and no more.
        scratch: Where they lie.
    """

    def __init__(self, parts: int, scratch: Scratch, *, every_copy: bool) -> None:
        self._scratch = scratch
        self._file = LaidAside(scratch)
        self._every_copy = every_copy
        self._places: list[Place | None] = [None] * parts

    def put(self, part: int, ids: pa.Table) -> None:
        """Says what leaves of one part; `ids` are columns `id` and `copies`."""
        self._places[part] = self._file.put(ids) if ids.num_rows else None

    @property
    def left(self) -> int:
        """Identities that are still to be taken; where every copy goes nobody counts."""
        return sum(place.rows for place in self._places if place)

    def taken(self, ids: Iterable[pa.ChunkedArray]) -> Mask:
        """Which of the rows with these identities leave; where copies count, they are used up."""
        aside = LaidAside(self._scratch)
        try:
            rows, pieces = self._parted(aside, ids)
            mask = np.zeros(rows, dtype=np.bool_)
            for part, places in enumerate(pieces):
                place = self._places[part]
                if place is None or not places:
                    continue
                removed = self._file.get(place)
                taken = run(TAKEN, file=pa.concat_tables([aside.get(one) for one in places]), removed=removed)
                mask[taken.column("image").to_numpy()] = True
                if taken.num_rows and not self._every_copy:
                    left = run(LEFT, removed=removed, taken=taken)
                    self.put(part, left.select(["id", "copies"]).cast(removed.schema))
            return mask
        finally:
            aside.close()

    def _parted(self, aside: LaidAside, ids: Iterable[pa.ChunkedArray]) -> tuple[int, list[list[Place]]]:
        """How many rows there are, and their identities with their numbers, by part."""
        pieces: list[list[Place]] = [[] for _ in self._places]
        rows = 0
        for chunk in ids:
            where = parts_of(chunk, len(pieces))
            order = np.argsort(where, kind="stable")
            numbered = pa.table({"id": chunk, "image": pa.array(np.arange(rows, rows + len(chunk)))})
            for part, one in cut(numbered.take(pa.array(order)), where[order]):
                if self._places[part] is not None:
                    pieces[part].append(aside.put(one))
            rows += len(chunk)
        return rows, pieces

    def close(self) -> None:
        """Lets go of all."""
        self._file.close()
