"""The lake of the writer: Iceberg tables of Parquet files in a bucket, with a catalog."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from itertools import chain

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    RESTError,
    TableAlreadyExistsError,
)
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.table import StagedTable, Table
from pyiceberg.typedef import Record
from requests import RequestException
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from datafingerprint.adapters.iceberg.connection import LakeConnection, open_connection, require_bucket
from datafingerprint.adapters.iceberg.definition import (
    LEFT,
    fields_difference,
    iceberg_type,
    identifier,
    layout,
    location,
    table_properties,
)
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.adapters.iceberg.evolution import Evolution, evolution
from datafingerprint.adapters.iceberg.expiry import expire
from datafingerprint.adapters.iceberg.manifests import Manifests, QuickTransaction, Replacement
from datafingerprint.adapters.iceberg.metadata import understood
from datafingerprint.adapters.iceberg.parquet import (
    in_files,
    pieces,
    read_parquet,
    read_pieces,
    sorted_rows,
    write_parquet,
    write_pieces,
)
from datafingerprint.adapters.iceberg.partitions import partition_folders, partition_name, partition_record
from datafingerprint.adapters.iceberg.stamps import nearest_stamp, stamp_properties
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.config import Settings
from datafingerprint.errors import ConflictError, LakeError, LakeTableError, TableDamageError
from datafingerprint.ports.lake import DataFile, Stamp
from datafingerprint.recovery import resnapshot_command
from datafingerprint.schema import Kind, TableSchema

WRITERS = 4
"""Files of one table written in parallel. Writing a small file is mostly waiting."""


class IcebergLake:
    """The lake of one bucket and catalog. Different threads may use different tables.

    Args:
        settings: The locations of bucket and catalog, and the largest size of a file.
        connection: An open connection to use instead of the configured one.

    Raises:
        ConfigError: the catalog's URL is invalid.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password, or its file cannot be written.
    """

    def __init__(self, settings: Settings, connection: LakeConnection | None = None) -> None:
        self._settings = settings
        self._connection = connection or open_connection(settings)

    def preflight(self) -> None:
        """Checks that the bucket exists and that the keys may use it. Changes nothing.

        Raises:
            Unavailable: the store is away.
            LakeError: the bucket does not exist, or the store refuses the keys.
        """
        require_bucket(self._settings.s3)

    def table(self, table: TableSchema) -> IcebergLakeTable:
        """The lake table of a source table, created if it is missing.

        Raises:
            LakeError: the lake table is at another location.
            LakeTableError: the lake cannot hold a partition field or a column.
        """
        with self._translated(table):
            try:
                loaded = load(self._connection, identifier(table)) or self._create(table)
            except TableDamageError as error:
                return self._open(table, None, str(error))
            return self._open(table, loaded)

    def existing(self, table: TableSchema) -> IcebergLakeTable | None:
        """The lake table of a source table; None if it is missing.

        Raises:
            LakeError: the lake table is at another location.
            LakeTableError: only a full re-snapshot can make the lake table match the definition.
        """
        with self._translated(table):
            loaded = load(self._connection, identifier(table))
            lake_table = None if loaded is None else self._open(table, loaded)
        if lake_table is not None and lake_table.needs_reset:
            raise LakeTableError(lake_table.needs_reset, where=table.table, remedy=resync_remedy(table))
        return lake_table

    def _translated(self, table: TableSchema) -> AbstractContextManager[None]:
        return translated(f"opening the lake table {table.table}", where=self._connection.where)

    def _open(self, table: TableSchema, loaded: Table | None, damage: str = "") -> IcebergLakeTable:
        if loaded is not None:
            self._require_location(loaded, table)
        scratch = TemporaryScratch(self._settings.scratch.directory)
        return IcebergLakeTable(self._connection, table, loaded, self._settings.lake, scratch, damage)

    def leave(self, table: TableSchema, stamp: Stamp) -> None:
        """Marks a table that left the stream with the position of its rows, which it keeps.

        Raises:
            ConflictError: another writer was first.
        """
        with translated(f"marking the lake table {table.table}", where=self._connection.where):
            loaded = load(self._connection, identifier(table))
            if loaded is not None and LEFT not in loaded.metadata.properties:
                with loaded.transaction() as transaction:
                    transaction.set_properties({LEFT: json.dumps(stamp.position.to_json())})

    def stamps(self) -> Mapping[str, Stamp]:
        """See `ports.Lake.stamps`. Tables outside the warehouse are not ours."""
        catalog, stamps = self._connection.catalog, dict[str, Stamp]()
        with translated("looking for lake tables", where=self._connection.where):
            for name in self._connection.our_locations():
                metadata = catalog.load_table(name).metadata
                stamp = nearest_stamp(metadata, metadata.current_snapshot())
                if stamp is not None:
                    stamps[".".join(name)] = stamp
        return stamps

    def close(self) -> None:
        """Closes the catalog's connections."""
        self._connection.close()

    def _create(self, table: TableSchema) -> Table:
        catalog = self._connection.catalog
        name = identifier(table)
        self._connection.require_name(name)
        with suppress(NamespaceAlreadyExistsError, IntegrityError):  # another table's thread was first
            catalog.create_namespace_if_not_exists((name[0],))
        wanted = layout(table)
        try:
            return catalog.create_table(
                name,
                wanted.schema,
                location=location(self._connection.warehouse, table),
                partition_spec=wanted.spec,
                properties=table_properties(table),
            )
        except TableAlreadyExistsError:
            return catalog.load_table(name)

    def _require_location(self, loaded: Table, table: TableSchema) -> None:
        wanted = location(self._connection.warehouse, table)
        if loaded.metadata.location.rstrip("/") != wanted:
            raise LakeError(
                f"the lake table {table.table} is at {loaded.metadata.location}, not at {wanted}",
                where="the catalog",
                remedy="restore [s3] bucket and [lake] path, or set [lake] catalog to another database",
            )


class IcebergLakeTable:
    """One table of the lake, for one thread at a time.

    A table that cannot be changed to match its definition (other partition fields, lost metadata) is replaced. The next
    commit, which must hold all rows, replaces it atomically with a new table of the same name.
    """

    def __init__(
        self,
        connection: LakeConnection,
        table: TableSchema,
        loaded: Table | None,
        settings: LakeSettings,
        scratch: TemporaryScratch,
        damage: str = "",
    ) -> None:
        self._scratch = scratch
        self._connection = connection
        self._table = table
        self._layout = layout(table)
        self._partitioning = self._layout.partitioning
        self._settings = settings
        self._files: dict[str, DataFile] = {}
        self._is_emptied = False
        if loaded is None:
            self._load_damaged(damage)
        else:
            self._manifests = Manifests(loaded.io)
            self._set_loaded(loaded)

    def _set_loaded(self, loaded: Table) -> None:
        self._loaded: Table | None = loaded
        self._location = loaded.metadata_location
        self._is_emptied = False
        self._evolution = evolution(loaded.metadata, self._table)
        why = fields_difference(loaded.metadata, self._table, self._partitioning) or self._evolution.lost
        if why:
            self._stage_replacement(f"the lake table differs from its source: {why}")
            return
        difference = self._evolution.difference
        self._needs_reset = f"the lake table differs from its source: {difference}" if difference else ""
        self._metadata = self._evolution.of(loaded.metadata)
        self._io = loaded.io
        self._staged: StagedTable | None = None

    def _load_damaged(self, damage: str) -> None:
        """Prepares a table whose metadata is lost: even its stamp is unknown."""
        self._loaded = None
        self._location = self._connection.metadata_location(identifier(self._table)) or ""
        self._stage_replacement(damage)

    def _stage_replacement(self, why: str) -> None:
        """Stages a new table of the same name, which the next commit puts in place of this one."""
        self._needs_reset = why
        self._staged = self._connection.stage(
            identifier(self._table),
            self._layout.schema,
            self._layout.spec,
            location(self._connection.warehouse, self._table),
            table_properties(self._table),
        )
        self._metadata = self._staged.metadata
        self._io = self._staged.io
        self._evolution = Evolution(self._metadata.schema(), is_changed=False, difference="", properties={})
        self._manifests = Manifests(self._io)
        self._files = {}

    def refresh(self) -> None:
        """Reads the table's current state, with one small query if nothing has changed.

        Raises:
            LakeTableError: the table is no longer in the catalog.
        """
        with self._translated("reading"):
            name = identifier(self._table)
            if self._connection.metadata_location(name) == self._location:
                return
            was_replaced = self._staged is not None
            try:
                loaded = load(self._connection, name)
            except TableDamageError as error:
                self._load_damaged(str(error))
                return
            if loaded is None:
                raise NoSuchTableError(f"{'.'.join(name)} does not exist")
            if was_replaced:
                self._manifests = Manifests(loaded.io)
                self._files = {}
            self._set_loaded(loaded)

    @property
    def is_outdated(self) -> bool:
        """Whether the next commit changes more than rows: columns, properties, files, or the table."""
        return bool(self._needs_reset) or self._is_emptied or self._evolution.is_needed

    @property
    def needs_reset(self) -> str:
        """Why the next commit must hold all rows of the table; empty if it need not."""
        return self._needs_reset

    @property
    def snapshot_id(self) -> int | None:
        """The id of the current snapshot; None before the first."""
        return None if self._loaded is None else self._loaded.metadata.current_snapshot_id

    @property
    def stamp(self) -> Stamp | None:
        """The stamp of the current snapshot or of its nearest stamped ancestor."""
        if self._loaded is None:
            return None
        return nearest_stamp(self._loaded.metadata, self._loaded.metadata.current_snapshot())

    def files(self) -> Sequence[DataFile]:
        """The live files of the last snapshot read. Reads only new manifests.

        Raises:
            LakeTableError: the table has delete files, which this project does not write.
            TableDamageError: the metadata that names the files is gone or damaged.
        """
        with self._translated("listing the files of"):
            self._load_files()
        return list(self._files.values())

    def start_empty(self) -> None:
        """Treats the table as empty: the files of its damaged metadata will no longer be live."""
        self._manifests.start_empty(self._metadata.current_snapshot())
        self._files = {}
        self._is_emptied = True

    def read(self, file: DataFile) -> pa.Table:
        """The rows of a file."""
        with self._translated("reading a file of"):
            return read_parquet(self._io, self._metadata, file.path, self._table)

    def read_pieces(self, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a file in order, in pieces, with all columns or the named ones."""
        with self._translated("reading a file of"):
            yield from read_pieces(self._io, self._metadata, file.path, self._table, columns)

    def write_pieces(self, partition: str, pieces: Iterable[pa.Table], added_by: Stamp) -> Sequence[IcebergFile]:
        """Writes ordered pieces of rows of one partition to as many new files as necessary.

        Raises:
            LakeError: the rows belong to another partition.
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
            return write_pieces(self._io, self._metadata, self._path(name, stamp), chain([first], pieces), record, file)

    def write(self, rows: Mapping[str, pa.Table], added_by: Stamp) -> Sequence[IcebergFile]:
        """Writes new files, one or more per partition. They become live with `commit`.

        Several files are written in parallel. If this raises, files already written stay in the bucket, unreferenced.

        Raises:
            LakeError: the rows belong to another partition.
        """
        parts = ((name, part) for name, part in rows.items() if part.num_rows)
        tasks = chain.from_iterable(self._tasks(name, part, added_by) for name, part in parts)
        with self._translated("writing a file of"), ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(lambda task: self._write_file(*task), tasks))

    def commit(self, added: Sequence[object], removed: Sequence[DataFile], stamp: Stamp) -> int:
        """Adds and removes live files atomically, based on the last snapshot read.

        If the table's definition has changed since the last commit, this commit also changes the columns.

        Returns:
            The id of the new snapshot. Without added and removed files, the snapshot holds only the stamp.

        Raises:
            LakeTableError: remaining live files have other columns than the definition.
            ConflictError: another writer was first. Nothing has changed.
            Unavailable: the store or catalog is away. The commit may have happened if the reply was lost: call
                `refresh` and read the stamp.
        """
        files = [_require_written(file) for file in added]
        paths = frozenset(file.path for file in removed)
        with self._translated("commit to"):
            self._load_files()
            if self._loaded is None or self._staged is not None:
                return self._commit_replacement(files, stamp)
            if not paths <= self._files.keys():
                raise ConflictError(f"commit to {self._table.table}: a file to remove is no longer live")
            if self._evolution.difference and paths != self._files.keys():
                raise LakeTableError(self._needs_reset, where=self._table.table, remedy=resync_remedy(self._table))
            transaction = QuickTransaction(self._loaded)
            self._evolution.stage(transaction)
            Replacement(transaction, self._manifests, files, paths, stamp_properties(stamp)).commit()
            expire(transaction, self._settings.snapshots_kept)
            self._set_loaded(transaction.commit_transaction())
        return self._current_snapshot_id()

    def _commit_replacement(self, files: Sequence[IcebergFile], stamp: Stamp) -> int:
        """Replaces the table with the staged one, which holds only these files."""
        assert self._staged is not None  # noqa: S101 - a table that was not loaded has a staged one
        transaction = QuickTransaction(self._staged)
        Replacement(transaction, self._manifests, files, frozenset(), stamp_properties(stamp)).commit()
        metadata = transaction.table_metadata
        name = identifier(self._table)
        loaded = self._connection.replace(name, self._location, self._staged, metadata)
        self._manifests = Manifests(loaded.io)
        self._set_loaded(loaded)
        return self._current_snapshot_id()

    def _current_snapshot_id(self) -> int:
        snapshot_id = self.snapshot_id
        if snapshot_id is None:
            raise LakeError(
                "a commit left the table without a snapshot",
                where=self._table.table,
                remedy="stop the other writer of the table, and restart the lake writer",
            )
        return snapshot_id

    def _translated(self, what: str) -> AbstractContextManager[None]:
        return translated(f"{what} {self._table.table}", where=self._connection.where)

    def _load_files(self) -> None:
        changed = self._manifests.load(self._metadata.current_snapshot())
        if self._manifests.has_delete_files:
            raise LakeTableError(
                "the lake table has delete files, which another engine wrote",
                where=self._table.table,
                remedy="rewrite its data files with that engine (copy-on-write), roll the table back, or "
                f"re-snapshot it: datafingerprint resync {self._table.table}",
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
            size_bytes=file.file_size_in_bytes,
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
        actual = partition_name(record, self._partitioning)
        if actual != name:
            raise LakeError(
                f"rows of partition {actual} were given as {name}",
                where=self._table.table,
                remedy=f"report this as a fault, with the log; then {resnapshot_command(self._table.table)}",
            )
        return record

    def _path(self, name: str, stamp: Stamp) -> str:
        folder = f"{self._metadata.location}/data/{partition_folders(name)}"
        return f"{folder}{stamp.epoch:010d}-{uuid.uuid4().hex}.parquet"

    def _write_file(self, path: str, rows: pa.Table, partition: Record) -> IcebergFile:
        return write_parquet(self._io, self._metadata, path, rows, partition)


def load(connection: LakeConnection, name: tuple[str, str]) -> Table | None:
    """Load a table from the catalog; None if it does not exist.

    Raises:
        TableDamageError: the metadata of the table is gone or damaged.
    """
    metadata_location = connection.metadata_location(name)
    if metadata_location is None:
        return None
    with understood(metadata_location):
        try:
            return connection.catalog.load_table(name)
        except NoSuchTableError:
            return None
        except (SQLAlchemyError, RESTError, RequestException, ClientError, BotoCoreError) as error:
            failure = error
    raise failure


def resync_remedy(table: TableSchema) -> str:
    """The remedy for a table that needs a full re-snapshot."""
    return f"re-snapshot the table: datafingerprint resync {table.table}"


def _require_written(file: object) -> IcebergFile:
    """Checks that a file comes from `write`: any other object would be lost silently."""
    if not isinstance(file, IcebergFile):
        raise TypeError(f"commit needs the files that write returned, not {type(file).__name__}")
    return file
