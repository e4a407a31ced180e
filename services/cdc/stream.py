"""Where the published stream stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from datafingerprint.changes import Changes, reset
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.errors import SourceError
from datafingerprint.requests import Answers
from datafingerprint.schema import TableSchema
from services.cdc.epoch_builder import WatchedTable
from services.cdc.redefinition import Redefinition

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
        """Whether all tables have been read to their end; a stream whose last table was dropped has none."""
        return not self.incomplete

    def redefine(self, found: Redefinition, log: structlog.stdlib.BoundLogger) -> list[Changes]:
        """Changes the tables as the next epoch is to say; returns the resets that belong into it."""
        for name, table in found.defined.items():
            self.define(table)
            log.info("table redefined", table=name, version=self.version_last, epoch=self.number + 1)
        for name in found.replaced:
            self.snapshots[name] = NOTHING_READ
        for name in found.gone:
            del self.watched[name]
            self.snapshots.pop(name, None)
            log.warning("table left the stream", table=name, epoch=self.number + 1)
        for name in found.emptied:
            log.info("table emptied", table=name, epoch=self.number + 1)
        return [reset(self.watched[name].table, self.watched[name].version) for name in found.emptied]

    def place(self) -> str:
        """Where in the source's binlog it stands, for messages."""
        return f"{self.position.file}:{self.position.pos}"

    @property
    def answers(self) -> Answers:
        """What the next epoch says about requests."""
        return Answers(self.next_request, dict(self.refused) or None)


def begun(stream_id: str, tables: Sequence[TableSchema], now: float) -> Stream:
    """A new stream over these tables, of which nothing is read yet."""
    watched = {table.table: WatchedTable(table, number) for number, table in enumerate(tables, start=1)}
    return Stream(
        stream_id=stream_id,
        number=0,
        position=SourcePosition("", "", 0),
        committed_at=now,
        snapshots=dict.fromkeys(watched, NOTHING_READ),
        watched=watched,
        unpublished={one.version: one.table for one in watched.values()},
        version_last=len(watched),
    )


def resumed(last: Epoch, definitions: Mapping[int, TableSchema]) -> Stream:
    """The stream behind its last epoch."""
    return Stream(
        stream_id=last.stream_id,
        number=last.number,
        position=last.position,
        committed_at=last.committed_at,
        snapshots=dict(last.snapshots),
        watched={table: WatchedTable(definitions[number], number) for table, number in last.versions.items()},
        unpublished={},
        version_last=max(definitions, default=0),
        next_request=last.answers.next_offset,
    )


def require_same_fields(stream: Stream, present: Mapping[str, TableSchema]) -> None:
    """Partition fields belong to the lake table: other ones would make it differ for good.

    A definition that changed otherwise may still have a readable backlog: the first row that differs tells.

    Raises:
        SourceError: the settings name other ones.
    """
    for name, one in stream.watched.items():
        now = present.get(name)
        if now is not None and now.partition != one.table.partition:
            raise SourceError(
                f"the partition fields of {name} were {list(one.table.partition)} and are {list(now.partition)}",
                where="[tables]",
                remedy="set them back; or take the table out of [source] tables, start again, drop its lake table when "
                "the lake writer says that it left, and let it come again with the new ones",
            )
