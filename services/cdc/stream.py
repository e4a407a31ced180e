"""Where the published stream stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from datafingerprint.epochs import SnapshotCursor, SourcePosition
from datafingerprint.requests import Answers
from datafingerprint.schema import TableSchema
from services.cdc.epoch_builder import WatchedTable

NOTHING_READ = SnapshotCursor(0, 0, complete=False)


@dataclass(slots=True)
class Stream:
    """The state that every epoch's record repeats, and what the next one adds to it."""

    stream_id: str
    number: int
    position: SourcePosition
    committed_at: float
    snapshots: dict[str, SnapshotCursor]
    watched: dict[str, WatchedTable]
    unpublished: dict[int, TableSchema]
    version_last: int
    next_request: int = 0
    refused: dict[int, str] = field(default_factory=dict)

    def define(self, table: TableSchema) -> None:
        """Puts a new definition of a table in force, under a number of its own."""
        self.version_last += 1
        self.watched[table.table] = WatchedTable(table, self.version_last)
        self.unpublished[self.version_last] = table

    @property
    def incomplete(self) -> list[str]:
        """The tables that are to be read, or are being read."""
        return sorted(name for name, cursor in self.snapshots.items() if not cursor.complete)

    @property
    def is_complete(self) -> bool:
        """Whether there are tables, and all of them have been read to their end."""
        return bool(self.snapshots) and not self.incomplete

    @property
    def answers(self) -> Answers:
        """What the next epoch says about requests."""
        return Answers(self.next_request, dict(self.refused) or None)
