"""The printed statements are what they were, and run as they stand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from commands.sql.__main__ import server_of, statements, tables_of
from commands.sql.printing import ENGINES, SOURCE_ENGINES, LiveFiles, StatementChoice, session, statement
from datafingerprint.adapters.mysql.connection import connect
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.canonical import canonical, digest
from datafingerprint.column_types import column
from datafingerprint.config import Settings, load_settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import ConfigError
from datafingerprint.fingerprint import of_words
from datafingerprint.ledger import Advance, Progress
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql import SESSION, Dialect
from tests.datafingerprint.binlog.following import execute, snapshot_of

GOLDEN = Path(__file__).parent / "golden"
COLUMNS = (("id", "int(11)"), ("date", "date"), ("name", "varchar(50)"), ("rating", "double"), ("fee", "decimal(10,2)"))
TABLE = TableSchema(
    "ootp",
    "players",
    tuple(column(name, words, nullable=True, charset="utf8mb4") for name, words in COLUMNS),
    ("id",),
    ("year(date)",),
)


FILES = LiveFiles(
    ("s3://dfp-lake/lake/ootp/players/data/date_year=2031/a.parquet", "s3://dfp-lake/it's.parquet"),
    77,
    "CREATE SECRET (TYPE s3, KEY_ID '...', SECRET '...', REGION 'us-east-1', USE_SSL true)",
    3600.0,
)


def files_of(_table: TableSchema) -> LiveFiles:
    return FILES


FORMS = [
    *((engine, form) for engine in ENGINES for form in ("", "-rows")),
    ("trino", "-compare"),
    ("presto", "-compare"),
]


@pytest.mark.parametrize(("engine", "form"), FORMS)
def test_a_statement_is_what_it_was(engine: str, form: str) -> None:
    compare = form == "-compare"
    server = Dialect.MARIADB if compare else None
    wanted = StatementChoice(engine, "date_year=2031", rows=form == "-rows", compare=compare, server=server)
    assert_golden(f"{engine}{form}", statement(TABLE, wanted, files_of))


ODD = TableSchema(
    "o'd\"d",
    "t`b l",
    tuple(
        column(name, words, nullable=True, charset="utf8mb4")
        for name, words in (
            ("it's", "timestamp(6)"),
            ('o"d|d=%', "varbinary(9)"),
            ("back`tick", "bit(64)"),
            ("é\n", "time(6)"),
            ("lang", "decimal(65,30)"),
            ("f", "float"),
            ("when", "datetime(6)"),
            ("a/b", "char(9)"),
        )
    ),
    (),
    ("day(it's)", "a/b"),
)
"""Names that want quoting in every engine, types of every renderer, no key, and a split by two fields."""

WHOLE = replace(ODD, schema="s", name="t", columns=ODD.columns[1:3], partition=())
"""Not split, so that its only partition is `-`."""

LONG = TableSchema(
    "s",
    "long",
    tuple(
        column(name, words, nullable=True, charset="utf8mb4")
        for name, words in (
            ("short", "varchar(200)"),
            ("label", "varchar(201)"),
            ("words", "text"),
            ("octets", "longblob"),
            ("place", "point"),
            ("vec", "vector(3)"),
            ("few", "tinyblob"),
            ("one", "enum('a','b')"),
        )
    ),
    ("short",),
    ("label",),
)
"""Values that may be longer than a server's packet, and some that may not."""

MORE = {
    **{f"{engine}-long": (LONG, StatementChoice(engine)) for engine in SOURCE_ENGINES},
    "mysql-long-rows": (LONG, StatementChoice("mysql", rows=True)),
    **{f"{engine}-odd": (ODD, StatementChoice(engine, "it's_day=2031-04-02/a/b=%6Eull")) for engine in ENGINES},
    **{f"{engine}-odd-rows": (ODD, StatementChoice(engine, rows=True)) for engine in ENGINES},
    **{f"{engine}-whole": (WHOLE, StatementChoice(engine, "-")) for engine in ENGINES},
    **{
        f"{engine}-snapshot": (TABLE, StatementChoice(engine, snapshot_id=7, catalog="my lake"))
        for engine in ("trino", "presto", "spark")
    },
    "duckdb-snapshot": (TABLE, StatementChoice("duckdb", snapshot_id=7)),
    "trino-odd-compare": (ODD, StatementChoice("trino", compare=True, server=Dialect.MARIADB)),
    "trino-compare-mysql": (TABLE, StatementChoice("trino", compare=True, server=Dialect.MYSQL, source="the source")),
}
REFUSED = {
    "presto": r"^presto cannot render columns of o'd\"d\.`t``b l` exactly: "
    r"it's \(timestamp\(6\)\): its Iceberg .* zone; when \(datetime\(6\)\): it reads .*, or leave the columns out$",
    "redshift": r"^redshift cannot render column of o'd\"d\.`t``b l` exactly: a/b \(char\(9\)\): it ignores spaces",
}


@pytest.mark.parametrize("name", MORE)
def test_a_statement_of_odd_names_and_types_is_what_it_was(name: str) -> None:
    table, wanted = MORE[name]
    refused = REFUSED.get(wanted.engine)
    if table is ODD and refused:
        with pytest.raises(ConfigError, match=refused):
            statement(table, wanted, files_of)
        return
    assert_golden(name, statement(table, wanted, files_of))


def assert_golden(name: str, text: str) -> None:
    """A difference that is meant is written by deleting the file and running the test once, which then fails."""
    golden = GOLDEN / f"{name}.sql"
    if not golden.exists():
        golden.write_text(text, encoding="utf-8")
        pytest.fail(f"{golden} was written; read it, and run again")
    assert text == golden.read_text(encoding="utf-8")


EVERY_TYPE = TableSchema(
    "o'd\"d",
    "t b",
    tuple(
        column(name, words, nullable=True, charset="utf8mb4")
        for name, words in (
            ("Id", "bigint(20) unsigned"),
            ("it's", "timestamp(6)"),
            ('o"d', "varbinary(9)"),
            ("flags", "bit(64)"),
            ("took", "time(6)"),
            ("share", "decimal(65,30)"),
            ("fee", "decimal(38,30)"),
            ("f", "float"),
            ("d", "double"),
            ("when", "datetime(6)"),
            ("day", "date"),
            ("season", "year(4)"),
            ("big", "int(10) unsigned"),
            ("name", "varchar(50)"),
        )
    ),
    ("Id",),
    ("year(day)", "season"),
)
EXTERNAL = {"redshift-external": TABLE, "redshift-odd-external": EVERY_TYPE}
MANIFESTS = "s3://dfp-lake/manifests"


@pytest.mark.parametrize("name", EXTERNAL)
def test_an_external_table_is_what_it_was(name: str) -> None:
    assert_golden(name, statement(EXTERNAL[name], StatementChoice("redshift", external=True), files_of, MANIFESTS))


def test_an_external_table_is_of_columns_that_redshift_can_count(tmp_path: Path) -> None:
    long = TableSchema("s", "t", (column("words", "longtext", nullable=True, charset="utf8mb4"),))
    with pytest.raises(ConfigError, match="redshift cannot render column"):
        statement(long, StatementChoice("redshift", external=True), files_of, MANIFESTS)
    settings = load_settings({"s3": {"bucket": "mine"}, "state": {"url": f"sqlite:///{tmp_path}/s.db"}}, {})
    refused, made = statements(settings, [long, TABLE], StatementChoice("redshift", external=True), skips=True)
    assert refused.startswith("-- redshift cannot")
    assert "LOCATION 's3://mine/manifests/ootp/players.manifest'" in made


def test_a_name_of_two_lines_is_compared_as_it_is() -> None:
    text = statement(ODD, StatementChoice("trino", compare=True, server=Dialect.MARIADB), files_of)
    assert text.count("`é\n`") > 1
    assert text.count('"é\n"') == 1
    assert text.count("é\n ") == 0


def test_no_golden_file_is_left_over() -> None:
    named = {f"{engine}{form}" for engine, form in FORMS} | set(MORE) | set(EXTERNAL)
    assert {file.stem for file in GOLDEN.glob("*.sql")} <= named


def test_a_session_begins_as_the_engine_must_be_set() -> None:
    assert session("mysql") == session("mariadb") == SESSION
    assert session("spark")[0] == "SET TIME ZONE 'UTC'"
    assert session("redshift") == ("SET timezone TO 'UTC'",)
    assert session("trino") == ()


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        (StatementChoice("mysql", compare=True), r"mysql cannot read the lake: --compare is for trino and presto"),
        (StatementChoice("duckdb", compare=True), r"duckdb reads one catalog only"),
        (StatementChoice("trino", rows=True, compare=True), r"--compare gives partitions, not rows"),
        (
            StatementChoice("presto", compare=True, snapshot_id=7),
            r"--compare reads both sides as they are now: leave out --snap",
        ),
        (
            StatementChoice("trino", server=Dialect.MYSQL),
            r"--server describes the source of --compare: add --compare, or leave",
        ),
        (
            StatementChoice("presto", source="mine"),
            r"--source-catalog describes the source of --compare: add --compare, or",
        ),
        (
            StatementChoice("trino", compare=True),
            r"the kind of the source is not known before its first epoch: add --server",
        ),
        (StatementChoice("mariadb", snapshot_id=7), r"mariadb has no snapshots of the lake"),
        (StatementChoice("redshift", snapshot_id=7), r"redshift reads the present snapshot only"),
        (StatementChoice("redshift", snapshot_id=7, external=True), r"redshift reads the present snapshot only"),
        (
            StatementChoice("trino", external=True),
            r"trino has no external tables over a manifest: --external is for redshift",
        ),
        (
            StatementChoice("redshift", external=True, rows=True),
            r"--external makes a table: leave out --rows and --partition",
        ),
        *(
            (
                StatementChoice(engine, catalog="mine"),
                rf"{engine} has no catalogs: --catalog is for trino,",
            )
            for engine in ("mysql", "mariadb", "duckdb", "redshift")
        ),
        *(
            (
                StatementChoice(engine, "year=2031"),
                r"ootp\.players has no partition year=2031: its partitions are named date_year=",
            )
            for engine in ENGINES
        ),
    ],
)
def test_what_an_engine_cannot_do_is_said(wanted: StatementChoice, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        statement(TABLE, wanted, files_of)


@pytest.mark.parametrize(
    ("gtid", "server"),
    [
        ("", None),
        ("0-1-7", Dialect.MARIADB),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5", Dialect.MYSQL),
        ("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:backfill:1-2", Dialect.MYSQL),
    ],
)
def test_what_the_warehouse_is_is_told_by_the_last_epochs_position(
    gtid: str, server: Dialect | None, tmp_path: Path
) -> None:
    with contextlib.closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db")) as store:
        assert server_of(store) is None
        epoch = Epoch("stream", 1, SourcePosition(gtid, "log", 4), 100.0)
        store.advance(store.progress(), Advance(Progress("stream", 1, 1), [epoch], [], {}))
        assert server_of(store) is server


def test_the_warehouse_is_what_the_engine_calls_it() -> None:
    pushed = statement(TABLE, StatementChoice("trino", compare=True, server=Dialect.MYSQL, source='my"own'), files_of)
    assert 'TABLE("my""own".system.query(' in pushed
    read = statement(TABLE, StatementChoice("presto", compare=True, source="mine"), files_of)
    assert 'FROM "mine"."ootp"."players"' in read


def test_a_name_cannot_end_the_comment() -> None:
    odd = TableSchema("s", "t\nDROP TABLE x", TABLE.columns)
    assert "\nDROP" not in statement(odd, StatementChoice("mysql"), files_of).split("SELECT")[0]


def test_of_several_tables_one_that_is_refused_is_a_comment_that_its_names_cannot_end() -> None:
    odd = column("c\nDROP TABLE x", "longtext", nullable=True, charset="utf8mb4")
    refused = TableSchema("s", "t", (*TABLE.columns, odd), ("id",))
    comment, after = statements(Settings(), [refused, TABLE], StatementChoice("redshift"), skips=True)
    assert comment == (
        "-- redshift cannot render column of s.t exactly: c?DROP TABLE x (longtext): it may be longer than the 65535 "
        "bytes of a VARCHAR: use another engine (docs/engines.md), or leave the column out\n"
    )
    assert after == statement(TABLE, StatementChoice("redshift"), files_of)
    with pytest.raises(ConfigError, match="redshift cannot render column"):
        statements(Settings(), [refused], StatementChoice("redshift"), skips=False)


def test_what_is_asked_for_must_be_there() -> None:
    known, plain = {TABLE.table: TABLE}, StatementChoice("trino")
    assert tables_of(known, None, plain, every=True) == tables_of(known, TABLE.table, plain, every=False) == [TABLE]
    with pytest.raises(ConfigError, match=r"table ootp\.x is not captured: captured tables: ootp\.players"):
        tables_of(known, "ootp.x", plain, every=False)
    with pytest.raises(ConfigError, match="name one table, or use --all"):
        tables_of(known, None, plain, every=False)
    with pytest.raises(ConfigError, match="a partition needs its table"):
        tables_of(known, None, StatementChoice("trino", "x=1"), every=True)
    with pytest.raises(ConfigError, match="a snapshot belongs to one table: leave out --all or --snapshot"):
        tables_of(known, None, StatementChoice("trino", snapshot_id=7), every=True)


@pytest.mark.live
def test_a_printed_statement_gives_the_fingerprint(
    source: pymysql.Connection, stack_settings: Settings, request: pytest.FixtureRequest
) -> None:
    described = ", ".join(f"`{name}` {words}" for name, words in COLUMNS)
    keys = "PRIMARY KEY (id), KEY by_date (date)"
    execute(source, f"CREATE TABLE players ({described}, {keys}) DEFAULT CHARSET utf8mb4")
    execute(source, "INSERT INTO players VALUES (1, '2031-04-02', 'Peña', 0.1, 1.5), (2, '2030-01-01', NULL, -2e9, 0)")
    reader = BinlogSource(stack_settings)
    (table,) = reader.tables()
    _, snapshot = snapshot_of(reader, [table])
    dialect = Dialect(request.config.getoption("--source"))
    with source.cursor() as cursor:
        for line in SESSION:
            cursor.execute(line)
        cursor.execute(statement(table, StatementChoice(dialect), files_of))
        answer = cursor.fetchall()
        result = {row[0]: of_words(int(row[1]), [int(word) for word in row[2:6]]) for row in answer}
        assert {row[0]: str(row[7]) for row in answer} == {name: item.value for name, item in result.items()}
        cursor.execute(statement(table, StatementChoice(dialect, rows=True), files_of))
        listed = {tuple(row) for row in cursor.fetchall()}
        split = replace(table, partition=("year(date)",))
        alone = statement(split, StatementChoice(dialect, "date_year=2031"), files_of)
        cursor.execute(alone)
        assert [row[:2] for row in cursor.fetchall()] == [("date_year=2031", 1)]
        explain = "EXPLAIN FORMAT=TRADITIONAL" if dialect is Dialect.MYSQL else "EXPLAIN"
        cursor.execute(f"{explain} {alone[alone.index('SELECT') :]}")
        plan = [tuple(map(str, row)) for row in cursor.fetchall()]
        assert any("by_date" in step for step in plan)
        # Two derived tables are materialised: that of the sums, and that of the digests, which are computed once.
        assert sum("DERIVED" in step for step in plan) == 2
    rows, name = snapshot[table.table].to_pylist(), partitioning(table).name
    assert listed == {
        (name(row), canonical(row, table.identity).decode(), digest(row, table.columns).hex()) for row in rows
    }
    assert result == sums_by_partition(snapshot[table.table], table.columns, partitioning(table))


@pytest.mark.live
@pytest.mark.parametrize(
    ("setting", "fit"),
    [
        ("sql_mode = ''", 1),
        ("sql_mode = 'STRICT_TRANS_TABLES,NO_ZERO_DATE'", 1),
        ("sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'", 0),
        ("time_zone = '+02:00'", 0),
    ],
)
def test_a_session_that_is_not_fit_for_trinos_comparison_is_told_by_the_source(
    setting: str, fit: int, source: pymysql.Connection, stack_settings: Settings, request: pytest.FixtureRequest
) -> None:
    execute(source, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    (table,) = BinlogSource(stack_settings).tables()
    dialect = Dialect(request.config.getoption("--source"))
    text = statement(table, StatementChoice("trino", compare=True, server=dialect), files_of)
    pushed = text.split("system.query(query => '")[1].split("')) source")[0].split("'))\n")[0].replace("''", "'")
    with connect(stack_settings.source) as connection, connection.cursor() as cursor:
        for line in (*SESSION, f"SET SESSION {setting}"):
            cursor.execute(line)
        cursor.execute(pushed)
        ((name, rows, *_words, unrendered, result),) = cursor.fetchall()
    assert (name, rows, unrendered, result) == ("-", 1, 0, fit)


@pytest.mark.live
def test_a_value_longer_than_a_packet_leaves_its_row_unrendered_and_is_not_taken_for_null(
    source: pymysql.Connection, stack_settings: Settings, request: pytest.FixtureRequest
) -> None:
    execute(
        source,
        "CREATE TABLE `long` (id INT PRIMARY KEY, octets LONGBLOB, words LONGTEXT, js JSON) DEFAULT CHARSET latin1",
        "CREATE TABLE copies (words MEDIUMTEXT) DEFAULT CHARSET utf8mb4",
        "INSERT INTO `long` VALUES (1, NULL, NULL, NULL), (2, REPEAT('x', 524200), NULL, NULL), "
        "(3, REPEAT('x', 524300), NULL, NULL), (4, NULL, REPEAT(CHAR(0xE9), 524300), NULL), "
        "(5, NULL, REPEAT('x', 1048500), NULL), (6, NULL, NULL, CONCAT('\"', REPEAT('x', 1048560), '\"'))",
        "CREATE TABLE split (id INT, label VARCHAR(20000), PRIMARY KEY (id)) DEFAULT CHARSET latin1",
        "INSERT INTO split VALUES (1, REPEAT(CHAR(1), 1000)), (2, REPEAT(CHAR(1), 19000)), (3, NULL)",
        "INSERT INTO copies VALUES (REPEAT('x', 1048570)), (NULL), ('x')",
    )
    tables = {table.name: table for table in BinlogSource(stack_settings).tables()}
    dialect = Dialect(request.config.getoption("--source"))
    with smaller_packets(source, stack_settings, 1 << 20) as connection, connection.cursor() as cursor:
        for line in SESSION:
            cursor.execute(line)
        cursor.execute(statement(tables["long"], StatementChoice(dialect), files_of))
        assert [(row[1], row[6]) for row in cursor.fetchall()] == [(6, 3)]
        cursor.execute(statement(tables["long"], StatementChoice(dialect, rows=True), files_of))
        assert [row[1] for row in cursor.fetchall() if row[2] is None] == ["id=3", "id=4", "id=6"]
        cursor.execute(statement(tables["copies"], StatementChoice(dialect, rows=True), files_of))
        assert sorted((row[1], row[2] is None) for row in cursor.fetchall() if row[1] is not None) == [
            ("", False),
            ("words=1:x", False),
        ]
    with smaller_packets(source, stack_settings, 1 << 15) as connection, connection.cursor() as cursor:
        for line in SESSION:
            cursor.execute(line)
        split = replace(tables["split"], partition=("label",))
        cursor.execute(statement(split, StatementChoice(dialect), files_of))
        assert sum(row[6] for row in cursor.fetchall()) == 1


@contextlib.contextmanager
def smaller_packets(source: pymysql.Connection, settings: Settings, octets: int) -> Iterator[pymysql.Connection]:
    """A connection that began while the server's packets were so long."""
    with source.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        (row,) = cursor.fetchall()
        cursor.execute(f"SET GLOBAL max_allowed_packet = {octets}")
        try:
            with connect(settings.source) as connection:
                yield connection
        finally:
            cursor.execute(f"SET GLOBAL max_allowed_packet = {row[0]}")
