"""Checks the directory of temporary files for `datafingerprint doctor`."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.checkup import CheckResult, Component
from datafingerprint.config import Scratch

PART = Component("temporary files")

FREE_BYTES_MIN = 4 << 30
"""About the size of two transactions of 5,000,000 ordinary rows each."""


class ScratchCheckup:
    """Checks the directory on this machine. Services on other machines have their own."""

    def __init__(self, scratch: Scratch) -> None:
        self._directory = scratch.directory

    def findings(self) -> Iterator[CheckResult]:
        """Checks that files can be created there, and the free space."""
        yield from PART.looked("directory", self._free_space)

    def _free_space(self) -> Iterator[CheckResult]:
        scratch = TemporaryScratch(self._directory)
        with contextlib.closing(scratch.open()) as file:
            file.append(bytes(4096))
            file.read(0, 1)
        free = shutil.disk_usage(scratch.directory).free
        free_space = f"{scratch.directory} has {free / (1 << 30):,.1f} GiB free"
        if free >= FREE_BYTES_MIN:
            yield PART.ok("directory", free_space)
        else:
            remedy = "free space, or set [scratch] directory to a larger disk: long transactions are buffered there"
            yield PART.warning("directory", free_space, remedy)
