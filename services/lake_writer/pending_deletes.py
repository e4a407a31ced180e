"""Identities to delete from a lake table, in parts on disk, and the rows that have them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from datafingerprint.digests import run
from datafingerprint.ports.scratch import Scratch
from datafingerprint.routing import parts_of, split_by_part
from services.lake_writer.fold import LEFT, TAKEN, Mask
from services.lake_writer.spill_file import Segment, SpillFile


class PendingDeletes:
    """The `NetChange.removed_ids` of all parts.

    Args:
        parts: Number of parts of the identities.
        every_copy: Whether an identity deletes all rows that have it. Otherwise it deletes as many as `copies`.
        scratch: Where they are stored.
    """

    def __init__(self, parts: int, scratch: Scratch, *, every_copy: bool) -> None:
        self._scratch = scratch
        self._file = SpillFile(scratch)
        self._every_copy = every_copy
        self._segments: list[Segment | None] = [None] * parts

    def put(self, part: int, ids: pa.Table) -> None:
        """Sets the identities of one part. `ids` has the columns `id` and `copies`."""
        self._segments[part] = self._file.put(ids) if ids.num_rows else None

    @property
    def left(self) -> int:
        """Number of identities that have not been found. It is not kept up to date if `every_copy`."""
        return sum(segment.rows for segment in self._segments if segment)

    def take(self, ids: Iterable[pa.ChunkedArray]) -> Mask:
        """Marks which of the rows with these identities are deleted. Counted copies are used up."""
        spill = SpillFile(self._scratch)
        try:
            rows, pieces = self._split(spill, ids)
            mask = np.zeros(rows, dtype=np.bool_)
            for part, segments in enumerate(pieces):
                segment = self._segments[part]
                if segment is None or not segments:
                    continue
                removed = self._file.get(segment)
                taken = run(TAKEN, file=pa.concat_tables([spill.get(piece) for piece in segments]), removed=removed)
                mask[taken.column("image").to_numpy()] = True
                if taken.num_rows and not self._every_copy:
                    left = run(LEFT, removed=removed, taken=taken)
                    self.put(part, left.select(["id", "copies"]).cast(removed.schema))
            return mask
        finally:
            spill.close()

    def _split(self, spill: SpillFile, ids: Iterable[pa.ChunkedArray]) -> tuple[int, list[list[Segment]]]:
        """Splits identities by part.

        Returns the number of rows, and each part's identities with row numbers.
        """
        pieces: list[list[Segment]] = [[] for _ in self._segments]
        rows = 0
        for chunk in ids:
            where = parts_of(chunk, len(pieces))
            order = np.argsort(where, kind="stable")
            numbered = pa.table({"id": chunk, "image": pa.array(np.arange(rows, rows + len(chunk)))})
            for part, piece in split_by_part(numbered.take(pa.array(order)), where[order]):
                if self._segments[part] is not None:
                    pieces[part].append(spill.put(piece))
            rows += len(chunk)
        return rows, pieces

    def close(self) -> None:
        """Deletes the temporary file."""
        self._file.close()
