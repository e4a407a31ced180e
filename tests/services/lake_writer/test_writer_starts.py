"""A lake writer that starts commits at once what has waited for it, and opens the tables side by side."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import structlog

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.changes import Op, changes
from datafingerprint.column_types import column
from datafingerprint.config import Lake as LakeSettings
from datafingerprint.epochs import SourcePosition
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.schema import TableSchema
from datafingerprint.wire import decode_lake_commit
from services.lake_writer.writer import COMMITS_AT_ONCE, LakeWriter
from tests.flow.memory import Broker, MemoryEpochLog, MemoryEpochReader, MemoryLake, MemoryLakeCommits, Store

FLUSH_S = 60.0
TABLES = {
    number: TableSchema("s", f"t{number}", (column("id", "int(11)", nullable=False, charset=None),), ("id",))
    for number in range(1, COMMITS_AT_ONCE + 1)
}
LOG = structlog.wrap_logger(structlog.ReturnLogger())


class World:
    """Broker and lake, and a clock that a test moves."""

    def __init__(self) -> None:
        self.broker, self.store = Broker(), Store()
        self.now = 1_000.0

    def publish(self, *rows: int) -> None:
        """One epoch with these rows in every table."""
        number = len(self.broker.epochs) + 1
        parts = [
            changes(table, version, Op.CREATED, 0, after=pa.table([list(rows)], schema=table.arrow))
            for version, table in TABLES.items()
        ]
        position = SourcePosition(f"0-1-{number}", "binlog", number)
        versions = {table.table: version for version, table in TABLES.items()}
        draft = EpochDraft("stream", number, position, self.now, (), parts, {}, versions, TABLES)
        MemoryEpochLog(self.broker).publish(draft)

    def write(self, lake: Any = None) -> list[int]:  # noqa: ANN401 - a port
        """One life of a lake writer, long enough to read all that is there; the epochs that it has committed."""
        before = len(self.broker.lake_commits)
        writer = LakeWriter(
            MemoryEpochReader(self.broker),
            lake or MemoryLake(self.store),
            MemoryLakeCommits(self.broker),
            LakeSettings(flush_s=FLUSH_S),
            LOG,
            TemporaryScratch(""),
            clock=lambda: self.now,
        )
        writer.run(Turns())
        return [decode_lake_commit(lake_commit, "memory").epoch for lake_commit in self.broker.lake_commits[before:]]


class Turns(threading.Event):
    """A stop signal that comes after some turns."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 100

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def begun() -> World:
    """A world whose lake has the first epoch, which has no rows."""
    world = World()
    world.publish()
    assert world.write() == [1]
    return world


def test_what_has_waited_is_committed_at_once_and_in_one_piece() -> None:
    world = begun()
    world.publish(1)
    world.publish(2)
    world.now += FLUSH_S
    assert world.write() == [3]
    assert world.store.rows(TABLES[1]).num_rows == 2


def test_a_lake_writer_that_is_started_again_and_again_keeps_the_interval() -> None:
    world = begun()
    world.publish(1)
    world.now += FLUSH_S - 1
    assert world.write() == []
    world.now += 1
    assert world.write() == [2]
    world.publish(2)
    assert world.write() == []


def test_the_tables_of_the_lake_are_opened_side_by_side() -> None:
    world = begun()
    world.publish(1)
    world.now += FLUSH_S
    meeting = threading.Barrier(COMMITS_AT_ONCE)

    class SlowLake(MemoryLake):
        """Opens no table before as many others are being opened."""

        def table(self, table: TableSchema) -> Any:  # noqa: ANN401 - as the fake
            meeting.wait(30)
            return super().table(table)

    assert world.write(SlowLake(world.store)) == [2]
