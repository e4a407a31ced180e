"""Rows in a temporary file, in pieces that are read back one by one."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from datafingerprint.ports.scratch import Scratch

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Segment:
    """Location of a piece in the file, and its number of rows."""

    offset: int
    length: int
    rows: int


class SpillFile:
    """One temporary file of rows. Pieces may have different columns."""

    def __init__(self, scratch: Scratch) -> None:
        self._file = scratch.open()

    def put(self, rows: pa.Table) -> Segment:
        """Writes a piece to the file.

        Raises:
            Unavailable: the disk is full.
        """
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=_OPTIONS) as writer:
            writer.write_table(rows.combine_chunks())
        payload = sink.getvalue()
        return Segment(self._file.append(payload), payload.size, rows.num_rows)

    def get(self, segment: Segment) -> pa.Table:
        """Reads a piece."""
        return pa.ipc.open_stream(self._file.read(segment.offset, segment.length)).read_all()

    def close(self) -> None:
        """Deletes the file."""
        self._file.close()
