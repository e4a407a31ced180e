"""Describes Arrow columns for the native code: addresses of buffers, and the form of values."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import pyarrow as pa

from datafingerprint.canonical import field_name, field_order
from datafingerprint.schema import TEXT_KINDS, Column

_INT32, _INT64, _DECIMAL, _FLOAT32, _FLOAT64, _DATE, _MOMENT, _TEXT, _PLAIN_TEXT, _BINARY = range(10)
_FORMS = {
    pa.int32(): _INT32,
    pa.int64(): _INT64,
    pa.float32(): _FLOAT32,
    pa.float64(): _FLOAT64,
    pa.date32(): _DATE,
    pa.timestamp("us"): _MOMENT,
    pa.timestamp("us", tz="UTC"): _MOMENT,
    pa.string(): _PLAIN_TEXT,
    pa.binary(): _BINARY,
}
_LONG = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}


class ColumnForm(ctypes.Structure):
    """`struct column` of `digest.c`."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("scale", ctypes.c_int32),
        ("long_offsets", ctypes.c_int32),
        ("prefix_length", ctypes.c_int32),
        ("offset", ctypes.c_int64),
        ("prefix", ctypes.c_char_p),
        ("valid", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
    )


@dataclass(frozen=True, slots=True)
class ColumnForms:
    """A batch's columns in the order of their fields.

    The references keep the memory alive to which the columns point.
    """

    columns: ctypes.Array[ColumnForm]
    references: tuple[object, ...]


def column_forms(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> ColumnForms | None:
    """The forms of a batch's columns, or None if the native code does not know a column's type."""
    forms = []
    for column in field_order(columns):
        form = _form(batch.column(column.name), column)
        if form is None:
            return None
        forms.append(form)
    return ColumnForms((ColumnForm * len(forms))(*forms), (batch, *forms))


def _form(values: pa.Array, column: Column) -> ColumnForm | None:
    expected = column.arrow
    is_long = values.type == _LONG.get(expected)
    if values.type != expected and not is_long:
        return None
    prefix = f"{field_name(column.name)}=".encode()
    kind = _DECIMAL if pa.types.is_decimal128(expected) else _FORMS[expected]
    buffers = values.buffers()
    has_offsets = kind in (_PLAIN_TEXT, _BINARY)
    return ColumnForm(
        kind=_TEXT if column.kind in TEXT_KINDS else kind,
        scale=expected.scale if kind == _DECIMAL else 0,
        long_offsets=is_long,
        prefix_length=len(prefix),
        offset=values.offset,
        prefix=prefix,
        valid=_address(buffers[0]) if values.null_count else None,
        data=_address(buffers[-1]),
        offsets=_address(buffers[1]) if has_offsets else None,
    )


def _address(buffer: pa.Buffer | None) -> int | None:
    return None if buffer is None else int(buffer.address)
