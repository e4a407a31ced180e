"""Loads the shared library, which is built from the C files here if there is a C compiler.

At its first use the library digests sample rows with all forms of values. It is used only if the digests are those of
the plain definition. This rejects a library of another version, and one that was miscompiled.
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
from datafingerprint.native.columns import ColumnForm, column_forms
from datafingerprint.native.sketches import Sketches
from datafingerprint.schema import Column, Kind, TableSchema

PATH = Path(__file__).with_name("_native.so")
INTERFACE = 3
"""Version of the functions' parameters. `digest.c` has the same number."""

_LONG, _UNSIGNED = ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_uint64)
_COLUMNS = ctypes.POINTER(ColumnForm)
_RANGE = (ctypes.c_int32, ctypes.c_int64, ctypes.c_int64)


class Library:
    """The functions, each over a range of one batch's rows.

    While a function runs, other Python threads may run. Every method raises `MemoryError` if a row needs more memory
    than there is.
    """

    def __init__(self, path: Path) -> None:
        """Opens the library.

        Raises:
            OSError: it does not exist, or is built for another kind of machine or of another version.
        """
        loaded = ctypes.CDLL(str(path))
        if loaded.dfp_interface() != INTERFACE:
            raise OSError(f"{path} is of another version")
        self._identities, self._sums = loaded.dfp_identities, loaded.dfp_sums
        self._identities.argtypes = (_COLUMNS, *_RANGE, ctypes.c_void_p)
        self._sums.argtypes = (_COLUMNS, *_RANGE, ctypes.c_void_p, _LONG, _UNSIGNED, _UNSIGNED, ctypes.c_void_p)
        self.sketches = Sketches(loaded)

    def identities(self, columns: ctypes.Array[ColumnForm], start: int, end: int, digits: np.ndarray[Any, Any]) -> None:
        """Writes the 32 hexadecimal digits of each row's digest to `digits`."""
        _raise_if_out_of_memory(self._identities(columns, len(columns), start, end, digits.ctypes.data))

    def sums(
        self,
        columns: ctypes.Array[ColumnForm],
        start: int,
        end: int,
        groups: np.ndarray[Any, Any] | None,
        count: int,
        digests: np.ndarray[Any, Any] | None = None,
    ) -> np.ndarray[Any, Any]:
        """Sums by group.

        Args:
            columns: The batch, in the order of fields.
            start: The first row of the range.
            end: The row after the last of the range.
            groups: The group of each row of the batch, as 32-bit integers. None if all are in group 0.
            count: How many groups there are.
            digests: Receives both halves of every row's digest, if given: two unsigned integers per row.

        Returns:
            Rows, hi and lo of each group: an array of three times `count` unsigned 64-bit integers.
        """
        sums = np.zeros((3, count), np.uint64)
        rows = sums[0].view(np.int64).ctypes.data_as(_LONG)
        hi, lo = (words.ctypes.data_as(_UNSIGNED) for words in sums[1:])
        codes = None if groups is None else groups.ctypes.data
        kept = None if digests is None else digests.ctypes.data
        _raise_if_out_of_memory(self._sums(columns, len(columns), start, end, codes, rows, hi, lo, kept))
        return sums


def _raise_if_out_of_memory(result: int) -> None:
    if not result:
        raise MemoryError("too little memory to digest a row")


@functools.cache
def library() -> Library | None:
    """The library, or None if there is none that works."""
    if sys.byteorder != "little" or not PATH.exists():
        return None
    try:
        opened = Library(PATH)
    except (OSError, AttributeError):
        return None
    return opened if _works(opened) and opened.sketches.agree() else None


_SAMPLES: dict[Column, tuple[Any, ...]] = {
    Column("i", "int", Kind.INTEGER, width_bytes=4): (0, -7, 2147483647, -2147483648),
    Column("l", "bigint", Kind.INTEGER, width_bytes=8): (-(2**63), 2**63 - 1, 10, 1234567890123456789),
    Column("u", "bigint", Kind.INTEGER, width_bytes=8, unsigned=True): (2**64 - 1, 0, 10**19, 99),
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
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 - as above
        dt.datetime(2031, 4, 2, 19, 3, 11),  # noqa: DTZ001 - as above
        None,
    ),
    Column("s", "text", Kind.TEXT): ("", "Peña|=🏈", "x" * 300, None),
    Column("b", "blob", Kind.BYTES): (b"", b"\x00\xff", b"y" * 63, None),
}


def _works(opened: Library) -> bool:
    columns = tuple(_SAMPLES)
    rows = [
        dict(zip((column.name for column in columns), values, strict=True))
        for values in zip(*_SAMPLES.values(), strict=True)
    ]
    batch = pa.RecordBatch.from_pylist(rows, TableSchema("", "", columns).arrow)
    forms = column_forms(batch, columns)
    digits = np.empty(32 * len(rows), np.uint8)
    if forms is None:
        return False
    opened.identities(forms.columns, 0, len(rows), digits)
    return digits.tobytes() == b"".join(digest(row, columns).hex().encode() for row in rows)
