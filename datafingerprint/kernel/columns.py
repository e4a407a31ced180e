"""Arrow columns as the native code is told of them: where their buffers lie, and how their values are rendered."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import pyarrow as pa

from datafingerprint.canonical import field_name, field_order
from datafingerprint.schema import TEXT_KINDS, Column

_INT32, _INT64, _DECIMAL, _FLOAT32, _FLOAT64, _DATE, _MOMENT, _TEXT, _PLAIN_TEXT, _OCTETS = range(10)
_FORMS = {
    pa.int32(): _INT32,
    pa.int64(): _INT64,
    pa.float32(): _FLOAT32,
    pa.float64(): _FLOAT64,
    pa.date32(): _DATE,
    pa.timestamp("us"): _MOMENT,
    pa.timestamp("us", tz="UTC"): _MOMENT,
    pa.string(): _PLAIN_TEXT,
    pa.binary(): _OCTETS,
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
class Described:
    """A batch's columns in the order of their fields. What they point into, names and values, is held with them."""

    columns: ctypes.Array[ColumnForm]
    held: tuple[object, ...]


def described(batch: pa.RecordBatch, columns: tuple[Column, ...]) -> Described | None:
    """The forms of these columns of a batch; None when one has a type that the native code does not know."""
    forms = []
    for column in field_order(columns):
        form = _form(batch.column(column.name), column)
        if form is None:
            return None
        forms.append(form)
    return Described((ColumnForm * len(forms))(*forms), (batch, *forms))


def _form(values: pa.Array, column: Column) -> ColumnForm | None:
    wanted = column.arrow
    is_long = values.type == _LONG.get(wanted)
    if values.type != wanted and not is_long:
        return None
    prefix = f"{field_name(column.name)}=".encode()
    kind = _DECIMAL if pa.types.is_decimal128(wanted) else _FORMS[wanted]
    buffers = values.buffers()
    varies = kind in (_PLAIN_TEXT, _OCTETS)
    return ColumnForm(
        kind=_TEXT if column.kind in TEXT_KINDS else kind,
        scale=wanted.scale if kind == _DECIMAL else 0,
        long_offsets=is_long,
        prefix_length=len(prefix),
        offset=values.offset,
        prefix=prefix,
        valid=_address(buffers[0]) if values.null_count else None,
        data=_address(buffers[-1]),
        offsets=_address(buffers[1]) if varies else None,
    )


def _address(buffer: pa.Buffer | None) -> int | None:
    return None if buffer is None else int(buffer.address)
