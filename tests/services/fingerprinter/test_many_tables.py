"""A lake commit and a look cost nothing for tables in which nothing has changed; changed ones are judged alone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Advance, LakeCount, Progress, SumKey, TableVerdicts
from datafingerprint.ports.lake import SnapshotView, Stamp
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome
from datafingerprint.wire import LakeCommit
from services.fingerprinter.judge import JUDGE_ALL_S
from services.fingerprinter.lake_side import LakeSide
from tests.services.fingerprinter.watched_lake import table_of

MANY = 300
TABLES = [table_of(("id", "bigint(20)"), partition="", name=f"t{number}") for number in range(MANY)]
ONE = Fingerprint(1, 2, 3)


class Catalog:
    """A lake of empty snapshots. It counts what it is asked."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.present: dict[str, SnapshotView] = {}
        self.seen: dict[str, SnapshotView | None] = {}
        self._lock = threading.Lock()

    def commit(self, table: TableSchema, epoch: int, *, is_foreign: bool = False) -> int:
        number = 1000 * epoch + len(self.present)
        stamp = Stamp("stream", epoch, SourcePosition("", "", 0))
        self.present[table.table] = SnapshotView(number, stamp, is_foreign=is_foreign, files=frozenset())
        return number

    def changed(self, tables: Iterable[TableSchema]) -> set[str]:
        self.calls["changed"] += 1
        return {table.table for table in tables if self.present.get(table.table) != self.seen.get(table.table)}

    def current(self, table: TableSchema) -> SnapshotView | None:
        with self._lock:
            self.calls["current"] += 1
        self.seen[table.table] = self.present.get(table.table)
        return self.seen[table.table]

    def snapshot(self, table: TableSchema, _snapshot_id: int) -> SnapshotView | None:
        return self.present.get(table.table)


class CountingStore(SqlStateStore):
    """Counts its transactions, and which tables are judged."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.counts: list[int] = []
        self.judged: list[list[str]] = []

    def save_counts(self, counts: Sequence[LakeCount]) -> None:
        self.counts.append(len(counts))
        super().save_counts(counts)

    def save_verdicts(
        self, progress: Progress, judged: Sequence[TableVerdicts], now: float, unchanged: Sequence[str] = ()
    ) -> None:
        self.judged.append([item.table for item in judged])
        super().save_verdicts(progress, judged, now, unchanged)


class Lake:
    """Many tables of one row each in the source, and none in the lake."""

    def __init__(self, folder: Path) -> None:
        self.store = CountingStore(f"sqlite:///{folder}/state.db")
        self.catalog = Catalog()
        self.now = 1000.0
        self.epoch = 0
        known = dict(enumerate(TABLES))
        log = structlog.wrap_logger(structlog.ReturnLogger())
        scratch = TemporaryScratch("", lambda: None)
        self.side = LakeSide(self.catalog, scratch, self.store, lambda: known, log, lambda: self.now)  # type: ignore[arg-type]

    def publish(self, changed: Iterable[TableSchema], **altered: Any) -> None:  # noqa: ANN401 - fields of an epoch
        """One epoch with a row of these tables, committed to the lake and judged."""
        self.epoch += 1
        before = self.store.progress()
        versions = {item.table: number for number, item in enumerate(TABLES)}
        cursors = {name: SnapshotCursor(1, 1, complete=True) for name in versions}
        position = SourcePosition(f"0-1-{self.epoch}", "log", 4)
        epoch = Epoch("stream", self.epoch, position, self.now, snapshots=cursors, versions=versions)
        names = [item.table for item in changed]
        sums = [(self.epoch, SumKey(name, "-", 0), Fingerprint(self.epoch, 2, 3)) for name in names]
        after = replace(before, stream_id="stream", epoch=self.epoch, epochs_offset=self.epoch)
        definitions = {table.table: (versions[table.table], table) for table in TABLES} if self.epoch == 1 else {}
        self.store.advance(before, Advance(after, [replace(epoch, **altered)], sums, definitions))
        for item in changed:
            self.catalog.commit(item, self.epoch)
        snapshots = {
            table.table: view.snapshot_id for table in TABLES if (view := self.catalog.present.get(table.table))
        }
        commit = LakeCommit(
            "stream", self.epoch, position, self.now, self.epoch, {**dict.fromkeys(versions), **snapshots}, self.now
        )
        self.forget_calls()
        self.side.judge_commit(self.store.progress(), commit, self.epoch)

    def forget_calls(self) -> None:
        self.catalog.calls.clear()
        self.store.counts.clear()
        self.store.judged.clear()

    def look(self) -> None:
        self.forget_calls()
        self.side.check_foreign_snapshots(self.store.progress())


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    made = Lake(tmp_path)
    with closing(made.store):
        made.publish(TABLES)
        yield made


def test_the_first_commit_counts_many_tables_in_a_few_transactions(lake: Lake) -> None:
    assert sum(lake.store.counts) == MANY
    assert len(lake.store.counts) <= MANY / 50
    assert [len(names) for names in lake.store.judged] == [MANY]
    assert {verdict.verdict.outcome for verdict in lake.store.verdicts()} == {Outcome.MISMATCH}


def test_a_table_that_the_lake_does_not_have_is_counted_once_as_empty(tmp_path: Path) -> None:
    made = Lake(tmp_path)
    with closing(made.store):
        made.publish([])
        assert sum(made.store.counts) == MANY
        assert {state.snapshot_id for state in made.store.lake_tables().values()} == {None}
        assert made.store.unproven_tables().keys() == {table.table for table in TABLES}
        made.publish([])
        assert (made.store.counts, made.store.judged) == ([], [[]])


def test_a_commit_without_a_change_asks_the_catalog_once_and_judges_no_table(lake: Lake) -> None:
    lake.publish([])
    assert dict(lake.catalog.calls) == {"changed": 1}
    assert (lake.store.counts, lake.store.judged) == ([], [[]])
    assert {verdict.epoch for verdict in lake.store.verdicts()} == {2}
    assert {state.epoch for state in lake.store.lake_tables().values()} == {2}


def test_only_tables_that_changed_on_either_side_are_judged(lake: Lake) -> None:
    lake.publish(TABLES[5:7])
    assert dict(lake.catalog.calls) == {"changed": 1, "current": 2}
    assert lake.store.judged == [["ootp.t5", "ootp.t6"]]
    lake.publish([], set_aside={"ootp.t9": "why"})
    assert lake.store.judged == [["ootp.t9"]]
    lake.publish([])
    assert lake.store.judged == [["ootp.t9"]]


def test_all_tables_are_judged_again_after_a_while(lake: Lake) -> None:
    lake.now += JUDGE_ALL_S
    lake.publish([])
    assert [len(names) for names in lake.store.judged] == [MANY]


def test_a_look_asks_the_catalog_once_and_reads_what_another_writer_changed(lake: Lake) -> None:
    lake.look()
    assert dict(lake.catalog.calls) == {"changed": 1}
    lake.catalog.commit(TABLES[8], lake.epoch, is_foreign=True)
    lake.look()
    assert dict(lake.catalog.calls) == {"changed": 1, "current": 1}
    assert lake.store.judged == [["ootp.t8"]]
