"""The lake, as its writer, its readers and the orphan cleaner see it.

Every method may raise `Unavailable` (the caller retries with backoff) and the `Stop` errors that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

import pyarrow as pa

from datafingerprint.epochs import SourcePosition
from datafingerprint.field_ids import FieldIds
from datafingerprint.partitions import WHOLE
from datafingerprint.schema import TableSchema


@dataclass(frozen=True, slots=True)
class DataFile:
    """A live data file of a table.

    Attributes:
        path: Its full path.
        partition: The partition that the metadata puts it in.
        rows: Rows in it.
        size_bytes: Its size.
        bounds: Column to its minimum and maximum, for integer and date columns that have them.
    """

    path: str
    partition: str
    rows: int
    size_bytes: int
    bounds: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The stamp of a snapshot: the stream, and the epoch and position that the table reached.

    Attributes:
        stream_id: The stream.
        epoch: The epoch's number.
        position: Where the source was at its end.
        digest: See `EpochMark.digest`.
    """

    stream_id: str
    epoch: int
    position: SourcePosition
    digest: str = ""


class LakeTable(Protocol):
    """One table of the lake, as its writer sees it."""

    def refresh(self) -> None:
        """Reads the table's present state.

        Raises:
            LakeTableError: it is no longer in the catalog.
        """

    @property
    def snapshot_id(self) -> int | None:
        """The present snapshot; None if the table has none yet."""

    @property
    def stamp(self) -> Stamp | None:
        """The stamp of the present snapshot, or of its nearest ancestor that has one."""

    @property
    def is_outdated(self) -> bool:
        """Whether the next commit changes more than rows, such as columns or files that must go.

        Then a commit that starts the table from nothing is needed even without files and rows.
        """

    @property
    def needs_reset(self) -> str:
        """Why the next commit must start the table from nothing; empty if it need not."""

    def files(self) -> Sequence[DataFile]:
        """The live files; none if the next commit replaces the whole table.

        Raises:
            LakeTableError: the table has delete files, which this project does not write.
            TableDamageError: the metadata of the files is gone or unreadable.
        """

    def start_empty(self) -> None:
        """Treats the table as empty, for a commit that removes all files, listed or not."""

    def read(self, file: DataFile) -> pa.Table:
        """The rows of a file."""

    def read_pieces(self, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Reads a file's rows in order, in pieces that fit memory; all columns, or the named ones."""

    def write_pieces(self, partition: str, pieces: Iterable[pa.Table], added_by: Stamp) -> Sequence[object]:
        """Writes rows of one partition, which arrive in pieces and in order, to new files."""

    def write(self, rows: Mapping[str, pa.Table], added_by: Stamp) -> Sequence[object]:
        """Writes new files, at least one per partition; `commit` makes them live."""

    def commit(self, added: Sequence[object], removed: Sequence[DataFile], stamp: Stamp) -> int:
        """Adds and removes files, and updates the columns to the definition's, atomically.

        Returns:
            The new snapshot.

        Raises:
            ConflictError: another writer was first; nothing has changed.
            LakeTableError: files that would stay live lack more than new columns.
        """


class Lake(Protocol):
    """The lake, as its writer sees it."""

    def table(self, table: TableSchema) -> LakeTable:
        """The lake table of a source table, created if it is missing.

        If an existing table cannot get the definition, `needs_reset` has the reason.

        Raises:
            LakeTableError: the lake cannot have this definition.
        """

    def leave(self, table: TableSchema, stamp: Stamp) -> None:
        """Marks a table that left the stream; its rows stay. No effect if it is marked already."""

    def stamps(self) -> Mapping[str, Stamp]:
        """All stamps of lake tables, of any stream, also of tables that left it."""


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A live file of a snapshot, as the fingerprinter sees it.

    Attributes:
        path: Its full path.
        size_bytes: Its size.
        partitions: The partition of the file in each entry of the snapshot's metadata. There is one entry, unless
            another engine added the file again: readers then find its rows several times.
    """

    path: str
    size_bytes: int
    partitions: tuple[str, ...] = (WHOLE,)


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot of a lake table.

    Attributes:
        snapshot_id: Its id; None for a table without snapshots.
        stamp: Its stamp, or that of its nearest stamped ancestor.
        is_foreign: Whether another writer made it.
        files: Its live files.
        unreadable: Why its rows cannot be read from its files (delete files, foreign partition fields) or its epoch
            is unknown (a damaged stamp); empty otherwise.
        field_ids: The columns of the snapshot's schema; for the present snapshot, those of the table now. None if there
            is no such table.
    """

    snapshot_id: int | None
    stamp: Stamp | None
    is_foreign: bool
    files: frozenset[LakeFile]
    unreadable: str = ""
    field_ids: FieldIds | None = None


class LakeView(Protocol):
    """The lake, as the fingerprinter reads it. It never trusts the writer's own records."""

    def changed(self, tables: Iterable[TableSchema]) -> set[str]:
        """The tables whose catalog entry is not the one last read.

        A SQL catalog answers by one query. Over the network, the answer may be as old as nine times what the look took.
        `current` is never old.

        A table that is in the catalog and was never read is one of them.
        """

    def current(self, table: TableSchema) -> SnapshotView | None:
        """The present snapshot of a table; None if the table does not exist.

        Raises:
            TableDamageError: its metadata is gone or unreadable, so that no engine can read the table.
        """

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        """A snapshot by its id; None if it has expired.

        Raises:
            TableDamageError: its metadata is gone or unreadable.
        """

    def is_altered(self, table: TableSchema) -> bool:
        """Whether the present snapshot's metadata has changed since it was last read."""

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Copies an object into a file.

        Returns:
            The ETag of the copied bytes.

        Raises:
            FileDamageError: the object is gone.
            LakeError: the store refuses the reader.
            Unavailable: the store or the disk is unavailable.
        """

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The present ETag and size of objects, without those that are gone."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object of the bucket: Unix time in seconds of its last change, and its size."""

    modified_at: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class References:
    """All paths in a table's metadata, and the Unix time in seconds of its last commit."""

    paths: frozenset[str]
    committed_at: float


class LakeObjects(Protocol):
    """The bucket and the catalog, as the orphan cleaner sees them."""

    def versions(self) -> Mapping[tuple[str, str], str]:
        """The locations of all lake tables' present metadata, by (schema, table) in the lake."""

    def stored(self, table: tuple[str, str]) -> Mapping[str, ObjectInfo]:
        """This project's objects below a table's location."""

    def references(self, table: tuple[str, str]) -> References:
        """The references of the table's present metadata, with all kept snapshots."""

    def delete(self, paths: Sequence[str]) -> None:
        """Deletes objects; no effect for those that are gone."""
