"""Answers about everything cost as many statements with many tables as with a few, and metrics are bounded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from api.answers import table_named
from api.fingerprints import fingerprints, partition_answer
from api.metrics import OTHER_TABLES, render
from api.ports import StateView
from api.status import MessageLag, status
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.ledger import Progress, TableVerdicts
from datafingerprint.verdict import Outcome
from tests.adapters.state.test_many_tables import fill
from tests.api.conftest import NOW, FakeLagReader

ANSWERS: dict[str, Callable[[StateView], object]] = {
    "status": lambda view: status(view, MessageLag({}), NOW, 30.0),
    "fingerprints": fingerprints,
    "partition": lambda view: partition_answer(view, table_named(view, "s.t0001") or "", "a=1"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("are_empty", [False, True])
def test_an_answer_takes_as_many_statements_with_many_tables(tmp_path: Path, name: str, *, are_empty: bool) -> None:
    numbers = []
    for tables in (3, 120):
        with closing(SqlStateStore(f"sqlite:///{tmp_path}/{tables}.db")) as store:
            fill(store, tables)
            if are_empty:
                empty = [TableVerdicts(f"s.t{number:04}", 1, {}) for number in range(2, tables)]
                store.save_verdicts(Progress("s", 1, 1, 1, 1), empty, 9.0)
            statements: list[str] = []
            event.listen(store._engine, "before_cursor_execute", lambda *call: statements.append(call[2]))  # noqa: B023
            with store.reading() as view:
                ANSWERS[name](view)
            numbers.append(len(statements))
    assert numbers[0] == numbers[1]


def scraped(store: SqlStateStore, tables_max: int) -> dict[tuple[str, str, str], float]:
    text = render(store, FakeLagReader(), NOW, 30.0, tables_max=tables_max).decode()
    return {
        (sample.name, sample.labels.get("table", ""), sample.labels.get("verdict", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "table" in sample.labels
    }


def test_metrics_name_a_bounded_number_of_tables_and_their_sums_stay_the_same(tmp_path: Path) -> None:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db")) as store:
        fill(store, 12)
        matching = [item for item in store.verdicts() if item.verdict.outcome is Outcome.MATCH]
        healed = {
            item.table: {item.partition: item.verdict} for item in matching if item.table not in ("s.t0003", "s.t0007")
        }
        judged = [TableVerdicts(table, 1, verdicts) for table, verdicts in healed.items()]
        store.save_verdicts(Progress("s", 1, 1, 1, 1), judged, 9.0)
        whole, bounded = scraped(store, 12), scraped(store, 3)
    assert {table for _, table, _ in whole} == {f"s.t{number:04}" for number in range(12)}
    # Those that do not match have their own series, however many others there are.
    assert {table for _, table, _ in bounded} == {"s.t0000", "s.t0003", "s.t0007", OTHER_TABLES}
    for name in ("dfp_partitions", "dfp_source_rows", "dfp_lake_rows", "dfp_lake_files", "dfp_audit_partitions"):
        for verdict in ("", "match", "mismatch", "inconclusive"):
            sums = [
                sum(value for (metric, _, label), value in result.items() if (metric, label) == (name, verdict))
                for result in (whole, bounded)
            ]
            assert sums[0] == sums[1], (name, verdict)
    assert bounded["dfp_verdict", OTHER_TABLES, "match"] == 1
    assert bounded["dfp_snapshot_percent", OTHER_TABLES, ""] == 100
