"""What the services need from the outside, as a few methods each with their promises.

Every method may raise `Unavailable` (the caller retries with backoff) and the `Stop` errors that it names.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol

import pyarrow as pa

from datafingerprint.changes import Changes
from datafingerprint.choice import Choice
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.errors import Stop
from datafingerprint.events import Events
from datafingerprint.field_ids import FieldIds
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import (
    Advance,
    FileSums,
    Judged,
    LakeTableState,
    Progress,
    StoredEpoch,
    StoredVerdict,
    SumKey,
)
from datafingerprint.partitions import WHOLE
from datafingerprint.requests import Answers, Asked
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit


@dataclass(frozen=True, slots=True)
class EpochDraft:
    """An epoch before Kafka has given its rows their offsets.

    Attributes:
        changes: What happened, per table in the log's order.
        definitions: Definitions used for the first time, by number; published in the same transaction.
    """

    stream_id: str
    number: int
    position: SourcePosition
    committed_at: float
    transactions: tuple[Transaction, ...] = ()
    changes: Sequence[Changes] = ()
    snapshots: Mapping[str, SnapshotCursor] | None = None
    versions: Mapping[str, int] | None = None
    definitions: Mapping[int, TableSchema] | None = None
    answers: Answers = field(default_factory=Answers)


class EpochLog(Protocol):
    """Where capture publishes epochs."""

    def open(self) -> Epoch | None:
        """Fences every other capture of the stream off; returns the last epoch published, None for a new stream."""

    def definitions(self) -> Mapping[int, TableSchema]:
        """All definitions published, by number."""

    def publish_ahead(self, number: int, parts: Sequence[Changes]) -> None:
        """Publishes rows of the epoch that is to come, durably when this returns.

        They are void until `publish` has published that epoch, whose record then names them before its own; an
        epoch whose rows would not fit memory goes this way, in steps. `open` makes what was published ahead void.

        Args:
            number: The epoch that they belong to.
            parts: What happened, per table in the log's order.

        Raises:
            WireError: another capture has taken over, or a row does not fit a message.
        """

    def publish(self, draft: EpochDraft) -> Epoch:
        """Publishes an epoch: all of it or nothing, durably when this returns.

        Raises:
            WireError: another capture has taken over, or a row does not fit a message.
        """


class Requests(Protocol):
    """What operators ask of capture."""

    def waiting(self, offset: int) -> list[Asked]:
        """Requests from an offset on that have arrived; returns at once, and may miss the newest until asked again."""


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """A step of a snapshot: rows of one table, and the server's estimate of how many there are in all."""

    table: str
    rows: pa.Table
    rows_estimated: int
    last: bool


class SourceSnapshot(Protocol):
    """A consistent view of all tables at one exactly known position."""

    @property
    def position(self) -> SourcePosition:
        """Where the view stands in the source's history."""

    def close(self) -> None:
        """Lets go of the view; harmless when it was read to its end."""

    def read(self) -> Iterator[SnapshotRows]:
        """All rows of all tables, table by table, each table's last step marked (it may have no rows).

        Raises:
            Unavailable: a table was altered or dropped since its definition was asked for; a new view is needed.
        """


class Choices(Protocol):
    """Which tables the settings put under watch; operators may change that while capture runs."""

    @property
    def in_force(self) -> Choice:
        """The present choice."""

    def waiting(self) -> Choice | None:
        """Another one that waits to be taken or refused; cheap, and asked often."""

    def take(self, choice: Choice) -> None:
        """Puts a choice in force, also for later runs; none is waiting any more."""

    def refuse(self, error: Stop) -> None:
        """Says why the one that is waiting is not fit; the present one stays."""


class Source(Protocol):
    """The warehouse, as capture reads it."""

    def preflight(self) -> None:
        """Demands that the source can be read exactly.

        Raises:
            SourceError: it cannot; the error names the setting and the statement that mends it.
        """

    def is_watched(self, table: str) -> bool:
        """Whether the settings put a table (`schema.table`) under watch."""

    def require_chosen(self) -> None:
        """Demands that the settings choose tables, and that whatever they name is there.

        Raises:
            SourceError: a pattern matches no table.
            ConfigError: settings are about a table that is not there.
        """

    def choose(self, choice: Choice) -> None:
        """Puts other tables under watch, from the next question on.

        Raises:
            SourceError: a pattern that is new matches no table, or a table that is chosen cannot be carried exactly.
            ConfigError: settings that are new are about a table that is not there, or not fit for it.
        """

    def tables(self) -> Sequence[TableSchema]:
        """The tables under watch with their present definitions.

        Raises:
            SourceError: the settings choose none, or one has a type that cannot be carried exactly.
        """

    def snapshot(self, tables: Sequence[TableSchema], partitions: Mapping[str, str] | None = None) -> SourceSnapshot:
        """Opens a consistent view of these tables. Of tables named in `partitions` it reads that partition alone."""

    def events(self, position: SourcePosition) -> Generator[Events, None, None]:
        """Binlog events after a position, without checksums, without end; a heartbeat event when the source is idle.

        Raises:
            SourceError: the source no longer has, or never had, that position.
            DecodeError: a checksum is wrong.
        """


@dataclass(frozen=True, slots=True)
class EpochRows:
    """An epoch as a reader gets it: its record, its changes, and where the next record is looked for.

    `changes` gives (Kafka partition, changes) per table and partition, each in the partition's order and in pieces that
    fit memory; a `t` that is about one partition of the table stands alone among them (`Changes.partition`). It may be
    read from the broker as it is gone through: once, and before the next epoch is asked for. Only when it has come to
    its end was everything there that the record names; it raises `WireError` where that is not so.
    """

    epoch: Epoch
    changes: Iterable[tuple[int, Changes]]
    epochs_offset: int


class EpochReader(Protocol):
    """Reads whole, consecutive epochs."""

    def seek(self, epochs_offset: int, last: tuple[str, int] | None) -> None:
        """Goes to an offset of the epochs topic; `last` is the (stream, epoch) that must stand before it."""

    def is_empty(self) -> bool:
        """Whether no epoch was ever published; asked behind `seek`."""

    def read(self, timeout_s: float) -> EpochRows | None:
        """The next epoch, or None when there is none within the time.

        Raises:
            WireError: an epoch is missing; what an epoch names and is not there shows when its changes are read.
        """

    def acknowledge(self, epoch: EpochRows) -> None:
        """Commits the group's offsets past this epoch, for those who watch the lag; losing it loses nothing."""

    def definitions(self) -> Mapping[int, TableSchema]:
        """Definitions of tables by number: those that epochs have named up to the last one read, or further."""


class LakeCommitLog(Protocol):
    """Where the lake writer says which epoch the whole lake stands at."""

    def open(self) -> LakeCommit | None:
        """Fences every other writer off; returns the last record, None when there is none."""

    def publish(self, commit: LakeCommit) -> None:
        """Publishes a record, durably when this returns.

        Raises:
            WireError: another writer has taken over.
        """


class LakeCommitReader(Protocol):
    """Reads the lake-commits topic."""

    def seek(self, offset: int) -> None:
        """Goes to an offset; 0 is the beginning."""

    def read(self, timeout_s: float) -> tuple[LakeCommit, int] | None:
        """The next record with the offset after it, or None when there is none within the time."""

    def acknowledge(self, offset: int) -> None:
        """Commits the group's offset."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A live data file of a table.

    Attributes:
        path: Its full path.
        partition: Name of the partition that it is filed under.
        rows: Rows in it.
        octets: Its size in bytes.
        bounds: Column to its least and greatest value, for integer and date columns that have any.
    """

    path: str
    partition: str
    rows: int
    octets: int
    bounds: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the writer writes into a snapshot: the stream, and the epoch that the table reached with it."""

    stream_id: str
    epoch: int
    position: SourcePosition


class LakeTable(Protocol):
    """One table of the lake, as its writer sees it."""

    def refresh(self) -> None:
        """Reads the table's present state anew."""

    @property
    def snapshot_id(self) -> int | None:
        """The present snapshot; None when the table has none yet."""

    @property
    def stamp(self) -> Stamp | None:
        """The stamp of the present snapshot, or of its nearest ancestor that has one."""

    @property
    def is_outdated(self) -> bool:
        """Whether the next commit will change the table's columns, to those of the definition."""

    def files(self) -> Sequence[DataFile]:
        """The live files.

        Raises:
            LakeError: the table has delete files, which this project does not write.
            TableDamageError: the metadata that names them is gone or no metadata.
        """

    def begin_anew(self) -> None:
        """Takes the table to have no files, for a commit after which none of those is live that cannot be listed."""

    def read(self, file: DataFile) -> pa.Table:
        """The rows of a file."""

    def read_pieces(self, file: DataFile, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows of a file in their order, in pieces that fit memory; all columns, or those that are named."""

    def write_pieces(self, partition: str, pieces: Iterable[pa.Table], added_by: Stamp) -> Sequence[object]:
        """Writes rows of one partition, which come in pieces and in order, to as many new files as it takes."""

    def write(self, rows: Mapping[str, pa.Table], added_by: Stamp) -> Sequence[object]:
        """Writes new files, one or more per partition name; they are not live until `commit` gets them."""

    def commit(self, added: Sequence[object], removed: Sequence[DataFile], stamp: Stamp) -> int:
        """Makes files live and others not, and the table's columns those of the definition, atomically.

        Returns:
            The new snapshot.

        Raises:
            ConflictError: another writer was first; nothing has changed.
            LakeError: files that would stay live have other columns, more than some that are new.
        """


class Lake(Protocol):
    """The lake, as its writer sees it."""

    def table(self, table: TableSchema) -> LakeTable:
        """The table of the lake that mirrors a source table; created when it is missing.

        Raises:
            LakeError: it exists with other partition fields.
        """

    def leave(self, table: TableSchema, stamp: Stamp) -> None:
        """Marks a table that left the stream at this position; its rows stay. Harmless when it is marked already."""

    def stamps(self) -> Mapping[str, Stamp]:
        """The stamp of every table of the lake that has one, of whatever stream, also of tables that have left it."""


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A live file, as the fingerprinter finds it in a snapshot.

    Attributes:
        path: Its full path.
        octets: Its size in bytes.
        filed: The partitions that it is filed under, one for each time that the snapshot names it. That is once,
            unless somebody added it again: readers then find each of its rows as often.
    """

    path: str
    octets: int
    filed: tuple[str, ...] = (WHOLE,)


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """A snapshot of a lake table.

    Attributes:
        snapshot_id: Which one; None for a table without any.
        stamp: The stamp of it or its nearest stamped ancestor.
        is_foreign: Whether somebody else made it.
        files: Its live files.
        unreadable: Why its rows cannot be told from its files (delete files, partition fields of somebody else), or
            their epoch not (a damaged stamp); empty when they can.
        field_ids: The table's columns as readers of the snapshot find them: by those of its schema, of the present
            snapshot by those that the table has now. None when there is no such table.
    """

    snapshot_id: int | None
    stamp: Stamp | None
    is_foreign: bool
    files: frozenset[LakeFile]
    unreadable: str = ""
    field_ids: FieldIds | None = None


class LakeView(Protocol):
    """The lake, as the fingerprinter looks at it; it never trusts what the writer says it wrote."""

    def current(self, table: TableSchema) -> SnapshotView | None:
        """The present snapshot of a table; None when the table does not exist.

        Raises:
            TableDamageError: its metadata is gone or no metadata, so that no engine can read the table.
        """

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        """A snapshot by its id; None when it has expired.

        Raises:
            TableDamageError: its metadata is gone or no metadata.
        """

    def is_altered(self, table: TableSchema) -> bool:
        """Whether the metadata of the present snapshot is no longer as it was read; the next look reads it anew."""

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Writes the bytes of an object into a file; returns the ETag of these very bytes.

        Raises:
            FileDamageError: the object is gone.
            LakeError: the store refuses whoever reads it.
            Unavailable: the store, or the file's disk, is away.
        """

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The present ETag and size of objects; those that are gone are left out."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of the bucket: Unix time in seconds of its last change, and its size in octets."""

    modified_at: float
    octets: int


@dataclass(frozen=True, slots=True)
class References:
    """All paths that a table's metadata leads to, and the Unix time in seconds of its last commit."""

    paths: frozenset[str]
    committed_at: float


class Garbage(Protocol):
    """The bucket and the catalog, as whoever removes old files sees them."""

    def tables(self) -> Sequence[tuple[str, str]]:
        """The lake tables, as (schema, table) of the lake's own names."""

    def stored(self, table: tuple[str, str]) -> Mapping[str, Stored]:
        """Objects of this project's making that lie below a table's place."""

    def references(self, table: tuple[str, str]) -> References:
        """What the table's present metadata, with every snapshot kept, leads to."""

    def delete(self, paths: Sequence[str]) -> None:
        """Removes objects for good; those that are gone already do no harm."""


class StateStore(Protocol):
    """Where sums, files, verdicts and offsets are kept; every method that changes something is one transaction."""

    def progress(self) -> Progress:
        """How far the fingerprinter has come.

        Raises:
            StateError: the store is of another version.
        """

    def advance(self, before: Progress, step: Advance) -> None:
        """Stores a step of the source side: sums and the offsets that they include, together.

        Sums are kept as the value that holds from their epoch on; older values stay until `fold`.

        Raises:
            ConflictError: the progress is no longer `before`: another fingerprinter was first.
        """

    def running_sums(self) -> Mapping[SumKey, Fingerprint]:
        """The source's sums at the last epoch stored."""

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        """A table's sums by partition at an epoch, all Kafka partitions together."""

    def epoch(self, number: int) -> StoredEpoch | None:
        """One epoch."""

    def epochs(self, *, limit: int, before: int | None = None) -> Sequence[StoredEpoch]:
        """The last epochs, newest first, those before an epoch number when it is given."""

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        """Tables under watch by `schema.table`, with the number of the definition in force."""

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        """What is counted of every lake table."""

    def files(self, table: str) -> Mapping[str, FileSums]:
        """The files that are counted for a table, by path."""

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        """A lake table's sums by partition over all its files; one that cannot be read adds nothing."""

    def unreadable(self, table: str) -> Mapping[str, str]:
        """Partitions with a file that cannot be read, and why, naming the file."""

    def save_lake(self, state: LakeTableState, added: Sequence[FileSums], removed: Sequence[str]) -> None:
        """Stores which files a table now counts; a path that is added again replaces what was known of it."""

    def forget(self, tables: Sequence[str], *, definitions: Sequence[str]) -> None:
        """Forgets tables that are no longer judged: their verdicts and lake sides; of some also their definitions."""

    def save_verdicts(self, progress: Progress, judged: Sequence[Judged], now: float) -> None:
        """Stores verdicts, and how far the lake commits were judged (`lake_epoch`, `lake_commits_offset`).

        The partitions of a judged table that have no verdict any more are forgotten.
        """

    def verdicts(self, table: str | None = None) -> Sequence[StoredVerdict]:
        """The present verdicts, ordered by table and partition."""

    def fold(self, epoch: int) -> None:
        """Forgets the values of sums that no epoch from this one on needs, and epochs older than the last 10,000."""
