"""How a table's keys are packed into the 16 bytes of a sketch, and read again."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.digests import identities
from datafingerprint.native.library import library
from datafingerprint.native.sketches import PACKED_MAX, packed_text
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema
from datafingerprint.sketch import Words

KEY_BYTES = 16
FORMAT = 1
_LONG_TEXT = 0xFF
"""First byte of the key of a text that is too long to be packed. 15 bytes of its digest follow."""

_DECIMAL_DIGITS = 18
_WIDTHS = {Kind.YEAR: 2, Kind.DATE: 4, Kind.DATETIME: 8, Kind.TIMESTAMP: 8, Kind.TIME: 8, Kind.BIT: 8}

Keys = tuple[Words, Words]


class Shape(StrEnum):
    """What a key in a sketch is."""

    NUMBERS = "numbers"
    """The columns' values, as integers of fixed widths."""
    TEXT = "text"
    """The one column's bytes where they are few, else most of their digest."""
    DIGEST = "digest"
    """The digest of the key's columns: it distinguishes rows, but does not name them."""
    ROW = "row"
    """The digest of the row, of a table without a key."""


@dataclass(frozen=True, slots=True)
class SketchForm:
    """How the rows of a table are added to sketches; only sketches of one form can be compared.

    Attributes:
        cells: How many cells a sketch has.
        shape: What its keys are.
        columns: The columns of the key; none without one.
    """

    cells: int
    shape: Shape
    columns: tuple[Column, ...]

    @staticmethod
    def of(table: TableSchema, cells: int) -> SketchForm:
        """The form for a definition of a table."""
        columns = table.identity if table.key else ()
        return SketchForm(cells, _shape(columns), columns)

    @property
    def text(self) -> str:
        """The form as it is stored with every sketch."""
        names = ",".join(f"{column.name}:{_width(column) or column.kind.value}" for column in self.columns)
        return f"{FORMAT} {self.cells} {self.shape.value} {names}"

    def keys(self, rows: pa.Table, digests: Words) -> Keys:
        """The high and low halves of the keys of rows, whose digests are given as pairs of halves."""
        if self.shape is Shape.ROW:
            pairs = digests.reshape(-1, 2)
            return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
        if self.shape is Shape.NUMBERS:
            return _numbers(rows, self.columns)
        if self.shape is Shape.TEXT:
            return _texts(rows, self.columns)
        return halves_of(identities(rows, self.columns))

    def values(self, key: int) -> dict[str, Any] | None:
        """The values of the key's columns by name; None where the key is a digest."""
        if self.shape is Shape.NUMBERS:
            return _read_numbers(key, self.columns)
        content = key.to_bytes(KEY_BYTES)
        if self.shape is Shape.TEXT and content[0] <= PACKED_MAX:
            (column,) = self.columns
            value = content[1 : content[0] + 1]
            return {column.name: value.decode() if column.kind in TEXT_KINDS else value}
        return None


def halves_of(digits: pa.ChunkedArray) -> Keys:
    """The high and low halves of digests that are given as 32 hexadecimal digits."""
    content = bytes.fromhex("".join(digits.to_pylist()))
    pairs = np.frombuffer(content, ">u8").astype(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _shape(columns: tuple[Column, ...]) -> Shape:
    if not columns:
        return Shape.ROW
    widths = [_width(column) for column in columns]
    if all(widths) and sum(widths) <= KEY_BYTES:
        return Shape.NUMBERS
    if len(columns) == 1 and columns[0].kind in TEXT_KINDS | BYTES_KINDS:
        return Shape.TEXT
    return Shape.DIGEST


def _width(column: Column) -> int:
    """Bytes that a column's values take as an integer; 0 when they are not packed so."""
    if column.kind is Kind.INTEGER:
        return column.width_bytes
    if column.kind is Kind.DECIMAL:
        return 8 if column.precision <= _DECIMAL_DIGITS else 0
    return _WIDTHS.get(column.kind, 0)


def _numbers(rows: pa.Table, columns: tuple[Column, ...]) -> Keys:
    hi, lo = (np.zeros(rows.num_rows, np.uint64) for _ in range(2))
    for column in columns:
        bits = 8 * _width(column)
        if bits == 64:  # noqa: PLR2004 - a whole half
            hi, lo = lo, _words(rows.column(column.name))
            continue
        hi = (hi << np.uint64(bits)) | (lo >> np.uint64(64 - bits))
        lo = (lo << np.uint64(bits)) | (_words(rows.column(column.name)) & np.uint64((1 << bits) - 1))
    return hi, lo


def _words(values: pa.ChunkedArray) -> Words:
    """Values as the lowest 64 bits of their integers; NULL, which no key has, as 0."""
    pieces = [_piece(chunk) for chunk in values.chunks]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint64)


def _piece(values: pa.Array) -> Words:
    if pa.types.is_decimal(values.type):
        pairs = np.frombuffer(values.buffers()[1], np.uint64, 2 * (values.offset + len(values)))
        words = pairs[2 * values.offset :: 2]
        return np.where(np.asarray(values.is_valid()), words, np.uint64(0))
    if pa.types.is_date32(values.type):
        values = values.view(pa.int32())
    elif pa.types.is_timestamp(values.type):
        values = values.view(pa.int64())
    numbers: np.ndarray[Any, np.dtype[np.int64]] = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(
        zero_copy_only=False
    )
    return numbers.view(np.uint64)


def _read_numbers(key: int, columns: tuple[Column, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for column in reversed(columns):
        bits = 8 * _width(column)
        number = key & ((1 << bits) - 1)
        key >>= bits
        is_signed = not (column.unsigned or column.kind is Kind.BIT)
        values[column.name] = _value(number - (1 << bits) if is_signed and number >> (bits - 1) else number, column)
    return {column.name: values[column.name] for column in columns}


def _value(number: int, column: Column) -> Any:  # noqa: ANN401 - a value of any column
    if column.kind is Kind.DECIMAL:
        return Decimal(number).scaleb(-column.scale)
    if column.kind is Kind.DATE:
        return pa.scalar(number, pa.int32()).cast(pa.date32()).as_py()
    if column.kind in (Kind.DATETIME, Kind.TIMESTAMP):
        return pa.scalar(number, pa.int64()).cast(column.arrow).as_py()
    return number


def _texts(rows: pa.Table, columns: tuple[Column, ...]) -> Keys:
    hi, lo = (np.zeros(rows.num_rows, np.uint64) for _ in range(2))
    values = rows.column(columns[0].name)
    at = 0
    for chunk in values.chunks:
        _pack(chunk, hi[at : at + len(chunk)], lo[at : at + len(chunk)])
        at += len(chunk)
    content = pc.fill_null(pc.binary_length(values), PACKED_MAX + 1).to_numpy()
    long = np.flatnonzero(content > PACKED_MAX)
    if len(long):
        digest_hi, digest_lo = halves_of(identities(rows.take(pa.array(long)), columns))
        hi[long] = digest_hi >> np.uint64(8) | np.uint64(_LONG_TEXT << 56)
        lo[long] = (digest_hi << np.uint64(56)) | (digest_lo >> np.uint64(8))
    return hi, lo


def _pack(texts: pa.Array, hi: Words, lo: Words) -> None:
    native = library()
    if native is not None:
        native.sketches.pack(texts, hi, lo)
        return
    for place, text in enumerate(texts.cast(pa.large_binary()).to_pylist()):
        key = packed_text(text or b"")
        hi[place], lo[place] = key >> 64, key & ((1 << 64) - 1)
