"""Looks at the directory of temporary files for `datafingerprint doctor`."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.config import Scratch
from datafingerprint.findings import Finding, Part

PART = Part("temporary files")

ROOM_OCTETS = 4 << 30
"""About what two transactions of 5,000,000 ordinary rows take at once."""


class ScratchCheckup:
    """Looks at the directory on this machine; services on other machines have their own."""

    def __init__(self, scratch: Scratch) -> None:
        self._directory = scratch.directory

    def findings(self) -> Iterator[Finding]:
        """Whether files can be made there, and how much room there is."""
        yield from PART.looked("directory", self._room)

    def _room(self) -> Iterator[Finding]:
        scratch = TemporaryScratch(self._directory)
        with contextlib.closing(scratch.open()) as file:
            file.append(bytes(4096))
            file.read(0, 1)
        free = shutil.disk_usage(scratch.directory).free
        said = f"{scratch.directory} has room for {free / (1 << 30):,.1f} GiB"
        if free >= ROOM_OCTETS:
            yield PART.ok("directory", said)
        else:
            remedy = "make room, or set [scratch] directory to a disk that has more: long transactions wait there"
            yield PART.warning("directory", said, remedy)
