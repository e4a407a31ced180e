"""The state store keeps exact sums per epoch, moves by compare-and-set, and is found again as it was left."""

from __future__ import annotations

import itertools
import json
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.state import store as state_module
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.cascades import Suspicion, Suspicions
from datafingerprint.column_types import column
from datafingerprint.epochs import Epoch, OffsetRange, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.errors import ConfigError, ConflictError, StateError, Unavailable
from datafingerprint.field_ids import FieldIds
from datafingerprint.fingerprint import MODULUS, ZERO, Fingerprint, total
from datafingerprint.ledger import Advance, FileSums, LakeTableState, Progress, SumKey, TableVerdicts
from datafingerprint.ports.state import StateStore
from datafingerprint.ports.state_values import Backlog
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, Verdict
from tests.databases import DATABASES, NewUrl, by_hand, new_urls

TABLE = "ootp.games"
GAMES = TableSchema("ootp", "games", (column("id", "int(11)", nullable=False, charset=None),), ("id",))
ONE = Fingerprint(1, MODULUS - 1, MODULUS // 2)
TWO = Fingerprint(2, 3, MODULUS - 5)

halves = st.integers(0, MODULUS - 1)
fingerprints = st.builds(Fingerprint, st.integers(-5, 1_000_000), halves, halves)
keys = st.builds(
    SumKey, st.sampled_from([TABLE, "ootp.teams"]), st.sampled_from(["-", "a=1", "a=é/b=2"]), st.integers(0, 2)
)


@pytest.fixture(params=DATABASES)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    return new_urls(request, tmp_path)


@pytest.fixture
def url(new_url: NewUrl) -> str:
    return new_url()


@pytest.fixture
def store(url: str) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(url, clock=lambda: 1000.0)) as opened:
        yield opened


def epoch(number: int, rows: int = 1, committed_at: float = 500.0) -> Epoch:
    ranges = {TABLE: {0: OffsetRange(number, number + 1, 1, rows)}} if rows else {}
    transactions = (Transaction(0, f"0-1-{number}", "binlog.1", number),)
    position = SourcePosition(f"0-1-{number}", "binlog.000001", number)
    return Epoch(
        "s",
        number,
        position,
        committed_at + number,
        ranges,
        transactions,
        {TABLE: SnapshotCursor(1, 2, complete=False)},
    )


def step(numbers: range, sums: Mapping[tuple[int, SumKey], Fingerprint], *, rows: int = 1) -> Advance:
    changed = [(number, key, value) for (number, key), value in sums.items()]
    return Advance(
        Progress("s", numbers[-1], 2 * numbers[-1]), [epoch(number, rows) for number in numbers], changed, {}
    )


def advance(store: SqlStateStore, last: int, sums: Mapping[tuple[int, SumKey], Fingerprint], *, rows: int = 1) -> None:
    before = store.progress()
    store.advance(before, step(range(before.epoch + 1, last + 1), sums, rows=rows))


def files(*paths: str, value: Fingerprint = ONE) -> list[FileSums]:
    return [FileSums(path, "etag", 10, {"a=1": value, "a=2": TWO}, 7.0) for path in paths]


LAKE = LakeTableState(TABLE, 2**63 - 1, 3, is_foreign=True, unreadable="delete files", field_ids=FieldIds({"é": 7}, 9))


def test_it_is_a_state_store(store: SqlStateStore) -> None:
    port: StateStore = store
    assert port.progress() == Progress()


class Model:
    """The slow obvious way: every value of every epoch, in a dict."""

    def __init__(self) -> None:
        self.values: dict[tuple[int, SumKey], Fingerprint] = {}

    def at(self, epoch: int) -> dict[SumKey, Fingerprint]:
        result: dict[SumKey, Fingerprint] = {}
        for (number, key), value in sorted(self.values.items(), key=lambda item: item[0][0]):
            if number <= epoch:
                result[key] = value
        return result

    def source_sums(self, table: str, epoch: int) -> dict[str, Fingerprint]:
        current = {key: value for key, value in self.at(epoch).items() if key.table == table}
        names = {key.partition for key in current}
        return {name: total(value for key, value in current.items() if key.partition == name) for name in names}


steps = st.lists(
    st.tuples(
        st.integers(1, 3),  # epochs in the step
        st.lists(st.tuples(st.integers(0, 2), keys, fingerprints), max_size=6),
        st.one_of(st.none(), st.integers(0, 12)),  # fold at
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_sums_of_every_epoch_that_is_still_needed_are_those_of_the_naive_model(
    new_url: NewUrl, steps: list[tuple[int, list[tuple[int, SumKey, Fingerprint]], int | None]]
) -> None:
    model, folded = Model(), 0
    with closing(SqlStateStore(new_url())) as store:
        for count, changed, fold_at in steps:
            first = store.progress().epoch + 1
            sums = {(first + min(offset, count - 1), key): value for offset, key, value in changed}
            model.values.update(sums)
            advance(store, first + count - 1, sums)
            if fold_at is not None:
                store.fold(fold_at)
                folded = max(folded, fold_at)
        last = store.progress().epoch
        assert store.running_sums() == model.at(last)
        for number, table in itertools.product(range(folded, last + 2), (TABLE, "ootp.teams")):
            assert store.source_sums(table, number) == model.source_sums(table, number)


def test_a_second_fingerprinter_that_stands_elsewhere_changes_nothing(store: SqlStateStore) -> None:
    key = SumKey(TABLE, "-", 0)
    advance(store, 1, {(1, key): ONE})
    for before in (Progress(), Progress("s", 1, 3), Progress("s", 0, 2), Progress(None, 1, 2)):
        with pytest.raises(ConflictError):
            store.advance(before, step(range(2, 3), {(2, key): TWO}))
    assert store.running_sums() == {key: ONE}
    assert store.progress() == Progress("s", 1, 2)
    assert store.epoch(2) is None


def test_of_two_that_advance_at_once_one_wins(url: str, store: SqlStateStore) -> None:
    before = store.progress()
    outcomes: list[str] = []
    gate = threading.Barrier(2)

    def run(number: int) -> None:
        with closing(SqlStateStore(url)) as own:
            own.progress()
            gate.wait()
            try:
                own.advance(before, step(range(1, 2), {(1, SumKey(TABLE, "-", number)): ONE}))
                outcomes.append("stored")
            except ConflictError:
                outcomes.append("refused")

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "stored"]
    assert len(store.running_sums()) == 1


def test_a_step_of_another_stream_is_refused(store: SqlStateStore) -> None:
    advance(store, 1, {})
    other = replace(step(range(2, 3), {}), progress=Progress("other", 2, 4))
    with pytest.raises(StateError, match="stream s, the epochs are of other"):
        store.advance(store.progress(), other)


def test_advancing_leaves_the_judged_side_alone_and_judging_the_source_side(store: SqlStateStore) -> None:
    advance(store, 2, {})
    store.save_verdicts(Progress("s", 0, 0, 1, 9), [], 5.0)
    advance(store, 3, {})
    assert store.progress() == Progress("s", 3, 6, 1, 9)


def test_everything_is_found_again_after_reopening(url: str) -> None:
    table = TableSchema("ootp", "games", (column("id", "int(11)", nullable=False, charset=None),), ("id",), ("id",))
    with closing(SqlStateStore(url)) as first:
        first.advance(
            Progress(), replace(step(range(1, 3), {(2, SumKey(TABLE, "a=1", 0)): ONE}), definitions={TABLE: (4, table)})
        )
        first.save_lake(LAKE, files("x", "y"), [])
        first.save_verdicts(
            Progress("s", 2, 4, 2, 1),
            [TableVerdicts(TABLE, 2, {"a=1": Verdict(Outcome.MISMATCH, "r", ONE, None)})],
            5.0,
        )
        kept = everything(first)
    with closing(SqlStateStore(url)) as second:
        assert everything(second) == kept
        assert second.definitions() == {TABLE: (4, table)}
        assert second.lake_tables() == {TABLE: LAKE}


def everything(store: SqlStateStore) -> list[object]:
    return [
        store.progress(), store.running_sums(), store.source_sums(TABLE, 2), store.epochs(limit=9), store.definitions(),
        store.lake_tables(), store.files(TABLE), store.verdicts(),
    ]  # fmt: skip


def test_an_epoch_is_kept_without_its_transactions(store: SqlStateStore) -> None:
    advance(store, 2, {})
    stored = store.epoch(2)
    assert stored is not None
    assert stored.epoch == replace(epoch(2), transactions=())
    assert stored.recorded_at == 1000.0
    with store.reading() as view:
        assert view.transaction_counts([1, 2, 3]) == {1: 1, 2: 1}


def test_epochs_come_newest_first_and_in_pages(store: SqlStateStore) -> None:
    advance(store, 5, {})
    assert [item.epoch.number for item in store.epochs(limit=2)] == [5, 4]
    assert [item.epoch.number for item in store.epochs(limit=2, before=4)] == [3, 2]


def test_the_backlog_counts_rows_and_names_the_oldest_epoch_that_has_some(store: SqlStateStore) -> None:
    advance(store, 2, {}, rows=0)
    advance(store, 4, {}, rows=3)
    advance(store, 5, {}, rows=0)
    with store.reading() as view:
        assert view.backlog(1) == Backlog(4, 6, 503.0)
        assert view.backlog(3) == Backlog(2, 3, 504.0)
        assert view.backlog(4) == Backlog(1, 0, None)
        assert view.backlog(5) == Backlog(0, 0, None)


def test_a_file_that_is_removed_takes_its_sums_with_it(store: SqlStateStore) -> None:
    store.save_lake(LAKE, files("x", "y"), [])
    store.save_lake(LAKE, files("z"), ["x", "never there"])
    assert sorted(store.files(TABLE)) == ["y", "z"]
    assert store.lake_sums(TABLE) == {"a=1": ONE + ONE, "a=2": TWO + TWO}
    assert store.files("ootp.teams") == {}


def test_a_file_that_is_added_again_replaces_what_was_known_of_it(store: SqlStateStore) -> None:
    store.save_lake(LAKE, files("x"), [])
    again = FileSums("x", "other", 11, {"a=3": TWO}, 9.0, "", ("a=3", "a=3"))
    store.save_lake(LAKE, [again], ["x"])
    assert store.files(TABLE) == {"x": again}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(fingerprints, min_size=1, max_size=30))
def test_sums_that_the_database_adds_are_exact(new_url: NewUrl, values: list[Fingerprint]) -> None:
    with closing(SqlStateStore(new_url())) as store:
        store.save_lake(LAKE, [FileSums(str(at), "", 1, {"-": value}, 0.0) for at, value in enumerate(values)], [])
        assert store.lake_sums(TABLE) == {"-": total(values)}


def judge(store: SqlStateStore, now: float, verdicts: Mapping[str, Verdict], number: int = 1) -> None:
    store.save_verdicts(Progress("s", 1, 2, number, 1), [TableVerdicts(TABLE, number, verdicts)], now)


def test_since_stays_while_the_outcome_does(store: SqlStateStore) -> None:
    judge(store, 10.0, {"a": Verdict(Outcome.MATCH, "", ONE, ONE)})
    judge(store, 11.0, {"a": Verdict(Outcome.MATCH, "", TWO, TWO)}, number=2)
    assert [(verdict.epoch, verdict.verdict.source, verdict.since) for verdict in store.verdicts()] == [(2, TWO, 10.0)]
    judge(store, 12.0, {"a": Verdict(Outcome.MISMATCH, "r", TWO, None)}, number=3)
    judge(store, 13.0, {"a": Verdict(Outcome.MISMATCH, "other", TWO, ZERO)}, number=4)
    assert [(verdict.epoch, verdict.verdict.reason, verdict.since) for verdict in store.verdicts()] == [
        (4, "other", 12.0)
    ]


def test_partitions_without_a_verdict_are_forgotten_of_judged_tables_only(store: SqlStateStore) -> None:
    verdict = Verdict(Outcome.MATCH, "", ONE, ONE)
    store.save_verdicts(
        Progress(),
        [TableVerdicts(TABLE, 1, {"b": verdict, "a": verdict}), TableVerdicts("a.z", 1, {"-": verdict})],
        1.0,
    )
    judge(store, 2.0, {"b": verdict}, number=2)
    assert [(item.table, item.partition) for item in store.verdicts()] == [("a.z", "-"), (TABLE, "b")]
    judge(store, 3.0, {}, number=3)
    assert store.verdicts(TABLE) == []
    with store.reading() as view:
        assert view.judged_tables()[TABLE].epoch == 3


def test_of_a_table_that_left_nothing_is_known_and_the_others_stay(store: SqlStateStore) -> None:
    verdict = Verdict(Outcome.MATCH, "", ONE, ONE)
    other = replace(LAKE, table="a.z")
    definitions = {
        f"{schema}.{name}": (
            number,
            TableSchema(schema, name, (column("id", "int(11)", nullable=True, charset=None),)),
        )
        for number, (schema, name) in enumerate((TABLE.split("."), ("a", "z")), start=1)
    }
    store.advance(store.progress(), replace(step(range(1, 2), {}), definitions=definitions))
    store.save_verdicts(Progress(), [TableVerdicts(name, 1, {"-": verdict}) for name in (TABLE, "a.z")], 1.0)
    for state in (LAKE, other):
        store.save_lake(state, files("x"), [])
    for _ in range(2):
        store.forget([TABLE], definitions=[])
    assert set(store.definitions()) == {TABLE, "a.z"}
    assert store.lake_tables() == {"a.z": other}
    assert store.files(TABLE) == {}
    assert set(store.lake_sums("a.z")) == {"a=1", "a=2"}
    assert [item.table for item in store.verdicts()] == ["a.z"]
    with store.reading() as view:
        assert set(view.judged_tables()) == {"a.z"}
    store.forget([], definitions=[TABLE])
    assert set(store.definitions()) == {"a.z"}


def test_fold_keeps_what_the_given_epoch_stands_on_and_works_in_bounded_steps(
    store: SqlStateStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = SumKey(TABLE, "-", 0)
    for number in range(1, 11):
        advance(store, number, {(number, key): Fingerprint(number, 0, 0)})
    monkeypatch.setattr(state_module, "FOLD_ROWS_MAX", 4)
    store.fold(8)
    assert history(url) == 6
    store.fold(8)
    store.fold(8)
    assert history(url) == 3
    assert [store.source_sums(TABLE, number)["-"].rows for number in (8, 9, 10)] == [8, 9, 10]


def history(url: str) -> int:
    with by_hand(url) as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM source_sums").scalar_one())


def test_fold_forgets_epochs_that_are_old_and_not_needed(store: SqlStateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "EPOCHS_KEPT", 3)
    advance(store, 10, {})
    store.fold(5)
    assert [item.epoch.number for item in store.epochs(limit=99)] == [10, 9, 8, 7, 6, 5]
    store.fold(10)
    assert [item.epoch.number for item in store.epochs(limit=99)] == [10, 9, 8]


def test_over_many_epochs_and_commits_the_store_stays_as_large_as_it_was(
    store: SqlStateStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "EPOCHS_KEPT", 10)
    partitions = ("a=1", "a=2", "a=3")
    rows = {}
    for number in range(1, 61):
        value = Fingerprint(number, number, 0)
        advance(store, number, {(number, SumKey(TABLE, partition, 0)): value for partition in partitions})
        old = [f"file {number - 1}"] if number > 1 else []
        store.save_lake(replace(LAKE, epoch=number), files(f"file {number}", value=value), old)
        verdicts = dict.fromkeys(partitions, Verdict(Outcome.MATCH, "", value, value))
        store.save_verdicts(store.progress(), [TableVerdicts(TABLE, number, verdicts)], float(number))
        if number % 10 == 0:
            store.fold(number - 10)
            rows[number] = row_counts(url)
    assert rows[60] == rows[30]


def row_counts(url: str) -> dict[str, int]:
    """The rows of every table of the store."""
    with by_hand(url) as connection:
        names = sa.inspect(connection).get_table_names()
        return {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one() for name in names}


def test_a_store_of_another_version_is_refused(url: str) -> None:
    with closing(SqlStateStore(url)) as store:
        store.progress()
    with by_hand(url) as connection:
        connection.exec_driver_sql("UPDATE meta SET value = '99'")
    with closing(SqlStateStore(url)) as store, pytest.raises(StateError, match="version 99"):
        store.progress()


def test_a_store_of_the_version_before_audits_gets_their_tables_and_keeps_all_it_has(url: str) -> None:
    with closing(SqlStateStore(url)) as store:
        advance(store, 3, {(2, SumKey(TABLE, "-", 0)): ONE})
    with by_hand(url) as connection:
        for name in ("audit_findings", "audits", "last_findings"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql("UPDATE meta SET value = '1'")
    for _ in range(2):
        with closing(SqlStateStore(url)) as store:
            assert store.progress().epoch == 3
            assert store.running_sums() == {SumKey(TABLE, "-", 0): ONE}
            assert store.audits(limit=1) == []


def test_what_an_older_version_counted_of_the_lake_is_counted_afresh_and_all_else_is_kept(url: str) -> None:
    with closing(SqlStateStore(url)) as store:
        advance(store, 3, {(2, SumKey(TABLE, "-", 0)): ONE})
        store.save_lake(LAKE, files("x"), [])
        judge(store, 10.0, {"a": Verdict(Outcome.MATCH, "", ONE, ONE)})
    with by_hand(url) as connection:
        connection.exec_driver_sql("ALTER TABLE files DROP COLUMN filed")
        connection.exec_driver_sql("UPDATE meta SET value = '2'")
    with closing(SqlStateStore(url)) as store:
        assert (store.lake_tables(), store.files(TABLE), store.lake_sums(TABLE)) == ({}, {}, {})
        assert store.running_sums() == {SumKey(TABLE, "-", 0): ONE}
        assert [verdict.partition for verdict in store.verdicts()] == ["a"]
        store.save_lake(LAKE, files("x"), [])
        assert list(store.files(TABLE)) == ["x"]


def test_a_store_of_the_version_before_suspicions_gets_their_table(url: str) -> None:
    with closing(SqlStateStore(url)) as store:
        store.save_lake(LAKE, files("x"), [])
    with by_hand(url) as connection:
        connection.exec_driver_sql("DROP TABLE suspicions")
        connection.exec_driver_sql("UPDATE meta SET value = '4'")
    with closing(SqlStateStore(url)) as store:
        assert store.suspicions() == {}
        assert list(store.files(TABLE)) == []


def suspected(store: SqlStateStore, number: int, reasons: Mapping[str, str], restarted: Sequence[str] = ()) -> None:
    suspicions = Suspicions()
    suspicions.add(number, reasons, restarted)
    before = store.progress()
    store.advance(before, replace(step(range(before.epoch + 1, number + 1), {}), suspicions=suspicions))


def test_a_table_is_suspect_until_an_audit_looked_behind_the_last_cause(store: SqlStateStore) -> None:
    suspected(store, 3, {TABLE: "first", "ootp.other": "another"})
    suspected(store, 5, {TABLE: "second"})
    assert store.suspicions()[TABLE] == Suspicion(TABLE, 3, 5, "first")
    store.clear_suspicion(TABLE, 2)
    assert store.suspicions()[TABLE] == Suspicion(TABLE, 3, 5, "first")
    store.clear_suspicion(TABLE, 4)
    assert store.suspicions()[TABLE] == Suspicion(TABLE, 5, 5, "first")
    store.clear_suspicion(TABLE, 5)
    assert store.suspicions().keys() == {"ootp.other"}


def test_a_table_that_starts_from_nothing_is_suspect_only_of_what_comes_behind(store: SqlStateStore) -> None:
    suspected(store, 3, {TABLE: "first", "ootp.other": "another"})
    suspected(store, 6, {TABLE: "later"}, restarted=[TABLE, "ootp.other"])
    assert store.suspicions() == {TABLE: Suspicion(TABLE, 6, 6, "later")}
    store.forget([TABLE], definitions=[])
    assert store.suspicions() == {}


def test_a_store_from_before_checksums_gets_them_where_later_values_stand_on_it(url: str) -> None:
    key = SumKey(TABLE, "-", 0)
    with closing(SqlStateStore(url)) as store:
        advance(store, 3, {(2, key): ONE})
    with by_hand(url) as connection:
        for name in ("progress", "epochs", "definitions", "running_sums", "source_sums"):
            connection.exec_driver_sql(f"ALTER TABLE {name} DROP COLUMN checksum")
        connection.exec_driver_sql("UPDATE meta SET value = '4'")
    with closing(SqlStateStore(url)) as store:
        assert (store.progress().epoch, store.running_sums(), store.damage(TABLE)) == (3, {key: ONE}, "")
        assert store.source_sums(TABLE, 3) == {"-": ONE}
        assert store.epoch(3) is not None
    with by_hand(url) as connection:
        connection.exec_driver_sql("UPDATE running_sums SET lo = lo + 1")
    with closing(SqlStateStore(url)) as store, pytest.raises(StateError, match=r"a row of running_sums .*: stop the"):
        store.running_sums()


DAMAGED_ALL: dict[str, tuple[str, Callable[[SqlStateStore], object]]] = {
    "progress": ("epochs_offset = 8", lambda store: store.progress()),
    "epochs": ("record = replace(record, 'stream', 'strean')", lambda store: store.epoch(3)),
    "definitions": ("number = 2", lambda store: store.definitions()),
    "running_sums": ("hi = hi + 4", lambda store: store.running_sums()),
    "lake_tables": ("snapshot_id = 5", lambda store: store.lake_tables()),
}


@pytest.mark.parametrize("table", DAMAGED_ALL)
def test_a_damaged_row_that_all_stands_on_stops_with_the_recovery(url: str, table: str) -> None:
    change, read = DAMAGED_ALL[table]
    with closing(SqlStateStore(url)) as store:
        whole = step(range(1, 4), {(2, SumKey(TABLE, "-", 0)): ONE})
        store.advance(store.progress(), replace(whole, definitions={TABLE: (1, GAMES)}))
        store.save_lake(LAKE, files("x"), [])
        read(store)
    with by_hand(url) as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET {change}")
    with closing(SqlStateStore(url)) as store, pytest.raises(StateError, match=f"a row of {table} .*delete the state"):
        read(store)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("source_sums", "lo = 7"),
        ("source_sums", "row_count = row_count + 1"),
        ("source_sums", "table_name = 'ootp.gamer'"),
        ("running_sums", "partition_name = 'b'"),
        ("files", "octets = octets + 1"),
        ("file_sums", "hi = hi - 256"),
        ("file_sums", "partition_name = partition_name || 'r'"),
        ("lake_tables", "epoch = epoch + 1"),
    ],
)
def test_a_damaged_row_of_one_tables_sums_is_known_for_that(url: str, table: str, change: str) -> None:
    with closing(SqlStateStore(url)) as store:
        advance(store, 3, {(2, SumKey(TABLE, "-", 0)): ONE})
        store.save_lake(LAKE, files("x"), [])
        assert not store.damage(TABLE)
    with by_hand(url) as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF" if url.startswith("sqlite") else "SELECT 1")
        connection.exec_driver_sql(f"UPDATE {table} SET {change}")
    with closing(SqlStateStore(url)) as store:
        assert f"the state store is damaged: a row of {table}" in store.damage(TABLE)
        assert "delete the state store" in store.damage(TABLE)


def test_a_damaged_progress_is_not_moved_on(url: str) -> None:
    with closing(SqlStateStore(url)) as store:
        advance(store, 3, {})
        before = store.progress()
        with by_hand(url) as connection:
            connection.exec_driver_sql("UPDATE progress SET lake_epoch = 2")
        with pytest.raises(StateError, match="a row of progress"):
            store.advance(before, Advance(replace(before, epoch=4), [], [], {}))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("these are the minutes of a meeting, and no database at all" * 20)
    with (
        closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db")) as store,
        pytest.raises(StateError, match="not a database"),
    ):
        store.progress()


@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
def test_a_store_that_another_process_keeps_locked_is_unavailable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafingerprint.adapters.state.engine.BUSY_TIMEOUT_MS", 50)
    with closing(SqlStateStore(url)) as store, closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
        store.progress()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            advance(store, 1, {})
        other.rollback()
        advance(store, 1, {})


def test_reading_a_store_waits_for_no_writer_from_the_first_call_on(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafingerprint.adapters.state.engine.BUSY_TIMEOUT_MS", 50)
    with closing(SqlStateStore(url)) as writer:
        advance(writer, 1, {})
        with closing(SqlStateStore(url)) as reader, writer._transaction():
            assert reader.progress().epoch == 1


def test_two_processes_may_make_the_store_at_once(url: str) -> None:
    gate, result = threading.Barrier(4), list[Progress]()

    def run() -> None:
        with closing(SqlStateStore(url)) as own:
            gate.wait()
            result.append(own.progress())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert result == [Progress()] * 4


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "no database URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql+pymysql://h/d", "does not know"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        SqlStateStore(url)


def test_a_driver_that_is_not_installed_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"state\.url needs a driver.*pip install 'psycopg\[binary\]'"):
        SqlStateStore("postgresql://h/d")


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="directory"):
        SqlStateStore(f"sqlite:///{tmp_path}/file/state.db")


def test_passwords_are_not_in_errors() -> None:
    from datafingerprint.adapters.state.engine import open_engine  # noqa: PLC0415 - no other test needs it

    with pytest.raises(ConfigError) as raised:
        open_engine("oracle://u:secret@h/d")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
def test_it_writes_durably_and_lets_readers_in(store: SqlStateStore) -> None:
    store.progress()
    with store._engine.connect() as connection:
        result = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert result == ["wal", 2, 1]


def test_a_reader_sees_one_moment_while_another_writes(url: str, store: SqlStateStore) -> None:
    """At every moment the sum equals the epoch: a torn read would show a sum of another one."""
    key, rounds = SumKey(TABLE, "-", 0), 40
    done = threading.Event()
    torn: list[object] = []
    seen: set[int] = set()

    def watch() -> None:
        with closing(SqlStateStore(url)) as own:
            while not done.is_set():
                with own.reading() as view:
                    at = view.progress().epoch
                    rows = view.source_rows().get(TABLE, 0)
                    last = [item.epoch.number for item in view.epochs(limit=1)]
                seen.add(at)
                if rows != at or last != ([at] if at else []):
                    torn.append((at, rows, last))

    store.progress()
    reader = threading.Thread(target=watch)
    reader.start()
    try:
        for number in range(1, rounds + 1):
            advance(store, number, {(number, key): Fingerprint(number, 0, 0)})
    finally:
        done.set()
        reader.join()
    assert torn == []
    assert len(seen) > 1


@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
def test_the_sums_of_an_epoch_are_found_by_the_index_not_by_reading_the_history(store: SqlStateStore, url: str) -> None:
    statements: list[str] = []
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        store.progress()
        query = captured(store, statements, lambda: store.source_sums(TABLE, 3))
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", (3, TABLE))]
    assert not [line for line in plan if line.startswith("SCAN")], plan


def captured(store: SqlStateStore, statements: list[str], call: Callable[[], object]) -> str:
    from sqlalchemy import event  # noqa: PLC0415 - no other test needs it

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(store._engine, "before_cursor_execute", note)
    call()
    event.remove(store._engine, "before_cursor_execute", note)
    return next(text for text in statements if "source_sums" in text)


def test_what_is_stored_of_a_definition_is_json(url: str, store: SqlStateStore) -> None:
    table = TableSchema("ootp", "games", (column("id", "bigint(20) unsigned", nullable=False, charset=None),))
    store.advance(Progress(), replace(step(range(1, 2), {}), definitions={TABLE: (1, table)}))
    with by_hand(url) as connection:
        text = connection.exec_driver_sql("SELECT document FROM definitions").scalar_one()
    assert TableSchema.from_json(json.loads(text)) == table
