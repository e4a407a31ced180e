"""Groups steps of a snapshot, so that many small tables need few epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from datafingerprint.ports.source import SnapshotRows, UnreadTable

TABLES_MAX = 100
"""Tables of one epoch: each is a topic of the Kafka transaction, which the broker marks one after the other."""

GROUP_S = 1.0
"""Seconds after which what has been read is published, once the step that is being read has come."""

GROUP_ROWS = 5_000
GROUP_BYTES = 4 << 20
"""Rows and bytes of a group that another step may still join; a step itself is bounded by `cdc.snapshot_rows`."""

Steps = Sequence[SnapshotRows | UnreadTable]

_Item = TypeVar("_Item")


def batches(items: Sequence[_Item], size: int = TABLES_MAX) -> Iterator[Sequence[_Item]]:
    """Slices a sequence; one empty slice where it is empty."""
    for start in range(0, max(1, len(items)), size):
        yield items[start : start + size]


def grouped(
    steps: Iterable[SnapshotRows | UnreadTable], clock: Callable[[], float] = time.monotonic
) -> Iterator[Steps]:
    """Groups steps in their order; a group ends when it is full, or a second old.

    Rows of a table and the news that it could not be read to its end are never in one group: no epoch has rows of a
    table that it sets aside.

    Args:
        steps: What a snapshot reads.
        clock: Seconds that only go forward.
    """
    group: list[SnapshotRows | UnreadTable] = []
    rows = size_bytes = 0
    began = 0.0
    for step in steps:
        if isinstance(step, UnreadTable) and any(each.table == step.table for each in group):
            yield group
            group, rows, size_bytes = [], 0, 0
        if not group:
            began = clock()
        group.append(step)
        if isinstance(step, SnapshotRows):
            rows += step.rows.num_rows
            size_bytes += step.rows.nbytes
        is_full = len(group) >= TABLES_MAX or rows >= GROUP_ROWS or size_bytes >= GROUP_BYTES
        if is_full or clock() - began >= GROUP_S:
            yield group
            group, rows, size_bytes = [], 0, 0
    if group:
        yield group
