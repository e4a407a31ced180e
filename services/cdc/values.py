"""One column of row images to an Arrow array, all values at once; the forms are those of the server's storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint import decimals, temporal
from datafingerprint.charsets import texts
from datafingerprint.errors import DecodeError
from datafingerprint.kernel.binlog import binlog
from datafingerprint.schema import Column, Kind
from services.cdc.addresses import inet4_text, inet6_text, uuid_text
from services.cdc.compressed import uncompressed
from services.cdc.json_binary import json_text
from services.cdc.log_types import BLOB_COMPRESSED, DECIMAL_OCTETS, VARCHAR_COMPRESSED, decimal_groups
from services.cdc.table_map import LoggedColumn

Octets = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LONG_OCTETS, _LONG_BITS = 8, 64
_INT64_DIGITS_MAX = 18
_YEAR_ZERO = 1900


@dataclass(frozen=True, slots=True)
class Cut:
    """A column as it lies in the images.

    Attributes:
        octets: The images, and zeros behind them as many as the widest value takes.
        at: Where the value of each image begins; 0 where it is NULL.
        size: Its bytes, those of its length included; 0 where it is NULL.
        null: Where it is NULL.
    """

    octets: Octets
    at: Integers
    size: Integers
    null: Mask


def decoded(cut: Cut, column: Column, logged: LoggedColumn, prefix: int) -> pa.Array:
    """The column's values in its Arrow type.

    Args:
        cut: Where they lie.
        column: What they are.
        logged: What the log says of them; it agrees with `column`.
        prefix: Bytes of the length in front of each value, 0 for values of a fixed width.

    Raises:
        DecodeError: a value has no meaning in the column's type.
    """
    if prefix:
        stored = _strings(cut, prefix, column)
        is_compressed = logged.type in (BLOB_COMPRESSED, VARCHAR_COMPRESSED)
        return _STRINGS[column.kind](uncompressed(stored, column.name) if is_compressed else stored, column)
    width = int(cut.size.max(initial=0))
    if not width:
        return pa.nulls(len(cut.at), column.arrow)
    raw = windows(cut.octets, cut.at, width)
    if column.kind in (Kind.ENUM, Kind.SET):
        return _labelled(raw, cut.null, column, logged)
    return _FIXED[column.kind](raw, cut.null, column)


def windows(octets: Octets, positions: Integers, width: int) -> Octets:
    """So many bytes from each position, a row each."""
    native = binlog()
    if native is not None:
        return native.windows(octets, positions, width)
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(octets, width)[positions])


def little(raw: Octets) -> Integers:
    """Unsigned little-endian integers of up to 7 bytes (8 bytes wrap to negative ones)."""
    wide = np.zeros((len(raw), 8), dtype=np.uint8)
    wide[:, : raw.shape[1]] = raw
    return np.asarray(wide.view(np.int64)[:, 0], dtype=np.int64)


def _big(raw: Octets) -> Integers:
    """Unsigned big-endian integers of up to 7 bytes (8 bytes wrap to negative ones)."""
    return little(raw[:, ::-1])


def _strings(cut: Cut, prefix: int, column: Column) -> pa.Array:
    """The values behind the lengths, as binary; cut out by Arrow in one go."""
    if len(cut.octets) > np.iinfo(np.int32).max:
        raise DecodeError(f"more than 2 GiB of images with column {column.name} in one piece")
    # Values and what lies between them take turns: the even ones of so many strings are the values.
    ends = np.maximum.accumulate(cut.at + cut.size)
    offsets = np.empty(2 * len(ends) + 1, dtype=np.int32)
    offsets[:-1:2] = np.where(cut.null, ends, cut.at + prefix)
    offsets[1::2] = ends
    offsets[-1] = max(offsets[-2], 0) if len(ends) else 0
    validity = pa.array(np.repeat(~cut.null, 2)).buffers()[1] if cut.null.any() else None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(cut.octets)]
    both = pa.Array.from_buffers(pa.binary(), 2 * len(ends), buffers)
    return both.take(pa.array(np.arange(0, 2 * len(ends), 2)))


def _texts(values: pa.Array, column: Column) -> pa.Array:
    return texts(values, column.charset or "utf8mb4", column.name)


def _padded(values: pa.Array, column: Column) -> pa.Array:
    """Of a fixed width: the log leaves out the zeros at the end, which the server shows."""
    return pc.binary_join_element_wise(values, _zeros(values, column.length), b"")


def _zeros(values: pa.Array, width: int) -> pa.Array:
    missing = width - pc.binary_length(values).fill_null(width).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(missing) + 1, dtype=np.int32)
    np.cumsum(missing, out=offsets[1:])
    return pa.Array.from_buffers(
        pa.binary(), len(missing), [None, pa.py_buffer(offsets), pa.py_buffer(bytes(int(offsets[-1])))]
    )


def _as_they_are(values: pa.Array, _: Column) -> pa.Array:
    return values


def _of_unique(form: Callable[[bytes], str], width: int = 0) -> Callable[[pa.Array, Column], pa.Array]:
    """A column's texts, each made once from the octets that it is stored as; the log leaves out zeros at the end."""

    def made_once(values: pa.Array, _: Column) -> pa.Array:
        coded = values.dictionary_encode()
        made = [form(one.ljust(width, b"\0")) for one in coded.dictionary.to_pylist()]
        return pa.DictionaryArray.from_arrays(coded.indices, pa.array(made, pa.string())).cast(pa.string())

    return made_once


_STRINGS: dict[Kind, Callable[[pa.Array, Column], pa.Array]] = {
    Kind.TEXT: _texts,
    Kind.BYTES: _as_they_are,
    Kind.GEOMETRY: _as_they_are,
    Kind.VECTOR: _as_they_are,
    Kind.BINARY: _padded,
    Kind.JSON: _of_unique(json_text),
    Kind.UUID: _of_unique(uuid_text, 16),
    Kind.INET4: _of_unique(inet4_text, 4),
    Kind.INET6: _of_unique(inet6_text, 16),
}


def _integers(raw: Octets, null: Mask, column: Column) -> pa.Array:
    octets = raw.shape[1]
    values = little(raw)
    if column.unsigned:
        if octets == _LONG_OCTETS:
            return pa.array(values.view(np.uint64), pa.uint64(), mask=null).cast(column.arrow)
        return pa.array(values, pa.int64(), mask=null).cast(column.arrow)
    shift = 64 - 8 * octets
    return pa.array((values << shift) >> shift, pa.int64(), mask=null).cast(column.arrow)


def _years(raw: Octets, null: Mask, column: Column) -> pa.Array:
    values = little(raw)
    return pa.array(np.where(values == 0, 0, values + _YEAR_ZERO), pa.int64(), mask=null).cast(column.arrow)


def _bits(raw: Octets, null: Mask, column: Column) -> pa.Array:
    values = _big(raw)
    if column.precision == _LONG_BITS:
        return pa.array(values.view(np.uint64), pa.uint64(), mask=null).cast(column.arrow)
    return pa.array(values, pa.int64(), mask=null)


def _floats(raw: Octets, null: Mask, column: Column) -> pa.Array:
    return pa.array(raw.view(f"<f{raw.shape[1]}").reshape(-1), column.arrow, mask=null)


def _dates(raw: Octets, null: Mask, _: Column) -> pa.Array:
    packed = little(raw)
    return temporal.date_column(temporal.days(packed >> 9, (packed >> 5) & 15, packed & 31), null)


def _fraction_us(raw: Octets, digits: int) -> Integers:
    if not raw.shape[1]:
        return np.zeros(len(raw), dtype=np.int64)
    return _big(raw) * np.int64(10 ** (6 - (digits + 1) // 2 * 2))


def _datetimes(raw: Octets, null: Mask, column: Column) -> pa.Array:
    packed = _big(raw[:, :5]) - 0x8000000000
    months, clock = packed >> 22, packed & 0x1FFFF
    found = temporal.days(months // 13, months % 13, (packed >> 17) & 31)
    day_us = _clock_s(clock) * 1_000_000 + _fraction_us(raw[:, 5:], column.scale)
    return temporal.moment_column(found, day_us, null, column.arrow)


def _clock_s(clock: Integers) -> Integers:
    """Seconds of hours, minutes and seconds packed as ten, six and six bits."""
    return np.asarray(((clock >> 12) & 0x3FF) * 3600 + ((clock >> 6) & 63) * 60 + (clock & 63), dtype=np.int64)


def _timestamps(raw: Octets, null: Mask, column: Column) -> pa.Array:
    seconds = _big(raw[:, :4])
    fraction = _fraction_us(raw[:, 4:], column.scale)
    zero = (seconds == 0) & (fraction == 0)  # how the server stores 0000-00-00 00:00:00
    return pa.array(seconds * 1_000_000 + fraction, pa.int64(), mask=null | zero).cast(column.arrow)


def _times(raw: Octets, null: Mask, column: Column) -> pa.Array:
    """Clock and fraction as one big-endian integer, shifted by half its range so that it sorts below zero too."""
    octets = (column.scale + 1) // 2
    packed = _big(raw) - (0x800000 << (8 * octets))
    size = np.abs(packed)
    fraction = size & ((1 << (8 * octets)) - 1)
    us = _clock_s(size >> (8 * octets)) * 1_000_000 + fraction * 10 ** (6 - 2 * octets)
    return pa.array(np.sign(packed) * us, pa.int64(), mask=null)


def _decimals(raw: Octets, null: Mask, column: Column) -> pa.Array:
    """Packed decimals: groups of digits, most significant first; negative ones have every bit inverted."""
    negative = raw[:, 0] < 0x80  # noqa: PLR2004 - the sign bit, inverted
    digits = np.where(negative[:, None], ~raw, raw)
    digits[:, 0] ^= 0x80
    groups: list[tuple[int, Integers]] = []
    start = 0
    for count in decimal_groups(column.precision, column.scale):
        width = DECIMAL_OCTETS[count]
        groups.append((count, _big(digits[:, start : start + width])))
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
    """Decimals too long for an integer, digit by digit: sign, a zero, whole digits, a point, decimals."""
    digits = [group // 10**power % 10 for count, group in groups for power in range(count - 1, -1, -1)]
    whole = column.precision - column.scale
    zero, point = np.full(len(null), ord("0")), np.full(len(null), ord("."))
    letters = [np.where(negative, ord("-"), ord("0")), zero, *(digit + ord("0") for digit in digits[:whole])]
    letters += [point, *(digit + ord("0") for digit in digits[whole:])] if column.scale else []
    octets = np.stack(letters, axis=1).astype(np.uint8)
    offsets = np.arange(len(null) + 1, dtype=np.int32) * octets.shape[1]
    validity = pa.array(~null).buffers()[1] if null.any() else None
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(octets)]
    return decimals.from_texts(pa.Array.from_buffers(pa.string(), len(null), buffers), column)


def _labelled(raw: Octets, null: Mask, column: Column, logged: LoggedColumn) -> pa.Array:
    """ENUM: the number of a label from 1, 0 for the empty text of a refused value. SET: a bit for each label."""
    labels = texts(pa.array(logged.labels, pa.binary()), column.charset or "utf8mb4", column.name).to_pylist()
    numbers, indices = np.unique(np.where(null, 0, little(raw)), return_inverse=True)
    form = _enum_text if column.kind is Kind.ENUM else _set_text
    made = [form(int(number) % (1 << _LONG_BITS), labels, column) for number in numbers]
    coded = pa.DictionaryArray.from_arrays(pa.array(indices.astype(np.int32), mask=null), pa.array(made, pa.string()))
    return coded.cast(pa.string())


def _enum_text(number: int, labels: list[str], column: Column) -> str:
    if number > len(labels):
        raise DecodeError(f"column {column.name} holds label {number} of {len(labels)}")
    return labels[number - 1] if number else ""


def _set_text(bits: int, labels: list[str], column: Column) -> str:
    if bits >> len(labels):
        raise DecodeError(f"column {column.name} holds more labels than the {len(labels)} it has")
    return ",".join(label for number, label in enumerate(labels) if bits >> number & 1)


_FIXED: dict[Kind, Callable[[Octets, Mask, Column], pa.Array]] = {
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
