"""Binlog events as they came from a server together: checked, without their checksums, and not yet understood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Some events in their order, one at least.

    Attributes:
        octets: They lie in here, each with its header; what lies between them is none of theirs.
        begins: Where each begins.
        ends: Where each ends.
    """

    octets: bytes
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @staticmethod
    def of(*events: bytes) -> Events:
        """These events."""
        places = np.array([*accumulate(map(len, events), initial=0)], np.int64)
        return Events(b"".join(events), places[:-1], places[1:])

    def __len__(self) -> int:
        """How many there are."""
        return len(self.begins)

    def __getitem__(self, index: int) -> bytes:
        """One of them."""
        return self.octets[self.begins[index] : self.ends[index]]

    def __iter__(self) -> Iterator[bytes]:
        """One after another."""
        for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True):
            yield self.octets[begin:end]
