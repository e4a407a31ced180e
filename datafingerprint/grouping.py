"""Groups the rows of columns by partition: distinct values are named, not rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.partitions import WHOLE, PartitionField, Partitioning, Transform
from datafingerprint.schema import Kind

Codes = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The partitions of rows.

    Attributes:
        names: Distinct names; each of them has a row.
        codes: For each row the index of its partition's name; None if there is at most one partition.
    """

    names: Sequence[str]
    codes: Codes | None


def group_rows(rows: pa.Table, partitioning: Partitioning) -> Grouping:
    """Groups rows by partition, named as `Partitioning.name` does."""
    if not rows.num_rows:
        return Grouping([], None)
    if not partitioning.fields:
        return Grouping([WHOLE], None)
    codes = np.zeros(rows.num_rows, np.int64)
    for field in partitioning.fields:
        values, distinct = _number_values(_transformed(rows.column(field.column.name), field))
        # Kept dense after every field, so that the product of many fields' values never overflows.
        codes, _ = _number_values(pa.chunked_array([pa.array(codes * distinct + values)]))
    first = _first_rows(codes)
    columns = list(dict.fromkeys(field.column.name for field in partitioning.fields))
    names = [partitioning.name(row) for row in rows.select(columns).take(pa.array(first)).to_pylist()]
    return Grouping(names, codes.astype(np.int32))


def _transformed(values: pa.ChunkedArray, field: PartitionField) -> pa.ChunkedArray:
    """The part of the values that the transform keeps: equal exactly if the partition names are."""
    if field.transform is Transform.IDENTITY:
        return values
    if field.column.kind is Kind.TIMESTAMP:
        values = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).cast(pa.timestamp("us"))
    if field.transform is Transform.YEAR:
        return pc.year(values)
    if field.transform is Transform.MONTH:
        return pc.add(pc.multiply(pc.year(values), 12), pc.month(values))
    return values.cast(pa.date32(), safe=False)


def _number_values(values: pa.ChunkedArray) -> tuple[np.ndarray[Any, np.dtype[np.int64]], int]:
    """Numbers the distinct values from 0 in the order of their first row; null is one of them."""
    # In one piece first: the dictionaries of several pieces differ, and Arrow cannot unify those of decimals.
    encoded = pc.dictionary_encode(pa.concat_arrays(values.chunks), null_encoding="encode")
    return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)


def _first_rows(codes: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    first = np.empty(int(codes.max()) + 1, np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first
