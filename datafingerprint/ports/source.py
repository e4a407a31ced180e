"""The warehouse as capture reads it: definitions, a consistent snapshot, the binlog.

Every method may raise `Unavailable` (the caller retries with backoff) and the `Stop` errors that it names.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

import pyarrow as pa

from datafingerprint.binlog.packets import Events
from datafingerprint.cascades import Cascades
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DataFingerprintError, Stop, TableError
from datafingerprint.schema import TableSchema
from datafingerprint.stored_programs import StoredProgram
from datafingerprint.table_filter import TableFilter


@dataclass(frozen=True, slots=True)
class SnapshotRows:
    """A step of a snapshot: rows of one table, and the server's estimate of all its rows."""

    table: str
    rows: pa.Table
    rows_estimated: int
    last: bool


@dataclass(frozen=True, slots=True)
class UnreadTable:
    """A table that the snapshot could not read to its end, and why; the others follow."""

    table: str
    error: DataFingerprintError


class SourceSnapshot(Protocol):
    """A consistent view of all tables at one exactly known position."""

    @property
    def position(self) -> SourcePosition:
        """The view's position in the source's history."""

    def close(self) -> None:
        """Closes the view; no effect after it was read to its end."""

    def read(self) -> Iterator[SnapshotRows | UnreadTable]:
        """Reads all rows, table by table. The last step of each table is marked, and may be empty.

        A table that cannot be read, or was altered or dropped since its definition was read, ends in an
        `UnreadTable`.
        """


@dataclass(frozen=True, slots=True)
class Survey:
    """The tables of the source that the settings select.

    Attributes:
        tables: Tables that can be captured, with their present definitions.
        errors: Table to the reason why it cannot be captured.
        unmatched: Patterns and names of the settings without a table.
    """

    tables: Mapping[str, TableSchema]
    errors: Mapping[str, Stop] = field(default_factory=dict)
    unmatched: Sequence[Stop] = ()


class Visibility(Enum):
    """Whether the account can see a table that the binlog names."""

    THERE = auto()
    DENIED = auto()
    GONE = auto()


class TableFilters(Protocol):
    """The table filter of the settings, which operators may change while capture runs."""

    @property
    def in_force(self) -> TableFilter:
        """The filter in force."""

    def waiting(self) -> TableFilter | None:
        """A changed filter that is neither applied nor refused; cheap, and called often."""

    def take(self, table_filter: TableFilter) -> None:
        """Applies a filter, also for later runs; none is waiting afterwards."""

    def refuse(self, error: Stop) -> None:
        """Refuses the waiting filter with the reason; the present one stays."""


class Source(Protocol):
    """The warehouse, as capture reads it."""

    def preflight(self) -> None:
        """Checks that the source can be read exactly.

        Raises:
            SourceError: it cannot; the error has the setting and the statement that fixes it.
        """

    def is_captured(self, table: str) -> bool:
        """Whether the settings select a table (`schema.table`)."""

    def choose(self, table_filter: TableFilter) -> None:
        """Applies another filter, from the next call on.

        Raises:
            SourceError: no pattern of the filter includes a table.
        """

    def survey(self, names: Collection[str] | None = None) -> Survey:
        """The selected tables with their present definitions; with `names` only these.

        Raises:
            SourceError: no pattern of the settings includes a table.
        """

    def cascades(self) -> Cascades:
        """The foreign keys whose cascades are not logged; none on a source that logs them."""

    def stored_programs(self) -> Sequence[StoredProgram]:
        """The triggers, views, routines and cascades that the account may see."""

    def visibility(self, table: str) -> Visibility:
        """Whether the account can see a table that the binlog names; cheap."""

    def denied(self, table: str) -> TableError:
        """The error of a table that the account may not read, with the GRANT that helps."""

    def snapshot(self, tables: Sequence[TableSchema], partitions: Mapping[str, str] | None = None) -> SourceSnapshot:
        """Opens a consistent view of these tables; of those in `partitions` only that partition.

        Raises:
            TableError: one of the tables prevents the view.
        """

    def events(self, position: SourcePosition) -> Generator[Events, None, None]:
        """Binlog events after a position, without checksums and without end; heartbeats while idle.

        Raises:
            SourceError: the source no longer has, or never had, that position.
            DecodeError: a checksum is wrong.
        """
