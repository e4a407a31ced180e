"""What the store does in a step does not grow by a query per table, and an older store is summed up once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from datafingerprint.adapters.state.checksums import checksum
from datafingerprint.adapters.state.reading import NAMES_AT_ONCE
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audit import Finding
from datafingerprint.audits import AuditProgress, Origin, Scope
from datafingerprint.column_types import column
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.errors import StateError
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import (
    Advance,
    FileSums,
    LakeCount,
    LakeTableState,
    Progress,
    SketchStep,
    StoredSketch,
    SumKey,
    TableVerdicts,
)
from datafingerprint.ports.state_values import AuditTotals, OutcomeCounts, StateTotals
from datafingerprint.schema import TableSchema
from datafingerprint.sketch import zero
from datafingerprint.verdict import Outcome, Verdict
from tests.databases import DATABASES, NewUrl, by_hand, new_urls

ONE, TWO = Fingerprint(1, 5, 6), Fingerprint(2, 7, 2**64 - 1)
PARTS = ("a=1", "a=2")
SKETCH = StoredSketch("1 8 numbers id:4", zero(8).to_bytes())


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    make: NewUrl = new_urls(request, tmp_path)
    return make()


@pytest.fixture
def store(url: str) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(url)) as opened:
        yield opened


def names_of(number: int) -> list[str]:
    return [f"s.t{index:04}" for index in range(number)]


def definition(name: str) -> TableSchema:
    columns = (column("id", "int(11)", nullable=False, charset=None),)
    return TableSchema("s", name.removeprefix("s."), columns, ("id",))


def epoch(number: int, tables: Sequence[str]) -> Epoch:
    cursors = {name: SnapshotCursor(1, 2, complete=True) for name in tables}
    versions = dict.fromkeys(tables, 7)
    return Epoch("s", number, SourcePosition(f"0-1-{number}", "log", 4), 5.0, snapshots=cursors, versions=versions)


def fill(store: SqlStateStore, number: int) -> None:
    """One epoch with so many tables of two partitions, counted, judged and audited."""
    tables = names_of(number)
    definitions = {name: (7, definition(name)) for name in tables}
    sums = [(1, SumKey(name, part, 0), value) for name in tables for part, value in zip(PARTS, (ONE, TWO), strict=True)]
    steps = [SketchStep(1, key, SKETCH, starts=True) for key in sketched_keys(tables)]
    store.advance(Progress(), Advance(Progress("s", 1, 1), [epoch(1, tables)], sums, definitions, sketches=steps))
    store.save_counts([counted(name) for name in tables])
    store.save_verdicts(Progress("s", 1, 1, 1, 1), [judged(name) for name in tables], 9.0)
    audit = store.begin_audit(Scope(), Origin.REQUEST, "me", 1.0)
    findings = [Finding(name, "a=1", Outcome.MATCH, (), "", ONE, ONE, None) for name in tables]
    store.advance_audit(audit.number, "me", 2.0, AuditProgress(), findings)


def counted(name: str) -> LakeCount:
    sketches = dict.fromkeys(PARTS, SKETCH)
    file = FileSums(f"s3://lake/{name}", "etag", 9, {"a=1": ONE, "a=2": ONE}, 3.0, partitions=PARTS, sketches=sketches)
    return LakeCount(LakeTableState(name, 5, 1, is_foreign=False, unreadable=""), [file])


def sketched_keys(tables: Sequence[str]) -> list[SumKey]:
    return [SumKey(name, "a=1", 0) for name in tables]


def judged(name: str) -> TableVerdicts:
    verdicts = {"a=1": Verdict(Outcome.MATCH, "", ONE, ONE), "a=2": Verdict(Outcome.MISMATCH, "other", TWO, ONE)}
    return TableVerdicts(name, 1, verdicts)


@contextmanager
def counting(store: SqlStateStore) -> Iterator[list[str]]:
    """The statements that are run inside the block."""
    statements: list[str] = []

    def note(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(store._engine, "before_cursor_execute", note)


STEPS: dict[str, Callable[[SqlStateStore, Sequence[str]], object]] = {
    "table_sums": lambda store, names: store.table_sums(names, 1),
    "save_counts": lambda store, names: store.save_counts([counted(name) for name in names]),
    "save_verdicts": lambda store, names: store.save_verdicts(
        Progress("s", 1, 1, 1, 2), [judged(name) for name in names], 10.0
    ),
    "unchanged": lambda store, names: store.save_verdicts(Progress("s", 1, 1, 2, 3), [], 10.0, names),
    "totals": lambda store, _names: (store.totals(), store.unproven_tables(), store.audit_totals()),
    "changed_tables": lambda store, _names: store.changed_tables(0, 1),
    "sketched": lambda store, _names: store.sketched(),
    "adopt_sketches": lambda store, names: store.adopt_sketches(sketched_keys(names)),
    "fold_sketches": lambda store, _names: store.fold_sketches(1),
    "schedule": lambda store, names: (store.scheduled_since(names, 1.0), store.oldest_findings(), store.last_ended()),
    "forget": lambda store, names: store.forget(names, definitions=names),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_many_tables_takes_as_many_statements_as_one_of_a_few(tmp_path: Path, step: str) -> None:
    numbers = []
    for number in (3, NAMES_AT_ONCE):
        with closing(SqlStateStore(f"sqlite:///{tmp_path}/{number}.db")) as store:
            fill(store, number)
            with counting(store) as statements:
                STEPS[step](store, names_of(number))
            numbers.append(len(statements))
    assert numbers[0] == numbers[1]


def test_summaries_are_what_the_verdicts_add_up_to(store: SqlStateStore) -> None:
    fill(store, 4)
    assert store.totals() == StateTotals(4, 12, OutcomeCounts(match=4, mismatch=4))
    assert store.audit_totals() == AuditTotals(OutcomeCounts(match=4), None)
    assert store.audit_totals_by_table()["s.t0003"] == AuditTotals(OutcomeCounts(match=1), None)
    table = store.judged_tables("s.t0001")["s.t0001"]
    assert (table.counts, table.source_rows, table.lake_rows) == (OutcomeCounts(match=1, mismatch=1), 3, 2)
    unknown = Verdict(Outcome.INCONCLUSIVE, "why", ONE, None)
    store.save_verdicts(Progress("s", 1, 1, 1, 2), [TableVerdicts("s.t0001", 1, {"a=1": unknown})], 9.0)
    table = store.judged_tables("s.t0001")["s.t0001"]
    assert (table.counts, table.source_rows, table.lake_rows) == (OutcomeCounts(inconclusive=1), 1, None)
    store.save_verdicts(Progress("s", 1, 1, 1, 3), [TableVerdicts("s.t0002", 1, {})], 9.0)
    assert store.unproven_tables().keys() == {"s.t0002"}
    assert store.totals().counts == OutcomeCounts(match=2, mismatch=2, inconclusive=1)


def test_the_verdicts_of_unchanged_tables_hold_at_the_new_epoch_with_what_is_counted(store: SqlStateStore) -> None:
    fill(store, 3)
    store.save_verdicts(Progress("s", 1, 1, 8, 2), [], 10.0, ["s.t0000", "s.t0002"])
    assert {verdict.table: verdict.epoch for verdict in store.verdicts()} == {"s.t0000": 8, "s.t0001": 1, "s.t0002": 8}
    assert {name: state.epoch for name, state in store.lake_tables().items()} == {
        "s.t0000": 8,
        "s.t0001": 1,
        "s.t0002": 8,
    }
    assert [verdict.partition for verdict in store.verdicts("s.t0000", outcome=Outcome.MISMATCH)] == ["a=2"]
    assert [verdict.partition for verdict in store.verdicts("s.t0000", "a=1")] == ["a=1"]


def test_epochs_share_the_text_of_their_tables_until_it_is_another_one(store: SqlStateStore, url: str) -> None:
    tables = names_of(5)
    for number in range(1, 9):
        before = store.progress()
        after = replace(before, stream_id="s", epoch=number, epochs_offset=number)
        store.advance(before, Advance(after, [epoch(number, tables if number < 8 else tables[:2])], [], {}))
    assert [stored.epoch for stored in store.epochs(limit=2)] == [epoch(8, tables[:2]), epoch(7, tables)]
    with by_hand(url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM epoch_tables").scalar_one() == 2
        connection.exec_driver_sql("DELETE FROM epochs WHERE number < 8")
    store.fold(8)
    with by_hand(url) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM epoch_tables").scalar_one() == 1
        connection.exec_driver_sql("UPDATE epoch_tables SET document = replace(document, '7', '8')")
    with closing(SqlStateStore(url)) as again, pytest.raises(StateError, match="a row of epoch_tables"):
        again.epoch(8)


@pytest.mark.parametrize("version", ["5", "6"])
def test_a_store_of_a_version_without_summaries_is_summed_up_and_nothing_is_counted_again(
    url: str, version: str
) -> None:
    """A store of version 6 may have sketches or summaries, as two programs had made it before they became one."""
    with closing(SqlStateStore(url)) as store:
        fill(store, 3)
    with by_hand(url) as connection:
        row = dict(connection.exec_driver_sql("SELECT * FROM epochs").mappings().one())
        names = ("matches", "mismatches", "inconclusives", "source_row_count", "lake_row_count")
        for name in names:
            connection.exec_driver_sql(f"ALTER TABLE judged_tables DROP COLUMN {name}")
        connection.exec_driver_sql("ALTER TABLE epochs DROP COLUMN tables_key")
        for name in ("epoch_tables", "source_tables"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        for name in ("last_findings_outcome", "verdicts_outcome"):
            connection.exec_driver_sql(f"DROP INDEX {name}")
        del row["tables_key"]
        row["record"] = json.dumps(epoch(1, names_of(3)).to_json())
        value = checksum(row)
        text = row["record"].replace("'", "''").replace("%", "%%")
        connection.exec_driver_sql(f"UPDATE epochs SET record = '{text}', checksum = {value}")
        if version == "5":
            for name in ("file_sketches", "sketch_steps", "source_sketches"):
                connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql(f"UPDATE meta SET value = '{version}'")
    with closing(SqlStateStore(url)) as store:
        assert store.totals() == StateTotals(3, 9, OutcomeCounts(match=3, mismatch=3))
        assert store.judged_tables("s.t0001")["s.t0001"].lake_rows == 2
        assert store.source_rows() == dict.fromkeys(names_of(3), 3)
        stored = store.epoch(1)
        assert stored is not None
        assert stored.epoch == epoch(1, names_of(3))
        assert list(store.files("s.t0001")) == ["s3://lake/s.t0001"]
        assert store.sketched() == ({} if version == "5" else dict.fromkeys(sketched_keys(names_of(3)), SKETCH.form))
