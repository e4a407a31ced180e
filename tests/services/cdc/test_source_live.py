"""What the source must be like is checked before, and a snapshot's position is exact, on a real server."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Callable
from itertools import chain, pairwise
from typing import Any

import pymysql
import pytest
import structlog
from pydantic import SecretStr

from datafingerprint.adapters.mysql.connection import LOST_AFTER_S
from datafingerprint.adapters.mysql.mysql_server import log_status
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.transactions import Assembler
from datafingerprint.config import LEAGUE_PARTITIONS, Settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, DecodeError, SourceError, Unavailable
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.gtid import has_reached
from datafingerprint.ledger import net_sums
from datafingerprint.partitions import partitioning
from datafingerprint.ports.source import Visibility
from deploy.embedded.stack import EmbeddedStack
from tests.datafingerprint.binlog.following import (
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
    with pytest.raises(SourceError, match="selects no table"):
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


def test_a_pattern_without_a_table_is_told_with_those_that_there_are(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    execute(source, "CREATE TABLE a (id INT)")
    schema = stack_settings.generator.schema_name
    survey = reader_of(stack_settings, tables=(f"{schema}.nothing*",)).survey()
    (unmatched,) = survey.unmatched
    assert f"no table matches {schema}.nothing*" in str(unmatched)
    assert f"{schema}.a" in str(unmatched)
    assert (survey.tables, survey.errors) == ({}, {})


def test_a_survey_has_the_fit_and_the_unfit_and_may_be_of_some_names_only(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    reader, schema = BinlogSource(stack_settings), stack_settings.generator.schema_name
    execute(source, "CREATE TABLE a (id INT)", "CREATE TABLE `b.c` (id INT)", "CREATE TABLE d (id INT) ENGINE=MyISAM")
    whole = reader.survey()
    assert (list(whole.tables), list(whole.errors)) == ([f"{schema}.a", f"{schema}.`b.c`"], [f"{schema}.d"])
    some = reader.survey([f"{schema}.`b.c`", f"{schema}.gone", "elsewhere.a"])
    assert (some.tables, some.errors) == ({f"{schema}.`b.c`": whole.tables[f"{schema}.`b.c`"]}, {})
    assert reader.visibility(f"{schema}.`b.c`") is Visibility.THERE
    assert reader.visibility(f"{schema}.gone") is Visibility.GONE


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
    with pytest.raises(Unavailable, match="a table changed while it was read"):
        snapshot_of(reader, [table])


def test_an_impossible_date_in_a_key_stops_whoever_reads_it(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    """It is read as NULL, as any other impossible date: rows could not be distinguished."""
    execute(source, "SET SESSION sql_mode = ''", "CREATE TABLE a (d DATE, n INT, PRIMARY KEY (d, n))")
    reader = BinlogSource(stack_settings)
    tables = reader.tables()
    start = position_of(source)
    execute(source, "INSERT INTO a VALUES ('0000-00-00', 1)")
    expected = r"key column d of .* holds an impossible date.*: correct the rows on the source"
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
        ("id INT PRIMARY KEY) ENGINE=MyISAM (", "it is a base table in MyISAM"),
        pytest.param("id INT) WITH SYSTEM VERSIONING (", "it is a system versioned", marks=pytest.mark.only("mariadb")),
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
    _, result = snapshot_of(reader, reader.tables())
    ((rows),) = result.values()
    assert rows.to_pylist() == [{"id": 1, "w": "é"}]


def test_settings_of_a_table_that_does_not_exist_are_told(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE a (id INT, d DATE)")
    schema = stack_settings.generator.schema_name
    partition = {"partition": ["year(d)"]}
    document = {"tables": {f"{schema}.a": partition}}
    fit = stack_settings.model_copy(update={"tables": Settings.model_validate(document).tables})
    assert BinlogSource(fit).tables()[0].partition == ("year(d)",)
    wrong = Settings.model_validate({"tables": {f"{schema}.b": partition}}).tables
    (unmatched,) = BinlogSource(stack_settings.model_copy(update={"tables": wrong})).survey().unmatched
    assert f"tables.{schema}.b names no table" in str(unmatched)
    assert not BinlogSource(fit).survey().unmatched
    league = stack_settings.model_copy(update={"tables": LEAGUE_PARTITIONS})
    assert not BinlogSource(league).survey().unmatched
    both = stack_settings.source.model_copy(update={"tables": (f"{schema}.*", *LEAGUE_PARTITIONS)})
    told = [str(error) for error in BinlogSource(league.model_copy(update={"source": both})).survey().unmatched]
    for name in LEAGUE_PARTITIONS:
        assert any(f"tables.{name} names no table" in line for line in told)


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
    result, _ = changes_between(reader, start, end, [table])
    _, snapshot = snapshot_of(reader, [table])
    rows = snapshot[table.table]
    assert rows.column("old").to_pylist() == ["привет".encode("cp1251"), "я".encode("cp1251")]
    assert rows.column("wide").to_pylist() == ["🏈".encode("utf-16-be"), b""]
    net = {name: part for name, part in net_sums(result[table.table]).items() if part != ZERO}
    assert net == sums_by_partition(rows, table.columns, partitioning(table))


@pytest.mark.parametrize(
    ("chosen", "named"),
    [
        ({"leave_out": ["x"]}, r"a\.leave_out names x, which is not a column: its columns are id, c"),
        ({"as_bytes": ["C"]}, r"a\.as_bytes names C, which is not a column"),
        ({"leave_out": ["id"]}, r"a\.leave_out names id, which is part of the primary key"),
    ],
)
def test_settings_of_columns_are_checked(
    source: pymysql.Connection, stack_settings: Settings, chosen: dict[str, list[str]], named: str
) -> None:
    execute(source, "CREATE TABLE a (id INT PRIMARY KEY, c TEXT)")
    with pytest.raises(ConfigError, match=named):
        reader_with(stack_settings, **chosen).tables()


def logged(begin: SourcePosition, **changed: Any) -> SourcePosition:  # noqa: ANN401 - fields of a position
    return dataclasses.replace(begin, **changed)


@pytest.mark.only("mariadb")
def test_a_server_whose_own_log_says_otherwise_is_not_gone_on_from(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    """Numbers alone do not show it: each server counts from 1, and a rebuilt one passes the old number."""
    execute(source, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
    reader = BinlogSource(stack_settings, structlog.get_logger())
    begin, _ = snapshot_of(reader, reader.tables())
    execute(source, "INSERT INTO a VALUES (2)", "INSERT INTO a VALUES (3)")
    end = position_of(source)
    told = list(committed_between(reader, begin, end, [f"{stack_settings.generator.schema_name}.a"]))
    assert begin.server_id == told[-1].position.server_id > 0
    # From what the events say, too: each is the place of its own GTIDs.
    for first in told[:-1]:
        assert list(committed_between(reader, first.position, end, []))
    name, _, number = begin.gtid.rpartition("-")
    file, _, count = begin.file.rpartition(".")
    for other, how in (
        (logged(begin, gtid=f"{name}-{int(number) - 1}"), "the GTID there is "),
        (logged(begin, pos=begin.pos + 1), "no transaction ends there"),
        (logged(begin, pos=begin.pos + 10**9), "bytes there"),
        (logged(begin, file=f"{file}.{int(count) + 1:06}"), "its last file is"),
    ):
        with pytest.raises(SourceError, match=rf"lacks transactions that were.*{how}.*--resnapshot '\*'"):
            next(reader.events(other))
    for other, why in (
        (logged(begin, server_id=begin.server_id + 1, pos=5), "the last epoch was read from another server"),
        (logged(begin, file=f"{file}.000000"), "its file was purged"),
    ):
        with structlog.testing.capture_logs() as said:
            assert list(committed_between(reader, other, end, []))
        assert [(line["log_level"], line["reason"]) for line in said] == [("warning", why)]
    with structlog.testing.capture_logs() as said:
        assert list(committed_between(reader, begin, end, []))
    assert said == []


def test_the_other_kind_of_server_is_refused_by_name(stack_settings: Settings, stack: EmbeddedStack) -> None:
    reader = BinlogSource(stack_settings)
    is_mysql = stack.blueprint.warehouse.gtid_variable == "gtid_executed"
    other = "0-1-5" if is_mysql else "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"
    expected = r"position is from (MariaDB|MySQL), but the source is (MySQL|MariaDB).*point \[source\] at"
    with pytest.raises(SourceError, match=expected):
        next(reader.events(SourcePosition(other, "binlog.000001", 4, 1)))


def test_what_may_not_survive_a_crash_is_said_at_the_start(
    source: pymysql.Connection, stack_settings: Settings
) -> None:
    execute(source, "SET GLOBAL sync_binlog = 0")
    try:
        with structlog.testing.capture_logs() as said:
            BinlogSource(stack_settings, structlog.get_logger()).preflight()
    finally:
        execute(source, "SET GLOBAL sync_binlog = 1")
    assert [line["log_level"] for line in said] == ["warning"]
    assert said[0]["remedy"].startswith("SET GLOBAL sync_binlog = 1 -- lost at a restart without [mysqld] sync_binlog")
    assert "sync_binlog is not 1: a crash of the server may lose transactions" in said[0]["event"]


def test_a_host_that_vanishes_is_noticed_on_every_connection(stack_settings: Settings) -> None:
    connection, _ = BinlogSource(stack_settings).connect()
    with connection:
        sock = connection._sock  # type: ignore[attr-defined]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * LOST_AFTER_S
        idle, between, count = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + between * count <= LOST_AFTER_S


def test_a_connection_goes_on_over_the_end_of_a_file(source: pymysql.Connection, stack_settings: Settings) -> None:
    execute(source, "CREATE TABLE a (id INT PRIMARY KEY)")
    schema = stack_settings.generator.schema_name
    reader = BinlogSource(stack_settings)
    start = position_of(source)
    execute(source, "INSERT INTO a VALUES (1)")
    assembler = Assembler(start, {f"{schema}.a"}.__contains__)
    positions: list[SourcePosition] = []
    with contextlib.closing(reader.events(start)) as events:
        for octets in chain.from_iterable(events):
            committed = assembler.feed(parse_event(octets, "the test"))
            if committed is None:
                continue
            positions.append(committed.position)
            if len(positions) == ROTATIONS:
                break
            execute(source, "FLUSH BINARY LOGS", f"INSERT INTO a VALUES ({1 + len(positions)})")
    assert len({position.file for position in positions}) == ROTATIONS
    for position in positions[:-1]:
        assert list(committed_between(reader, position, positions[-1], []))


ROTATIONS = 4
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
    require_exact_positions(source, stack_settings, stack_settings, SNAPSHOTS)


@pytest.mark.only("mysql")
def test_it_is_exact_where_the_logs_status_may_not_be_read_and_tables_are_locked_instead(
    source: pymysql.Connection, stack_settings: Settings, stack: EmbeddedStack
) -> None:
    schema = stack_settings.generator.schema_name
    with stack.blueprint.warehouse.connect_as_administrator() as administrator:
        execute(
            administrator,
            "CREATE USER locker IDENTIFIED BY 'locker'",
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO locker",
            f"GRANT SELECT, LOCK TABLES ON {schema}.* TO locker",
        )
    update = {"user": "locker", "password": SecretStr("locker")}
    poor = stack_settings.model_copy(update={"source": stack_settings.source.model_copy(update=update)})
    with BinlogSource(poor).connect()[0] as connection:
        assert log_status(connection) is None
    require_exact_positions(source, stack_settings, poor, SNAPSHOTS // 2)
    execute(source, "DROP USER locker")


def require_exact_positions(
    source: pymysql.Connection, stack_settings: Settings, reading: Settings, snapshots: int
) -> None:
    """Takes snapshots by one account while others write, and holds each to the binlog up to its position."""
    execute(source, "CREATE TABLE busy (id INT PRIMARY KEY, part INT, n INT)")
    schema = stack_settings.generator.schema_name
    document = {"tables": {f"{schema}.busy": {"partition": ["part"]}}}
    reader = BinlogSource(reading.model_copy(update={"tables": Settings.model_validate(document).tables}))
    (table,) = reader.tables()
    start = position_of(source)
    stop = threading.Event()
    threads = [threading.Thread(target=writer(stack_settings, number, stop)) for number in range(1, WRITERS + 1)]
    for thread in threads:
        thread.start()
    taken: list[tuple[SourcePosition, dict[str, Fingerprint]]] = []
    try:
        for _ in range(snapshots):
            position, rows = snapshot_of(reader, [table])
            taken.append((position, sums_by_partition(rows[table.table], table.columns, partitioning(table))))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    positions = [position.gtid for position, _ in taken]
    assert all(has_reached(later, earlier) for earlier, later in pairwise(positions))
    assert len(set(positions)) > snapshots // 2, "the writers did not write meanwhile"
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
