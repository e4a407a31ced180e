"""Data files: rows to Parquet with what Iceberg wants to know about them, and back."""

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

from datafingerprint.adapters.lake_definition import field_ids
from datafingerprint.field_ids import FIELD_ID, in_columns, places
from datafingerprint.schema import TableSchema

ROW_GROUP_ROWS = 262_144

_ROW_GROUP_OCTETS = 16 << 20
"""Rows of this many bytes are a row group too, where they come in pieces."""

_COPY_OCTETS = 4 << 20

_PIECE_ROWS = 32_768


def sorted_rows(rows: pa.Table, table: TableSchema) -> pa.Table:
    """The rows in the order in which they lie in a file: by key, so that a file's bounds are narrow."""
    names = table.file_order
    return rows.sort_by([(name, "ascending") for name in names]) if names else rows


def pieces(rows: pa.Table, rows_max: int) -> Iterator[pa.Table]:
    """The rows in files of bearable length."""
    for start in range(0, rows.num_rows, rows_max):
        yield rows.slice(start, rows_max)


def in_files(given: Iterable[pa.Table], rows_max: int) -> Iterator[Iterator[pa.Table]]:
    """The same for rows that come in pieces: each file's pieces, gone through before the next file is asked for."""
    waiting = (piece for piece in given if piece.num_rows)
    ahead = next(waiting, None)

    def of_one_file() -> Iterator[pa.Table]:
        nonlocal ahead
        left = rows_max
        while ahead is not None and left:
            piece, rest = ahead.slice(0, left), ahead.slice(left)
            left -= piece.num_rows
            yield piece
            ahead = rest if rest.num_rows else next(waiting, None)

    while ahead is not None:
        yield of_one_file()


def write_parquet(io: FileIO, metadata: TableMetadata, path: str, rows: pa.Table, partition: Record) -> IcebergFile:
    """Puts rows as one object, durably when this returns; gives its entry for a manifest.

    The file is made in memory and put by one request, so a reader never finds half of it.
    """
    sink = pa.BufferOutputStream()
    schema = _with_ids(rows.schema, metadata)
    with _writer(sink, schema) as writer:
        writer.write_table(pa.table(rows.columns, schema=schema), row_group_size=ROW_GROUP_ROWS)
    octets = sink.getvalue()
    with io.new_output(path).create(overwrite=True) as stream:
        stream.write(octets)
    return _entry(metadata, path, writer.writer.metadata, octets.size, partition)


def write_pieces(
    io: FileIO, metadata: TableMetadata, path: str, given: Iterable[pa.Table], partition: Record, file: IO[bytes]
) -> IcebergFile:
    """The same for rows that come in pieces, by way of a temporary file.

    A row group is as many rows as memory takes well. An object that is put in several parts is there only when all are.
    """
    writer: pq.ParquetWriter | None = None
    for rows in _row_groups(given):
        schema = _with_ids(rows.schema, metadata)
        writer = writer or _writer(file, schema)
        writer.write_table(pa.table(rows.columns, schema=schema), row_group_size=rows.num_rows)
    if writer is None:
        raise ValueError("a file of no rows")
    writer.close()
    octets = file.tell()
    file.seek(0)
    with io.new_output(path).create(overwrite=True) as stream:
        while piece := file.read(_COPY_OCTETS):
            stream.write(piece)
    return _entry(metadata, path, writer.writer.metadata, octets, partition)


def _row_groups(given: Iterable[pa.Table]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for piece in given:
        held.append(piece)
        is_long = sum(one.num_rows for one in held) >= ROW_GROUP_ROWS
        if is_long or sum(one.nbytes for one in held) >= _ROW_GROUP_OCTETS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _with_ids(rows: pa.Schema, metadata: TableMetadata) -> pa.Schema:
    schema = metadata.schema()
    return pa.schema([field.with_metadata({FIELD_ID: str(schema.find_field(field.name).field_id)}) for field in rows])


def _writer(sink: pa.NativeFile | IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(sink, schema, compression="zstd", store_decimal_as_integer=True)


def _entry(metadata: TableMetadata, path: str, footer: pq.FileMetaData, octets: int, partition: Record) -> IcebergFile:
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
        file_size_in_bytes=octets,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = metadata.default_spec_id
    return file


def read_parquet(io: FileIO, metadata: TableMetadata, path: str, table: TableSchema) -> pa.Table:
    """All rows of a file in the table's columns; a column that the file lacks is null.

    Columns are found by their Iceberg field id, since another engine may have spelled their names otherwise, and a
    column of that name may have been another one; by their names only in a file without ids.
    """
    with io.new_input(path).open() as stream:
        rows = pq.read_table(pa.BufferReader(stream.read()), partitioning=None)
    return in_columns(rows, places(rows.schema, field_ids(metadata).ids, table.arrow), table.arrow)


def read_pieces(
    io: FileIO, metadata: TableMetadata, path: str, table: TableSchema, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """The same in pieces, in the order of the file; all columns, or those that are named."""
    wanted = table.arrow if columns is None else pa.schema([table.arrow.field(name) for name in columns])
    with io.new_input(path).open() as stream:
        file = pq.ParquetFile(stream, buffer_size=_COPY_OCTETS)
        at = places(file.schema_arrow, field_ids(metadata).ids, wanted)
        names = [file.schema_arrow.names[place] for place in at if place >= 0]
        for batch in file.iter_batches(_PIECE_ROWS, columns=names):
            rows = pa.Table.from_batches([batch])
            found = [rows.schema.get_field_index(file.schema_arrow.names[one]) if one >= 0 else -1 for one in at]
            yield in_columns(rows, found, wanted)
