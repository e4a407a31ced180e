"""Batches of plain transactions: a begin, full row images, and a commit.

A warehouse commits up to millions of these an hour, and each is several events. Native code finds them in the log
(`datafingerprint/native/binlog.c`). `transactions` assembles all others event by event, and also those that do not end
within the events that arrived together. For plain transactions both ways give the same result.
"""

from __future__ import annotations

from dataclasses import dataclass

from datafingerprint.binlog.transaction_rows import LoggedRows
from datafingerprint.epochs import SourcePosition


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """How much one batch may hold. The transaction that reaches a limit is its last.

    Attributes:
        images_bytes: Bytes of row images.
        transactions: Number of transactions.
    """

    images_bytes: int
    transactions: int


@dataclass(frozen=True, slots=True)
class TransactionBatch:
    """At least one transaction, in the order in which the source committed them.

    Attributes:
        events: How many events the transactions consist of.
        gtids: The GTID of each transaction.
        ends: The offset in the binlog file at which each transaction ends.
        rows: Rows events of captured tables in their order, each with the index of its transaction.
        position: The end of the last transaction.
        committed_at: When the last transaction was committed, in seconds of Unix time.
    """

    events: int
    gtids: list[str]
    ends: list[int]
    rows: list[tuple[int, LoggedRows]]
    position: SourcePosition
    committed_at: float
