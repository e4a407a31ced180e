"""Temporary files for data that exceeds memory; private, and gone after a restart."""

from __future__ import annotations

from typing import IO, Protocol

import pyarrow as pa


class ScratchFile(Protocol):
    """One file. It is gone when it is closed or the process ends, however that happens."""

    def append(self, data: bytes | pa.Buffer) -> int:
        """Appends data.

        Returns:
            The offset of the appended data.

        Raises:
            Unavailable: the disk is full, or fails.
        """

    def read(self, offset: int, length: int) -> bytes:
        """Reads `length` bytes from an offset; fewer at the end.

        Raises:
            Unavailable: the disk fails.
        """

    def truncate(self, length: int) -> None:
        """Keeps only the first `length` bytes."""

    def close(self) -> None:
        """Frees the space; no effect if it is closed already."""


class Scratch(Protocol):
    """Creates temporary files."""

    def spooled(self) -> IO[bytes]:
        """Opens a new, empty file for random access; a short one stays in memory."""

    def open(self) -> ScratchFile:
        """Opens a new, empty file.

        Raises:
            Unavailable: the file cannot be created.
        """
