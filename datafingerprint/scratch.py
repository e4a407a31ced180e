"""Where what does not fit in memory lies meanwhile: files of one's own that nobody else sees and no restart finds."""

from __future__ import annotations

from typing import IO, Protocol

import pyarrow as pa


class ScratchFile(Protocol):
    """One file; gone when it is closed, and with the process, however that ends."""

    def append(self, octets: bytes | pa.Buffer) -> int:
        """Writes behind what is there; returns the offset where it begins.

        Raises:
            Unavailable: the disk is full, or fails.
        """

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes from an offset on; fewer at the end.

        Raises:
            Unavailable: the disk fails.
        """

    def truncate(self, length: int) -> None:
        """Forgets what lies behind the first `length` bytes."""

    def close(self) -> None:
        """Gives the space back; harmless when it is closed already."""


class Scratch(Protocol):
    """Makes such files."""

    def spooled(self) -> IO[bytes]:
        """A new, empty file that may be read anywhere; it lies in memory while it is short."""

    def open(self) -> ScratchFile:
        """A new, empty file.

        Raises:
            Unavailable: none can be made.
        """
