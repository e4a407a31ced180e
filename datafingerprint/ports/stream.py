"""The stream in Kafka: epochs, lake commits and requests, as writers and readers see them.

Every method may raise `Unavailable` (the caller retries with backoff) and the `Stop` errors that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from datafingerprint.changes import Changes
from datafingerprint.epoch_chain import EpochMark
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.errors import TableError
from datafingerprint.resync import PendingRequest, RequestStatus
from datafingerprint.schema import TableSchema
from datafingerprint.wire import LakeCommit


@dataclass(frozen=True, slots=True)
class EpochDraft:
    """An epoch before Kafka has given its rows their offsets.

    Attributes:
        changes: The changes, per table in the binlog's order.
        definitions: New definitions by number, published in the same transaction.
        suspects: See `Epoch.suspects`.
        awaiting_snapshot: See `Epoch.awaiting_snapshot`.
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
    answers: RequestStatus = field(default_factory=RequestStatus)
    suspects: Mapping[str, str] = field(default_factory=dict)
    set_aside: Mapping[str, str] = field(default_factory=dict)
    awaiting_snapshot: tuple[str, ...] = ()


class EpochLog(Protocol):
    """Publishes epochs, for capture."""

    def open(self) -> Epoch | None:
        """Fences off every other capture of the stream.

        Returns:
            The last published epoch; None for a new stream.

        Raises:
            WireError: the broker has lost an epoch that was published.
        """

    def definitions(self) -> Mapping[int, TableSchema]:
        """All published definitions, by number."""

    def make_ready(self, tables: Sequence[TableSchema]) -> Sequence[TableError]:
        """Creates the topics of tables that are captured.

        Returns:
            The tables that cannot have a topic, and why.
        """

    def publish_ahead(self, number: int, parts: Sequence[Changes]) -> None:
        """Publishes rows of the next epoch, durably when this returns.

        The rows are void until `publish` has published their epoch, whose record names them before its own. Epochs that
        exceed memory are published like this, in steps. `open` makes rows without an epoch void.

        Args:
            number: The number of the epoch.
            parts: The changes, per table in the binlog's order.

        Raises:
            WireError: another capture has taken over, or a row exceeds a message.
        """

    def publish(self, draft: EpochDraft) -> Epoch:
        """Publishes an epoch: all of it or nothing, durably when this returns.

        Raises:
            WireError: another capture has taken over, or a row exceeds a message.
        """


class Requests(Protocol):
    """Operators' requests to capture."""

    def waiting(self, offset: int) -> list[PendingRequest]:
        """The requests from an offset on.

        Returns at once. The newest requests may be missing until the next call.
        """


@dataclass(frozen=True, slots=True)
class EpochRows:
    """An epoch for a reader: its record, its changes, and the offset of the next record.

    `changes` gives (Kafka partition, changes) per table and partition, in the partition's order and in pieces that fit
    memory. A `t` of one partition is alone in its piece (`Changes.partition`). The changes may be read from the broker
    during the iteration: once, and before the next epoch is read. Only a finished iteration proves that every row of
    the record was there; it raises `WireError` otherwise.

    A reader that passes over holes does not raise for the rows of one table. After the iteration `holes` has the tables
    with missing rows, and the reasons. Their rows are void.
    `holes` names the tables whose rows were not all there, and why. What was given of such a table is void.
    """

    epoch: Epoch
    changes: Iterable[tuple[int, Changes]]
    epochs_offset: int
    holes: Mapping[str, str] = field(default_factory=dict)


class EpochReader(Protocol):
    """Reads whole, consecutive epochs."""

    def seek(self, epochs_offset: int, last: EpochMark | tuple[str, int] | None) -> None:
        """Goes to an offset of the epochs topic; `last` is the epoch before it."""

    def is_empty(self) -> bool:
        """Whether no epoch was ever published; called after `seek`."""

    def read(self, timeout_s: float) -> EpochRows | None:
        """Reads the next epoch; None if there is none within the time.

        Raises:
            WireError: an epoch is missing, or does not continue the chain of the one before. Missing rows are
                detected when the changes are read.
        """

    def acknowledge(self, epoch: EpochRows) -> None:
        """Commits the group's offsets after this epoch, which only show the lag."""

    def definitions(self) -> Mapping[int, TableSchema]:
        """Definitions by number: at least those of all epochs that were read."""


class LakeCommitLog(Protocol):
    """Publishes the epochs that the whole lake has reached."""

    def open(self) -> LakeCommit | None:
        """Fences off every other writer.

        Returns:
            The last record; None if there is none.
        """

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
        """Reads the next record, with the offset after it; None if there is none within the time."""

    def acknowledge(self, offset: int) -> None:
        """Commits the group's offset."""
