"""Writes rows to Parquet data files with the statistics that Iceberg needs, and reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import IO

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

from datafingerprint.adapters.iceberg.definition import field_ids
from datafingerprint.errors import LakeTableError
from datafingerprint.field_ids import FIELD_ID, column_indices, select_columns
from datafingerprint.schema import TableSchema

ROW_GROUP_ROWS = 262_144

_ROW_GROUP_BYTES = 16 << 20
"""Size at which pieces of rows make a row group, even if they have fewer rows."""

_COPY_BYTES = 4 << 20

_PIECE_ROWS = 32_768


def sorted_rows(rows: pa.Table, table: TableSchema) -> pa.Table:
    """The rows in the order of a file: by key, so that the bounds of a file are narrow."""
    names = table.file_order
    return rows.sort_by([(name, "ascending") for name in names]) if names else rows


def pieces(rows: pa.Table, rows_max: int) -> Iterator[pa.Table]:
    """Splits rows into parts of at most `rows_max` rows, one per file."""
    for start in range(0, rows.num_rows, rows_max):
        yield rows.slice(start, rows_max)


def in_files(parts: Iterable[pa.Table], rows_max: int) -> Iterator[Iterator[pa.Table]]:
    """Groups pieces of rows into files of at most `rows_max` rows.

    The pieces of one file must be consumed before the next file is requested.
    """
    remaining = (piece for piece in parts if piece.num_rows)
    following = next(remaining, None)

    def next_file() -> Iterator[pa.Table]:
        nonlocal following
        rows_left = rows_max
        while following is not None and rows_left:
            piece, rest = following.slice(0, rows_left), following.slice(rows_left)
            rows_left -= piece.num_rows
            yield piece
            following = rest if rest.num_rows else next(remaining, None)

    while following is not None:
        yield next_file()


def write_parquet(io: FileIO, metadata: TableMetadata, path: str, rows: pa.Table, partition: Record) -> IcebergFile:
    """Write rows as one object, and return its manifest entry. The object is durable on return.

    The file is built in memory and written with one request, so a reader never sees a part of it.
    """
    sink = pa.BufferOutputStream()
    schema = _with_ids(rows.schema, metadata)
    with _writer(sink, schema) as writer:
        writer.write_table(pa.table(rows.columns, schema=schema), row_group_size=ROW_GROUP_ROWS)
    content = sink.getvalue()
    with io.new_output(path).create(overwrite=True) as stream:
        stream.write(content)
    return _entry(metadata, path, writer.writer.metadata, content.size, partition)


def write_pieces(
    io: FileIO, metadata: TableMetadata, path: str, parts: Iterable[pa.Table], partition: Record, file: IO[bytes]
) -> IcebergFile:
    """Write pieces of rows as one object, and return its manifest entry.

    The file is built on disk, so only one row group is in memory. An object of several parts appears when complete.
    """
    writer: pq.ParquetWriter | None = None
    for rows in _row_groups(parts):
        schema = _with_ids(rows.schema, metadata)
        writer = writer or _writer(file, schema)
        writer.write_table(pa.table(rows.columns, schema=schema), row_group_size=rows.num_rows)
    if writer is None:
        raise ValueError("a file needs rows")
    writer.close()
    size_bytes = file.tell()
    file.seek(0)
    with io.new_output(path).create(overwrite=True) as stream:
        while piece := file.read(_COPY_BYTES):
            stream.write(piece)
    return _entry(metadata, path, writer.writer.metadata, size_bytes, partition)


def _row_groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    group: list[pa.Table] = []
    for piece in parts:
        group.append(piece)
        is_long = sum(rows.num_rows for rows in group) >= ROW_GROUP_ROWS
        if is_long or sum(rows.nbytes for rows in group) >= _ROW_GROUP_BYTES:
            yield pa.concat_tables(group)
            group = []
    if group:
        yield pa.concat_tables(group)


def _with_ids(rows: pa.Schema, metadata: TableMetadata) -> pa.Schema:
    schema = metadata.schema()
    return pa.schema([field.with_metadata({FIELD_ID: str(schema.find_field(field.name).field_id)}) for field in rows])


def _writer(sink: pa.NativeFile | IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(sink, schema, compression="zstd", store_decimal_as_integer=True)


def _entry(
    metadata: TableMetadata, path: str, footer: pq.FileMetaData, size_bytes: int, partition: Record
) -> IcebergFile:
    schema = metadata.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    file = IcebergFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=size_bytes,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = metadata.default_spec_id
    return file


def read_parquet(io: FileIO, metadata: TableMetadata, path: str, table: TableSchema) -> pa.Table:
    """All rows of a file with the table's columns. A column that the file lacks is null.

    Columns are matched by their Iceberg field id, since names can differ between engines and can be reused. Only in a
    file without field ids they are matched by name.
    """
    with io.new_input(path).open() as stream:
        content = stream.read()
    try:
        rows = pq.read_table(pa.BufferReader(content), partitioning=None)
    except (pa.ArrowException, OSError, ValueError) as error:
        why = f"file {path} of the lake cannot be read ({type(error).__name__})"
        raise LakeTableError(
            why, where=table.table, remedy="restore it, or re-snapshot the table (datafingerprint resync)"
        ) from error
    return select_columns(rows, column_indices(rows.schema, field_ids(metadata).ids, table.arrow), table.arrow)


def read_pieces(
    io: FileIO, metadata: TableMetadata, path: str, table: TableSchema, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The rows of a file in order, in pieces, with all columns or the named ones."""
    wanted = table.arrow if columns is None else pa.schema([table.arrow.field(name) for name in columns])
    with io.new_input(path).open() as stream:
        file = pq.ParquetFile(stream, buffer_size=_COPY_BYTES)
        at = column_indices(file.schema_arrow, field_ids(metadata).ids, wanted)
        names = [file.schema_arrow.names[place] for place in at if place >= 0]
        for batch in file.iter_batches(_PIECE_ROWS, columns=names):
            rows = pa.Table.from_batches([batch])
            indexes = [
                rows.schema.get_field_index(file.schema_arrow.names[place]) if place >= 0 else -1 for place in at
            ]
            yield select_columns(rows, indexes, wanted)
