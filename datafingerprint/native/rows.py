"""The functions of `rows.c`: they find rows in packets, and decode cells to Arrow columns.

They end before what they do not know, and the caller continues in Python from there. They are used only if they pass
a small test, which runs at the first use.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import functools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datafingerprint.native.library import PATH, library

Bytes = npt.NDArray[np.uint8]
CELL = np.dtype([("at", np.uint32), ("size", np.int32)])

_LONG, _INT, _POINTER = ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p
_BITS = 8
_INT_BYTES, _DECIMAL_BYTES = 4, 16


class _Cells(ctypes.Structure):
    """`struct cells` of `rows.c`."""

    _fields_ = (("data", _POINTER), ("first", _POINTER), ("stride", _LONG), ("count", _LONG))


@dataclass(slots=True)
class FoundRows:
    """Rows found in the packets of a buffer.

    Attributes:
        columns: How many cells a row has.
        cells: Where each cell is in the buffer, row by row, with room for as many rows as are wanted.
        count: How many rows were rows.
        end: The offset in the buffer after the last row rows.
        wanted: Bytes of the next packet, as far as is known. It is 0 if that packet is not an ordinary row.
    """

    columns: int
    cells: np.ndarray[Any, Any]
    count: int = 0
    end: int = 0
    wanted: int = 1

    @property
    def rows_max(self) -> int:
        """For how many rows there is room."""
        return len(self.cells) // self.columns


class Rows:
    """The functions. While one runs, its buffer must not move, and other Python threads may run.

    Args:
        loaded: The library.
    """

    def __init__(self, loaded: ctypes.CDLL) -> None:
        self._packets, cells = loaded.dfp_row_packets, ctypes.POINTER(_Cells)
        places = (ctypes.POINTER(_LONG), _INT, _INT, _LONG, _LONG, _POINTER, ctypes.POINTER(_LONG))
        self._packets.argtypes, self._packets.restype = (_POINTER, _LONG, *places), _LONG
        self._nulls = _typed(loaded.dfp_row_nulls, cells, _POINTER)
        self._offsets = _typed(loaded.dfp_row_offsets, cells, _POINTER)
        self._texts = _typed(loaded.dfp_row_texts, cells, _POINTER)
        self._integers = _typed(loaded.dfp_row_integers, cells, _INT, _POINTER)
        self._decimals = _typed(loaded.dfp_row_decimals, cells, _INT, _INT, _POINTER)
        self._dates = _typed(loaded.dfp_row_dates, cells, _POINTER, _POINTER)
        self._moments = _typed(loaded.dfp_row_moments, cells, _POINTER, _POINTER)
        self._times = _typed(loaded.dfp_row_times, cells, _POINTER)

    def find(self, data: Bytes, length: int, sequence: int, rows: FoundRows) -> None:
        """Finds more rows in the first `length` bytes of a buffer, after those found before.

        Args:
            data: The buffer.
            length: How many bytes of it hold data, fewer than 2^31.
            sequence: The number of the packet with the first row.
            rows: Receives the rows.
        """
        end, wanted = _LONG(rows.end), _LONG()
        places = (ctypes.byref(end), sequence, rows.columns, rows.count, rows.rows_max)
        rows.count = self._packets(data.ctypes.data, length, *places, rows.cells.ctypes.data, ctypes.byref(wanted))
        rows.end, rows.wanted = end.value, wanted.value

    def texts(self, data: Bytes, rows: FoundRows, index: int, kind: pa.DataType) -> pa.Array:
        """A column's cells as they are. The caller checks texts for UTF-8.

        Args:
            data: The buffer.
            rows: The rows.
            index: The column's number.
            kind: `string` or `binary`.
        """
        cells = _column(data, rows, index)
        offsets = np.empty(rows.count + 1, np.int32)
        content = np.empty(self._offsets(cells, offsets.ctypes.data), np.uint8)
        self._texts(cells, content.ctypes.data)
        buffers = [self._valid(cells, rows.count), pa.py_buffer(offsets), pa.py_buffer(content)]
        return pa.Array.from_buffers(kind, rows.count, buffers)

    def values(self, data: Bytes, rows: FoundRows, index: int, kind: pa.DataType, *, is_time: bool) -> pa.Array | None:
        """A column's cells as values.

        Args:
            data: The buffer.
            rows: The rows.
            index: The column's number.
            kind: The Arrow type of the column.
            is_time: Whether an `int64` holds the microseconds of a TIME.

        Returns:
            None if a cell has a form that is not ordinary for the type, or the type has no native form.
        """
        decode = self._decoder(kind, is_time=is_time)
        if decode is None:
            return None
        cells, count = _column(data, rows, index), rows.count
        valid = np.full((count + _BITS - 1) // _BITS, 0xFF, np.uint8)
        self._nulls(cells, valid.ctypes.data)
        decoded = np.empty(count * kind.bit_width // _BITS, np.uint8)
        if decode(cells, decoded.ctypes.data, valid.ctypes.data) != count:
            return None
        return pa.Array.from_buffers(kind, count, [pa.py_buffer(valid), pa.py_buffer(decoded)])

    def _decoder(self, kind: pa.DataType, *, is_time: bool) -> Callable[[_Cells, int, int], int] | None:
        if is_time:
            return lambda cells, to, _: int(self._times(cells, to))
        if pa.types.is_decimal128(kind):
            return lambda cells, to, _: int(self._decimals(cells, kind.precision, kind.scale, to))
        if pa.types.is_integer(kind):
            return lambda cells, to, _: int(self._integers(cells, kind.bit_width // _BITS, to))
        if pa.types.is_date32(kind):
            return lambda cells, to, valid: int(self._dates(cells, to, valid))
        if pa.types.is_timestamp(kind):
            return lambda cells, to, valid: int(self._moments(cells, to, valid))
        return None

    def _valid(self, cells: _Cells, count: int) -> pa.Buffer | None:
        valid = np.full((count + _BITS - 1) // _BITS, 0xFF, np.uint8)
        return pa.py_buffer(valid) if self._nulls(cells, valid.ctypes.data) else None


def _typed(function: Any, *arguments: Any) -> Callable[..., int]:  # noqa: ANN401 - a function of ctypes and its types
    function.argtypes, function.restype = arguments, _LONG
    typed: Callable[..., int] = function
    return typed


def _column(data: Bytes, rows: FoundRows, index: int) -> _Cells:
    first = rows.cells.ctypes.data + index * CELL.itemsize
    return _Cells(data.ctypes.data, first, rows.columns, rows.count)


@functools.cache
def native_rows() -> Rows | None:
    """The functions, or None if there is no library that works."""
    if library() is None:
        return None
    try:
        functions = Rows(ctypes.CDLL(str(PATH)))
    except AttributeError:
        return None
    return functions if _works(functions) else None


_SAMPLES: dict[pa.DataType, tuple[bytes, Any]] = {
    pa.int32(): (b"-2031", -2031),
    pa.int64(): (b"123456789012345678", 123456789012345678),
    pa.decimal128(30, 2): (b"-1234567890123456789012345678.05", Decimal("-1234567890123456789012345678.05")),
    pa.date32(): (b"2032-02-29", dt.date(2032, 2, 29)),
    pa.timestamp("us"): (b"0001-01-01 23:59:59.25", dt.datetime(1, 1, 1, 23, 59, 59, 250_000)),  # noqa: DTZ001 - a DATETIME has no zone
}


def _works(functions: Rows) -> bool:
    """Tries the functions on two rows, of values and of NULLs, before an end of the result set."""
    body = b"".join(bytes([len(text)]) + text for text, _ in _SAMPLES.values())
    packets = [body, b"\xfb" * len(_SAMPLES), b"\xfe\0\0\0\0"]
    headed = [len(packet).to_bytes(3, "little") + bytes([number]) + packet for number, packet in enumerate(packets)]
    data = np.frombuffer(b"".join(headed), np.uint8)
    rows = FoundRows(len(_SAMPLES), np.empty(3 * len(_SAMPLES), CELL))
    functions.find(data, len(data), 0, rows)
    if (rows.count, rows.wanted) != (2, 0):
        return False
    for index, (kind, (text, value)) in enumerate(_SAMPLES.items()):
        values = functions.values(data, rows, index, kind, is_time=False)
        texts = functions.texts(data, rows, index, pa.binary())
        if values is None or values.to_pylist() != [value, None] or texts.to_pylist() != [text, None]:
            return False
    return True
