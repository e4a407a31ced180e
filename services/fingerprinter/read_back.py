"""Reads a file of the lake back and sums the rows that are in it, whatever the writer said of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from datafingerprint.digests import sums_by_partition
from datafingerprint.errors import FileDamageError
from datafingerprint.field_ids import FieldIds, in_columns, places
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import FileSums
from datafingerprint.partitions import partitioning
from datafingerprint.ports import LakeFile, LakeView
from datafingerprint.schema import TableSchema
from datafingerprint.scratch import Scratch

_ROWS_AT_ONCE = 32_768
"""Rows that are decoded and digested at once: about 5 MB of an ordinary table."""

_LONG_OCTETS = 1 << 20
"""How long a file may be to be decoded while others are."""

_NAMES_MAX = 3
"""Partitions that are named of a file that holds rows of several."""

_one_long_file = threading.Lock()


def read_back(
    view: LakeView,
    scratch: Scratch,
    table: TableSchema,
    live: LakeFile,
    now: float,
    *,
    known: FileSums | None = None,
    field_ids: FieldIds | None = None,
) -> FileSums:
    """What a live file adds to the sums as it is now; one that is gone or damaged counts for nothing and says why.

    Its partitions are then those that it was last known to hold rows of, or those that it is filed under. One that
    holds rows of another partition than it is filed under counts as it is, and says so of both: engines look for a
    partition's rows in its own files only, and take all rows of a file for its partition's.

    A long file is copied to a temporary one, so that its length does not matter to memory, and only one of them is
    decoded at a time.

    Raises:
        Unavailable: the store is away, or the temporary file cannot be used.
        LakeError: the store refuses the reader, which says nothing of the file.
    """
    etag = ""
    try:
        with scratch.spooled() as file:
            etag = view.copy(live.path, file)
            octets = file.tell()
            with _one_long_file if octets > _LONG_OCTETS else nullcontext():
                sums = summed(file, table, field_ids)
    except FileDamageError as error:
        partitions = known.sums if known else live.filed
        return FileSums(live.path, etag, 0, dict.fromkeys(partitions, ZERO), now, error.what, live.filed)
    added = {name: one * len(live.filed) for name, one in sums.items()}
    strays = sorted(name for name in sums if set(live.filed) != {name})
    if not strays:
        return FileSums(live.path, etag, octets, added, now, filed=live.filed)
    why = f"rows of {', '.join(strays[:_NAMES_MAX])} are filed under {', '.join(sorted(set(live.filed)))}"
    return FileSums(live.path, etag, octets, dict.fromkeys(live.filed, ZERO) | added, now, why, live.filed)


def summed(file: IO[bytes], table: TableSchema, field_ids: FieldIds | None = None) -> dict[str, Fingerprint]:
    """The sums of the rows in a Parquet file, by partition.

    Raises:
        FileDamageError: it is no Parquet, or its columns do not hold the table's values.
    """
    sums: dict[str, Fingerprint] = {}
    try:
        for rows in _parsed(file, table, field_ids):
            for name, one in sums_by_partition(rows, table.columns, partitioning(table)).items():
                sums[name] = sums.get(name, ZERO) + one
    # What somebody else wrote may hold anything: two columns of one name, a date that no calendar has.
    except (pa.ArrowException, OSError, ValueError, LookupError, ArithmeticError) as error:
        raise FileDamageError(f"a file cannot be read as rows of the table ({type(error).__name__})") from error
    return sums


def _parsed(file: IO[bytes], table: TableSchema, field_ids: FieldIds | None) -> Iterator[pa.Table]:
    """The rows in a Parquet file in pieces, in the table's Arrow schema; a column that the file lacks is NULL."""
    found = pq.ParquetFile(file, page_checksum_verification=True, buffer_size=1 << 20)
    at = places(found.schema_arrow, field_ids.ids if field_ids else None, table.arrow)
    for batch in found.iter_batches(_ROWS_AT_ONCE):
        yield in_columns(pa.Table.from_batches([batch]), at, table.arrow)
