"""What the source must be like is checked before, and a snapshot's position is exact, on a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pymysql
import pytest
from pydantic import SecretStr

from datafingerprint.adapters.mysql_source import MariaDbSource
from datafingerprint.config import Settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, SourceError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import net_sums
from datafingerprint.partitions import partitioning
from tests.services.cdc.following import builder_of, committed_between, execute, position_of, sequence, snapshot_of

pytestmark = pytest.mark.live


def reader_of(settings: Settings, **source: object) -> MariaDbSource:
    return MariaDbSource(settings.model_copy(update={"source": settings.source.model_copy(update=source)}))


def test_settings_that_only_leave_tables_out_are_refused(stack_settings: Settings) -> None:
    with pytest.raises(SourceError, match="chooses no table"):
        reader_of(stack_settings, tables=("!ootp.*",)).tables()


def test_the_embedded_server_is_fit(stack_settings: Settings) -> None:
    MariaDbSource(stack_settings).preflight()


def test_a_wrong_password_is_told_without_showing_it(stack_settings: Settings) -> None:
    with pytest.raises(SourceError, match=r"refuses us: Access denied.*check \[source\] user, password") as refusal:
        reader_of(stack_settings, password=SecretStr("no-such-word")).preflight()
    assert "no-such-word" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variable", "unfit"),
    [
        ("binlog_row_metadata", "MINIMAL"),
        ("binlog_row_metadata", "NO_LOG"),
        ("binlog_format", "MIXED"),
        ("binlog_format", "STATEMENT"),
        ("binlog_row_image", "MINIMAL"),
        ("binlog_row_image", "NOBLOB"),
        ("log_bin_compress", "ON"),
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
            MariaDbSource(stack_settings).preflight()
    finally:
        execute(source, f"SET GLOBAL {variable} = %s", parameters=[fit])
    MariaDbSource(stack_settings).preflight()


def test_a_pattern_without_a_table_is_refused(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE a (id INT)")
    schema = stack_settings.generator.schema_name
    reader = reader_of(stack_settings, tables=(f"{schema}.nothing*",))
    with pytest.raises(SourceError, match=rf"no table matches {schema}.nothing\*") as refusal:
        reader.tables()
    assert f"{schema}.a" in str(refusal.value)


def test_an_excluded_table_is_not_looked_at(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE a (id INT)", "CREATE TABLE b (t TIME) ENGINE=MyISAM", "CREATE VIEW v AS SELECT 1")
    schema = stack_settings.generator.schema_name
    reader = reader_of(stack_settings, tables=(f"{schema}.*", f"!{schema}.b"))
    assert [table.name for table in reader.tables()] == ["a"]


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        ("id INT PRIMARY KEY) ENGINE=MyISAM (", "bad is a base table in MyISAM"),
        ("id INT) WITH SYSTEM VERSIONING (", "bad is a system versioned"),
        ("id INT, c TIME", "type time of column c"),
        ("id INT, c ENUM('x')", r"type enum\('x'\) in \S+ of column c"),
        ("id INT, c SET('x')", "of column c"),
        ("id INT, c YEAR", r"type year\(4\) of column c"),
        ("id INT, c BIT(3)", r"type bit\(3\) of column c"),
        ("id INT, c BINARY(3)", r"type binary\(3\) of column c"),
        ("id INT, c UUID", "type uuid of column c"),
        ("id INT, c POINT", "type point of column c"),
        ("id INT, c VARCHAR(9) CHARACTER SET latin1", r"type varchar\(9\) in latin1 of column c"),
        ("id INT, c DECIMAL(19,2)", r"type decimal\(19,2\) of column c has more than 18 digits"),
        ("id INT, c VARCHAR(9) COMPRESSED", "of column c"),
        ("id INT, c INT AS (id + 1)", "column c is generated or invisible"),
        ("id INT, c INT INVISIBLE", "column c is generated or invisible"),
    ],
)
def test_a_table_that_cannot_be_carried_exactly_is_refused_by_name(
    source: pymysql.Connection, stack_settings: Settings, definition: str, named: str
) -> None:
    closed = definition.removesuffix(" (") if definition.endswith("(") else f"{definition})"
    execute(source, f"CREATE TABLE bad ({closed}")
    with pytest.raises(SourceError, match=named) as refusal:
        MariaDbSource(stack_settings).tables()
    assert f"{stack_settings.generator.schema_name}" in str(refusal.value)
    assert "bad" in str(refusal.value)


def test_settings_of_a_table_that_does_not_exist_are_refused(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    execute(source, "CREATE TABLE a (id INT, d DATE)")
    schema = stack_settings.generator.schema_name
    partition = {"partition": ["year(d)"]}
    document = {"tables": {f"{schema}.a": partition}}
    fit = stack_settings.model_copy(update={"tables": Settings.model_validate(document).tables})
    assert MariaDbSource(fit).tables()[0].partition == ("year(d)",)
    wrong = Settings.model_validate({"tables": {f"{schema}.b": partition}}).tables
    with pytest.raises(ConfigError, match=f"tables.{schema}.b names no table"):
        MariaDbSource(stack_settings.model_copy(update={"tables": wrong})).tables()


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
    reader = MariaDbSource(stack_settings.model_copy(update={"tables": Settings.model_validate(document).tables}))
    (table,) = reader.tables()
    start = position_of(source)
    stop = threading.Event()
    threads = [threading.Thread(target=writer(stack_settings, number, stop)) for number in (1, 2, 3)]
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
    positions = [sequence(position.gtid) for position, _ in taken]
    assert positions == sorted(positions)
    assert len(set(positions)) > SNAPSHOTS // 2, "the writers did not write meanwhile"
    expected = {sequence(position.gtid): sums for position, sums in taken}
    sums: dict[str, Fingerprint] = {}
    builder = builder_of([table])
    checked = 0
    if expected.get(sequence(start.gtid)) == {}:
        checked += 1
    for committed in committed_between(reader, start, taken[-1][0], [table.table]):
        builder.add(committed, 0.0)
        at = sequence(committed.gtid)
        if at in expected:
            for changed in builder.take(committed.position)[1]:
                for name, delta in net_sums(changed).items():
                    sums[name] = sums.get(name, ZERO) + delta
            assert {name: part for name, part in sums.items() if part != ZERO} == expected[at]
            checked += 1
    assert checked == len(expected)
