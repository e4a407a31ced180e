"""Promises of the warehouse on what tables there are, kept by the fake in memory and by a real server."""

from __future__ import annotations

from dataclasses import dataclass

import pymysql
import pytest

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.column_types import column
from datafingerprint.config import Settings
from datafingerprint.errors import SourceError, TableDeniedError
from datafingerprint.ports.source import Visibility
from datafingerprint.schema import TableSchema
from tests.services.cdc.memory import FakeSource


@dataclass(frozen=True)
class Warehouse:
    """A schema with the table `good`, and the table `unfit` that cannot be captured."""

    source: FakeSource | BinlogSource
    schema: str

    def named(self, name: str) -> str:
        return f"{self.schema}.{name}"


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.live)])
def warehouse(request: pytest.FixtureRequest) -> Warehouse:
    if request.param == "memory":
        columns = (column("id", "int(11)", nullable=False, charset=None),)
        good = TableSchema("s", "good", columns, ("id",))
        unfit = SourceError("it is a base table in MyISAM", remedy="ALTER it")
        return Warehouse(FakeSource({"s.good": good}, {"s.unfit": unfit}), "s")
    connection: pymysql.Connection = request.getfixturevalue("source")
    settings: Settings = request.getfixturevalue("stack_settings")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE good (id INT PRIMARY KEY)")
        cursor.execute("CREATE TABLE unfit (id INT PRIMARY KEY) ENGINE=MyISAM")
    return Warehouse(BinlogSource(settings), settings.generator.schema_name)


def test_a_survey_parts_tables_that_can_be_captured_from_those_that_cannot(warehouse: Warehouse) -> None:
    survey = warehouse.source.survey()
    good, unfit = warehouse.named("good"), warehouse.named("unfit")
    assert {name: table.key for name, table in survey.tables.items()} == {good: ("id",)}
    assert list(survey.errors) == [unfit]
    assert survey.errors[unfit].remedy
    assert not survey.unmatched


@pytest.mark.parametrize("name", ["good", "unfit", "missing"])
def test_a_survey_of_names_is_the_whole_survey_less_the_others(warehouse: Warehouse, name: str) -> None:
    whole, asked = warehouse.source.survey(), warehouse.named(name)
    survey = warehouse.source.survey([asked])
    assert survey.tables == {table: schema for table, schema in whole.tables.items() if table == asked}
    assert list(survey.errors) == [table for table in whole.errors if table == asked]


def test_a_table_of_another_schema_is_not_captured(warehouse: Warehouse) -> None:
    assert warehouse.source.is_captured(warehouse.named("missing"))
    assert not warehouse.source.is_captured("elsewhere.good")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("good", Visibility.THERE), ("unfit", Visibility.THERE), ("missing", Visibility.GONE)],
)
def test_a_table_is_visible_whether_it_can_be_captured_or_not(
    warehouse: Warehouse, name: str, expected: Visibility
) -> None:
    assert warehouse.source.visibility(warehouse.named(name)) is expected


def test_the_error_of_a_denied_table_names_it_and_the_grant_that_helps(warehouse: Warehouse) -> None:
    error = warehouse.source.denied(warehouse.named("good"))
    assert isinstance(error, TableDeniedError)
    assert error.table == warehouse.named("good")
    assert error.remedy.startswith("GRANT SELECT")
