"""On a real server capture takes committed changes only, and stops at what it cannot follow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain

import pymysql
import pytest

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.tokens import tokenize
from datafingerprint.binlog.transactions import Assembler
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import DecodeError, SourceError
from datafingerprint.gtid import has_reached
from datafingerprint.schema import TableSchema
from deploy.embedded.stack import EmbeddedStack
from tests.datafingerprint.binlog.following import changes_between, committed_between, execute, position_of, snapshot_of
from tests.datafingerprint.drawn import Row

pytestmark = pytest.mark.live


@pytest.fixture
def reader(stack_settings: Settings) -> BinlogSource:
    return BinlogSource(stack_settings)


@pytest.fixture
def tables(source: pymysql.Connection, reader: BinlogSource) -> list[TableSchema]:
    """Two captured tables, `a` and `b`, besides `free`, which is not captured."""
    execute(
        source,
        "CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(20)) DEFAULT CHARSET utf8mb4",
        "CREATE TABLE b (id INT PRIMARY KEY, v VARCHAR(20)) DEFAULT CHARSET utf8mb4",
        "CREATE TABLE free (id INT PRIMARY KEY, v VARCHAR(20)) DEFAULT CHARSET utf8mb4",
    )
    return [table for table in reader.tables() if table.name != "free"]


@pytest.fixture
def start(source: pymysql.Connection, tables: list[TableSchema]) -> SourcePosition:
    assert tables
    return position_of(source)


@pytest.fixture
def session(source: pymysql.Connection) -> Iterator[pymysql.Connection]:
    """The connection; what a test set in its session dies with it."""
    yield source
    execute(source, "ROLLBACK")


def rows_of(
    reader: BinlogSource, connection: pymysql.Connection, start: SourcePosition, tables: list[TableSchema]
) -> dict[str, dict[int, str]]:
    """The rows of tables that were empty, by the binlog. A snapshot must have the same rows."""
    changes, _ = changes_between(reader, start, position_of(connection), tables)
    rows: dict[str, dict[int, str]] = {table.name: {} for table in tables}
    for table in tables:
        events: list[Row] = changes[table.table].rows.to_pylist() if table.table in changes else []
        for event in events:
            if event["before"]:
                assert rows[table.name].pop(event["before"]["id"]) == event["before"]["v"]
            if event["after"]:
                rows[table.name][event["after"]["id"]] = event["after"]["v"]
    _, snapshot = snapshot_of(reader, tables)
    assert rows == {table.name: {row["id"]: row["v"] for row in snapshot[table.table].to_pylist()} for table in tables}
    return rows


def test_a_rolled_back_transaction_leaves_nothing(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(session, "BEGIN", "INSERT INTO a VALUES (1, 'x')", "ROLLBACK", "INSERT INTO a VALUES (2, 'y')")
    assert rows_of(reader, session, start, tables) == {"a": {2: "y"}, "b": {}}


def test_a_rollback_to_a_savepoint_takes_back_what_came_after_it(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(
        session,
        "BEGIN",
        "INSERT INTO a VALUES (1, 'x')",
        "SAVEPOINT `it``s`",
        "INSERT INTO a VALUES (2, 'gone')",
        "SAVEPOINT two",
        "INSERT INTO b VALUES (2, 'gone')",
        "ROLLBACK TO two",
        "INSERT INTO b VALUES (3, 'gone')",
        "ROLLBACK TO `it``s`",
        "INSERT INTO b VALUES (4, 'y')",
        "SAVEPOINT two",
        "UPDATE a SET v = 'gone'",
        "ROLLBACK TO SAVEPOINT TWO",
        "COMMIT",
    )
    assert rows_of(reader, session, start, tables) == {"a": {1: "x"}, "b": {4: "y"}}


@pytest.mark.only("mariadb")
def test_a_table_in_another_engine_in_the_same_transaction_does_not_bring_back_what_was_rolled_back(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    """With a table that cannot roll back, the server logs the rows and a ROLLBACK after them."""
    execute(
        session,
        "CREATE TABLE torn (id INT) ENGINE=MyISAM",
        "BEGIN",
        "INSERT INTO a VALUES (1, 'gone')",
        "INSERT INTO torn VALUES (1)",
        "SAVEPOINT s",
        "INSERT INTO a VALUES (2, 'gone')",
        "INSERT INTO torn VALUES (2)",
        "ROLLBACK TO s",
        "INSERT INTO b VALUES (3, 'gone')",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO a VALUES (4, 'x')",
        "SAVEPOINT s",
        "INSERT INTO a VALUES (5, 'gone')",
        "INSERT INTO torn VALUES (3)",
        "ROLLBACK TO s",
        "COMMIT",
    )
    assert rows_of(reader, session, start, tables) == {"a": {4: "x"}, "b": {}}


def test_a_transaction_over_several_tables_is_one(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(
        session,
        "BEGIN",
        "INSERT INTO a VALUES (1, 'x'), (2, 'y')",
        "INSERT INTO free VALUES (1, 'x')",
        "INSERT INTO b SELECT * FROM a",
        "UPDATE a, b SET a.v = 'z', b.v = 'w' WHERE a.id = b.id AND a.id = 1",
        "COMMIT",
    )
    names = [table.table for table in tables]
    (committed,) = committed_between(reader, start, position_of(session), names)
    assert {rows.table_map.name for rows in committed.rows} == {"a", "b"}
    assert rows_of(reader, session, start, tables) == {"a": {1: "z", 2: "y"}, "b": {1: "w", 2: "y"}}


HARMLESS = [
    "ANALYZE TABLE a",
    "OPTIMIZE TABLE a",
    "CREATE USER dfp_test IDENTIFIED BY 'x'",
    "ALTER USER dfp_test IDENTIFIED BY 'y'",
    "DROP USER dfp_test",
    "CREATE OR REPLACE VIEW seen AS SELECT * FROM a",
    "DROP VIEW seen",
    "CREATE INDEX by_v ON a (v)",
    "DROP INDEX by_v ON a",
    "FLUSH TABLES",
    "CREATE TEMPORARY TABLE mine SELECT * FROM a",
    "DROP TEMPORARY TABLE mine",
    "CREATE TABLE other (id INT) COMMENT 'RENAME TO b'",
    "ALTER TABLE other ADD n INT DEFAULT 5 COMMENT '# \\' ; RENAME `a`'",
    "RENAME TABLE other TO another",
    "TRUNCATE TABLE another",
    "DROP TABLE another",
    "CREATE TABLE copied SELECT * FROM a",
    "DROP TABLE IF EXISTS copied, never",
    "CREATE TABLE copied LIKE a",
    "DROP TABLE copied",
    "CREATE PROCEDURE p() INSERT INTO a VALUES (100, 'p')",
    "CALL p()",
    "DROP PROCEDURE p",
    "ALTER DATABASE CHARACTER SET utf8mb4",
    "CREATE DATABASE dfp_passing",
    "CREATE TABLE dfp_passing.t (id INT)",
    "DROP DATABASE dfp_passing",
    "CREATE TRIGGER g AFTER INSERT ON a FOR EACH ROW INSERT INTO b VALUES (NEW.id, NEW.v)",
]


def test_harmless_statements_pass_and_rows_around_them_are_not_lost(
    session: pymysql.Connection,
    reader: BinlogSource,
    start: SourcePosition,
    tables: list[TableSchema],
    stack: EmbeddedStack,
) -> None:
    for number, statement in enumerate(HARMLESS):
        execute(session, f"INSERT INTO a VALUES ({number}, 'x')", statement)
    with stack.blueprint.warehouse.connect_as_administrator() as administrator:
        execute(
            administrator,
            "CREATE USER dfp_granted",
            "GRANT SELECT ON *.* TO dfp_granted",
            "REVOKE SELECT ON *.* FROM dfp_granted",
            "DROP USER dfp_granted",
        )
    execute(session, "INSERT INTO a VALUES (1000, 'by trigger')")
    rows = rows_of(reader, session, start, tables)
    assert set(rows["a"]) == {*range(len(HARMLESS)), 100, 1000}
    assert rows["b"] == {1000: "by trigger"}


@pytest.mark.only("mysql")
def test_a_json_view_of_mysql_passes_and_rows_that_are_written_through_it_are_those_of_its_table(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    view = "JSON DUALITY VIEW seen AS SELECT JSON_DUALITY_OBJECT(WITH(INSERT, UPDATE, DELETE) '_id': id, 'v': v) FROM a"
    execute(
        session,
        "INSERT INTO a VALUES (1, 'x')",
        f"CREATE {view}",
        """INSERT INTO seen VALUES ('{"_id": 2, "v": "through"}')""",
        f"ALTER {view}",
        """UPDATE seen SET data = '{"_id": 1, "v": "changed"}' WHERE data->'$._id' = 1""",
        f"CREATE OR REPLACE {view.replace('JSON DUALITY', 'JSON RELATIONAL DUALITY')}",
        "DROP VIEW seen",
        "INSERT INTO b VALUES (3, 'y')",
    )
    assert rows_of(reader, session, start, tables) == {"a": {1: "changed", 2: "through"}, "b": {3: "y"}}


@pytest.mark.only("mariadb")
def test_set_statement_means_the_statement_after_it(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(
        session,
        "INSERT INTO a VALUES (1, 'x')",
        "SET STATEMENT max_statement_time = 60 FOR CREATE INDEX by_v ON a (v)",
        "SET STATEMENT lock_wait_timeout = 5, alter_algorithm = 'INPLACE' FOR ALTER TABLE free ADD n INT DEFAULT 5",
        "SET STATEMENT max_statement_time = 60 FOR INSERT INTO a VALUES (2, 'y')",
        "SET STATEMENT max_statement_time = 60, unique_checks = 0 FOR UPDATE a SET v = 'z' WHERE id = 1",
        "SET STATEMENT max_statement_time = 60 FOR TRUNCATE TABLE b",
        "INSERT INTO b VALUES (3, 'y')",
    )
    transactions = list(committed_between(reader, start, position_of(session), [table.table for table in tables]))
    reported = [transaction.statement for transaction in transactions if transaction.statement]
    assert [(transaction.name, transaction.tables) for transaction in reported] == [("TRUNCATE", (tables[1].table,))]
    assert [rows.table_map.name for transaction in transactions for rows in transaction.rows] == ["a", "a", "a", "b"]


UNKNOWN = [
    pytest.param(
        "a statement about it is not understood",
        ["SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR ALTER TABLE a COMMENT 'x'"],
        marks=pytest.mark.only("mariadb"),
    ),
    ("rows are logged as the text of INSERT", [
        "SET SESSION binlog_format = STATEMENT",
        "INSERT INTO a VALUES (1, 'x')",
    ]),
    ("as the text of UPDATE", [
        "CREATE TABLE {free} (id INT PRIMARY KEY AUTO_INCREMENT, v DOUBLE)",
        "CREATE VIEW {free}_view AS SELECT * FROM a",
        "SET SESSION binlog_format = STATEMENT",
        "UPDATE {free}_view SET v = 'y' WHERE id = 0",
    ]),
    ("as the text of REPLACE", [
        "CREATE TRIGGER watching AFTER INSERT ON free FOR EACH ROW DELETE FROM a",
        "SET SESSION binlog_format = STATEMENT",
        "SET @v = 'x'",
        "REPLACE INTO free VALUES (1, @v)",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "statements"), UNKNOWN)
def test_a_change_that_is_not_in_the_log_names_its_tables_and_its_session(
    what: str,
    statements: list[str],
    session: pymysql.Connection,
    reader: BinlogSource,
    start: SourcePosition,
    tables: list[TableSchema],
) -> None:
    free = f"{tables[0].schema}_other.uncaptured"
    execute(session, f"CREATE DATABASE IF NOT EXISTS {tables[0].schema}_other", "INSERT INTO a VALUES (0, 'x')")
    try:
        execute(
            session,
            *(transaction.replace("{free}", free) for transaction in statements),
            "SET SESSION binlog_format = ROW",
        )
        execute(session, "INSERT INTO b VALUES (5, 'good')")
        names = [table.table for table in tables]
        # What views and triggers do is looked up now.
        transactions = list(committed_between(reader, start, position_of(session), names))
    finally:
        execute(session, f"DROP DATABASE {tables[0].schema}_other", "DROP TRIGGER IF EXISTS watching")
    (unknown,) = [transaction.unknown_changes for transaction in transactions if transaction.unknown_changes]
    assert list(unknown) == [names[0]]
    assert what in unknown[names[0]]
    assert "binlog_format" not in unknown[names[0]] or f"session {session.thread_id()} " in unknown[names[0]]
    assert [rows.table_map.name for transaction in transactions for rows in transaction.rows][-1] == "b"


def test_what_is_logged_as_text_and_reaches_no_captured_table_passes(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(
        session,
        "SET SESSION binlog_format = STATEMENT",
        "SET @limit = 10",
        "REPLACE INTO free SELECT COUNT(*), MAX(v) FROM a FORCE INDEX (`PRIMARY`) WHERE id < @limit",
        "INSERT INTO free VALUES (7, LEFT(CONCAT('b', RAND()), 9))",
        "DELETE FROM free WHERE id IN (SELECT id FROM b)",
        "SET SESSION binlog_format = ROW",
        "INSERT INTO a VALUES (1, 'x')",
    )
    assert rows_of(reader, session, start, tables) == {"a": {1: "x"}, "b": {}}


REFUSED = {
    "a row image lacks columns": [
        "SET SESSION binlog_row_image = MINIMAL",
        "UPDATE a SET v = 'y' WHERE id = 0",
    ],
    "lacks columns": ["SET SESSION binlog_row_image = MINIMAL", "DELETE FROM a WHERE id = 0"],
    "XA|a statement whose effect on rows is not known": [
        "XA START 'x'",
        "INSERT INTO a VALUES (2, 'x')",
        "XA END 'x'",
        "XA PREPARE 'x'",
    ],
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_followed_exactly_stops_capture(
    what: str, session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(session, "INSERT INTO a VALUES (0, 'x')")
    before = position_of(session)
    try:
        execute(session, *REFUSED[what])
        with pytest.raises(DecodeError, match=what) as error:
            changes_between(reader, start, position_of(session), tables)
    finally:
        if "XA" in what:
            execute(session, "XA ROLLBACK 'x'")
    # Images are decoded by epochs: theirs is where one ends, which the flow says of the table that is set aside.
    assert "lacks columns" in what or "binlog" in error.value.where
    assert error.value.remedy
    transactions, _ = changes_between(reader, start, before, tables)
    assert [part.rows.num_rows for part in transactions.values()] == [1]


REPORTED = {
    "TRUNCATE": ["TRUNCATE a"],
    "TRUNCATE without blanks": ["TRUNCATE TABLE`a`"],
    "TRUNCATE between comments": ["TRUNCATE/**/TABLE/**/a"],
    "TRUNCATE in a comment": ["/*!40000 TRUNCATE TABLE a */"],
    "TRUNCATE in ANSI mode": ["SET SESSION sql_mode = 'ANSI_QUOTES'", 'TRUNCATE"a"'],
    "TRUNCATE in a procedure": [
        "CREATE PROCEDURE p() BEGIN /* TRUNCATE free */ TRUNCATE TABLE`a`; END",
        "CALL p()",
        "DROP PROCEDURE p",
    ],
    "TRUNCATE prepared": ["PREPARE s FROM ' TRUNCATE`a`'", "EXECUTE s"],
    "ALTER": ["ALTER TABLE a ADD more INT"],
    "DROP": ["DROP TABLE free, a"],
    "RENAME": ["RENAME TABLE a TO c"],
    "CREATE": ["CREATE TABLE aside LIKE a", "RENAME TABLE a TO gone", "RENAME TABLE aside TO a"],
    "RENAME in a chain": ["RENAME TABLE a TO c, free TO a, c TO free"],
}


@pytest.mark.parametrize("verb", REPORTED)
def test_statements_about_captured_tables_are_reported_after_the_rows_before_them(
    verb: str, session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(session, "INSERT INTO a VALUES (0, 'x')", *REPORTED[verb], "INSERT INTO b VALUES (0, 'x')")
    reported = list(committed_between(reader, start, position_of(session), [table.table for table in tables]))
    (index,) = [index for index, transaction in enumerate(reported) if transaction.statement]
    assert [rows.table_map.name for transaction in reported[:index] for rows in transaction.rows] == ["a"]
    assert [rows.table_map.name for transaction in reported[index:] for rows in transaction.rows] == ["b"]
    statement = reported[index].statement
    assert statement is not None
    assert tables[0].table in statement.tables


@pytest.mark.only("mariadb")
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE OR REPLACE TABLE a (id INT)",
        "CREATE OR REPLACE TABLE a SELECT 1 AS id, 'x' AS v",
        "CREATE OR REPLACE SEQUENCE`a`",
        "CREATE OR REPLACE DATABASE {}",
    ],
)
def test_a_statement_that_replaces_a_captured_table_is_reported(
    statement: str,
    session: pymysql.Connection,
    reader: BinlogSource,
    start: SourcePosition,
    tables: list[TableSchema],
) -> None:
    execute(session, "INSERT INTO a VALUES (0, 'x')", statement.format(tables[0].schema))
    names = [table.table for table in tables]
    (reported,) = [
        transaction
        for transaction in committed_between(reader, start, position_of(session), names)
        if transaction.statement
    ]
    assert reported.statement is not None
    assert tables[0].table in reported.statement.tables or reported.statement.name == tables[0].schema
    assert list(reported.rows) == []


def test_a_session_of_another_character_set_names_the_tables_that_it_means(
    session: pymysql.Connection, reader: BinlogSource, stack_settings: Settings
) -> None:
    execute(session, "CREATE TABLE `peña` (id INT)", "CREATE TABLE `a.ñ b` (id INT)", "CREATE TABLE `año` (id INT)")
    tables = [table.table for table in reader.tables()]
    start = position_of(session)
    settings = stack_settings.source
    with pymysql.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password.get_secret_value(),
        database=stack_settings.generator.schema_name,
        charset="latin1",
    ) as latin:
        execute(
            latin,
            "TRUNCATE `peña`",
            "ALTER TABLE`a.ñ b`ADD c INT",
            "DROP TABLE `peña`",
            "CREATE TABLE `niña` SELECT 1 AS id",
            "RENAME TABLE año TO peñb",
        )
    reported = [
        transaction.statement
        for transaction in committed_between(reader, start, position_of(session), tables)
        if transaction.statement
    ]
    schema = stack_settings.generator.schema_name
    assert [transaction.tables[0] for transaction in reported] == [
        f"{schema}.{name}" for name in ("peña", "`a.ñ b`", "peña", "año")
    ]


@pytest.mark.only("mariadb")
def test_an_alter_that_is_logged_when_it_begins_counts_when_it_is_done_and_not_when_it_fails(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(session, "SET SESSION binlog_alter_two_phase = 1", "INSERT INTO a VALUES (1, 'x'), (2, 'x')")
    with pytest.raises(pymysql.err.IntegrityError):
        execute(session, "ALTER TABLE a ADD UNIQUE (v), ADD n INT")
    execute(session, "INSERT INTO a VALUES (3, 'x')", "ALTER TABLE a ADD m INT")
    reported = committed_between(reader, start, position_of(session), [table.table for table in tables])
    assert [transaction.statement.clauses for transaction in reported if transaction.statement] == [
        tokenize("ADD m INT")
    ]


@pytest.mark.only("mariadb")
def test_a_temporary_table_in_a_session_that_logs_statements_is_not_the_one_of_its_name(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(
        session,
        "INSERT INTO a VALUES (1, 'x')",
        "SET SESSION binlog_format = MIXED",
        "CREATE TEMPORARY TABLE a (id INT)",
        "TRUNCATE a",
        "ALTER TABLE a ADD n INT DEFAULT 5",
        "DROP TEMPORARY TABLE a",
        "SET SESSION binlog_format = ROW",
    )
    assert rows_of(reader, session, start, tables) == {"a": {1: "x"}, "b": {}}


def test_a_column_that_became_another_stops_capture_at_its_first_row(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(session, "ALTER TABLE a MODIFY id BIGINT")
    later = position_of(session)
    execute(session, "INSERT INTO a VALUES (1, 'x')")
    with pytest.raises(DecodeError, match="column id is no longer of type int"):
        changes_between(reader, later, position_of(session), tables)
    assert start != later


def test_a_position_that_the_server_never_had_is_refused(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition
) -> None:
    name, separator, last = start.gtid.rpartition("-")
    ahead = f"{name}{separator}{int(last) + 1000}"
    with pytest.raises(SourceError, match=r"cannot continue from the last epoch|lacks transactions that were"):
        list(committed_between(reader, SourcePosition(ahead, "", 0), SourcePosition(f"{ahead}000", "", 0), []))
    assert session.open


@pytest.mark.only("mysql")
def test_another_servers_history_is_refused(reader: BinlogSource, start: SourcePosition) -> None:
    other = SourcePosition("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5", "", 0)
    with pytest.raises(SourceError, match=r"lacks transactions that were read from it: it lost them, or it is another"):
        list(committed_between(reader, other, SourcePosition(f"{start.gtid}0", "", 0), []))


def test_images_that_lack_columns_do_no_harm_where_nobody_looks(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(
        session,
        "INSERT INTO free VALUES (1, 'x')",
        "SET SESSION binlog_row_image = MINIMAL",
        "UPDATE free SET v = 'y'",
        "SET SESSION binlog_row_image = FULL",
        "INSERT INTO a VALUES (1, 'x')",
    )
    assert rows_of(reader, session, start, tables) == {"a": {1: "x"}, "b": {}}


def compressible(session: pymysql.Connection) -> None:
    execute(
        session,
        "BEGIN",
        *(f"INSERT INTO a VALUES ({number}, REPEAT('x', 20))" for number in range(300)),
        "COMMIT",
        "UPDATE a SET v = REPEAT('y', 20)",
        "INSERT INTO free SELECT * FROM a",
        "DELETE FROM a WHERE id > 100",
    )


@pytest.mark.only("mysql")
def test_compressed_transactions_are_followed(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(session, "SET SESSION binlog_transaction_compression = ON")
    compressible(session)
    execute(session, "SET SESSION binlog_transaction_compression = OFF", "INSERT INTO b VALUES (1, 'x')")
    rows = rows_of(reader, session, start, tables)
    assert set(rows["a"]) == set(range(101))
    assert rows["b"] == {1: "x"}


@pytest.mark.only("mariadb")
def test_compressed_events_are_followed(
    session: pymysql.Connection,
    reader: BinlogSource,
    start: SourcePosition,
    tables: list[TableSchema],
    stack: EmbeddedStack,
) -> None:
    with stack.blueprint.warehouse.connect_as_administrator() as administrator:
        execute(administrator, "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10")
        try:
            execute(session, "CREATE TABLE compressed (id INT) COMMENT 'a statement that is long enough to compress'")
            compressible(session)
        finally:
            execute(administrator, "SET GLOBAL log_bin_compress = OFF")
    assert set(rows_of(reader, session, start, tables)["a"]) == set(range(101))


@pytest.mark.only("mysql")
def test_tagged_gtids_are_followed_and_resumed_from(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    execute(
        session,
        "SET SESSION gtid_next = 'AUTOMATIC:mine'",
        "INSERT INTO a VALUES (1, 'x')",
        "SET SESSION gtid_next = 'AUTOMATIC:a_tag_of_thirty_two_characters__'",
        "INSERT INTO a VALUES (2, 'x')",
        "SET SESSION gtid_next = 'AUTOMATIC'",
        "INSERT INTO b VALUES (1, 'x')",
    )
    assert rows_of(reader, session, start, tables) == {"a": {1: "x", 2: "x"}, "b": {1: "x"}}
    middle = position_of(session)
    execute(session, "SET SESSION gtid_next = 'AUTOMATIC:mine'", "INSERT INTO a VALUES (3, 'z')")
    execute(session, "SET SESSION gtid_next = 'AUTOMATIC'", "DELETE FROM b")
    transactions, _ = changes_between(reader, middle, position_of(session), tables)
    assert {name.rpartition(".")[2]: part.rows.num_rows for name, part in transactions.items()} == {"a": 1, "b": 1}


def test_whether_a_table_is_captured_is_asked_once_until_a_statement_is_about_tables(
    session: pymysql.Connection, reader: BinlogSource, start: SourcePosition, tables: list[TableSchema]
) -> None:
    """Asking may read the whole dictionary. On MariaDB sequences have rows in the log too."""
    assert tables
    for number in range(3):
        execute(session, f"INSERT INTO a VALUES ({number}, 'x')")
    execute(session, "CREATE TABLE more (id INT)", "INSERT INTO a VALUES (9, 'x')", "DELETE FROM a")
    questions: list[str] = []

    def is_captured(table: str) -> bool:
        questions.append(table)
        return False

    assembler = Assembler(start, is_captured)
    end = position_of(session)
    with contextlib.closing(reader.events(start)) as events:
        for data in chain.from_iterable(events):
            assembler.feed(parse_event(data, "the test"))
            if has_reached(assembler.position.gtid, end.gtid):
                break
    assert [table.rpartition(".")[2] for table in questions] == ["a", "more", "more", "a"]
