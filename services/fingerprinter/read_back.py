"""Reads a file of the lake back and sums the rows that are in it, whatever the writer said of them."""

from __future__ import annotations

from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from datafingerprint.digests import sums_by_partition
from datafingerprint.errors import LakeError
from datafingerprint.fingerprint import ZERO
from datafingerprint.ledger import FileSums
from datafingerprint.partitions import WHOLE, partitioning
from datafingerprint.ports import LakeView
from datafingerprint.schema import TableSchema

_DATA_FOLDER = "/data/"


def read_back(view: LakeView, table: TableSchema, path: str, now: float, known: FileSums | None = None) -> FileSums:
    """The sums of a file as it is now; one that cannot be read counts for nothing and says why.

    Its partitions are then those that it was last known to hold rows of, or the one that it is filed under.
    """
    etag = ""
    try:
        octets, etag = view.read(path)
        rows = parse(octets, table)
    except LakeError as error:
        partitions = known.sums if known else [filed_under(path)]
        return FileSums(path, etag, 0, dict.fromkeys(partitions, ZERO), now, unreadable=error.what)
    sums = sums_by_partition(rows, table.columns, partitioning(table))
    return FileSums(path, etag, len(octets), sums, now)


def parse(octets: bytes, table: TableSchema) -> pa.Table:
    """The rows in a Parquet file, in the table's Arrow schema; a column that the file lacks is NULL.

    Raises:
        LakeError: it is no Parquet, or its columns do not hold the table's values.
    """
    try:
        found = pq.ParquetFile(pa.BufferReader(octets), page_checksum_verification=True).read()
        columns = [
            found.column(field.name).cast(field.type)
            if field.name in found.column_names
            else pa.nulls(found.num_rows, field.type)
            for field in table.arrow
        ]
        return pa.table(columns, schema=table.arrow)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LakeError(f"a file cannot be read as rows of the table ({type(error).__name__})") from error


def filed_under(path: str) -> str:
    """The partition that a file's path names."""
    folders = path.rpartition(_DATA_FOLDER)[2].split("/")[:-1]
    return "/".join(unquote(folder) if "=" not in folder else folder for folder in folders) or WHOLE
