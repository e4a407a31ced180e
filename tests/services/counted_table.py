"""A table in the lake of the real store, and what the fingerprinter would have stored of it, without its services."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from click.testing import CliRunner, Result

from commands.__main__ import main
from datafingerprint.adapters.iceberg.lake import IcebergLake, IcebergLakeTable
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.column_types import column
from datafingerprint.config import Settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Advance, LakeTableState, Progress, SumKey
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import Stamp
from datafingerprint.schema import TableSchema

TABLE = TableSchema(
    "ootp",
    "games",
    tuple(column(name, "int(11)", nullable=False, charset="utf8mb4") for name in ("id", "league")),
    ("id",),
    ("league",),
)


def rows(count: int, league: int = 1) -> pa.Table:
    """Rows of one partition."""
    return pa.table({"id": range(count), "league": [league] * count}, schema=TABLE.arrow)


@dataclass
class CountedTable:
    """The table.

    Attributes:
        settings: Where lake and state store are.
        environment: The same, as variables.
        lake: The writer's side.
        state: The state store.
        epoch: The last one.
    """

    settings: Settings
    environment: Mapping[str, str]
    lake: IcebergLakeTable
    state: SqlStateStore
    epoch: int = 0

    def commit(self, found: pa.Table, running: Mapping[str, Fingerprint] | None = None) -> int:
        """One epoch, after which the lake has these rows, in files of their own; gives the snapshot.

        Args:
            found: The rows of league 1.
            running: The running sums, where they are not those of the rows.
        """
        self.epoch += 1
        position = SourcePosition(f"0-1-{self.epoch}", "log", 4)
        stamp = Stamp("stream", self.epoch, position)
        snapshot = self.lake.commit(self.lake.write({"league=1": found}, stamp), self.lake.files(), stamp)
        epoch = Epoch("stream", self.epoch, position, 100.0, versions={TABLE.table: 1})
        known = sums_by_partition(found, TABLE.columns, partitioning(TABLE)) if running is None else running
        sums = [(self.epoch, SumKey(TABLE.table, name, 0), part) for name, part in known.items()]
        after = Progress("stream", self.epoch, self.epoch)
        self.state.advance(self.state.progress(), Advance(after, [epoch], sums, {TABLE.table: (1, TABLE)}))
        self.state.save_lake(LakeTableState(TABLE.table, snapshot, self.epoch, is_foreign=False, unreadable=""), [], [])
        return snapshot

    def paths(self) -> list[str]:
        """The live files."""
        self.lake.refresh()
        return sorted(file.path for file in self.lake.files())

    def run(self, *arguments: str) -> Result:
        """A command of the console script, in this process."""
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return CliRunner().invoke(main, arguments, env={**self.environment})
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def counted_table(settings: Settings, environment: Mapping[str, str]) -> Iterator[CountedTable]:
    """The table before its first epoch."""
    with (
        contextlib.closing(IcebergLake(settings)) as lake,
        contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as state,
    ):
        yield CountedTable(settings, environment, lake.table(TABLE), state)
