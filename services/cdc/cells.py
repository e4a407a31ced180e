"""Where in row images each image, and each value of a column, lies: in native code, or in Python and numpy.

Both find the same; the second is for machines where the library could not be built, and the oracle of the first.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datafingerprint.errors import DecodeError
from datafingerprint.kernel.binlog import Binlog
from services.cdc.log_types import Extent
from services.cdc.values import Cut, Integers, Octets, little, windows

_WIDEST = 16
"""Values are cut out as windows of the widest field, and numbers of up to so many octets."""


def image_starts(octets: bytes, layout: tuple[Extent, ...], native: Binlog | None) -> Integers:
    """Where each image begins.

    Raises:
        DecodeError: the images do not end where the bytes do.
    """
    if native is None:
        starts = _walked_starts(octets, layout)
    else:
        widths, prefixes = np.array([(one.width, one.prefix) for one in layout], np.int32).T.copy()
        starts = native.images(octets, widths, prefixes)
    if starts is None:
        raise DecodeError("row images do not end where their event does")
    return starts


def cuts(octets: bytes, starts: Integers, layout: tuple[Extent, ...], native: Binlog | None) -> Iterator[Cut]:
    """Each column as it lies in images that begin there, in their order, all of them to be gone through."""
    bitmap_octets = (len(layout) + 7) // 8
    widest = max([_WIDEST, *(one.width for one in layout)])
    padded = np.frombuffer(octets + bytes(widest), np.uint8)
    following = starts + bitmap_octets
    if native is not None:
        for index, one in enumerate(layout):
            yield Cut(padded, *native.column(padded, starts, following, index, one.width, one.prefix))
        return
    nulls = np.unpackbits(windows(padded, starts, bitmap_octets), axis=1, bitorder="little").astype(np.bool_)
    for index, one in enumerate(layout):
        null = nulls[:, index]
        at = np.where(null, 0, following)
        size = np.where(null, 0, _sizes(padded, at, one))
        following = following + size
        yield Cut(padded, at, size, null)


def _sizes(octets: Octets, at: Integers, extent: Extent) -> Integers | int:
    return extent.prefix + little(windows(octets, at, extent.prefix)) if extent.prefix else extent.width


def _walked_starts(octets: bytes, layout: tuple[Extent, ...]) -> Integers | None:
    """The starts, image after image; None when they do not end where the bytes do."""
    bitmap_octets = (len(layout) + 7) // 8
    plans: dict[bytes, tuple[list[tuple[int, int]], int]] = {}
    starts: list[int] = []
    position, end = 0, len(octets)
    while position < end:
        starts.append(position)
        bitmap = octets[position : position + bitmap_octets]
        plan = plans.get(bitmap)
        if plan is None:
            plan = plans[bitmap] = _plan(bitmap, layout)
        steps, tail = plan
        position += bitmap_octets
        for skip, prefix in steps:
            position += skip
            # Past the end there is no length; that is found below.
            position += prefix + int.from_bytes(octets[position : position + prefix], "little")
        position += tail
    return np.array(starts, dtype=np.int64) if position == end else None


def _plan(bitmap: bytes, layout: tuple[Extent, ...]) -> tuple[list[tuple[int, int]], int]:
    """For one bitmap: the fixed widths before each length prefix, and the width after the last one."""
    nulls = int.from_bytes(bitmap, "little")
    steps: list[tuple[int, int]] = []
    skip = 0
    for index, one in enumerate(layout):
        if nulls >> index & 1:
            continue
        if one.prefix:
            steps.append((skip, one.prefix))
            skip = 0
        else:
            skip += one.width
    return steps, skip
