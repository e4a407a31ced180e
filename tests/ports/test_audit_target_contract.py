"""One suite of promises of an audited server, kept by the fake in memory and by a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pymysql
import pytest

from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.column_types import column
from datafingerprint.config import Settings
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange
from services.auditor.ports import AuditTarget, View
from tests.services.auditor.memory import MemorySource

ROWS = {"league=1": 5, "league=2": 2}
"""Rows by partition. The keys of the first partition come first."""


@dataclass(frozen=True)
class Audited:
    """A server with one table."""

    target: AuditTarget
    table: TableSchema


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.live)])
def audited(request: pytest.FixtureRequest) -> Iterator[Audited]:
    if request.param == "memory":
        columns = tuple(column(name, "int(11)", nullable=False, charset=None) for name in ("id", "league"))
        table = TableSchema("s", "games", columns, ("id",), partition=("league",))
        yield Audited(MemorySource({table.table: {**ROWS, "league=3": 0}}), table)
        return
    connection: pymysql.Connection = request.getfixturevalue("source")
    settings: Settings = request.getfixturevalue("stack_settings")
    leagues = [name.partition("=")[2] for name, rows in ROWS.items() for _ in range(rows)]
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE games (id INT PRIMARY KEY, league INT NOT NULL)")
        cursor.executemany("INSERT INTO games VALUES (%s, %s)", list(enumerate(leagues, start=1)))
    (described,) = BinlogSource(settings).survey().tables.values()
    partitioned = TableSchema(described.schema, described.name, described.columns, described.key, partition=("league",))
    yield Audited(AuditSource(settings), partitioned)


def ranges(view: View, table: TableSchema, partition: str, rows: int) -> list[KeyRange]:
    """All ranges of a partition, the last one without an end."""
    result, after = list[KeyRange](), None
    while (upto := view.bound(table, [partition], after, rows)) is not None:
        result.append(KeyRange(after, upto))
        after = upto
    return [*result, KeyRange(after, None)]


def test_rows_and_sums_name_each_partition_that_has_rows_and_no_other(audited: Audited) -> None:
    audited.target.preflight([audited.table], [])
    with audited.target.view([audited.table]) as view:
        assert view.rows(audited.table) == ROWS
        sums = view.sums(audited.table)
        assert {name: part.rows for name, part in sums.items()} == ROWS
        assert view.sums(audited.table, ["league=2"]) == {"league=2": sums["league=2"]}
        assert view.sums(audited.table, ["league=3"]) == {}
        assert view.age_s >= 0


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 6])
def test_the_ranges_of_a_partition_add_up_to_it(audited: Audited, rows: int) -> None:
    with audited.target.view([audited.table]) as view:
        for partition, held in ROWS.items():
            split = ranges(view, audited.table, partition, rows)
            parts = [view.sums(audited.table, [partition], bounds).get(partition, ZERO) for bounds in split]
            assert [part.rows for part in parts] == [rows] * (held // rows) + [held % rows]
            whole: Fingerprint = sum(parts, ZERO)
            assert {partition: whole} == view.sums(audited.table, [partition])


def test_a_range_without_rows_has_no_sum(audited: Audited) -> None:
    with audited.target.view([audited.table]) as view:
        end = view.bound(audited.table, ["league=2"], None, ROWS["league=2"])
        assert end is not None
        assert view.bound(audited.table, ["league=2"], end, 1) is None
        assert view.sums(audited.table, ["league=2"], KeyRange(end, None)) == {}


def test_a_gauge_reads_a_load(audited: Audited) -> None:
    with audited.target.gauge() as read:
        assert read().threads_running >= 1
