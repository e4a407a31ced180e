"""Between the name of a partition and the values that Iceberg keeps of it."""

from __future__ import annotations

import datetime as dt
import hashlib
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyiceberg.typedef import Record

from datafingerprint.adapters.lake_definition import TRANSFORMS, iceberg_type
from datafingerprint.partitions import NULL_VALUE, WHOLE, PartitionField, Partitioning, Transform
from datafingerprint.schema import Kind

EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
EPOCH_YEAR = 1970
MONTHS = 12

FOLDER_OCTETS_MAX = 120
"""Longest folder of a path: servers that keep objects as files allow 255, and a key has 1,024 in all."""

# What an S3 key may hold as it is, but for `*`: whoever reads files by their paths takes it for a pattern. `%` has a
# meaning in a partition's name already, and is kept.
_SAFE = "=%-_.!'()"


def partition_record(rows: pa.Table, partitioning: Partitioning) -> Record:
    """The values that Iceberg keeps of the partition of a table's first row."""
    return Record(*(_stored_value(rows.column(field.column.name), field) for field in partitioning.fields))


def _stored_value(values: pa.ChunkedArray, field: PartitionField) -> Any:  # noqa: ANN401 - of any column
    first = values.slice(0, 1)
    if field.column.kind is Kind.DATE:
        first = first.cast(pa.int32())
    elif field.column.kind in (Kind.DATETIME, Kind.TIMESTAMP):
        first = first.cast(pa.int64())
    value = first[0].as_py()
    return TRANSFORMS[field.transform].transform(iceberg_type(field.column))(value)


def partition_name(record: Record, partitioning: Partitioning) -> str:
    """The partition's name, from the values that Iceberg keeps of it."""
    if not partitioning.fields:
        return WHOLE
    return "/".join(f"{field.name}={_text(record[number], field)}" for number, field in enumerate(partitioning.fields))


def _text(value: Any, field: PartitionField) -> str:  # noqa: ANN401 - of any column
    if value is None:
        return NULL_VALUE
    if field.transform is Transform.YEAR:
        return f"{EPOCH_YEAR + value:04d}"
    if field.transform is Transform.MONTH:
        year, month = divmod(value, MONTHS)
        return f"{EPOCH_YEAR + year:04d}-{month + 1:02d}"
    if field.transform is Transform.DAY or field.column.kind is Kind.DATE:
        # pyiceberg hands out a date as days or as a date, depending on where it was read.
        return (value if isinstance(value, dt.date) else dt.date.fromordinal(EPOCH_DAY + value)).isoformat()
    return field.text(value.to_integral_value() if isinstance(value, Decimal) else value)


def partition_folders(name: str) -> str:
    """The Hive-style folders of a partition below a table's data, with a slash at the end; empty for the whole."""
    if name == WHOLE:
        return ""
    return "".join(f"{_folder(part)}/" for part in name.split("/"))


def _folder(part: str) -> str:
    """One level; a long one is cut and gets a digest, since only Iceberg's metadata says what a file holds."""
    safe = quote(part, safe=_SAFE)
    if len(safe) <= FOLDER_OCTETS_MAX:
        return safe
    digest = hashlib.sha256(part.encode()).hexdigest()[:16]
    return f"{safe[: FOLDER_OCTETS_MAX - 17].rstrip('%')}~{digest}"
