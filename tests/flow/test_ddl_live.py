"""Tables are emptied, dropped, renamed and altered under load, with kills around it; all sums agree afterwards."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pymysql
import pytest

from datafingerprint.verdict import Outcome
from deploy.embedded.waiting import await_condition
from services.auditor.__main__ import run as audit
from tests.flow.running import Flow, Service

pytestmark = pytest.mark.live

STOPPED = 2
RESNAPSHOT = "datafingerprint capture --resnapshot"


class Writer(threading.Thread):
    """Changes rows of a table until it is stopped. While the table is missing or another one, it tries again."""

    def __init__(self, flow: Flow, table: str) -> None:
        super().__init__()
        self.ended = threading.Event()
        self.written = 0
        self._flow = flow
        self._table = f"{flow.schema}.{table}"

    def run(self) -> None:
        connection = self._flow.stack.blueprint.warehouse.connect()
        number = 10_000
        with contextlib.closing(connection), connection.cursor() as cursor:
            while not self.ended.wait(0.005):
                number += 1
                try:
                    self._write(cursor, number)
                except pymysql.err.ProgrammingError:  # no such table
                    connection.rollback()
                except pymysql.err.OperationalError as error:
                    if not is_deadlock(error):
                        raise
                    connection.rollback()
                else:
                    connection.commit()
                    self.written += 1

    def _write(self, cursor: pymysql.cursors.Cursor, number: int) -> None:
        cursor.execute(f"INSERT INTO {self._table} (player_id, league_id) VALUES ({number}, {number % 3})")
        cursor.execute(f"UPDATE {self._table} SET league_id = league_id + 1 WHERE player_id < 130")
        cursor.execute(f"DELETE FROM {self._table} WHERE player_id = {number - 20}")


def is_deadlock(error: pymysql.err.OperationalError) -> bool:
    """Whether the server chose a transaction as the victim: any program would try it again."""
    return bool(error.args) and error.args[0] == pymysql.constants.ER.LOCK_DEADLOCK


def insist(flow: Flow, statement: str) -> None:
    """Runs a statement that may meet the writer in a deadlock, until it was not the victim."""

    def is_done() -> bool:
        try:
            flow.sql(statement)
        except pymysql.err.OperationalError as error:
            if not is_deadlock(error):
                raise
            return False
        return True

    assert await_condition(is_done, timeout_s=60)


@contextlib.contextmanager
def writing(flow: Flow, table: str = "players") -> Iterator[Writer]:
    writer = Writer(flow, table)
    writer.start()
    try:
        yield writer
    finally:
        writer.ended.set()
        writer.join()


def await_writes(writer: Writer, more: int = 30) -> None:
    """Waits until a table has been written so many times more."""
    before = writer.written
    assert await_condition(lambda: writer.written >= before + more, timeout_s=60)


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3"}
    small_flow.start()
    small_flow.settle()
    return small_flow


def strike(flow: Flow, *names: str) -> None:
    """Kill -9, and up again."""
    for name in names:
        flow.service(name).kill()
        flow.service(name).start()


def require_agreement(flow: Flow) -> None:
    """Source, stream and lake, row for row and sum for sum."""
    flow.settle()
    flow.await_that("all tables are read to their ends", lambda: is_read(flow))
    flow.settle()
    flow.assert_all_match()
    flow.assert_equal()
    assert {finding.outcome for finding in audit(flow.settings, None, None, threading.Event())} == {Outcome.MATCH}


def is_read(flow: Flow) -> bool:
    """Whether every table with rows has a verdict, be it a mismatch, and none is being read any more."""
    verdicts = flow.verdicts()
    judged = {table for table, _ in verdicts}
    filled = {f"{flow.schema}.{table}" for table in flow.tables() if flow.source_rows(table)}
    return judged == filled and all(item.verdict.outcome is not Outcome.INCONCLUSIVE for item in verdicts.values())


def definitions(flow: Flow) -> set[str]:
    """The captured tables, as the fingerprinter knows them."""
    with flow.state() as store:
        return set(store.definitions())


def lake_schema(flow: Flow, table: str) -> dict[str, int]:
    """The columns of a lake table with their field ids."""
    with contextlib.closing(flow.catalog()) as catalog:
        return {field.name: field.field_id for field in catalog.load_table((flow.schema, table)).schema().fields}


def stopped_line(service: Service) -> str:
    assert service.wait(60) == STOPPED
    assert "Traceback" not in service.text
    return next(line for line in reversed(service.text.splitlines()) if "event=stopped" in line)


def test_a_truncated_table_starts_from_nothing_in_the_order_of_the_rows_around_it(flow: Flow) -> None:
    schema = flow.schema
    with writing(flow) as writer:
        for _ in range(3):
            await_writes(writer)
            flow.sql(f"TRUNCATE TABLE {schema}.players")
            strike(flow, "cdc")
        flow.sql(f"TRUNCATE {schema}.notes")
        await_writes(writer)
        strike(flow, "lake_writer", "fingerprinter")
    assert flow.sql(f"SELECT COUNT(*) FROM {schema}.players")[0][0] > 0
    require_agreement(flow)
    assert f"{schema}.notes" not in {table for table, _ in flow.verdicts()}
    flow.sql(f"INSERT INTO {schema}.notes VALUES (1, 'again'), (1, 'again')")
    require_agreement(flow)


def test_dropped_tables_leave_the_stream_and_come_back_when_they_are_made_again(flow: Flow) -> None:
    schema = flow.schema
    kept = flow.lake_rows("notes")
    with writing(flow) as writer:
        await_writes(writer)
        flow.sql(f"DROP TABLE {schema}.notes, {schema}.players")
        strike(flow, "cdc")
        flow.settle()
        assert flow.verdicts() == {}
        with flow.state() as store:
            assert dict(store.definitions()) == {}
        assert flow.service("lake_writer").says(
            f"event=table left the stream; the lake keeps its rows table={schema}.notes"
        )
        flow.sql(f"CREATE TABLE {schema}.players (player_id BIGINT PRIMARY KEY, league_id INT, other INT)")
        await_writes(writer)
        strike(flow, "cdc", "lake_writer", "fingerprinter")
        await_writes(writer)
    require_agreement(flow)
    assert {table for table, _ in flow.verdicts()} == {f"{schema}.players"}
    assert list(lake_schema(flow, "players")) == ["player_id", "league_id", "other"]
    assert {row: count for row, count in kept.items() if count} != {}
    flow.sql(f"CREATE TABLE {schema}.notes (league_id INT, note VARCHAR(50))")
    assert flow.lake_rows("notes") == kept
    flow.await_that("the table is in the stream again", lambda: f"{schema}.notes" in definitions(flow))
    require_agreement(flow)


def test_a_dropped_schema_takes_its_tables_out_and_statements_on_others_pass(flow: Flow) -> None:
    schema = flow.schema
    flow.sql("CREATE DATABASE dfp_elsewhere")
    flow.sql("CREATE TABLE dfp_elsewhere.players (player_id INT)")
    flow.sql("ALTER DATABASE dfp_elsewhere CHARACTER SET utf8mb4")
    flow.sql("DROP DATABASE dfp_elsewhere")
    require_agreement(flow)
    flow.sql(f"DROP DATABASE {schema}")
    flow.settle()
    assert flow.verdicts() == {}
    flow.sql(f"CREATE DATABASE {schema}")
    flow.sql(f"CREATE TABLE {schema}.players (player_id INT PRIMARY KEY, league_id INT)")
    flow.sql(f"INSERT INTO {schema}.players VALUES (1, 1)")
    strike(flow, "cdc")
    require_agreement(flow)


def test_a_new_column_is_followed_and_comes_to_the_lake_without_reading_the_table_again(flow: Flow) -> None:
    schema = flow.schema
    with writing(flow) as writer:
        await_writes(writer)
        flow.sql(f"ALTER TABLE {schema}.players ADD COLUMN nick VARCHAR(20) COMMENT 'DEFAULT 5' AFTER league_id")
        strike(flow, "cdc")
        await_writes(writer)
        flow.sql(f"UPDATE {schema}.players SET nick = CONCAT('n', player_id) WHERE league_id = 2")
        # The second is in the source's description already when the first one is met in the log.
        flow.service("cdc").kill()
        flow.sql(f"ALTER TABLE {schema}.players ADD (height INT NULL, weight DECIMAL(5, 1) DEFAULT NULL)")
        await_writes(writer)
        flow.sql(f"ALTER TABLE {schema}.players ADD first_one INT FIRST, ADD INDEX (height), COMMENT = 'more'")
        flow.sql(f"UPDATE {schema}.players SET first_one = 7, weight = 80.5 WHERE league_id = 3")
        flow.service("cdc").start()
        await_writes(writer)
        strike(flow, "lake_writer", "fingerprinter")
    flow.sql(f"ALTER TABLE {schema}.notes ADD quiet INT")
    require_agreement(flow)
    assert flow.service("cdc").text.count("event=snapshot complete") == 1
    columns = ["first_one", "player_id", "league_id", "nick", "name", "rating", "born", "height", "weight"]
    assert list(lake_schema(flow, "players")) == columns
    assert lake_schema(flow, "players")["born"] == 5
    flow.await_that("the quiet table has its column", lambda: "quiet" in lake_schema(flow, "notes"))
    with contextlib.closing(flow.catalog()) as catalog:
        rows = catalog.load_table((schema, "players")).scan().to_arrow().num_rows
    assert rows == flow.sql(f"SELECT COUNT(*) FROM {schema}.players")[0][0]


ONLINE_CHANGE = (
    "CREATE TABLE {new} LIKE {old}",
    "ALTER TABLE {new} MODIFY player_id BIGINT NOT NULL, DROP COLUMN born, ADD seen INT NOT NULL DEFAULT 5",
    "INSERT INTO {new} (player_id, league_id, name) SELECT player_id, league_id, name FROM {old}",
)


def test_a_table_that_another_took_the_name_of_is_read_again(flow: Flow) -> None:
    """As tools for online changes of a schema do it; here their own tables match the settings."""
    schema = flow.schema
    with writing(flow) as writer:
        await_writes(writer)
        for statement in ONLINE_CHANGE:
            insist(flow, statement.format(new=f"{schema}._players_new", old=f"{schema}.players"))
        flow.sql(f"RENAME TABLE {schema}.players TO {schema}._players_old, {schema}._players_new TO {schema}.players")
        strike(flow, "cdc")
        await_writes(writer)
    flow.sql(f"DROP TABLE {schema}._players_old")
    require_agreement(flow)
    assert list(lake_schema(flow, "players")) == ["player_id", "league_id", "name", "rating", "seen"]
    flow.sql(f"RENAME TABLE {schema}.players TO {schema}.athletes")
    require_agreement(flow)
    assert f"{schema}.athletes" in {table for table, _ in flow.verdicts()}


def test_what_cannot_be_followed_is_read_again_by_itself_with_its_new_definition(flow: Flow) -> None:
    schema = flow.schema
    cdc = flow.service("cdc")
    with writing(flow) as writer:
        await_writes(writer)
        flow.sql(f"ALTER TABLE {schema}.players DROP COLUMN born, ADD n INT NOT NULL DEFAULT 5, MODIFY name TEXT")
        flow.sql(f"ALTER TABLE {schema}.notes DROP COLUMN note, ADD id INT PRIMARY KEY AUTO_INCREMENT")
        cdc.await_saying("event=table is read again", times=2)
        assert f"ALTER TABLE … DROP COLUMN born … cannot be followed ({schema}.players)" in cdc.text
        await_writes(writer)
    require_agreement(flow)
    assert list(lake_schema(flow, "players")) == ["player_id", "league_id", "name", "rating", "n"]
    assert list(lake_schema(flow, "notes")) == ["league_id", "id"]
    assert cdc.text.count("event=started") == 1


def test_a_table_that_the_settings_no_longer_name_leaves_and_comes_back(flow: Flow) -> None:
    schema = flow.schema
    cdc = flow.service("cdc")
    assert cdc.end() == 0
    cdc.start(DFP_SOURCE_TABLES=f"{schema}.*,!{schema}.notes")
    flow.sql(f"INSERT INTO {schema}.notes VALUES (9, 'unseen')")
    flow.sql(f"ALTER TABLE {schema}.notes ADD more INT DEFAULT 5")
    flow.settle()
    assert {table for table, _ in flow.verdicts()} == {f"{schema}.players"}
    assert cdc.end() == 0
    cdc.start()
    require_agreement(flow)
    assert list(lake_schema(flow, "notes")) == ["league_id", "note", "more"]


PARTITIONED = (
    "CREATE TABLE {0}.log (id INT, year INT, note VARCHAR(20), PRIMARY KEY (id, year)) PARTITION BY RANGE (year) "
    "(PARTITION y1 VALUES LESS THAN (2001), PARTITION y2 VALUES LESS THAN (2002), PARTITION y3 VALUES LESS THAN (2003))"
)


def test_a_table_that_loses_partitions_of_the_source_is_read_again_by_itself(flow: Flow) -> None:
    """As those do who keep the last months: a partition is dropped every month, while rows are written."""
    schema = flow.schema
    flow.sql(PARTITIONED.format(schema))
    for year in (2000, 2001, 2002):
        values = ", ".join(f"({n}, {year}, 'first')" for n in range(20))
        flow.sql(f"INSERT INTO {schema}.log VALUES {values}")
    flow.match()
    cdc = flow.service("cdc")
    with writing(flow) as writer:
        await_writes(writer)
        flow.sql(f"UPDATE {schema}.log SET note = 'before' WHERE id = 1")
        insist(flow, f"ALTER TABLE {schema}.log TRUNCATE PARTITION y1")
        flow.sql(f"INSERT INTO {schema}.log VALUES (7, 2000, 'afterwards')")
        strike(flow, "cdc")
        cdc.await_saying("event=stream resumed")
        await_writes(writer)
        insist(flow, f"ALTER TABLE {schema}.log DROP PARTITION y1, y2")
        flow.sql(f"INSERT INTO {schema}.log VALUES (28, 2002, 'afterwards')")
        await_writes(writer)
    require_agreement(flow)
    assert flow.sql(f"SELECT COUNT(*) FROM {schema}.log")[0][0] == 21
