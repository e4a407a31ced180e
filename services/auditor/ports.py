"""The outside that an audit needs: the source, past epochs, and the state store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from datafingerprint.audit import Load
from datafingerprint.audits import AuditStore
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ports.state import StateStore
from datafingerprint.ports.stream import EpochRows
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange


class View(Protocol):
    """A consistent view of some tables on the source. Every method may raise `UnmeasuredError`."""

    @property
    def position(self) -> SourcePosition:
        """The position of the view. It holds exactly the transactions up to there."""

    @property
    def age_s(self) -> float:
        """Seconds since the view was opened."""

    def abort(self) -> None:
        """Ends the running statement, from another thread. The statement raises `UnmeasuredError`."""

    def rows(self, table: TableSchema) -> dict[str, int]:
        """Rows of every partition that is not empty."""

    def bound(self, table: TableSchema, partitions: Sequence[str] | None, after: str | None, rows: int) -> str | None:
        """The key at which the next range of `rows` rows ends. None when fewer rows are left."""

    def sums(
        self, table: TableSchema, partitions: Sequence[str] | None = None, bounds: KeyRange | None = None
    ) -> dict[str, Fingerprint]:
        """The source's own sums of partitions with rows: all, the named ones, or a range of keys."""


class AuditTarget(Protocol):
    """The server that audits measure."""

    def preflight(self, tables: Sequence[TableSchema], stream: Sequence[SourcePosition]) -> None:
        """Checks that an audit of these tables can be exact.

        Args:
            tables: The tables of the audit.
            stream: The stream's position, and some earlier ones. May be empty.

        Raises:
            SourceError: An exact audit is not possible.
        """

    def gauge(self) -> AbstractContextManager[Callable[[], Load]]:
        """A function that measures the server's load inside the block."""

    def view(self, tables: Sequence[TableSchema]) -> AbstractContextManager[View]:
        """Opens a view and closes it after the block."""


class History(Protocol):
    """Epochs that were read before."""

    def read_again(self, number: int, before_offset: int) -> EpochRows:
        """Reads one epoch with its changes, searching before an offset of the epochs topic."""


class Store(StateStore, AuditStore, Protocol):
    """The state store: the stream's sums and the audits."""
