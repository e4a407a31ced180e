"""The lake as its writer sees it: Iceberg tables of Hive-style Parquet files in a bucket, in a SQL catalog."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from itertools import chain

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from sqlalchemy.exc import IntegrityError

from datafingerprint.adapters.lake_connection import LakeConnection, open_connection, require_bucket
from datafingerprint.adapters.lake_definition import (
    LEFT,
    iceberg_schema,
    iceberg_type,
    identifier,
    location,
    partition_spec,
    require_same_fields,
    table_properties,
)
from datafingerprint.adapters.lake_errors import translated
from datafingerprint.adapters.lake_evolution import evolution
from datafingerprint.adapters.lake_expiry import expire
from datafingerprint.adapters.lake_manifests import Manifests, QuickTransaction, Replacement
from datafingerprint.adapters.lake_parquet import (
    in_files,
    pieces,
    read_parquet,
    read_pieces,
    sorted_rows,
    write_parquet,
    write_pieces,
)
from datafingerprint.adapters.lake_partitions import partition_folders, partition_name, partition_record
from datafingerprint.adapters.lake_stamps import nearest_stamp, stamp_properties
from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.config import Settings
from datafingerprint.errors import ConflictError, LakeError
from datafingerprint.partitions import partitioning
from datafingerprint.ports import DataFile, Stamp
from datafingerprint.remedies import reading_again
from datafingerprint.schema import Kind, TableSchema

WRITERS = 4
"""Files of one table that are written at once: a put of a small one is mostly waiting."""


class IcebergLake:
    """The lake of one bucket and catalog; different tables may be used by different threads.

    Args:
        settings: Where bucket and catalog are, and how large a file may be.
        connection: An open connection instead of the one that the settings name.

    Raises:
        ConfigError: the catalog's URL is not fit.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password, or its file cannot be written.
    """

    def __init__(self, settings: Settings, connection: LakeConnection | None = None) -> None:
        self._settings = settings
        self._connection = connection or open_connection(settings)

    def preflight(self) -> None:
        """Demands that the bucket is there and that the keys open it; changes nothing.

        Raises:
            Unavailable: the store is away.
            LakeError: the bucket does not exist, or the store refuses the keys.
        """
        require_bucket(self._settings.s3)

    def table(self, table: TableSchema) -> IcebergLakeTable:
        """The table of the lake that mirrors a source table; created when it is missing.

        Raises:
            LakeError: it exists with other partition fields, or lies elsewhere.
            ConfigError: a partition field is not fit.
        """
        with self._opening(table):
            return self._opened(table, self._load(table) or self._create(table))

    def existing(self, table: TableSchema) -> IcebergLakeTable | None:
        """The table of the lake that mirrors a source table; None when it is missing.

        Raises:
            LakeError: it exists with other partition fields, or lies elsewhere.
            ConfigError: a partition field is not fit.
        """
        with self._opening(table):
            loaded = self._load(table)
            return None if loaded is None else self._opened(table, loaded)

    def _opening(self, table: TableSchema) -> AbstractContextManager[None]:
        return translated(f"opening the lake table {table.table}", where=self._connection.where)

    def _opened(self, table: TableSchema, loaded: Table) -> IcebergLakeTable:
        self._require_place(loaded, table)
        scratch = TemporaryScratch(self._settings.scratch.directory)
        return IcebergLakeTable(self._connection, table, loaded, self._settings.lake, scratch)

    def leave(self, table: TableSchema, stamp: Stamp) -> None:
        """Says of a table that left the stream up to where it holds the source's rows; it keeps them.

        Raises:
            ConflictError: another writer was first.
        """
        with translated(f"marking the lake table {table.table}", where=self._connection.where):
            loaded = self._load(table)
            if loaded is not None and LEFT not in loaded.metadata.properties:
                with loaded.transaction() as transaction:
                    transaction.set_properties({LEFT: json.dumps(stamp.position.to_json())})

    def stamps(self) -> Mapping[str, Stamp]:
        """See `ports.Lake.stamps`; tables that lie elsewhere are somebody else's."""
        catalog, found = self._connection.catalog, dict[str, Stamp]()
        with translated("looking for lake tables", where=self._connection.where):
            for name in [name for space in catalog.list_namespaces() for name in catalog.list_tables(space)]:
                metadata = catalog.load_table(name).metadata
                is_ours = metadata.location.startswith(f"{self._connection.warehouse}/")
                stamp = nearest_stamp(metadata, metadata.current_snapshot()) if is_ours else None
                if stamp is not None:
                    found[".".join(name)] = stamp
        return found

    def close(self) -> None:
        """Ends the catalog's connections."""
        self._connection.close()

    def _load(self, table: TableSchema) -> Table | None:
        try:
            return self._connection.catalog.load_table(identifier(table))
        except NoSuchTableError:
            return None

    def _create(self, table: TableSchema) -> Table:
        catalog = self._connection.catalog
        name = identifier(table)
        with suppress(NamespaceAlreadyExistsError, IntegrityError):  # another table's thread was first
            catalog.create_namespace_if_not_exists((name[0],))
        schema = iceberg_schema(table)
        try:
            return catalog.create_table(
                name,
                schema,
                location=location(self._connection.warehouse, table),
                partition_spec=partition_spec(schema, partitioning(table)),
                properties=table_properties(table),
            )
        except TableAlreadyExistsError:
            return catalog.load_table(name)

    def _require_place(self, loaded: Table, table: TableSchema) -> None:
        wanted = location(self._connection.warehouse, table)
        if loaded.metadata.location.rstrip("/") != wanted:
            raise LakeError(
                f"the lake table {table.table} lies in {loaded.metadata.location}, not in {wanted}",
                remedy="set [s3] bucket and [lake] path as they were, or give [lake] catalog another database",
            )


class IcebergLakeTable:
    """One table of the lake; not for use by several threads at once."""

    def __init__(
        self,
        connection: LakeConnection,
        table: TableSchema,
        loaded: Table,
        settings: LakeSettings,
        scratch: TemporaryScratch,
    ) -> None:
        self._scratch = scratch
        self._connection = connection
        self._table = table
        self._partitioning = partitioning(table)
        self._settings = settings
        self._manifests = Manifests(loaded.io)
        self._files: dict[str, DataFile] = {}
        self._take(loaded)

    def _take(self, loaded: Table) -> None:
        require_same_fields(loaded.metadata, self._table, self._partitioning)
        self._loaded = loaded
        self._evolution = evolution(loaded.metadata, self._table)
        self._metadata = self._evolution.of(loaded.metadata)

    def refresh(self) -> None:
        """Reads the table's present state anew; costs one small query when nothing has changed.

        Raises:
            LakeError: it is no longer there, or has other partition fields now.
        """
        with self._translated("reading"):
            present = self._connection.metadata_location(identifier(self._table))
            if present != self._loaded.metadata_location:
                self._take(self._connection.catalog.load_table(identifier(self._table)))

    @property
    def is_outdated(self) -> bool:
        """Whether the next commit will change the table's columns or properties."""
        return self._evolution.is_needed

    @property
    def snapshot_id(self) -> int | None:
        """The present snapshot; None when the table has none yet."""
        return self._loaded.metadata.current_snapshot_id

    @property
    def stamp(self) -> Stamp | None:
        """The stamp of the present snapshot, or of its nearest ancestor that has one."""
        return nearest_stamp(self._loaded.metadata, self._loaded.metadata.current_snapshot())

    def files(self) -> Sequence[DataFile]:
        """The live files of the snapshot that was last seen; reads only manifests that are new.

        Raises:
            LakeError: the table has delete files, which this project does not write.
            TableDamageError: the metadata that names them is gone or no metadata.
        """
        with self._translated("listing the files of"):
            self._load_files()
        return list(self._files.values())

    def begin_anew(self) -> None:
        """Takes the table to have no files: those that its damaged metadata named will not be live any more."""
        self._manifests.begin_anew(self._loaded.metadata.current_snapshot())
        self._files = {}

    def read(self, file: DataFile) -> pa.Table:
        """The rows of a file."""
        with self._translated("reading a file of"):
            return read_parquet(self._loaded.io, self._metadata, file.path, self._table)

    def read_pieces(self, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a file in their order, in pieces; all columns, or those that are named."""
        with self._translated("reading a file of"):
            yield from read_pieces(self._loaded.io, self._metadata, file.path, self._table, columns)

    def write_pieces(self, partition: str, pieces: Iterable[pa.Table], added_by: Stamp) -> Sequence[IcebergFile]:
        """Writes rows of one partition, which come in pieces and in order, to as many new files as it takes.

        Raises:
            LakeError: the rows are not of the partition that they are given for.
        """
        with self._translated("writing a file of"):
            return [
                self._write_long_file(partition, part, added_by)
                for part in in_files(pieces, self._settings.file_rows_max)
            ]

    def _write_long_file(self, name: str, pieces: Iterator[pa.Table], stamp: Stamp) -> IcebergFile:
        first = next(pieces)
        record = self._record(name, first)
        with self._scratch.spooled() as file:
            return write_pieces(
                self._loaded.io, self._metadata, self._path(name, stamp), chain([first], pieces), record, file
            )

    def write(self, rows: Mapping[str, pa.Table], added_by: Stamp) -> Sequence[IcebergFile]:
        """Writes new files, one or more per partition name; they are not live until `commit` gets them.

        Several are written at once. When this raises, those that were written stay in the bucket, and nobody
        names them.

        Raises:
            LakeError: the rows are not of the partition that they are given for.
        """
        given = ((name, part) for name, part in rows.items() if part.num_rows)
        tasks = chain.from_iterable(self._tasks(name, part, added_by) for name, part in given)
        with self._translated("writing a file of"), ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(lambda task: self._write_file(*task), tasks))

    def commit(self, added: Sequence[object], removed: Sequence[DataFile], stamp: Stamp) -> int:
        """Makes files live and others not, atomically, against the snapshot that was last seen.

        Where the table's definition has changed since the last commit, its columns do in the same one.

        Returns:
            The new snapshot. With neither files added nor removed it is one that carries the stamp only.

        Raises:
            LakeError: live files that would stay have other columns than the definition.
            ConflictError: another writer was first; nothing has changed.
            Unavailable: the store or catalog is away. When the reply was lost the commit may have happened:
                `refresh` and look at the stamp.
        """
        files = [_require_written(file) for file in added]
        paths = frozenset(file.path for file in removed)
        with self._translated("commit to"):
            self._load_files()
            if not paths <= self._files.keys():
                raise ConflictError(f"commit to {self._table.table}: a file to remove is no longer live")
            if self._evolution.difference and paths != self._files.keys():
                raise LakeError(
                    f"the lake table differs from its source: {self._evolution.difference}",
                    where=self._table.table,
                    remedy=f"read the table again: {reading_again(self._table.table)}",
                )
            transaction = QuickTransaction(self._loaded)
            self._evolution.stage(transaction)
            Replacement(transaction, self._manifests, files, paths, stamp_properties(stamp)).commit()
            expire(transaction, self._settings.snapshots_kept)
            self._take(transaction.commit_transaction())
        snapshot_id = self.snapshot_id
        if snapshot_id is None:
            raise LakeError("a commit left the table without a snapshot", where=self._table.table)
        return snapshot_id

    def _translated(self, what: str) -> AbstractContextManager[None]:
        return translated(f"{what} {self._table.table}", where=self._connection.where)

    def _load_files(self) -> None:
        changed = self._manifests.load(self._loaded.metadata.current_snapshot())
        if self._manifests.has_delete_files:
            raise LakeError(
                "the lake table has delete files, which another engine wrote",
                where=self._table.table,
                remedy="rewrite its data files with that engine (copy-on-write), or roll the table back",
            )
        if changed:
            known = self._files
            self._files = {
                file.file_path: known.get(file.file_path) or self._data_file(file)
                for file in self._manifests.data_files
            }

    def _data_file(self, file: IcebergFile) -> DataFile:
        return DataFile(
            path=file.file_path,
            partition=partition_name(file.partition, self._partitioning),
            rows=file.record_count,
            octets=file.file_size_in_bytes,
            bounds=dict(self._bounds(file)),
        )

    def _bounds(self, file: IcebergFile) -> Iterator[tuple[str, tuple[int, int]]]:
        lower, upper = file.lower_bounds or {}, file.upper_bounds or {}
        for column in self._table.columns:
            field_id = self._evolution.schema.find_field(column.name).field_id
            if column.kind in (Kind.INTEGER, Kind.DATE) and field_id in lower and field_id in upper:
                kind = iceberg_type(column)
                yield column.name, (int(from_bytes(kind, lower[field_id])), int(from_bytes(kind, upper[field_id])))

    def _tasks(self, name: str, rows: pa.Table, stamp: Stamp) -> Iterator[tuple[str, pa.Table, Record]]:
        record = self._record(name, rows)
        for piece in pieces(sorted_rows(rows.cast(self._table.arrow), self._table), self._settings.file_rows_max):
            yield self._path(name, stamp), piece, record

    def _record(self, name: str, rows: pa.Table) -> Record:
        record = partition_record(rows, self._partitioning)
        filed = partition_name(record, self._partitioning)
        if filed != name:
            raise LakeError(f"rows of partition {filed} were given as {name}", where=self._table.table)
        return record

    def _path(self, name: str, stamp: Stamp) -> str:
        folder = f"{self._loaded.metadata.location}/data/{partition_folders(name)}"
        return f"{folder}{stamp.epoch:010d}-{uuid.uuid4().hex}.parquet"

    def _write_file(self, path: str, rows: pa.Table, partition: Record) -> IcebergFile:
        return write_parquet(self._loaded.io, self._metadata, path, rows, partition)


def _require_written(file: object) -> IcebergFile:
    """A file that `write` gave; anything else would be left out of the lake without a word."""
    if not isinstance(file, IcebergFile):
        raise TypeError(f"commit needs the files that write returned, not {type(file).__name__}")
    return file
