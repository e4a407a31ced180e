"""Feeds binlog events to an assembler: plain transactions in batches, others one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.packets import Events
from datafingerprint.binlog.transaction_batches import BatchLimit, TransactionBatch
from datafingerprint.binlog.transactions import Assembler, CommittedTransaction


def feed_events(
    events: Iterable[Events],
    assembler: Assembler,
    where: Callable[[], str],
    batch_limit: Callable[[], BatchLimit] | None,
) -> Iterator[CommittedTransaction | TransactionBatch | None]:
    """Feeds events to the assembler.

    Args:
        events: Events in the order of the binlog.
        assembler: Builds transactions from events.
        where: Returns the last known position, for messages.
        batch_limit: Returns how much one batch may hold. None reads every transaction by itself.

    Yields:
        Each completed transaction or batch, and None for every event that completes none.

    Raises:
        DecodeError: an event cannot be followed exactly.
    """
    for received in events:
        index = 0
        while index < len(received):
            batch = None
            if batch_limit is not None and assembler.is_between_transactions:
                batch = assembler.feed_plain(received, index, batch_limit())
            if batch is not None:
                index += batch.events
                yield batch
            else:
                yield assembler.feed(parse_event(received[index], where()))
                index += 1
