"""MySQL's JSON: documents in the binlog become the text that a real server prints."""

from __future__ import annotations

import json

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from tests.datafingerprint.binlog.following import committed_between, execute, position_of, snapshot_of
from tests.fuzz.documents import DOCUMENTS, LARGE, text
from tests.fuzz.running import compare

pytestmark = [pytest.mark.live, pytest.mark.only("mysql")]

DRAWN = settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CHANGES = (
    "JSON_SET(j, '$.a', 1)",
    "JSON_SET(j, '$[0]', 'longer than what stood there before')",
    "JSON_REPLACE(j, '$[1]', NULL, '$.b', 'x')",
    "JSON_REMOVE(j, '$[0]')",
    "JSON_MERGE_PATCH(j, JSON_OBJECT('b', NULL, 'c', JSON_OBJECT()))",
    "JSON_ARRAY_APPEND(j, '$', j)",
)
"""Some are done in place by the server, which leaves gaps in what it stores."""


@pytest.fixture
def reader(stack_settings: Settings) -> BinlogSource:
    return BinlogSource(stack_settings)


def test_any_document_has_the_servers_text_on_all_ways(source: pymysql.Connection, reader: BinlogSource) -> None:
    execute(source, "SET SESSION sql_mode = ''", "CREATE TABLE docs (id INT AUTO_INCREMENT PRIMARY KEY, j JSON)")
    (table,) = reader.tables()
    start = position_of(source)
    drawn = st.lists(DOCUMENTS, min_size=10, max_size=30), st.lists(LARGE, max_size=2)

    @DRAWN
    @given(*drawn, st.sampled_from(CHANGES))
    def done(small: list[str], large: list[str], change: str) -> None:
        execute(source, f"INSERT INTO docs (j) VALUES {', '.join(f'({item})' for item in [*small, *large])}")
        execute(source, f"UPDATE docs SET j = {change} ORDER BY id DESC LIMIT 5")

    done()
    compare(source, reader, table, start)
    _, snapshot = snapshot_of(reader, [table])
    with source.cursor() as cursor:
        cursor.execute("SELECT CAST(j AS CHAR) FROM docs ORDER BY id")
        printed = [row[0] for row in cursor.fetchall()]
    assert snapshot[table.table].column("j").to_pylist() == printed
    assert len(printed) > 150


LONG = ", ".join(f"REPEAT('x', {size})" for size in (127, 128, 16_383, 16_384, 2_097_151, 2_097_152))
MANY = json.dumps({f"k{number}": number for number in range(9000)})
AWKWARD = {
    "a lenient null": "INSERT IGNORE INTO docs (id, k) VALUES (1, NULL)",
    "deepest nesting": f"INSERT INTO docs VALUES (1, '{'[' * 100}{']' * 100}', '1')",
    "long in many ways": f"INSERT INTO docs VALUES (1, JSON_ARRAY({LONG}), '1')",
    "many members": f"INSERT INTO docs VALUES (1, '{MANY}', '1')",
    "a shape": "INSERT INTO docs VALUES (1, JSON_ARRAY(ST_GeomFromText('POINT(1 2)')), '1')",
    "bits and blobs": "INSERT INTO docs SELECT 1, JSON_ARRAY(b, y, m, s, e), JSON_ARRAY(y) FROM others",
}


@pytest.mark.parametrize("name", AWKWARD)
def test_what_is_awkward_has_the_servers_text_too(source: pymysql.Connection, reader: BinlogSource, name: str) -> None:
    execute(
        source,
        "CREATE TABLE docs (id INT PRIMARY KEY, j JSON, k JSON NOT NULL)",
        "CREATE TABLE others (id INT PRIMARY KEY, b BIT(9), y BLOB, m TIMESTAMP(3) NULL, s SET('a','b'), e ENUM('x'))",
        "INSERT INTO others VALUES (1, b'101', x'00FF', '2031-04-02 10:00:00.123', 'a,b', 'x')",
    )
    table = next(item for item in reader.tables() if item.name == "docs")
    start = position_of(source)
    execute(source, AWKWARD[name], "UPDATE docs SET j = JSON_ARRAY(k)")
    compare(source, reader, table, start)


def test_an_update_that_is_logged_in_part_names_its_table(source: pymysql.Connection, reader: BinlogSource) -> None:
    execute(source, "CREATE TABLE docs (id INT PRIMARY KEY, j JSON)")
    (table,) = reader.tables()
    start = position_of(source)
    execute(
        source,
        f"INSERT INTO docs VALUES (1, JSON_OBJECT('a', 1, 'b', {text('x' * 900)}))",
        "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'",
        "UPDATE docs SET j = JSON_SET(j, '$.a', 2)",
    )
    committed = list(committed_between(reader, start, position_of(source), [table.table]))
    (unknown,) = [item.unknown_changes for item in committed if item.unknown_changes]
    assert list(unknown) == [table.table]
    assert "binlog_row_value_options" in unknown[table.table]
