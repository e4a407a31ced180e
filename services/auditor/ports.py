"""What an audit needs from the outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from datafingerprint.audit import Load
from datafingerprint.audits import AuditStore
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ports import EpochRows, StateStore
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange


class View(Protocol):
    """A consistent view of some tables on the source; every method may raise `UnmeasuredError`."""

    @property
    def position(self) -> SourcePosition:
        """Everything up to it is in the view, and nothing else."""

    @property
    def age_s(self) -> float:
        """For how many seconds it has been open."""

    def abort(self) -> None:
        """Ends the statement at hand, from another thread; it raises `UnmeasuredError` there."""

    def rows(self, table: TableSchema) -> dict[str, int]:
        """The rows of every partition that has any."""

    def bound(self, table: TableSchema, partitions: Sequence[str] | None, after: str | None, rows: int) -> str | None:
        """The key at which the next range of so many rows ends; None when fewer are left."""

    def sums(
        self, table: TableSchema, partitions: Sequence[str] | None = None, bounds: KeyRange | None = None
    ) -> dict[str, Fingerprint]:
        """The source's own sums, of every partition that has rows, of some, or of a range of the key."""


class Audited(Protocol):
    """The server that audits ask."""

    def preflight(self, tables: Sequence[TableSchema], stream: Sequence[SourcePosition]) -> None:
        """Demands that an audit of these tables can be exact.

        Args:
            tables: What will be audited.
            stream: Where the stream stands, and before that some of the places where it came by; may be empty.

        Raises:
            SourceError: it cannot; the error says why and what mends it.
        """

    def gauge(self) -> AbstractContextManager[Callable[[], Load]]:
        """Tells how busy it is, as often as it is asked inside the block."""

    def view(self, tables: Sequence[TableSchema]) -> AbstractContextManager[View]:
        """Opens a view, and closes it behind the block."""


class History(Protocol):
    """The epochs that were read before."""

    def read_again(self, number: int, before_offset: int) -> EpochRows:
        """One of them, with its changes; looked for before an offset of the epochs topic."""


class Store(StateStore, AuditStore, Protocol):
    """The stream's sums, and where audits are kept."""
