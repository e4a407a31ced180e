"""A lake table in a folder, the rows that its source has, and the fingerprinter's lake side over both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import structlog
from pyiceberg.table import Table

from datafingerprint.adapters.iceberg.connection import connect
from datafingerprint.adapters.iceberg.definition import identifier
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.column_types import column
from datafingerprint.config import Settings
from datafingerprint.digests import partition_names
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.errors import FileDamageError
from datafingerprint.ledger import Advance, Progress, SketchStep, StoredSketch, SumKey
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import DataFile, Stamp
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import Overflow, RowVersion, peel
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.sketching import count_rows
from datafingerprint.verdict import Verdict
from datafingerprint.wire import LakeCommit
from services.fingerprinter.lake_side import LakeSide

Row = dict[str, Any]

CELLS = 40


def table_of(*columns: tuple[str, str], partition: str = "league", name: str = "games") -> TableSchema:
    """A table with the key `id`, partitioned by a column unless that is empty."""
    described = tuple(column(item, kind, nullable=True, charset="utf8mb4") for item, kind in columns)
    return TableSchema("ootp", name, described, ("id",), (partition,) if partition else ())


TABLE = table_of(("id", "bigint(20)"), ("league", "int(11)"), ("runs", "int(11)"))
ROWS = [{"id": number, "league": 1 + number % 2, "runs": number * 3} for number in range(6)]


class FolderObjects:
    """A store of files in a folder.

    Attributes:
        before_copy: Called before a file of data is read.
    """

    def __init__(self) -> None:
        self.before_copy: Callable[[], object] = lambda: None

    def copy(self, path: str, into: IO[bytes]) -> str:
        if "/data/" in path:
            self.before_copy()
        try:
            octets = local(path).read_bytes()
        except FileNotFoundError:
            raise FileDamageError(f"file {path} is gone") from None
        into.write(octets)
        return hashlib.sha256(octets).hexdigest()

    def etags(self, paths: Sequence[str]) -> dict[str, tuple[str, int]]:
        result = {path: local(path).read_bytes() for path in paths if local(path).exists()}
        return {path: (hashlib.sha256(octets).hexdigest(), len(octets)) for path, octets in result.items()}

    def close(self) -> None:
        """Nothing is open."""


def local(path: str) -> Path:
    """Where an object lies on this machine."""
    return Path(path.removeprefix("file://"))


class WatchedLake:
    """A writer that is right, somebody else who may do anything, and the lake side that is to tell.

    Args:
        folder: Where everything lies.
        tables: The tables.
    """

    def __init__(self, folder: Path, *tables: TableSchema) -> None:
        self.tables = list(tables)
        self.now = 1000.0
        self.connection = connect(f"sqlite:///{folder}/catalog.db", f"file://{folder}/lake", "a folder")
        self.lake = IcebergLake(Settings(), self.connection)
        self.store = SqlStateStore(f"sqlite:///{folder}/state.db", clock=lambda: self.now)
        self.epoch = 0
        self.set_aside: dict[str, str] = {}
        self.commits: list[LakeCommit] = []
        self.alive: Callable[[], object] = lambda: None
        self.restart()

    def restart(self) -> None:
        """The fingerprinter starts again."""
        self.objects = FolderObjects()
        self.view = IcebergLakeView(Settings(), self.connection, self.objects)
        log = structlog.wrap_logger(structlog.ReturnLogger())
        known = dict(enumerate(self.tables))
        scratch = TemporaryScratch("", lambda: self.alive())  # noqa: PLW0108 - a test may set another one
        parts = self.view, scratch, self.store, lambda: known, log, lambda: self.now
        self.side = LakeSide(*parts, cells_of=lambda _: CELLS)
        self.side.learn_definitions(self.store.progress())

    def close(self) -> None:
        self.store.close()
        self.connection.close()

    def write(self, table: TableSchema, *rows: Row) -> int:
        """One epoch in which these rows enter the source and the lake; gives its number."""
        result = pa.Table.from_pylist(list(rows), schema=table.arrow)
        self._commit(table, result, [])
        return self._record(table, result)

    def merge(self, table: TableSchema) -> int:
        """One epoch without a change, whose commit writes all rows to new files; the old ones are gone as if swept."""
        old = self.lake.table(table).files()
        self._commit(table, pa.Table.from_pylist(self.read(table), schema=table.arrow), old)
        for file in old:
            local(file.path).unlink()
        return self._record(table, table.arrow.empty_table())

    def _stamp(self) -> Stamp:
        return Stamp("stream", self.epoch, SourcePosition(f"0-1-{self.epoch}", "binlog", self.epoch))

    def _commit(self, table: TableSchema, rows: pa.Table, gone: Sequence[DataFile]) -> None:
        self.epoch += 1
        lake_table = self.lake.table(table)
        lake_table.commit(lake_table.write(_parted(table, rows), self._stamp()), gone, self._stamp())

    def _record(self, table: TableSchema, found: pa.Table) -> int:
        """Says on both control topics what the last commit was, and which rows had entered the source."""
        before, position = self.store.progress(), self._stamp().position
        opened = {item.table: self.lake.table(item) for item in self.tables}
        sums = {name: self.store.running_sums().get(SumKey(table.table, name, 0)) for name in _parted(table, found)}
        form = SketchForm.of(table, CELLS)
        counted = count_rows(found, table.columns, partitioning(table), form)
        steps = [
            SketchStep(self.epoch, key, StoredSketch(form.text, item.to_bytes()), starts=sums[name] is None)
            for name, item in counted.sketches()
            for key in [SumKey(table.table, name, 0)]
        ]
        versions = {item.table: number for number, item in enumerate(self.tables)}
        complete = {name: SnapshotCursor(0, 0, complete=True) for name in versions}
        epoch = Epoch(
            "stream", self.epoch, position, self.now, snapshots=complete, versions=versions, set_aside=self.set_aside
        )
        definitions = {item.table: (versions[item.table], item) for item in self.tables}
        running = [
            (self.epoch, SumKey(table.table, name, 0), part if (old := sums[name]) is None else old + part)
            for name, part in counted.sums.items()
        ]
        after = Progress("stream", self.epoch, self.epoch, before.lake_epoch, before.lake_commits_offset)
        self.store.advance(before, Advance(after, [epoch], running, definitions, sketches=steps))
        snapshots = {name: item.snapshot_id for name, item in opened.items()}
        self.commits.append(LakeCommit("stream", self.epoch, position, self.now, self.epoch, snapshots, self.now))
        return self.epoch

    def judge(self) -> dict[str, Verdict]:
        """The lake commits that were not judged yet are; gives the verdicts."""
        while (progress := self.store.progress()).lake_commits_offset < len(self.commits):
            offset = progress.lake_commits_offset
            self.side.judge_commit(progress, self.commits[offset], offset + 1)
        return self.verdicts()

    def look(self) -> dict[str, Verdict]:
        """The periodic looks; gives the verdicts."""
        self.now += 60.0
        self.side.check_foreign_snapshots(self.store.progress())
        self.side.look_at_metadata(self.store.progress())
        self.side.look_at_etags(self.store.progress(), 0.0, lambda _: 0)
        return self.verdicts()

    def verdicts(self) -> dict[str, Verdict]:
        """By partition where there is one table, else by table and partition."""
        is_one = len(self.tables) == 1
        return {
            verdict.partition if is_one else f"{verdict.table} {verdict.partition}": verdict.verdict
            for verdict in self.store.verdicts()
        }

    def differing(self, table: TableSchema, partition: str) -> dict[RowVersion, int] | str:
        """Row versions by how many more the source has of them, or why they cannot be named."""
        with self.store.reading() as view:
            sketch = view.sketched_partition(table.table, partition)
        assert sketch is not None
        if sketch.difference is None:
            return sketch.unavailable
        peeled = peel(sketch.difference, sketch.source - sketch.lake)
        return "overflow" if isinstance(peeled, Overflow) else dict(peeled)

    def said(self) -> dict[str, str]:
        """The verdicts in words: the reason, or the outcome where there is none."""
        return {name: item.reason or item.outcome.value for name, item in self.verdicts().items()}

    def iceberg(self, table: TableSchema = TABLE) -> Table:
        """The table as another engine has it."""
        return self.connection.catalog.load_table(identifier(table))

    def read(self, table: TableSchema = TABLE) -> list[Row]:
        """The rows as another engine reads them."""
        rows: list[Row] = self.iceberg(table).scan().to_arrow().sort_by("id").to_pylist()
        return rows

    def paths(self, table: TableSchema = TABLE) -> list[str]:
        """The live files."""
        return sorted(task.file.file_path for task in self.iceberg(table).scan().plan_files())


def _parted(table: TableSchema, rows: pa.Table) -> dict[str, pa.Table]:
    names = partition_names(rows, partitioning(table)).to_pylist()
    return {
        name: rows.take([number for number, other in enumerate(names) if other == name]) for name in sorted(set(names))
    }
