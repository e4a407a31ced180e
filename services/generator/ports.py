"""What the generator asks of a warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from services.generator.statements import Statement


class Warehouse(Protocol):
    """One connection to the source.

    Every method may raise `Unavailable` (the connection is lost; `connect` again, then read what is true
    now) or `Stop` (an operator has to act).
    """

    def connect(self) -> None:
        """Opens the connection anew, closing a former one; makes sure that the schema is there and used.

        Blocks up to a few seconds when another generator plays the same schema, then raises `Unavailable`.
        """

    def query(self, statement: Statement) -> Sequence[tuple[Any, ...]]:
        """All rows of a SELECT, outside any transaction."""

    def transact(self, statements: Iterable[Statement]) -> int:
        """Runs statements as one transaction and commits it; answers how many rows it changed.

        When it raises, the transaction is either rolled back or, if the reply to COMMIT was lost, committed:
        the caller finds out by reading.
        """

    def close(self) -> None:
        """Ends the connection; a transaction that is open is rolled back by the server."""
