"""Expires old snapshots of a lake table, since every commit writes all of them again."""

from __future__ import annotations

from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update.snapshot import ExpireSnapshots


def expired_ids(metadata: TableMetadata, kept: int) -> list[int]:
    """Ids of all snapshots but the `kept` newest ones and those of branches and tags."""
    referenced = {reference.snapshot_id for reference in metadata.refs.values()} | {metadata.current_snapshot_id}
    newest_first = sorted(metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0, reverse=True)
    return [snapshot.snapshot_id for snapshot in newest_first[kept:] if snapshot.snapshot_id not in referenced]


def expire(transaction: Transaction, kept: int) -> None:
    """Removes expired snapshots from the metadata, as part of a transaction.

    Their files stay in the bucket, because a reader may still use them.
    """
    ids = expired_ids(transaction.table_metadata, kept)
    if ids:
        ExpireSnapshots(transaction).by_ids(ids).commit()
