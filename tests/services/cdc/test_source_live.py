"""What the source must be like is checked before, and a snapshot's position is exact, on a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import pymysql
import pytest
from pydantic import SecretStr

from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.config import Settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, DecodeError, SourceError, Unavailable
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.gtid import has_reached
from datafingerprint.ledger import net_sums
from datafingerprint.partitions import partitioning
from tests.services.cdc.following import (
    builder_of,
    changes_between,
    committed_between,
    execute,
    position_of,
    snapshot_of,
)

pytestmark = pytest.mark.live


def reader_of(settings: Settings, **source: object) -> BinlogSource:
    return BinlogSource(settings.model_copy(update={"source": settings.source.model_copy(update=source)}))


def test_settings_that_only_leave_tables_out_are_refused(stack_settings: Settings) -> None:
    with pytest.raises(SourceError, match="chooses no table"):
        reader_of(stack_settings, tables=("!ootp.*",)).tables()


def test_the_embedded_server_is_fit(stack_settings: Settings) -> None:
    BinlogSource(stack_settings).preflight()


def test_a_wrong_password_is_told_without_showing_it(stack_settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"refuses us: Access denied.*check \[source\] user, password") as refusal:
        reader_of(stack_settings, password=SecretStr("no-such-word")).preflight()
    assert "no-such-word" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variable", "unfit"),
    [
        ("binlog_row_metadata", "MINIMAL"),
        pytest.param("binlog_row_metadata", "NO_LOG", marks=pytest.mark.only("mariadb")),
        ("binlog_format", "MIXED"),
        ("binlog_format", "STATEMENT"),
        ("binlog_row_image", "MINIMAL"),
        ("binlog_row_image", "NOBLOB"),
        pytest.param("binlog_row_value_options", "PARTIAL_JSON", marks=pytest.mark.only("mysql")),
    ],
)
def test_a_variable_that_is_not_fit_is_named_with_the_statement_that_mends_it(
    source: pymysql.Connection, stack_settings: Settings, variable: str, unfit: str
) -> None:
    with source.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{variable}")
        (fit,) = cursor.fetchone() or (None,)
    try:
        execute(source, f"SET GLOBAL {variable} = '{unfit}'")
        with pytest.raises(SourceError, match=f"{variable} = {unfit}.*SET GLOBAL {variable} = "):
            BinlogSource(stack_settings).preflight()
    finally:
        execute(source, f"SET GLOBAL {variable} = %s", parameters=[fit])
    BinlogSource(stack_settings).preflight()


def test_a_pattern_without_a_table_is_refused(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE a (id INT)")
    schema = stack_settings.generator.schema_name
    reader = reader_of(stack_settings, tables=(f"{schema}.nothing*",))
    with pytest.raises(SourceError, match=rf"no table matches {schema}.nothing\*") as refusal:
        reader.require_chosen()
    assert f"{schema}.a" in str(refusal.value)
    assert reader.tables() == []


@pytest.mark.only("mariadb")
def test_a_sequence_is_no_table(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE a (id INT)", "CREATE SEQUENCE s")
    assert [table.name for table in BinlogSource(stack_settings).tables()] == ["a"]


def test_a_table_that_was_altered_before_it_is_read_asks_for_another_view(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    """Its definition was asked for first; in the view it would lack what the new column holds."""
    execute(source, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
    reader = BinlogSource(stack_settings)
    (table,) = reader.tables()
    execute(source, "ALTER TABLE a ADD n INT", "UPDATE a SET n = 5")
    with pytest.raises(Unavailable, match="altered before it could be read"):
        snapshot_of(reader, [table])
    assert snapshot_of(reader, reader.tables())[1][table.table].to_pylist() == [{"id": 1, "n": 5}]
    execute(source, "DROP TABLE a")
    with pytest.raises(Unavailable, match="a table changed while it was looked at"):
        snapshot_of(reader, [table])


def test_an_impossible_date_in_a_key_stops_whoever_reads_it(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    """It is read as NULL, as any other one: rows could not be told apart."""
    execute(source, "SET SESSION sql_mode = ''", "CREATE TABLE a (d DATE, n INT, PRIMARY KEY (d, n))")
    reader = BinlogSource(stack_settings)
    tables = reader.tables()
    start = position_of(source)
    execute(source, "INSERT INTO a VALUES ('0000-00-00', 1)")
    expected = r"no day of the calendar stands in key column d of .*: mend the rows on the source"
    with pytest.raises(SourceError, match=expected):
        snapshot_of(reader, tables)
    with pytest.raises(DecodeError, match=expected):
        changes_between(reader, start, position_of(source), tables)


def test_an_excluded_table_is_not_looked_at(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE a (id INT)", "CREATE TABLE b (t TIME) ENGINE=MyISAM", "CREATE VIEW v AS SELECT 1")
    schema = stack_settings.generator.schema_name
    reader = reader_of(stack_settings, tables=(f"{schema}.*", f"!{schema}.b"))
    assert [table.name for table in reader.tables()] == ["a"]


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        ("id INT PRIMARY KEY) ENGINE=MyISAM (", "bad is a base table in MyISAM"),
        pytest.param(
            "id INT) WITH SYSTEM VERSIONING (", "bad is a system versioned", marks=pytest.mark.only("mariadb")
        ),
    ],
)
def test_a_table_that_cannot_be_carried_exactly_is_refused_by_name(
    source: pymysql.Connection, stack_settings: Settings, definition: str, named: str
) -> None:
    closed = definition.removesuffix(" (") if definition.endswith("(") else f"{definition})"
    execute(source, f"CREATE TABLE bad ({closed}")
    with pytest.raises(SourceError, match=named) as refusal:
        BinlogSource(stack_settings).tables()
    assert f"{stack_settings.generator.schema_name}" in str(refusal.value)
    assert "bad" in str(refusal.value)


@pytest.mark.only("mariadb")
def test_a_temporal_column_in_an_old_format_is_refused_by_name(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    execute(source, "SET GLOBAL mysql56_temporal_format = OFF")
    try:
        execute(source, "CREATE TABLE bad (id INT, c DATETIME)")
    finally:
        execute(source, "SET GLOBAL mysql56_temporal_format = ON")
    with pytest.raises(SourceError, match=r"mariadb-5\.3 .* of column c .*\.bad"):
        BinlogSource(stack_settings).tables()


def test_a_table_that_was_altered_since_it_was_looked_at_is_not_read(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    execute(source, "CREATE TABLE words (id INT PRIMARY KEY, w VARCHAR(9) CHARACTER SET latin1)")
    execute(source, "INSERT INTO words VALUES (1, 'é')")
    reader = BinlogSource(stack_settings)
    before = reader.tables()
    execute(source, "ALTER TABLE words MODIFY w VARCHAR(9) CHARACTER SET utf8mb4")
    with pytest.raises(Unavailable, match=r"\.words was altered before it could be read"):
        snapshot_of(reader, before)
    _, found = snapshot_of(reader, reader.tables())
    ((rows),) = found.values()
    assert rows.to_pylist() == [{"id": 1, "w": "é"}]


def test_settings_of_a_table_that_does_not_exist_are_refused(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    execute(source, "CREATE TABLE a (id INT, d DATE)")
    schema = stack_settings.generator.schema_name
    partition = {"partition": ["year(d)"]}
    document = {"tables": {f"{schema}.a": partition}}
    fit = stack_settings.model_copy(update={"tables": Settings.model_validate(document).tables})
    assert BinlogSource(fit).tables()[0].partition == ("year(d)",)
    wrong = Settings.model_validate({"tables": {f"{schema}.b": partition}}).tables
    with pytest.raises(ConfigError, match=f"tables.{schema}.b names no table"):
        BinlogSource(stack_settings.model_copy(update={"tables": wrong})).require_chosen()
    BinlogSource(fit).require_chosen()


def reader_with(settings: Settings, **chosen: list[str]) -> BinlogSource:
    """A reader whose settings say something of the columns of table `a`."""
    document = {"tables": {f"{settings.generator.schema_name}.a": chosen}}
    return BinlogSource(settings.model_copy(update={"tables": Settings.model_validate(document).tables}))


@pytest.mark.only("mariadb")
def test_a_column_may_be_left_out_or_watched_as_bytes(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(
        source,
        "CREATE TABLE a (old VARCHAR(9) CHARACTER SET cp1251, skip VARCHAR(300) COMPRESSED, id INT PRIMARY KEY, "
        "fix CHAR(5) CHARACTER SET latin1, long_one TEXT CHARACTER SET utf8mb4 UNIQUE, wide TEXT CHARACTER SET utf16)",
    )
    reader = reader_with(stack_settings, leave_out=["skip"], as_bytes=["old", "fix", "wide"])
    (table,) = reader.tables()
    assert [column.name for column in table.columns] == ["old", "id", "fix", "long_one", "wide"]
    start = position_of(source)
    execute(
        source, "INSERT INTO a VALUES ('привет', REPEAT('x', 200), 1, 'é  ', 'u', '🏈'), (NULL, '', 2, NULL, NULL, '')"
    )
    execute(source, "UPDATE a SET skip = REPEAT('y', 300)", "UPDATE a SET old = 'я' WHERE id = 2")
    end = position_of(source)
    found, _ = changes_between(reader, start, end, [table])
    _, snapshot = snapshot_of(reader, [table])
    rows = snapshot[table.table]
    assert rows.column("old").to_pylist() == ["привет".encode("cp1251"), "я".encode("cp1251")]
    assert rows.column("wide").to_pylist() == ["🏈".encode("utf-16-be"), b""]
    net = {name: part for name, part in net_sums(found[table.table]).items() if part != ZERO}
    assert net == sums_by_partition(rows, table.columns, partitioning(table))


@pytest.mark.parametrize(
    ("chosen", "named"),
    [
        ({"leave_out": ["x"]}, r"a\.leave_out names x, which is no column: its columns are id, c"),
        ({"as_bytes": ["C"]}, r"a\.as_bytes names C, which is no column"),
        ({"leave_out": ["id"]}, r"a\.leave_out names id, which is part of the primary key"),
    ],
)
def test_settings_of_columns_are_checked(
    source: pymysql.Connection, stack_settings: Settings, chosen: dict[str, list[str]], named: str
) -> None:
    execute(source, "CREATE TABLE a (id INT PRIMARY KEY, c TEXT)")
    with pytest.raises(ConfigError, match=named):
        reader_with(stack_settings, **chosen).tables()


WRITERS = 8
WRITES_MAX = 4_000
SNAPSHOTS = 20


def writer(settings: Settings, number: int, stop: threading.Event) -> Callable[[], None]:
    def write() -> None:
        connection = pymysql.connect(
            host=settings.source.host,
            port=settings.source.port,
            user=settings.source.user,
            password=settings.source.password.get_secret_value(),
            database=settings.generator.schema_name,
        )
        with connection, connection.cursor() as cursor:
            for turn in range(WRITES_MAX):
                if stop.is_set():
                    return
                identity = number * 1_000_000 + turn
                cursor.execute("INSERT INTO busy VALUES (%s, %s, 0)", (identity, number))
                cursor.execute("UPDATE busy SET n = n + 1 WHERE id = %s", (identity - 5,))
                cursor.execute("DELETE FROM busy WHERE id = %s", (identity - 100,))
                connection.commit()

    return write


def test_a_snapshots_position_is_exact_while_others_write(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE busy (id INT PRIMARY KEY, part INT, n INT)")
    schema = stack_settings.generator.schema_name
    document = {"tables": {f"{schema}.busy": {"partition": ["part"]}}}
    reader = BinlogSource(stack_settings.model_copy(update={"tables": Settings.model_validate(document).tables}))
    (table,) = reader.tables()
    start = position_of(source)
    stop = threading.Event()
    threads = [threading.Thread(target=writer(stack_settings, number, stop)) for number in range(1, WRITERS + 1)]
    for thread in threads:
        thread.start()
    taken: list[tuple[SourcePosition, dict[str, Fingerprint]]] = []
    try:
        for _ in range(SNAPSHOTS):
            position, rows = snapshot_of(reader, [table])
            taken.append((position, sums_by_partition(rows[table.table], table.columns, partitioning(table))))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    positions = [position.gtid for position, _ in taken]
    assert all(has_reached(later, earlier) for earlier, later in pairwise(positions))
    assert len(set(positions)) > SNAPSHOTS // 2, "the writers did not write meanwhile"
    expected = {position.gtid: sums for position, sums in taken}
    sums: dict[str, Fingerprint] = {}
    builder = builder_of([table])
    checked = 0
    if expected.get(start.gtid) == {}:
        checked += 1
    for committed in committed_between(reader, start, taken[-1][0], [table.table]):
        builder.add(committed, 0.0)
        at = committed.position.gtid
        if at in expected:
            for changed in builder.take(committed.position)[1]:
                for name, delta in net_sums(changed).items():
                    sums[name] = sums.get(name, ZERO) + delta
            assert {name: part for name, part in sums.items() if part != ZERO} == expected[at]
            checked += 1
    assert checked == len(expected)
