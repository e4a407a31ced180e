"""What capture reads in each statement of the corpus is what a real server did."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pymysql
import pytest

from datafingerprint.adapters.mysql.server import quoted
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.events import GTIDS, QUERIES, EventType, parse_event, parse_gtid
from datafingerprint.binlog.queries import parse_query
from datafingerprint.binlog.statements import Meaning, Statement, classify
from datafingerprint.config import Settings
from datafingerprint.table_names import split_table_name
from tests.datafingerprint.binlog.corpus import Case, cases, effect_of
from tests.datafingerprint.binlog.following import execute, position_of

pytestmark = pytest.mark.live

Rows = Counter[tuple[Any, ...]]

X = (
    "CREATE TABLE x (id INT PRIMARY KEY, a INT, b VARCHAR(20), c INT NOT NULL, KEY i3x (a))",
    "INSERT INTO x VALUES (1, 1, 'one', 7), (2, 2, 'two', 8), (3, NULL, NULL, 9)",
)
P = """
CREATE TABLE p (id INT PRIMARY KEY, a INT)
PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))
"""
TABLES = (
    "CREATE TABLE y (id INT PRIMARY KEY, a INT)",
    "INSERT INTO y VALUES (1, 1), (2, 2)",
    *X,
    P,
    "INSERT INTO p VALUES (1, 1), (2, 2), (11, 1)",
    "CREATE TABLE q (id INT PRIMARY KEY, a INT)",
    "INSERT INTO q VALUES (5, 5)",
    "CREATE TABLE h (id INT PRIMARY KEY, a INT) PARTITION BY HASH (id) PARTITIONS 3",
    "INSERT INTO h VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
    'CREATE TABLE `odd ``name.with/*x*/ "q"` (id INT PRIMARY KEY)',
    'INSERT INTO `odd ``name.with/*x*/ "q"` VALUES (1)',
    "CREATE VIEW v AS SELECT id FROM x",
    "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1",
    "CREATE PROCEDURE pr() SELECT 1",
)


@dataclass(frozen=True)
class Seen:
    """A table as a plain client sees it."""

    columns: tuple[str, ...]
    rows: Rows

    def of(self, columns: tuple[str, ...]) -> Rows:
        """Its rows, in these columns alone."""
        places = [self.columns.index(name) for name in columns]
        return Counter(tuple(row[place] for place in places) for row in self.rows.elements())


def seen(connection: pymysql.Connection, schema: str) -> dict[str, Seen]:
    columns: dict[str, list[str]] = {}
    result = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t "
            "USING (table_schema, table_name) WHERE c.table_schema = %s AND t.table_type = 'BASE TABLE' "
            "ORDER BY c.table_name, c.ordinal_position",
            (schema,),
        )
        for table, column in cursor.fetchall():
            columns.setdefault(table, []).append(column)
        for table, names in columns.items():
            listed = ", ".join(quoted(column) for column in names)
            cursor.execute(f"SELECT {listed} FROM {quoted(schema)}.{quoted(table)}")
            result[table] = Seen(tuple(names), Counter(tuple(row) for row in cursor.fetchall()))
    return result


def names_after(verb: str, names: set[str], tables: Sequence[str], made: Sequence[str]) -> set[str]:
    if verb in ("DROP", "CREATE"):
        return names - set(tables) | set(made)
    for old, new in zip(tables, made, strict=True):
        names = names - {old} | {new}
    return names


def require_true(statement: Statement, schema: str, before: dict[str, Seen], after: dict[str, Seen]) -> None:
    """That nothing happened but what the statement is read as."""
    named = {split_table_name(name)[1] for name in (*statement.tables, *statement.made)}
    assert {split_table_name(name)[0] for name in (*statement.tables, *statement.made)} <= {schema}
    for name in before.keys() | after.keys():
        if name not in named:
            assert before.get(name) == after.get(name), name
    if statement.meaning is not Meaning.TABLES:
        assert before == after, "changed"
        return
    tables, made = (tuple(split_table_name(name)[1] for name in names) for names in (statement.tables, statement.made))
    effect = effect_of(statement)
    if statement.name == "TRUNCATE":
        assert not after[tables[0]].rows
    elif statement.name in ("DROP", "CREATE", "RENAME") or effect == "renamed":
        assert after.keys() == names_after(statement.name, set(before), tables, made)
    elif effect == "nothing":
        assert before == after
    elif effect.startswith("added: "):
        (name,) = tables
        new = tuple(effect.removeprefix("added: ").split(","))
        assert after[name].of(before[name].columns) == before[name].rows
        assert set(after[name].columns) - set(before[name].columns) == set(new)
        assert after[name].of(new) == Counter({(None,) * len(new): before[name].rows.total()})
    else:
        assert effect in ("loses", "unknown")


def statements(read: Iterator[bytes], until: str, *, is_mariadb: bool) -> list[Statement]:
    """The statements that are logged up to a GTID."""
    result, last = [], ""
    for data in read:
        event = parse_event(data, "the test")
        if event.type in GTIDS:
            last = parse_gtid(event).text
        elif event.type in QUERIES:
            result.append(classify(parse_query(event, is_mariadb=is_mariadb)))
        is_end = event.type is EventType.XID or (event.type in QUERIES and result[-1].meaning is not Meaning.BEGIN)
        if is_end and is_at(until, last):
            break
    return result


def is_at(until: str, gtid: str) -> bool:
    """Whether a transaction is the last one of a position."""
    separator = ":" if ":" in gtid else ","
    number = gtid.rpartition(":")[2]
    return until.endswith((f"-{number}", f":{number}")) if separator == ":" else gtid in until.split(",")


def test_each_statement_did_what_capture_reads_in_it(
    source: pymysql.Connection, stack_settings: Settings, request: pytest.FixtureRequest
) -> None:
    schema, server = stack_settings.generator.schema_name, request.config.getoption("--source")
    is_mariadb = server == "mariadb"
    execute(source, f"CREATE USER IF NOT EXISTS {schema}g@localhost")
    if is_mariadb:
        execute(source, f"CREATE ROLE IF NOT EXISTS {schema}r2")
    # What both take is parted between them, for time.
    both = [case for case in cases() if not case.on][is_mariadb::2]
    run = [*both, *(case for case in cases() if case.on == server)]
    fresh: dict[str, Seen] = {}
    failed = []
    with contextlib.closing(BinlogSource(stack_settings).events(position_of(source))) as events:
        read = chain.from_iterable(events)
        for case in run:
            try:
                fresh = tried(source, schema, case, read, fresh, is_mariadb=is_mariadb)
            except (AssertionError, pymysql.MySQLError) as error:
                fresh = {}
                failed.append((case.text, str(error)[:300]))
    assert not failed, "\n".join(f"{text}\n    {message}" for text, message in failed)
    assert len(run) > 180


def tried(
    source: pymysql.Connection,
    schema: str,
    case: Case,
    read: Iterator[bytes],
    fresh: dict[str, Seen],
    *,
    is_mariadb: bool,
) -> dict[str, Seen]:
    """Runs a statement over tables of its own; those that the next one may use."""
    if not fresh:
        execute(source, f"DROP DATABASE IF EXISTS {schema}", f"CREATE DATABASE {schema}", f"USE {schema}")
        execute(source, *TABLES, *(["CREATE SEQUENCE sq"] if is_mariadb else []))
        fresh = seen(source, schema)
    before = position_of(source).gtid
    statements(read, before, is_mariadb=is_mariadb)
    execute(source, f"SET SESSION sql_mode = '{case.mode}'", case.within(schema), "SET SESSION sql_mode = ''")
    end = position_of(source).gtid
    if end != before:
        (result,) = statements(read, end, is_mariadb=is_mariadb)[-1:]
        require_true(result, schema, fresh, seen(source, schema))
    if case.meaning == "TABLES" and {*case.tables, *case.made} == {"x"}:
        execute(source, "DROP TABLE IF EXISTS x", *X)
        return fresh
    return {}
