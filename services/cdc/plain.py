"""Transactions of the plain kind, taken together: begun, rows of described tables in full images, committed.

They are what a warehouse is written by, up to millions an hour, and each is several events. Native code finds where
they lie (`datafingerprint/kernel/binlog.c`); any other transaction, and any that does not end within the events that
came together, is put together event by event (`services.cdc.transactions`), which finds the same of plain ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from datafingerprint.epochs import SourcePosition
from services.cdc.transaction_rows import LoggedRows


@dataclass(frozen=True, slots=True)
class Room:
    """How much is taken together: the run ends with the transaction by which this is reached.

    Attributes:
        octets: Of row images.
        transactions: A number.
    """

    octets: int
    transactions: int


@dataclass(frozen=True, slots=True)
class CommittedRun:
    """Transactions that were committed on the source one behind the other, one at least.

    Attributes:
        events: How many events they were made of.
        gtids: The GTID of each.
        ends: Where each ends in the binlog file.
        rows: Rows events of the tables under watch in their order, each with the index of its transaction.
        position: Where the last one ends.
        committed_at: When that was, in seconds of Unix time.
    """

    events: int
    gtids: list[str]
    ends: list[int]
    rows: list[tuple[int, LoggedRows]]
    position: SourcePosition
    committed_at: float
