"""Decodes one column of row images to an Arrow array, all values at once.

The binlog holds values in the form in which the server stores them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint import decimals, temporal
from datafingerprint.binlog.addresses import inet4_text, inet6_text, uuid_text
from datafingerprint.binlog.compressed import decompress
from datafingerprint.binlog.json_binary import json_text
from datafingerprint.binlog.log_types import BLOB_COMPRESSED, DECIMAL_BYTES, VARCHAR_COMPRESSED, decimal_groups
from datafingerprint.binlog.native import native_binlog
from datafingerprint.binlog.table_map import LoggedColumn
from datafingerprint.charsets import texts
from datafingerprint.errors import DecodeError
from datafingerprint.recovery import DECODE_FEWER_ROWS
from datafingerprint.schema import Column, Kind

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LONG_BYTES, _LONG_BITS = 8, 64
_INT64_DIGITS_MAX = 18
_YEAR_ZERO = 1900


@dataclass(frozen=True, slots=True)
class ColumnSlice:
    """The values of one column inside the images.

    Attributes:
        data: The images, and as many zeros after them as the widest value takes.
        at: Offset of each value, or 0 for NULL.
        size: Bytes of each value and of its length prefix, or 0 for NULL.
        null: Whether each value is NULL.
    """

    data: Bytes
    at: Integers
    size: Integers
    null: Mask


def decode_column(column_slice: ColumnSlice, column: Column, logged: LoggedColumn, prefix: int) -> pa.Array:
    """The column's values in its Arrow type.

    Args:
        column_slice: The stored values.
        column: The column's definition.
        logged: The column in the table map, which agrees with `column`.
        prefix: Bytes of the length before each value, or 0 for values of a fixed width.

    Raises:
        DecodeError: a value is invalid for the column's type.
    """
    if prefix:
        stored = _strings(column_slice, prefix, column)
        is_compressed = logged.type in (BLOB_COMPRESSED, VARCHAR_COMPRESSED)
        return _STRINGS[column.kind](decompress(stored, column.name) if is_compressed else stored, column)
    width = int(column_slice.size.max(initial=0))
    if not width:
        return pa.nulls(len(column_slice.at), column.arrow)
    raw = windows(column_slice.data, column_slice.at, width)
    if column.stored_kind in _LABELLED:
        return _labels_of(raw, column_slice.null, column, logged)
    return _FIXED[column.kind](raw, column_slice.null, column)


def windows(data: Bytes, positions: Integers, width: int) -> Bytes:
    """`width` bytes from each position, as one row each."""
    native = native_binlog()
    if native is not None:
        return native.windows(data, positions, width)
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(data, width)[positions])


def little_endian(raw: Bytes) -> Integers:
    """Unsigned little-endian integers of up to 7 bytes (8 bytes wrap to negative ones)."""
    wide = np.zeros((len(raw), 8), dtype=np.uint8)
    wide[:, : raw.shape[1]] = raw
    return np.asarray(wide.view(np.int64)[:, 0], dtype=np.int64)


def _big_endian(raw: Bytes) -> Integers:
    """Unsigned big-endian integers of up to 7 bytes (8 bytes wrap to negative ones)."""
    return little_endian(raw[:, ::-1])


def _strings(column_slice: ColumnSlice, prefix: int, column: Column) -> pa.Array:
    """The values without their lengths, as binary. Arrow copies all of them in one call."""
    if len(column_slice.data) > np.iinfo(np.int32).max:
        raise DecodeError(f"more than 2 GiB of images with column {column.name} in one batch", remedy=DECODE_FEWER_ROWS)
    # An array of twice the length: values, alternating with the bytes between two values.
    ends = np.maximum.accumulate(column_slice.at + column_slice.size)
    offsets = np.empty(2 * len(ends) + 1, dtype=np.int32)
    offsets[:-1:2] = np.where(column_slice.null, ends, column_slice.at + prefix)
    offsets[1::2] = ends
    offsets[-1] = max(offsets[-2], 0) if len(ends) else 0
    validity = pa.array(np.repeat(~column_slice.null, 2)).buffers()[1] if column_slice.null.any() else None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(column_slice.data)]
    both = pa.Array.from_buffers(pa.binary(), 2 * len(ends), buffers)
    return both.take(pa.array(np.arange(0, 2 * len(ends), 2)))


def _texts(values: pa.Array, column: Column) -> pa.Array:
    return texts(values, column.charset or "utf8mb4", column.name)


def _pad(values: pa.Array, column: Column) -> pa.Array:
    """Values of a fixed width. The log omits trailing zeros, and a SELECT shows them."""
    return pc.binary_join_element_wise(values, _trailing_zeros(values, column.length), b"")


def _trailing_zeros(values: pa.Array, width: int) -> pa.Array:
    missing = width - pc.binary_length(values).fill_null(width).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(missing) + 1, dtype=np.int32)
    np.cumsum(missing, out=offsets[1:])
    return pa.Array.from_buffers(
        pa.binary(), len(missing), [None, pa.py_buffer(offsets), pa.py_buffer(bytes(int(offsets[-1])))]
    )


def _unchanged(values: pa.Array, _: Column) -> pa.Array:
    return values


def _by_value(form: Callable[[bytes], str], width: int = 0) -> Callable[[pa.Array, Column], pa.Array]:
    """Converts each different value once, padded to `width`: trailing zeros are not logged."""

    def convert(values: pa.Array, _: Column) -> pa.Array:
        encoded = values.dictionary_encode()
        converted = [form(value.ljust(width, b"\0")) for value in encoded.dictionary.to_pylist()]
        return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(converted, pa.string())).cast(pa.string())

    return convert


_STRINGS: dict[Kind, Callable[[pa.Array, Column], pa.Array]] = {
    Kind.TEXT: _texts,
    Kind.BYTES: _unchanged,
    Kind.GEOMETRY: _unchanged,
    Kind.VECTOR: _unchanged,
    Kind.BINARY: _pad,
    Kind.JSON: _by_value(json_text),
    Kind.UUID: _by_value(uuid_text, 16),
    Kind.INET4: _by_value(inet4_text, 4),
    Kind.INET6: _by_value(inet6_text, 16),
}


def _integers(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    size_bytes = raw.shape[1]
    values = little_endian(raw)
    if column.unsigned:
        if size_bytes == _LONG_BYTES:
            return pa.array(values.view(np.uint64), pa.uint64(), mask=null).cast(column.arrow)
        return pa.array(values, pa.int64(), mask=null).cast(column.arrow)
    shift = 64 - 8 * size_bytes
    return pa.array((values << shift) >> shift, pa.int64(), mask=null).cast(column.arrow)


def _years(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    values = little_endian(raw)
    return pa.array(np.where(values == 0, 0, values + _YEAR_ZERO), pa.int64(), mask=null).cast(column.arrow)


def _bits(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    values = _big_endian(raw)
    if column.precision == _LONG_BITS:
        return pa.array(values.view(np.uint64), pa.uint64(), mask=null).cast(column.arrow)
    return pa.array(values, pa.int64(), mask=null)


def _floats(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    return pa.array(raw.view(f"<f{raw.shape[1]}").reshape(-1), column.arrow, mask=null)


def _dates(raw: Bytes, null: Mask, _: Column) -> pa.Array:
    packed = little_endian(raw)
    return temporal.date_column(temporal.days(packed >> 9, (packed >> 5) & 15, packed & 31), null)


def _fraction_us(raw: Bytes, digits: int) -> Integers:
    if not raw.shape[1]:
        return np.zeros(len(raw), dtype=np.int64)
    return _big_endian(raw) * np.int64(10 ** (6 - (digits + 1) // 2 * 2))


def _datetimes(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    packed = _big_endian(raw[:, :5]) - 0x8000000000
    months, clock = packed >> 22, packed & 0x1FFFF
    days = temporal.days(months // 13, months % 13, (packed >> 17) & 31)
    day_us = _clock_s(clock) * 1_000_000 + _fraction_us(raw[:, 5:], column.scale)
    return temporal.moment_column(days, day_us, null, column.arrow)


def _clock_s(clock: Integers) -> Integers:
    """Seconds of hours, minutes and seconds packed as ten, six and six bits."""
    return np.asarray(((clock >> 12) & 0x3FF) * 3600 + ((clock >> 6) & 63) * 60 + (clock & 63), dtype=np.int64)


def _timestamps(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    seconds = _big_endian(raw[:, :4])
    fraction = _fraction_us(raw[:, 4:], column.scale)
    zero = (seconds == 0) & (fraction == 0)  # 0000-00-00 00:00:00 as the server stores it
    return pa.array(seconds * 1_000_000 + fraction, pa.int64(), mask=null | zero).cast(column.arrow)


def _times(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    """One big-endian integer of clock and fraction, shifted by half its range.

    The shift makes negative times sort first.
    """
    fraction_bytes = (column.scale + 1) // 2
    packed = _big_endian(raw) - (0x800000 << (8 * fraction_bytes))
    size = np.abs(packed)
    fraction = size & ((1 << (8 * fraction_bytes)) - 1)
    us = _clock_s(size >> (8 * fraction_bytes)) * 1_000_000 + fraction * 10 ** (6 - 2 * fraction_bytes)
    return pa.array(np.sign(packed) * us, pa.int64(), mask=null)


def _decimals(raw: Bytes, null: Mask, column: Column) -> pa.Array:
    """Packed decimals: groups of digits, the most significant first.

    In a negative number every bit is inverted.
    """
    negative = raw[:, 0] < 0x80  # noqa: PLR2004 - the sign bit, inverted
    digits = np.where(negative[:, None], ~raw, raw)
    digits[:, 0] ^= 0x80
    groups: list[tuple[int, Integers]] = []
    start = 0
    for count in decimal_groups(column.precision, column.scale):
        width = DECIMAL_BYTES[count]
        groups.append((count, _big_endian(digits[:, start : start + width])))
        start += width
    if column.precision > _INT64_DIGITS_MAX:
        return _decimal_texts(groups, negative, null, column)
    value = np.zeros(len(raw), dtype=np.int64)
    for count, group in groups:
        value = value * 10**count + group
    value = np.where(negative, -value, value)
    unscaled = pa.array(value, pa.int64(), mask=null).cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(column.arrow, len(raw), unscaled.buffers(), unscaled.null_count)


def _decimal_texts(groups: list[tuple[int, Integers]], negative: Mask, null: Mask, column: Column) -> pa.Array:
    """Decimals too long for an integer, as texts: sign, a zero, whole digits, a point, decimals."""
    digits = [group // 10**power % 10 for count, group in groups for power in range(count - 1, -1, -1)]
    whole = column.precision - column.scale
    zero, point = np.full(len(null), ord("0")), np.full(len(null), ord("."))
    letters = [np.where(negative, ord("-"), ord("0")), zero, *(digit + ord("0") for digit in digits[:whole])]
    letters += [point, *(digit + ord("0") for digit in digits[whole:])] if column.scale else []
    characters = np.stack(letters, axis=1).astype(np.uint8)
    offsets = np.arange(len(null) + 1, dtype=np.int32) * characters.shape[1]
    validity = pa.array(~null).buffers()[1] if null.any() else None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(characters)]
    return decimals.from_texts(pa.Array.from_buffers(pa.string(), len(null), buffers), column)


def _labels_of(raw: Bytes, null: Mask, column: Column, logged: LoggedColumn) -> pa.Array:
    """The labels of an ENUM or SET: texts, or bytes in the character set `binary`.

    An ENUM stores the number of its label, from 1 on, or 0 for the empty text of a rejected value. A SET stores a bit
    for each label.
    """
    labels = pa.array(logged.labels, pa.binary())
    if column.kind is not Kind.BYTES:
        # Encoded again after the conversion, so that labels of both forms are joined alike.
        labels = texts(labels, column.charset or "utf8mb4", column.name).cast(pa.binary())
    numbers, indices = np.unique(np.where(null, 0, little_endian(raw)), return_inverse=True)
    form, listed = _LABELLED[column.stored_kind], labels.to_pylist()
    values = [form(int(number) % (1 << _LONG_BITS), listed, column) for number in numbers]
    encoded = pa.DictionaryArray.from_arrays(
        pa.array(indices.astype(np.int32), mask=null), pa.array(values, pa.binary()).cast(column.arrow)
    )
    return encoded.cast(column.arrow)


def _enum_label(number: int, labels: list[bytes], column: Column) -> bytes:
    if number > len(labels):
        raise DecodeError(f"column {column.name} holds label {number} of {len(labels)}")
    return labels[number - 1] if number else b""


def _set_label(bits: int, labels: list[bytes], column: Column) -> bytes:
    if bits >> len(labels):
        raise DecodeError(f"column {column.name} holds more labels than the {len(labels)} it has")
    return b",".join(label for number, label in enumerate(labels) if bits >> number & 1)


_LABELLED: dict[Kind, Callable[[int, list[bytes], Column], bytes]] = {Kind.ENUM: _enum_label, Kind.SET: _set_label}


_FIXED: dict[Kind, Callable[[Bytes, Mask, Column], pa.Array]] = {
    Kind.INTEGER: _integers,
    Kind.YEAR: _years,
    Kind.BIT: _bits,
    Kind.FLOAT: _floats,
    Kind.DOUBLE: _floats,
    Kind.DATE: _dates,
    Kind.DATETIME: _datetimes,
    Kind.TIMESTAMP: _timestamps,
    Kind.TIME: _times,
    Kind.DECIMAL: _decimals,
}
