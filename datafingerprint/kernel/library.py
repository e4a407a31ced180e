"""The shared library that the C files here are built into, when the project is installed where a C compiler is.

It is taken only when it digests rows of every form as the plain definition does, which is tried once, when it is first
wanted: a library of another version, or one that this machine miscompiled, is as good as none.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import functools
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datafingerprint.canonical import digest
from datafingerprint.kernel.columns import ColumnForm, described
from datafingerprint.schema import Column, Kind, TableSchema

PATH = Path(__file__).with_name("_native.so")
INTERFACE = 2
"""Number of the functions' form; `digest.c` has the same."""

_LONG, _UNSIGNED = ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_uint64)
_COLUMNS = ctypes.POINTER(ColumnForm)
_RANGE = (ctypes.c_int32, ctypes.c_int64, ctypes.c_int64)


class Library:
    """The functions, each over a range of one batch's rows. They let other threads run meanwhile.

    Every method raises `MemoryError` when a row does not fit into memory.
    """

    def __init__(self, path: Path) -> None:
        """Opens it.

        Raises:
            OSError: it is not there, or made for another kind of machine.
        """
        loaded = ctypes.CDLL(str(path))
        if loaded.dfp_interface() != INTERFACE:
            raise OSError(f"{path} is of another version")
        self._identities, self._sums = loaded.dfp_identities, loaded.dfp_sums
        self._identities.argtypes = (_COLUMNS, *_RANGE, ctypes.c_void_p)
        self._sums.argtypes = (_COLUMNS, *_RANGE, ctypes.c_void_p, _LONG, _UNSIGNED, _UNSIGNED)

    def identities(self, columns: ctypes.Array[ColumnForm], start: int, end: int, digits: np.ndarray[Any, Any]) -> None:
        """Writes the 32 hexadecimal digits of every row's digest to its place in `digits` (32 octets a row)."""
        _require(self._identities(columns, len(columns), start, end, digits.ctypes.data))

    def sums(
        self,
        columns: ctypes.Array[ColumnForm],
        start: int,
        end: int,
        groups: np.ndarray[Any, Any] | None,
        count: int,
    ) -> np.ndarray[Any, Any]:
        """Sums by group: rows, hi and lo, an array of three times `count` unsigned 64-bit integers.

        Args:
            columns: The batch, in the order of fields.
            start: Its first row that counts.
            end: The one behind the last.
            groups: Of each row of the batch, its group, as 32-bit integers; None when all are of group 0.
            count: How many groups there are.
        """
        sums = np.zeros((3, count), np.uint64)
        rows = sums[0].view(np.int64).ctypes.data_as(_LONG)
        hi, lo = (one.ctypes.data_as(_UNSIGNED) for one in sums[1:])
        place = None if groups is None else groups.ctypes.data
        _require(self._sums(columns, len(columns), start, end, place, rows, hi, lo))
        return sums


def _require(result: int) -> None:
    if not result:
        raise MemoryError("a row to digest does not fit into memory")


@functools.cache
def library() -> Library | None:
    """The library, or None where there is none that can be relied upon."""
    if sys.byteorder != "little" or not PATH.exists():
        return None
    try:
        found = Library(PATH)
    except (OSError, AttributeError):
        return None
    return found if _agrees(found) else None


_TRIED: dict[Column, tuple[Any, ...]] = {
    Column("i", "int", Kind.INTEGER, octets=4): (0, -7, 2147483647, -2147483648),
    Column("l", "bigint", Kind.INTEGER, octets=8): (-(2**63), 2**63 - 1, 10, 1234567890123456789),
    Column("u", "bigint", Kind.INTEGER, octets=8, unsigned=True): (2**64 - 1, 0, 10**19, 99),
    Column("e", "decimal(38,6)", Kind.DECIMAL, precision=38, scale=6): (
        Decimal("-0.000001"),
        Decimal("10000000000000000000.000000"),
        Decimal("0.000000"),
        Decimal("-12345678901234567890123456789012.345678"),
    ),
    Column("f", "float", Kind.FLOAT): (0.5, -0.0, 3.4028234663852886e38, -(2.0**-149)),
    Column("d", "double", Kind.DOUBLE): (-0.0, 5e-324, -1.7976931348623157e308, 0.1),
    Column("t", "date", Kind.DATE): (dt.date(1, 1, 1), dt.date(2000, 2, 29), dt.date(1969, 12, 31), dt.date.max),
    Column("m", "datetime(6)", Kind.DATETIME): (
        dt.datetime(1, 1, 1, 0, 0, 0, 7),  # noqa: DTZ001 - a DATETIME has no zone
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - likewise
        dt.datetime(2031, 4, 2, 19, 3, 11),  # noqa: DTZ001 - likewise
        None,
    ),
    Column("s", "text", Kind.TEXT): ("", "Peña|=🏈", "x" * 300, None),
    Column("b", "blob", Kind.BYTES): (b"", b"\x00\xff", b"y" * 63, None),
}


def _agrees(found: Library) -> bool:
    columns = tuple(_TRIED)
    rows = [
        dict(zip((column.name for column in columns), values, strict=True))
        for values in zip(*_TRIED.values(), strict=True)
    ]
    batch = pa.RecordBatch.from_pylist(rows, TableSchema("", "", columns).arrow)
    forms = described(batch, columns)
    digits = np.empty(32 * len(rows), np.uint8)
    if forms is None:
        return False
    found.identities(forms.columns, 0, len(rows), digits)
    return digits.tobytes() == b"".join(digest(row, columns).hex().encode() for row in rows)
