"""What the generator needs from a warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from services.generator.statements import Statement


class Warehouse(Protocol):
    """One connection to the source.

    Every method may raise `Unavailable` (the connection is lost: `connect` again, and read the present state) or `Stop`
    (an operator has to act).
    """

    def connect(self) -> None:
        """Opens a new connection, after closing a former one. Creates and uses the schema.

        If another generator plays the same schema, it blocks up to a few seconds, then raises `Unavailable`.
        """

    def query(self, statement: Statement) -> Sequence[tuple[Any, ...]]:
        """All rows of a SELECT, outside any transaction."""

    def transact(self, statements: Iterable[Statement]) -> int:
        """Runs statements as one transaction and commits it. Returns the number of changed rows.

        If it raises, the transaction is rolled back, or committed if the reply to COMMIT was lost. The caller reads to
        find out.
        """

    def close(self) -> None:
        """Closes the connection. The server rolls an open transaction back."""
