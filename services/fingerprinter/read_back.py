"""Reads a file of the lake back and sums its rows, without relying on the writer's report."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from datafingerprint.digests import sums_by_partition
from datafingerprint.errors import FileDamageError
from datafingerprint.field_ids import FieldIds, column_indices, select_columns
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import FileSums, StoredSketch
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import LakeFile, LakeView
from datafingerprint.ports.scratch import Scratch
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import Sketch
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.sketching import HeldSketches, count_rows

_ROWS_AT_ONCE = 32_768
"""Rows that are decoded and digested at once: about 5 MB of an ordinary table."""

_LONG_BYTES = 1 << 20
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
    cells: int = 0,
) -> FileSums:
    """Reads what a live file adds to the sums; a file that is gone or damaged adds nothing.

    Its partitions are then those that it was last known to hold rows of, or those that it is filed under. One that
    holds rows of another partition than it is filed under counts as it is, and says so of both: engines look for a
    partition's rows in its own files only, and take all rows of a file for its partition's.

    With `cells` its sketches are made as well, of so many cells each.

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
            size_bytes = file.tell()
            with _one_long_file if size_bytes > _LONG_BYTES else nullcontext():
                sums, sketches = summed(file, table, field_ids, cells)
    except FileDamageError as error:
        partitions = known.sums if known else live.partitions
        return FileSums(live.path, etag, 0, dict.fromkeys(partitions, ZERO), now, error.what, live.partitions)
    added = {name: value * len(live.partitions) for name, value in sums.items()}
    stored = _stored(sketches, SketchForm.of(table, cells).text, len(live.partitions))
    strays = sorted(name for name in sums if set(live.partitions) != {name})
    if not strays:
        return FileSums(live.path, etag, size_bytes, added, now, partitions=live.partitions, sketches=stored)
    why = f"rows of {', '.join(strays[:_NAMES_MAX])} are filed under {', '.join(sorted(set(live.partitions)))}"
    sums_of_all = dict.fromkeys(live.partitions, ZERO) | added
    return FileSums(live.path, etag, size_bytes, sums_of_all, now, why, live.partitions, stored)


def _stored(sketches: Mapping[str, bytes], form: str, times: int) -> dict[str, StoredSketch]:
    """The sketches of a file as they are stored; rows count as often as the file is live."""
    if times == 1:
        return {name: StoredSketch(form, cells) for name, cells in sketches.items()}
    return {name: StoredSketch(form, (Sketch.from_bytes(cells) * times).to_bytes()) for name, cells in sketches.items()}


def summed(
    file: IO[bytes], table: TableSchema, field_ids: FieldIds | None = None, cells: int = 0
) -> tuple[dict[str, Fingerprint], dict[str, bytes]]:
    """The sums and sketches of the rows in a Parquet file, by partition.

    Without cells there are no sketches.

    Raises:
        FileDamageError: it is no Parquet, or its columns do not hold the table's values.
    """
    sums: dict[str, Fingerprint] = {}
    sketches: HeldSketches[str] = HeldSketches()
    parts, form = partitioning(table), SketchForm.of(table, cells)
    try:
        for rows in _parsed(file, table, field_ids):
            counted = count_rows(rows, table.columns, parts, form) if cells else None
            of_rows = counted.sums if counted else sums_by_partition(rows, table.columns, parts)
            for name, value in of_rows.items():
                sums[name] = sums.get(name, ZERO) + value
            for name, sketch in counted.sketches() if counted else ():
                sketches.add(name, sketch)
    # What somebody else wrote may hold anything: two columns of one name, a date that no calendar has.
    except (pa.ArrowException, OSError, ValueError, LookupError, ArithmeticError) as error:
        raise FileDamageError(
            f"a file cannot be read as rows of the table ({type(error).__name__})",
            where=table.table,
            remedy=f"restore the file, or datafingerprint resync {table.table}",
        ) from error
    return sums, sketches.take()


def _parsed(file: IO[bytes], table: TableSchema, field_ids: FieldIds | None) -> Iterator[pa.Table]:
    """Reads a Parquet file in pieces, in the table's Arrow schema; a missing column is NULL."""
    parquet = pq.ParquetFile(file, page_checksum_verification=True, buffer_size=1 << 20)
    at = column_indices(parquet.schema_arrow, field_ids.ids if field_ids else None, table.arrow)
    for batch in parquet.iter_batches(_ROWS_AT_ONCE):
        yield select_columns(pa.Table.from_batches([batch]), at, table.arrow)
