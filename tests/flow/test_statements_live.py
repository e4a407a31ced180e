"""Statements of all kinds, and settings that change, under a running capture: it never stops, and all rows agree."""

from __future__ import annotations

import contextlib
import re
import shlex
import threading
from collections.abc import Iterator

import pytest

from datafingerprint.table_names import table_name
from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from tests.datafingerprint.binlog.following import execute
from tests.flow.running import Flow

pytestmark = pytest.mark.live

STOPPED = 2


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3", "DFP_CDC_RETRY_S": "0.5"}
    small_flow.sql(f"CREATE DATABASE IF NOT EXISTS {small_flow.schema}_free")
    small_flow.start()
    small_flow.match()
    return small_flow


def run(flow: Flow, *statements: str) -> int:
    """In one session of the test's schema, which ends; its number."""
    with contextlib.closing(flow.stack.blueprint.warehouse.connect()) as connection:
        connection.autocommit(value=True)
        connection.select_db(flow.schema)
        execute(connection, *statements)
        return int(connection.thread_id())


def set_aside(flow: Flow) -> list[str]:
    """What capture said of tables that it set aside."""
    return [line for line in flow.service("cdc").text.splitlines() if "event=table set aside" in line]


def require_agreement(flow: Flow) -> None:
    """Source and lake, row for row, and the source's own sums; every service that was started still runs."""
    require_match(flow)
    flow.assert_equal()


def require_match(flow: Flow) -> None:
    """Lake, stream and the source's own sums agree on every table that has rows."""
    flow.settle()
    filled = {table_name(flow.schema, table) for table in flow.tables() if flow.source_rows(table)}
    flow.await_that(
        "every table matches", lambda: {table for table, _ in flow.verdicts()} == filled and not flow.mismatches()
    )
    flow.settle()
    assert {finding.outcome for finding in audit(flow.settings, None, None, threading.Event())} == {Outcome.MATCH}


@contextlib.contextmanager
def server_set(flow: Flow, **values: str) -> Iterator[None]:
    """The server's variables as they are given; they are put back."""
    warehouse = flow.stack.blueprint.warehouse
    before = {name: flow.sql(f"SELECT @@GLOBAL.{name}")[0][0] for name in values}
    try:
        with contextlib.closing(warehouse.connect_as_administrator()) as connection:
            for name, value in values.items():
                execute(connection, f"SET GLOBAL {name} = %s", parameters=[value])
        yield
    finally:
        with contextlib.closing(warehouse.connect_as_administrator()) as connection:
            for name, value in before.items():
                execute(connection, f"SET GLOBAL {name} = %s", parameters=[value])


def test_no_statement_of_a_session_stops_capture(flow: Flow) -> None:
    free, schema = f"{flow.schema}_free", flow.schema
    as_text = "SET SESSION binlog_format = STATEMENT"

    # A checksum tool writes what it counted, as text, into a table of its own.
    run(
        flow,
        f"CREATE TABLE {free}.checksums (chunk INT PRIMARY KEY AUTO_INCREMENT, crc CHAR(40), rows_counted INT)",
        as_text,
        "SET @crc = ''",
        f"REPLACE INTO {free}.checksums (chunk, crc, rows_counted) SELECT 1, SHA1(GROUP_CONCAT(name)), COUNT(*) "
        "FROM players FORCE INDEX (`PRIMARY`) WHERE player_id < 200 /* players */",
        f"INSERT INTO {free}.checksums (crc) VALUES (@crc), (RAND())",
        f"UPDATE {free}.checksums SET crc = 'players' WHERE chunk = 1",
    )
    run(
        flow, "ALTER TABLE players ADD COLUMN state ENUM('new (draft)', 'it''s, done') COMMENT ') DEFAULT 5' AFTER name"
    )
    flow.match()
    assert set_aside(flow) == []

    number = run(flow, as_text, "UPDATE players SET name = CONCAT(name, '!') WHERE league_id = 1")
    flow.await_that("the cause is named", lambda: any(f"session {number} " in line for line in set_aside(flow)))
    (line,) = set_aside(flow)
    assert f"table={schema}.players " in line
    assert "[mysqld] binlog_format = ROW" in line
    run(flow, f"CREATE VIEW {free}.v AS SELECT * FROM notes", as_text, f"DELETE FROM {free}.v WHERE league_id = 2")
    run(flow, "SET SESSION binlog_row_image = MINIMAL", "UPDATE players SET name = 'minimal' WHERE player_id = 101")
    require_agreement(flow)
    named = [name for line in set_aside(flow) for name in re.findall(r"table=(\S+)", line)[:1]]
    assert len(named) == len(set_aside(flow))
    assert {f"{schema}.players", f"{schema}.notes"} == set(named)

    ghosts(flow)
    wiki(flow)
    require_agreement(flow)

    with server_set(flow, sql_mode="ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH", time_zone="+05:30"):
        run(
            flow,
            'CREATE TABLE "odd (""t" (id INT PRIMARY KEY, c CHAR(5), at TIMESTAMP NULL, v VARCHAR(20))',
            """INSERT INTO "odd (""t" VALUES (1, 'a', '2031-01-01 10:00:00', 'back\\slash'), (2, 'b', NULL, 'it''s')""",
            """ALTER TABLE "odd (""t" ADD "n ""(" INT COMMENT 'a\\', ADD m INT""",
        )
        require_match(flow)
    require_agreement(flow)

    with server_set(flow, binlog_checksum="NONE"):
        run(flow, "UPDATE players SET name = 'no checksum' WHERE player_id = 102")
        flow.match()
    run(flow, "UPDATE players SET name = 'checksum' WHERE player_id = 103")
    flow.stack.kill("source")
    flow.stack.start_part("source")
    run(flow, "UPDATE players SET name = 'after a crash' WHERE player_id = 104")
    require_agreement(flow)
    assert flow.service("cdc").text.count("event=stream started") == 1


def ghosts(flow: Flow) -> None:
    """Online schema changes of both kinds; the tables that they make are captured as well."""
    run(
        flow,
        "CREATE TABLE `_players_gho` LIKE players",
        "ALTER TABLE `_players_gho` ADD COLUMN level INT NOT NULL DEFAULT 1, MODIFY name VARCHAR(60)",
        "CREATE TABLE `_players_ghc` (id BIGINT AUTO_INCREMENT PRIMARY KEY, hint VARCHAR(64), value VARCHAR(4096))",
        "INSERT IGNORE INTO `_players_gho` (player_id, league_id, name) SELECT player_id, league_id, name FROM players "
        "LOCK IN SHARE MODE",
        "REPLACE INTO `_players_gho` (player_id, league_id, name) VALUES (150, 1, 'meanwhile')",
        "UPDATE players SET name = 'meanwhile' WHERE player_id = 150",
        "RENAME TABLE players TO `_players_del`, `_players_gho` TO players",
        "DROP TABLE IF EXISTS `_players_ghc`, `_players_del`",
        "INSERT INTO players (player_id, league_id, name) VALUES (151, 1, 'behind it')",
    )
    run(
        flow,
        "CREATE TABLE events (id INT PRIMARY KEY, note VARCHAR(20))",
        "INSERT INTO events VALUES (1, 'a'), (2, 'b')",
        "CREATE TABLE `_events_new` LIKE events",
        "ALTER TABLE `_events_new` MODIFY note VARCHAR(30), ADD INDEX (note)",
        "CREATE TRIGGER pt_del AFTER DELETE ON events FOR EACH ROW DELETE IGNORE FROM `_events_new` WHERE id = OLD.id",
        "CREATE TRIGGER pt_ins AFTER INSERT ON events FOR EACH ROW REPLACE `_events_new` VALUES (NEW.id, NEW.note)",
        "INSERT LOW_PRIORITY IGNORE INTO `_events_new` (id, note) SELECT id, note FROM events LOCK IN SHARE MODE",
        "INSERT INTO events VALUES (3, 'c')",
        "DELETE FROM events WHERE id = 1",
        "RENAME TABLE events TO `_events_old`, `_events_new` TO events",
        "DROP TABLE IF EXISTS `_events_old`",
        "INSERT INTO events VALUES (4, 'd')",
    )


def wiki(flow: Flow) -> None:
    """Tables as wikis have them: titles, times and addresses as binary text, blobs, and keys over several columns."""
    run(
        flow,
        "CREATE TABLE page (page_id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, page_namespace INT NOT NULL, "
        "page_title VARBINARY(255) NOT NULL, page_touched BINARY(14) NOT NULL, page_random DOUBLE UNSIGNED NOT NULL, "
        "page_lang VARBINARY(35), UNIQUE KEY name_title (page_namespace, page_title)) DEFAULT CHARSET=binary",
        "CREATE TABLE text (old_id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, old_text MEDIUMBLOB NOT NULL, "
        "old_flags TINYBLOB NOT NULL) DEFAULT CHARSET=binary",
        "CREATE TABLE categorylinks (cl_from INT UNSIGNED NOT NULL DEFAULT 0, cl_to VARBINARY(255) NOT NULL, "
        "cl_timestamp TIMESTAMP NULL, cl_type ENUM('page','subcat','file') CHARACTER SET ascii NOT NULL, "
        "PRIMARY KEY (cl_from, cl_to)) DEFAULT CHARSET=binary",
        "CREATE TABLE image (img_name VARBINARY(255) PRIMARY KEY, "
        "img_media_type ENUM('UNKNOWN','BITMAP','DRAWING','AUDIO') DEFAULT NULL, "
        "img_major_mime ENUM('unknown','application','audio','chemical') NOT NULL DEFAULT 'unknown', "
        "img_flags SET('a','b')) DEFAULT CHARSET=binary",
        "CREATE TABLE ip_changes (ipc_rev_id INT UNSIGNED PRIMARY KEY, ipc_hex VARBINARY(35) NOT NULL DEFAULT '')",
        "INSERT INTO page VALUES (1, 0, 'Main_Page', '20310101000000', 0.25, NULL), "
        "(2, 0, x'4DFCFF00', '20310101000001', 0.5, 'de')",
        "INSERT INTO text VALUES (1, REPEAT(x'00FF', 5000), 'gzip'), (2, '', '')",
        "INSERT INTO categorylinks (cl_from, cl_to, cl_type) VALUES (1, 'a', 'page'), (1, x'E4', 'subcat')",
        "INSERT INTO image VALUES ('A.png', 'BITMAP', 'application', 'a,b'), (x'FF', NULL, 'unknown', '')",
        "UPDATE image SET img_media_type = 'DRAWING', img_flags = 'b' WHERE img_name = 'A.png'",
        "ALTER TABLE image ADD COLUMN img_kind ENUM('x','y') DEFAULT NULL",
        "ALTER TABLE image MODIFY img_media_type ENUM('UNKNOWN','BITMAP','DRAWING','AUDIO','3D') DEFAULT NULL",
        "UPDATE image SET img_media_type = '3D', img_kind = 'y' WHERE img_name = x'FF'",
        "INSERT INTO ip_changes VALUES (1, 'C0A80001'), (2, 'v6-20010DB8000000000000000000000001')",
        "UPDATE page SET page_title = 'Moved', page_touched = '20310101000002' WHERE page_id = 1",
        "DELETE FROM categorylinks WHERE cl_to = x'E4'",
    )


def test_a_binlog_that_is_reset_stops_capture_and_the_command_that_it_names_goes_on(flow: Flow) -> None:
    cdc = flow.service("cdc")
    is_mariadb = "mariadb" in flow.sql("SELECT VERSION()")[0][0].lower()
    with contextlib.closing(flow.stack.blueprint.warehouse.connect_as_administrator()) as connection:
        execute(connection, "RESET MASTER" if is_mariadb else "RESET BINARY LOGS AND GTIDS")
    run(
        flow, "UPDATE players SET name = 'after the reset' WHERE league_id = 1", "DELETE FROM notes WHERE league_id = 2"
    )
    assert cdc.wait(60) == STOPPED
    assert "Traceback" not in cdc.text
    line = next(item for item in reversed(cdc.text.splitlines()) if "event=stopped" in item)
    command = re.search(r"datafingerprint capture (.*)$", line)
    assert command is not None, line
    cdc.arguments = tuple(shlex.split(command[1].rstrip('"')))
    cdc.start()
    assert cdc.wait(60) == 0
    cdc.arguments = ()
    cdc.start()
    run(flow, "UPDATE players SET name = 'after all' WHERE league_id = 2")
    require_agreement(flow)
