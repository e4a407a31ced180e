"""Which snapshots of a lake table expire; each costs every later commit time, for all are written again with it."""

from __future__ import annotations

from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update.snapshot import ExpireSnapshots


def expired(metadata: TableMetadata, kept: int) -> list[int]:
    """Snapshots that are older than the `kept` newest ones; what a branch or tag names never expires."""
    named = {reference.snapshot_id for reference in metadata.refs.values()} | {metadata.current_snapshot_id}
    newest_first = sorted(metadata.snapshots, key=lambda one: one.sequence_number or 0, reverse=True)
    return [one.snapshot_id for one in newest_first[kept:] if one.snapshot_id not in named]


def expire(transaction: Transaction, kept: int) -> None:
    """Takes the expired snapshots out of the metadata, in the commit that this transaction is about to make.

    Their files stay in the bucket: a reader may still be at them.
    """
    ids = expired(transaction.table_metadata, kept)
    if ids:
        ExpireSnapshots(transaction).by_ids(ids).commit()
