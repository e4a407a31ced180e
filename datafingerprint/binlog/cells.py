"""Finds each row image, and each value of a column, in the bytes of row images.

There are two ways, native code and Python with numpy, and they give the same results. The second is for machines
where the library could not be built. Tests compare the first with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from datafingerprint.binlog.log_types import Extent
from datafingerprint.binlog.native import Binlog
from datafingerprint.binlog.values import Bytes, ColumnSlice, Integers, little_endian, windows
from datafingerprint.errors import DecodeError

_WIDEST = 16
"""The widest field, in bytes. Values are copied as windows of this width, and integers up to it."""


def row_starts(images: bytes, layout: tuple[Extent, ...], native: Binlog | None) -> Integers:
    """The offset of each image.

    Raises:
        DecodeError: the last image does not end where the bytes do.
    """
    if native is None:
        starts = _walk(images, layout)
    else:
        widths, prefixes = np.array([(extent.width, extent.prefix) for extent in layout], np.int32).T.copy()
        starts = native.images(images, widths, prefixes)
    if starts is None:
        raise DecodeError("row images do not end where their event does")
    return starts


def slice_columns(
    images: bytes, starts: Integers, layout: tuple[Extent, ...], native: Binlog | None
) -> Iterator[ColumnSlice]:
    """Each column's slice, in the order of the layout. The iterator must be read to its end."""
    bitmap_bytes = (len(layout) + 7) // 8
    widest = max([_WIDEST, *(extent.width for extent in layout)])
    padded = np.frombuffer(images + bytes(widest), np.uint8)
    following = starts + bitmap_bytes
    if native is not None:
        for index, extent in enumerate(layout):
            yield ColumnSlice(padded, *native.column(padded, starts, following, index, extent.width, extent.prefix))
        return
    nulls = np.unpackbits(windows(padded, starts, bitmap_bytes), axis=1, bitorder="little").astype(np.bool_)
    for index, extent in enumerate(layout):
        null = nulls[:, index]
        at = np.where(null, 0, following)
        size = np.where(null, 0, _sizes(padded, at, extent))
        following = following + size
        yield ColumnSlice(padded, at, size, null)


def _sizes(images: Bytes, at: Integers, extent: Extent) -> Integers | int:
    return extent.prefix + little_endian(windows(images, at, extent.prefix)) if extent.prefix else extent.width


def _walk(images: bytes, layout: tuple[Extent, ...]) -> Integers | None:
    """The offset of each image, found one after another.

    Returns:
        None if the last image does not end where the bytes do.
    """
    bitmap_bytes = (len(layout) + 7) // 8
    plans: dict[bytes, tuple[list[tuple[int, int]], int]] = {}
    starts: list[int] = []
    position, end = 0, len(images)
    while position < end:
        starts.append(position)
        bitmap = images[position : position + bitmap_bytes]
        plan = plans.get(bitmap)
        if plan is None:
            plan = plans[bitmap] = _plan(bitmap, layout)
        steps, tail = plan
        position += bitmap_bytes
        for skip, prefix in steps:
            position += skip
            # Past the end the length reads as 0. The check after the loop finds that the position is wrong.
            position += prefix + int.from_bytes(images[position : position + prefix], "little")
        position += tail
    return np.array(starts, dtype=np.int64) if position == end else None


def _plan(bitmap: bytes, layout: tuple[Extent, ...]) -> tuple[list[tuple[int, int]], int]:
    """For one bitmap: the fixed width before each length prefix, and that after the last."""
    nulls = int.from_bytes(bitmap, "little")
    steps: list[tuple[int, int]] = []
    skip = 0
    for index, extent in enumerate(layout):
        if nulls >> index & 1:
            continue
        if extent.prefix:
            steps.append((skip, extent.prefix))
            skip = 0
        else:
            skip += extent.width
    return steps, skip
