"""Data files: rows to Parquet with what Iceberg wants to know about them, and back."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record

from datafingerprint.schema import Kind, TableSchema

FIELD_ID = b"PARQUET:field_id"
ROW_GROUP_ROWS = 262_144
SORT_COLUMNS_MAX = 3
"""By how many columns a table without a key is sorted, so that bounds of files mean something."""


def sorted_rows(rows: pa.Table, table: TableSchema) -> pa.Table:
    """The rows in the order in which they lie in a file: by key, so that a file's bounds are narrow."""
    names = (
        table.key
        or tuple(column.name for column in table.columns if column.kind in (Kind.INTEGER, Kind.DATE))[:SORT_COLUMNS_MAX]
    )
    return rows.sort_by([(name, "ascending") for name in names]) if names else rows


def pieces(rows: pa.Table, rows_max: int) -> Iterator[pa.Table]:
    """The rows in files of bearable length."""
    for start in range(0, rows.num_rows, rows_max):
        yield rows.slice(start, rows_max)


def write_parquet(io: FileIO, metadata: TableMetadata, path: str, rows: pa.Table, partition: Record) -> IcebergFile:
    """Puts rows as one object, durably when this returns; gives its entry for a manifest.

    The file is made in memory and put by one request, so a reader never finds half of it.
    """
    schema = metadata.schema()
    sink = pa.BufferOutputStream()
    fields = [field.with_metadata({FIELD_ID: str(schema.find_field(field.name).field_id)}) for field in rows.schema]
    with pq.ParquetWriter(sink, pa.schema(fields), compression="zstd", store_decimal_as_integer=True) as writer:
        writer.write_table(pa.table(rows.columns, schema=pa.schema(fields)), row_group_size=ROW_GROUP_ROWS)
    octets = sink.getvalue()
    with io.new_output(path).create(overwrite=True) as stream:
        stream.write(octets)
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=writer.writer.metadata,
        stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    file = IcebergFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=octets.size,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = metadata.default_spec_id
    return file


def read_parquet(io: FileIO, metadata: TableMetadata, path: str, table: TableSchema) -> pa.Table:
    """All rows of a file in the table's columns; a column that the file lacks is null.

    Columns are found by their Iceberg field id, since another engine may have spelled their names otherwise.
    """
    with io.new_input(path).open() as stream:
        rows = pq.read_table(pa.BufferReader(stream.read()), partitioning=None)
    places = {int(field.metadata[FIELD_ID]): number for number, field in enumerate(rows.schema) if _has_id(field)}
    columns = []
    for field in table.arrow:
        place = places.get(metadata.schema().find_field(field.name).field_id, rows.schema.get_field_index(field.name))
        missing = place < 0
        columns.append(pa.nulls(rows.num_rows, field.type) if missing else rows.column(place).cast(field.type))
    return pa.table(columns, schema=table.arrow)


def _has_id(field: pa.Field) -> bool:
    return field.metadata is not None and FIELD_ID in field.metadata
