"""Reads how far the flow is from the epochs of the state store."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy as sa

from datafingerprint.adapters.state.tables import EPOCH_TABLES, EPOCHS, PROGRESS
from datafingerprint.epochs import READ_AGAIN, SnapshotCursor
from datafingerprint.flow import FlowState


class FlowReader:
    """Reads the state of the flow.

    It parses cursors again only after they changed, and searches only epochs that are new for their last change.
    """

    def __init__(self) -> None:
        self._parsed: tuple[str, Mapping[str, int]] = "", {}  # replaced as a whole: threads may share a reader
        self._run: tuple[str, int, float | None] = "", 0, None  # a key, the last epoch seen with it, the first's time

    def read(self, connection: sa.Connection) -> FlowState:
        """The state at the moment of the connection's transaction. Reads few rows, by their keys."""
        progress = connection.execute(sa.select(PROGRESS)).mappings().first()
        if progress is None or not progress["epoch"]:
            return FlowState()
        snapshots, progressed_at = self._snapshots(connection, progress["epoch"])
        return FlowState(
            connection.scalar(sa.select(EPOCHS.c.committed_at).where(EPOCHS.c.number == progress["lake_epoch"])),
            connection.scalar(
                sa.select(EPOCHS.c.committed_at)
                .where(EPOCHS.c.number > progress["lake_epoch"], EPOCHS.c.row_count > 0)
                .order_by(EPOCHS.c.number)
                .limit(1)
            ),
            snapshots,
            progressed_at,
        )

    def _snapshots(self, connection: sa.Connection, epoch: int) -> tuple[Mapping[str, int], float | None]:
        """Incomplete snapshots at an epoch, and since when their cursors are these."""
        of_epoch = sa.select(EPOCHS.c.tables_key, EPOCHS.c.record).where(EPOCHS.c.number == epoch)
        row = connection.execute(of_epoch).mappings().first()
        if row is None or row["tables_key"] is None:  # an epoch of an older version: the next one has the key
            return {}, None
        incomplete = self._incomplete(connection, row["tables_key"])
        if not incomplete:
            return {}, None
        aside: Mapping[str, str] = json.loads(row["record"]).get("set_aside", {})
        snapshots = {
            table: percent
            for table, percent in incomplete.items()
            if table not in aside or aside[table].endswith(READ_AGAIN)
        }
        return snapshots, self._progressed_at(connection, row["tables_key"], epoch)

    def _progressed_at(self, connection: sa.Connection, key: str, epoch: int) -> float | None:
        """When the first epoch of the unbroken run with this key was stored."""
        known_key, seen, first_at = self._run
        is_known = known_key == key and seen <= epoch
        last_other = _last_other(connection, key, seen if is_known else 0, epoch)
        if not is_known or last_other:
            query = sa.select(EPOCHS.c.recorded_at).where(EPOCHS.c.number > last_other)
            first_at = connection.scalar(query.order_by(EPOCHS.c.number).limit(1))
        self._run = key, epoch, first_at
        return first_at

    def _incomplete(self, connection: sa.Connection, key: str) -> Mapping[str, int]:
        """Tables whose snapshot is not complete, with its percentage."""
        parsed_key, incomplete = self._parsed
        if key == parsed_key:
            return incomplete
        document = connection.scalar(sa.select(EPOCH_TABLES.c.document).where(EPOCH_TABLES.c.key == key))
        cursors = json.loads(document)["snapshots"] if document else {}
        known = {table: SnapshotCursor(*cursor) for table, cursor in cursors.items()}
        incomplete = {table: cursor.percent for table, cursor in known.items() if not cursor.complete}
        self._parsed = key, incomplete
        return incomplete


def _last_other(connection: sa.Connection, key: str, after: int, epoch: int) -> int:
    """The last epoch with another key between two epochs. 0 if there is none."""
    other = (
        sa.select(EPOCHS.c.number)
        .where(EPOCHS.c.number > after, EPOCHS.c.number < epoch, sa.func.coalesce(EPOCHS.c.tables_key, "") != key)
        .order_by(EPOCHS.c.number.desc())
        .limit(1)
    )
    return connection.scalar(other) or 0
