"""Binlog events that arrived together: verified, without checksums, and not parsed yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """At least one event, in the order of the log.

    Attributes:
        data: The events, each with its header. Bytes between two events belong to none.
        begins: Offset of each event.
        ends: Offset of the end of each event.
    """

    data: bytes
    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @staticmethod
    def of(*events: bytes) -> Events:
        """These events."""
        offsets = np.array([*accumulate(map(len, events), initial=0)], np.int64)
        return Events(b"".join(events), offsets[:-1], offsets[1:])

    def __len__(self) -> int:
        """How many events there are."""
        return len(self.begins)

    def __getitem__(self, index: int) -> bytes:
        """The event with this index."""
        return self.data[self.begins[index] : self.ends[index]]

    def __iter__(self) -> Iterator[bytes]:
        """The events in their order."""
        for begin, end in zip(self.begins.tolist(), self.ends.tolist(), strict=True):
            yield self.data[begin:end]
