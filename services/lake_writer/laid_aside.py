"""Rows laid aside in a temporary file, in pieces that are read back one by one."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from datafingerprint.scratch import Scratch

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece lies, and how many rows it has."""

    offset: int
    length: int
    rows: int


class LaidAside:
    """One temporary file of rows; pieces may have different columns."""

    def __init__(self, scratch: Scratch) -> None:
        self._file = scratch.open()

    def put(self, rows: pa.Table) -> Place:
        """Lays a piece aside.

        Raises:
            Unavailable: there is no room on the disk.
        """
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema, options=_OPTIONS) as writer:
            writer.write_table(rows.combine_chunks())
        octets = sink.getvalue()
        return Place(self._file.append(octets), octets.size, rows.num_rows)

    def get(self, place: Place) -> pa.Table:
        """A piece as it was."""
        return pa.ipc.open_stream(self._file.read(place.offset, place.length)).read_all()

    def close(self) -> None:
        """Gives the space back."""
        self._file.close()
