"""Converts between names of partitions and the values that Iceberg stores for them."""

from __future__ import annotations

import datetime as dt
import hashlib
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyiceberg.typedef import Record

from datafingerprint.adapters.iceberg.definition import TRANSFORMS, iceberg_type
from datafingerprint.partitions import NULL_VALUE, WHOLE, PartitionField, Partitioning, Transform
from datafingerprint.schema import Kind

EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
EPOCH_YEAR = 1970
MONTHS = 12

FOLDER_BYTES_MAX = 120
"""Longest folder of a path: stores that use files allow 255 bytes, and a key has 1,024 in all."""

# Characters that an S3 key may hold unquoted, without `*`, which readers of paths take as a pattern. `%` already has a
# meaning in the name of a partition, so it is kept.
_SAFE = "=%-_.!'()"


def partition_record(rows: pa.Table, partitioning: Partitioning) -> Record:
    """The values that Iceberg stores for the partition of the first row."""
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
    """The name of a partition, from the values that Iceberg stores for it."""
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
        # pyiceberg returns a date as days or as a date, depending on where it was read.
        return (value if isinstance(value, dt.date) else dt.date.fromordinal(EPOCH_DAY + value)).isoformat()
    return field.text(value.to_integral_value() if isinstance(value, Decimal) else value)


def partition_folders(name: str) -> str:
    """The Hive-style folders of a partition, with a slash at the end; empty for the whole table."""
    if name == WHOLE:
        return ""
    return "".join(f"{_folder(part)}/" for part in name.split("/"))


def _folder(part: str) -> str:
    """One folder. A long one is truncated and gets a digest: only Iceberg's metadata counts."""
    safe = quote(part, safe=_SAFE)
    if len(safe) <= FOLDER_BYTES_MAX:
        return safe
    digest = hashlib.sha256(part.encode()).hexdigest()[:16]
    return f"{safe[: FOLDER_BYTES_MAX - 17].rstrip('%')}~{digest}"
