"""A scan holds an engine's count against the running sums of the epoch that it read, and stores nothing partial."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from datafingerprint import scans
from datafingerprint.adapters.state.scans import SqlScanStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audit import EPOCHS_KEPT
from datafingerprint.config import EngineSettings
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import Advance, LakeTableState, Progress, StoredEpoch, SumKey
from datafingerprint.ports.lake import LakeFile, SnapshotView
from datafingerprint.scanner import CANCELLED_LOOK_S, END_TRIES, Scanner
from datafingerprint.scans import LEASE_S, Cancelled, Scan, ScanState
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql.redshift import Redshift
from datafingerprint.verdict import Outcome

TABLE = TableSchema("s", "t", (Column("n", "int(11)", Kind.INTEGER, width_bytes=4),), (), ("n",))
BIG = (1 << 64) - 1
SUMS = {"n=1": Fingerprint(2, BIG, 7), "n=2": Fingerprint(1, 3, BIG)}
ROWS = [("n=1", 2, BIG, 7), ("n=2", 1, 3, BIG)]
SNAPSHOT = 77


COUNTED = LakeTableState("s.t", SNAPSHOT, 5, is_foreign=False, unreadable="")


@dataclass
class Sums:
    """The state store."""

    state: LakeTableState | None = COUNTED
    lake_epoch: int = 5
    version: int = 1
    cursor: SnapshotCursor | None = None
    kept: bool = True

    def definitions(self) -> Mapping[str, tuple[int, TableSchema]]:
        return {"s.t": (self.version, TABLE)}

    def epoch(self, number: int) -> StoredEpoch | None:
        cursors = {"s.t": self.cursor} if self.cursor else {}
        result = Epoch("stream", number, SourcePosition("", "", 0), 0.0, snapshots=cursors, versions={"s.t": 1})
        return StoredEpoch(result, 0.0) if self.kept else None

    def lake_tables(self) -> Mapping[str, LakeTableState]:
        return {"s.t": self.state} if self.state else {}

    def progress(self) -> Progress:
        return Progress(lake_epoch=self.lake_epoch)

    def source_sums(self, table: str, epoch: int) -> Mapping[str, Fingerprint]:
        assert (table, epoch) == ("s.t", 5)
        return {**SUMS, "n=7": ZERO} if self.state and self.state.snapshot_id else {}

    def lake_sums(self, table: str) -> Mapping[str, Fingerprint]:
        assert table == "s.t"
        return {**SUMS, "n=3": Fingerprint(1, 1, 1)}


@dataclass
class Lake:
    """The lake's snapshots."""

    present: int | None = SNAPSHOT

    def current(self, table: TableSchema) -> SnapshotView | None:
        assert table is TABLE
        return self._view(self.present)

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        assert table is TABLE
        return self._view(snapshot_id) if snapshot_id == SNAPSHOT else None

    def _view(self, snapshot_id: int | None) -> SnapshotView:
        return SnapshotView(snapshot_id, None, is_foreign=False, files=frozenset({LakeFile("s3://b/f.parquet", 9)}))


@dataclass
class Engine:
    """An engine that answers, fails, or hears that it is to stop."""

    answer: list[Sequence[Any]] | Exception
    meanwhile: Callable[[], None] = lambda: None
    statements: list[str] = field(default_factory=list)

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        assert session in ((), Redshift.session)
        assert not stop.is_set()
        self.statements.append(statement)
        progress("50 %")
        self.meanwhile()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Bench:
    """A scanner over fakes and a real store."""

    store: SqlScanStore
    engine: Engine
    lake: Lake = field(default_factory=Lake)
    settings: EngineSettings = field(default_factory=lambda: EngineSettings.model_validate({}))
    sums: scans.Sums = field(default_factory=Sums)

    def scanner(self) -> Scanner:
        @contextlib.contextmanager
        def opened(_name: str, _settings: EngineSettings) -> Iterator[Engine]:
            yield self.engine

        engines = {"trino": self.settings, "redshift": self.settings, "duckdb": self.settings}
        return Scanner(engines, self.store, self.sums, self.lake, opened, lambda: 100.0, 0.001)

    def scan(self, engine: str = "trino", partition: str | None = None) -> Scan:
        begun = self.scanner().begin(engine, "s.t", partition)
        return self.scanner().run(begun, threading.Event(), lambda _text: None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlScanStore]:
    with contextlib.closing(SqlScanStore(f"sqlite:///{tmp_path}/state.db", lambda: 100.0)) as made:
        yield made


def test_a_count_that_is_the_running_sums_matches_and_is_stored(store: SqlScanStore) -> None:
    bench = Bench(store, Engine(list(ROWS)))
    scan = bench.scan()
    assert (scan.state, scan.outcome, scan.epoch, scan.snapshot_id) == (ScanState.DONE, Outcome.MATCH, 5, SNAPSHOT)
    assert {name: item.lake for name, item in (scan.verdicts or {}).items()} == SUMS
    assert f"FOR VERSION AS OF {SNAPSHOT}" in bench.engine.statements[0]
    assert store.scan(scan.number) == Scan(**{**_fields(scan), "progress": "50 %"})
    assert [scan.number for scan in store.last_of("s.t")] == [scan.number]


def _fields(scan: Scan) -> dict[str, Any]:
    return {name: getattr(scan, name) for name in Scan.__slots__}


def test_every_partition_that_differs_is_named(store: SqlScanStore) -> None:
    scan = Bench(store, Engine([("n=1", 2, BIG, 8), ("n=3", 1, 1, 1)])).scan()
    assert {name: (item.outcome, item.reason) for name, item in (scan.verdicts or {}).items()} == {
        "n=1": (Outcome.MISMATCH, "as many rows on both sides, but other values"),
        "n=2": (Outcome.MISMATCH, "the lake has 1 row too few"),
        "n=3": (Outcome.MISMATCH, "the lake has 1 row too many"),
    }
    assert scan.outcome is Outcome.MISMATCH


def test_one_partition_is_held_against_its_own_sum(store: SqlScanStore) -> None:
    bench = Bench(store, Engine([ROWS[1]]))
    scan = bench.scan(partition="n=2")
    assert list(scan.verdicts or {}) == ["n=2"]
    assert scan.outcome is Outcome.MATCH
    assert 'WHERE "n" = 2' in bench.engine.statements[0]


def test_a_partition_that_has_no_row_any_more_can_be_asked_for(store: SqlScanStore) -> None:
    emptied = Bench(store, Engine([])).scan(partition="n=7")
    assert {name: item.outcome for name, item in (emptied.verdicts or {}).items()} == {"n=7": Outcome.MATCH}


def test_an_engine_of_words_is_combined(store: SqlScanStore) -> None:
    half = (1 << 32) - 1
    answer: list[Sequence[Any]] = [("n=1", 2, half, half, 0, 7), ("n=2", 1, 0, 3, half, half)]
    assert Bench(store, Engine(answer)).scan("redshift").outcome is Outcome.MATCH


def test_a_difference_is_none_yet_where_an_engine_may_have_read_an_older_snapshot(store: SqlScanStore) -> None:
    scan = Bench(store, Engine([("n=1", 2, (1 << 32) - 1, (1 << 32) - 1, 0, 7)])).scan("redshift")
    assert {name: (item.outcome, item.reason) for name, item in (scan.verdicts or {}).items()} == {
        "n=1": (Outcome.MATCH, ""),
        "n=2": (
            Outcome.INCONCLUSIVE,
            "the lake has 1 row too few, unless redshift's own catalog or manifest has another snapshot",
        ),
    }
    assert scan.outcome is Outcome.INCONCLUSIVE


def test_an_engine_without_travel_must_have_read_the_snapshot_that_was_meant(store: SqlScanStore) -> None:
    bench = Bench(store, Engine([]), lake=Lake(present=78))
    with pytest.raises(ConfigError, match=r"s\.t was changed while redshift read it"):
        bench.scan("redshift")
    (stored,) = store.scans(limit=9)
    assert (stored.state, stored.verdicts) == (ScanState.FAILED, {})


def test_a_table_that_was_empty_must_be_so_still_for_no_snapshot_could_be_named(store: SqlScanStore) -> None:
    empty = Sums(replace(COUNTED, snapshot_id=None))
    assert Bench(store, Engine([]), Lake(present=None), sums=empty).scan().outcome is Outcome.MATCH
    bench = Bench(store, Engine([]), sums=empty)
    with pytest.raises(ConfigError, match=r"s\.t was changed while trino read it, and the empty table had no snapshot"):
        bench.scan("trino")
    assert bench.scan("duckdb").outcome is Outcome.MATCH


@pytest.mark.parametrize(
    ("sums", "complaint"),
    [
        (Sums(version=2), r"s\.t was altered, and the lake has not reached that epoch: scan again"),
        (
            Sums(cursor=SnapshotCursor(1, 3, complete=False)),
            r"the snapshot of s\.t is at 33 %: scan when it is complete",
        ),
        (Sums(kept=False), r"epoch 5, which the lake table of s\.t has, is not kept: scan again"),
    ],
)
def test_rows_of_another_definition_or_not_all_there_are_not_counted(
    store: SqlScanStore, sums: Sums, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Bench(store, Engine(list(ROWS)), sums=sums).scan()
    assert store.scans(limit=9) == []


def test_duckdb_is_given_the_files_of_the_snapshot(store: SqlScanStore) -> None:
    bench = Bench(store, Engine(list(ROWS)))
    assert bench.scan("duckdb").outcome is Outcome.MATCH
    assert "'s3://b/f.parquet'" in bench.engine.statements[0]


@pytest.mark.parametrize("error", [Unavailable("engine trino cannot be reached"), ConfigError("refused")])
def test_a_failure_is_stored_without_any_result(store: SqlScanStore, error: DataFingerprintError) -> None:
    with pytest.raises(type(error)):
        Bench(store, Engine(error)).scan()
    (stored,) = store.scans(limit=9)
    assert (stored.state, stored.error, stored.verdicts) == (ScanState.FAILED, str(error), {})
    assert stored.outcome is Outcome.INCONCLUSIVE


def test_a_cancelled_scan_has_no_result(store: SqlScanStore) -> None:
    scan = Bench(store, Engine(Cancelled())).scan()
    assert scan.state is ScanState.CANCELLED
    assert scan.outcome is Outcome.INCONCLUSIVE


def test_a_scan_is_cancelled_by_another_process_through_the_store(store: SqlScanStore, tmp_path: Path) -> None:
    now = [100.0]

    class Waiting(Engine):
        def run(
            self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
        ) -> list[Sequence[Any]]:
            del session, statement
            progress("1 %")
            assert not stop.is_set()
            with contextlib.closing(SqlScanStore(f"sqlite:///{tmp_path}/state.db")) as other:
                other.cancel(begun.scan.number)
                other.cancel(begun.scan.number)
            now[0] += CANCELLED_LOOK_S
            progress("2 %")
            assert stop.is_set()
            raise Cancelled

    bench = Bench(store, Waiting([]))
    scanner = replace(bench.scanner(), clock=lambda: now[0])
    begun = scanner.begin("trino", "s.t", None)
    result = scanner.run(begun, threading.Event(), lambda _text: None)
    assert result.state is ScanState.CANCELLED
    store.cancel(result.number + 1)
    assert not store.is_cancelled(result.number + 1)


def test_a_partition_that_only_the_lake_has_is_scanned(store: SqlScanStore) -> None:
    scan = Bench(store, Engine([("n=3", 1, 1, 1)])).scan(partition="n=3")
    assert [(name, item.outcome) for name, item in (scan.verdicts or {}).items()] == [("n=3", Outcome.MISMATCH)]


def test_a_cancelled_scan_tells_that_the_engine_may_work_on(store: SqlScanStore) -> None:
    scan = Bench(store, Engine(Cancelled("the engine may work on"))).scan()
    stored = store.scan(scan.number)
    assert stored is not None
    assert (stored.state, stored.error) == (ScanState.CANCELLED, "the engine may work on")


class Away(SqlScanStore):
    """A store that is away when a scan ends, so many times."""

    times = 0

    def end(self, scan: Scan) -> None:
        self.times -= 1
        if self.times >= 0:
            raise Unavailable("the state store is away")
        super().end(scan)


@pytest.mark.parametrize("times", [1, END_TRIES - 1])
def test_a_store_that_is_away_for_a_while_gets_the_scans_end_all_the_same(times: int, tmp_path: Path) -> None:
    with contextlib.closing(Away(f"sqlite:///{tmp_path}/state.db")) as away:
        away.times = times
        scan = Bench(away, Engine(list(ROWS))).scan()
        stored = away.scan(scan.number)
    assert stored is not None
    assert (stored.state, stored.verdicts) == (ScanState.DONE, scan.verdicts)
    assert scan.outcome is Outcome.MATCH


def test_a_store_that_stays_away_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with contextlib.closing(Away(f"sqlite:///{tmp_path}/state.db")) as away:
        away.times = END_TRIES
        with pytest.raises(Unavailable, match="the state store is away"):
            Bench(away, Engine(list(ROWS))).scan()


def test_a_scan_that_is_cancelled_before_its_engine_is_asked_never_asks_it(store: SqlScanStore) -> None:
    engine, stop = Engine(list(ROWS)), threading.Event()
    bench = Bench(store, engine)
    begun = bench.scanner().begin("trino", "s.t", None)
    stop.set()
    assert bench.scanner().run(begun, stop, lambda _text: None).state is ScanState.CANCELLED
    assert engine.statements == []


def test_a_store_that_is_busy_for_a_while_does_not_end_a_scan(tmp_path: Path) -> None:
    class Busy(SqlScanStore):
        def show_progress(self, number: int, progress: str) -> None:
            raise Unavailable(f"no sign of life for scan {number} at {progress}")

    with contextlib.closing(Busy(f"sqlite:///{tmp_path}/state.db")) as busy:
        scan = Bench(busy, Engine(list(ROWS))).scan()
        assert busy.scan(scan.number) == scan
    assert scan.outcome is Outcome.MATCH


def test_no_more_scans_run_at_once_than_the_engine_may(store: SqlScanStore) -> None:
    bench = Bench(store, Engine(list(ROWS)))
    bench.scanner().begin("trino", "s.t", None)
    with pytest.raises(ConfigError, match=r"1 scans run on trino already: wait, or raise engines\.trino\.scans_max"):
        bench.scanner().begin("trino", "s.t", None)
    bench.scanner().begin("duckdb", "s.t", None)


def test_a_scan_whose_runner_is_gone_has_failed_and_holds_nobody_up(tmp_path: Path) -> None:
    now = [100.0]
    with contextlib.closing(SqlScanStore(f"sqlite:///{tmp_path}/state.db", lambda: now[0])) as store:
        bench = Bench(store, Engine(list(ROWS)))
        scan = bench.scanner().begin("trino", "s.t", None).scan
        now[0] += LEASE_S + 1
        stored = store.scan(scan.number)
        assert stored is not None
        assert (stored.state, stored.error) == (ScanState.FAILED, "the process that ran it is gone")
        assert bench.scan().outcome is Outcome.MATCH


@pytest.mark.parametrize(
    ("engine", "table", "partition", "complaint"),
    [
        ("nobody", "s.t", None, r"no engine nobody is in the settings"),
        ("trino", "s.x", None, r"table s\.x is not captured: captured tables: s\.t"),
        ("trino", "s.t", "x=1", r"s\.t has no partition x=1: its partitions are named n=\.\.\."),
        ("trino", "s.t", "n=01", r"s\.t has no partition n=01: its partitions are named n=\.\.\."),
        ("trino", "s.t", "n=9", r"s\.t has no partition n=9 on either side: there are: n=1, n=2, n=3, n=7"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_stored(
    store: SqlScanStore, engine: str, table: str, partition: str | None, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Bench(store, Engine([])).scanner().begin(engine, table, partition)
    assert store.scans(limit=9) == []


def test_an_engine_of_an_unknown_kind_is_refused_until_it_has_a_known_one(store: SqlScanStore) -> None:
    named, known = "other", re.compile(r"engine other has an unknown kind: set engines\.other\.kind to (\w+)")
    scanner = Bench(store, Engine([])).scanner()
    refusing = replace(scanner, engines={named: EngineSettings()})
    with pytest.raises(ConfigError, match=known) as refused:
        refusing.begin(named, "s.t", None)
    match = known.search(str(refused.value))
    assert match is not None
    settings = EngineSettings.model_validate({"kind": match[1]})
    assert replace(scanner, engines={named: settings}).begin(named, "s.t", None).scan.engine == named


def test_a_table_beyond_the_limit_or_not_counted_yet_is_refused(store: SqlScanStore) -> None:
    small = EngineSettings.model_validate({"rows_max": 2})
    # A partition counts as it is where it is larger: the lake has one that the source has not.
    with pytest.raises(
        ConfigError,
        match=r"^s\.t has 4 rows, and a scan on trino may read 2: scan one --partition after another, or raise engines",
    ):
        Bench(store, Engine([]), settings=small).scan()
    smaller = EngineSettings.model_validate({"rows_max": 1})
    with pytest.raises(
        ConfigError,
        match=r"^partition n=1 of s\.t has 2 rows, and a scan on trino may read 1: raise engines\.trino\.rows",
    ):
        Bench(store, Engine([]), settings=smaller).scanner().begin("trino", "s.t", "n=1")
    with pytest.raises(ConfigError, match=r"the lake table of s\.t has not been counted"):
        Bench(store, Engine([]), sums=Sums(None)).scan()
    unreadable = LakeTableState("s.t", SNAPSHOT, 5, is_foreign=True, unreadable="2 delete files")
    with pytest.raises(ConfigError, match=r"the lake table of s\.t is unreadable: 2 delete files"):
        Bench(store, Engine([]), sums=Sums(unreadable)).scan()


def test_a_partition_of_a_table_beyond_the_limit_is_scanned(store: SqlScanStore) -> None:
    small = EngineSettings.model_validate({"rows_max": 2, "scans_max": 9})
    for name in ("n=1", "n=2", "n=3", "n=7"):
        begun = Bench(store, Engine([]), settings=small).scanner().begin("trino", "s.t", name)
        assert (begun.scan.partition, begun.scan.state) == (name, ScanState.RUNNING)


def test_a_statement_may_take_longer_than_the_sums_of_its_epoch_are_kept(store: SqlScanStore, tmp_path: Path) -> None:
    with contextlib.closing(SqlStateStore(f"sqlite:///{tmp_path}/sums.db")) as sums:
        advance(sums, 5, SUMS)
        sums.save_lake(COUNTED, [], [])

        def go_on() -> None:
            advance(sums, EPOCHS_KEPT + 10, {name: part + part for name, part in SUMS.items()})
            sums.fold(EPOCHS_KEPT + 10)
            assert sums.source_sums("s.t", 5) == {}

        scan = Bench(store, Engine(list(ROWS), go_on), sums=sums).scan()
    assert scan.outcome is Outcome.MATCH


def advance(store: SqlStateStore, last: int, sums: Mapping[str, Fingerprint]) -> None:
    """Epochs up to `last`, the last of which alters these sums."""
    before = store.progress()
    epochs = [
        Epoch("stream", number, SourcePosition(f"0-1-{number}", "log", 4), 100.0, versions={"s.t": 1})
        for number in range(before.epoch + 1, last + 1)
    ]
    changed = [(last, SumKey("s.t", name, 0), part) for name, part in sums.items()]
    after = Progress("stream", last, last)
    store.advance(before, Advance(after, epochs, changed, {"s.t": (1, TABLE)}))


def test_sums_that_are_no_longer_kept_are_not_held_against_anything(store: SqlScanStore) -> None:
    with pytest.raises(ConfigError, match=r"the running sums of s\.t at epoch 5 are no longer kept: scan again"):
        Bench(store, Engine([]), sums=Sums(lake_epoch=5 + EPOCHS_KEPT + 1)).scan()
    assert store.scans(limit=9) == []
