"""Against a real server: killed at any time and started again, the league is the one that was never killed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pymysql
import pytest
import structlog

from datafingerprint.adapters.mysql.warehouse import MysqlWarehouse, Sql
from datafingerprint.config import Settings, Source
from deploy.embedded.waiting import await_condition
from services.generator import scaling
from services.generator.indexes import INDEXES
from services.generator.loop import Loop, Orders
from services.generator.numbers import Numbers
from services.generator.progress import PROGRESS
from services.generator.seed_sql import SEED, founded, play_next, seed_rows
from services.generator.statements import Statement
from services.generator.tables import TABLES
from tests.services.generator.running import LossyWarehouse, ask, connected, run, start

pytestmark = pytest.mark.live
GAMES = 30
SCHEDULED = 2100


def unplayed(settings: Settings, schema: str) -> int:
    try:
        return int(ask(settings, schema, "SELECT COUNT(*) FROM games WHERE played = 0")[0][0])
    except pymysql.Error:
        return 0


def everything(settings: Settings, schema: str) -> dict[str, list[str]]:
    return {table.name: sorted(map(repr, ask(settings, schema, f"SELECT * FROM `{table.name}`"))) for table in TABLES}


def test_a_league_killed_and_started_again_is_the_one_that_was_never_killed(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    whole, killed = schemas
    assert run(warehouse_settings, whole, "--games", str(GAMES), "--rate", "0")[0] == 0
    for games in (3, 11, 20):
        with start(warehouse_settings, killed, "--rate", "40") as process:
            deadline = time.monotonic() + 30
            left = SCHEDULED - games
            while not 0 < unplayed(warehouse_settings, killed) <= left and time.monotonic() < deadline:
                time.sleep(0.01)
            process.kill()
    rest = GAMES - (SCHEDULED - unplayed(warehouse_settings, killed))
    assert 0 < rest < GAMES
    assert run(warehouse_settings, killed, "--games", str(rest), "--rate", "0")[0] == 0
    assert everything(warehouse_settings, killed) == everything(warehouse_settings, whole)


def test_a_load_killed_at_any_time_is_finished_by_the_next_start(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    whole, killed = schemas
    assert run(warehouse_settings, whole, "--seed-only")[0] == 0
    for pause in (0.45, 0.5, 0.55):
        with start(warehouse_settings, killed, "--seed-only") as process:
            time.sleep(pause)
            process.kill()
    assert run(warehouse_settings, killed, "--seed-only")[0] == 0
    assert everything(warehouse_settings, killed) == everything(warehouse_settings, whole)


def test_the_server_holds_what_the_same_games_leave_in_memory(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    assert run(warehouse_settings, schemas[0], "--games", "80", "--rate", "0", "--seed", "7")[0] == 0
    store, league = founded()
    season = league.season
    while season == league.season:
        league = play_next(store, league, SEED)
    for _ in range(80):
        league = play_next(store, league, 7)
    for table in TABLES:
        kinds = [column.type for column in table.columns]
        in_memory = [
            tuple(
                float(value) if kind == "DOUBLE" and isinstance(value, int) else value
                for kind, value in zip(kinds, row, strict=True)
            )
            for row in store.rows(table.name)
        ]
        rows = ask(warehouse_settings, schemas[0], f"SELECT * FROM `{table.name}`")
        assert sorted(map(repr, rows)) == sorted(map(repr, in_memory)), table.name


def test_a_game_asks_the_server_for_little(warehouse_settings: Settings, schemas: tuple[str, str]) -> None:
    """By the server's own count of the connection's statements; one by one they would be 47 a game."""
    warehouse = MysqlWarehouse(warehouse_settings.source, schemas[0])
    loop = Loop(warehouse, Orders(games=40, rate=0, seed=1), threading.Event(), structlog.get_logger())
    loop.prepare()
    counted = Statement("SHOW SESSION STATUS LIKE 'Questions'")
    before = int(warehouse.query(counted)[0][1])
    loop.run()
    asked = int(warehouse.query(counted)[0][1]) - before
    warehouse.close()
    assert asked < 25 * 40


def test_sigterm_ends_with_status_0(warehouse_settings: Settings, schemas: tuple[str, str]) -> None:
    with start(warehouse_settings, schemas[0], "--rate", "0.1") as process:
        deadline = time.monotonic() + 30
        while unplayed(warehouse_settings, schemas[0]) != SCHEDULED - 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0


def test_records_add_up_to_the_games_after_every_kind_of_event(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    schema = schemas[0]
    assert run(warehouse_settings, schema, "--games", "60", "--rate", "0")[0] == 0
    counted = ask(
        warehouse_settings,
        schema,
        "SELECT t.team_id, COUNT(g.game_id), COALESCE(SUM((g.runs1 > g.runs0) = (g.home_team = t.team_id)), 0)"
        " FROM teams t LEFT JOIN games g ON t.team_id IN (g.home_team, g.away_team)"
        " AND g.played = 1 AND g.game_id > 310000 GROUP BY t.team_id ORDER BY t.team_id",
    )
    records = ask(warehouse_settings, schema, "SELECT team_id, g, w FROM team_record ORDER BY team_id")
    assert records == [(team, games, int(wins)) for team, games, wins in counted]


def test_days_end_at_the_end_of_a_day(warehouse_settings: Settings, schemas: tuple[str, str]) -> None:
    assert run(warehouse_settings, schemas[0], "--days", "2", "--rate", "0")[0] == 0
    left = "SELECT MIN(date) FROM games WHERE played = 0"
    assert str(ask(warehouse_settings, schemas[0], left)[0][0]) == "2031-04-03"


def test_a_burst_plays_without_a_pause(warehouse_settings: Settings, schemas: tuple[str, str]) -> None:
    warehouse = MysqlWarehouse(warehouse_settings.source, schemas[0])
    orders = Orders(games=8, rate=0.01, seed=1, burst_games=7, burst_every_s=0.01)
    loop = Loop(warehouse, orders, threading.Event(), structlog.get_logger())
    loop.prepare()
    began = time.monotonic()
    loop.run()
    warehouse.close()
    assert time.monotonic() - began < 90
    assert unplayed(warehouse_settings, schemas[0]) == SCHEDULED - 8


def test_tables_without_a_key_are_looked_into_by_an_index_that_is_not_unique(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    for _ in range(2):
        assert run(warehouse_settings, schemas[0], "--seed-only")[0] == 0
    for table, column in INDEXES.items():
        rows = ask(warehouse_settings, schemas[0], f"SHOW INDEX FROM {table}")
        assert [(row[1], row[4]) for row in rows] == [(1, column)]


def test_lost_connections_and_lost_replies_neither_double_nor_lose_a_game(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    whole, lossy = schemas
    orders = Orders(games=GAMES, rate=0, seed=warehouse_settings.generator.seed)
    often = range(5, 1000, 5), range(3, 1000, 3)
    for schema, (before, after) in ((whole, ((), ())), (lossy, often)):
        assert run(warehouse_settings, schema, "--seed-only")[0] == 0
        warehouse = LossyWarehouse(warehouse_settings.source, schema, before, after)
        loop = Loop(warehouse, orders, threading.Event(), structlog.get_logger())
        loop.prepare()
        loop.run()
        warehouse.close()
    assert unplayed(warehouse_settings, lossy) == SCHEDULED - GAMES
    assert everything(warehouse_settings, lossy) == everything(warehouse_settings, whole)


def test_a_wrong_password_is_refused_in_one_line_with_status_2(warehouse_settings: Settings) -> None:
    source = warehouse_settings.source.model_copy(update={"user": "nobody_of_that_name"})
    status, said = run(warehouse_settings.model_copy(update={"source": source}), "generator_test_a", "--games", "1")
    assert status == 2
    assert said.count("\n") == 1
    assert "check source.user, source.password and source.tls" in said


def test_a_schema_with_another_league_is_left_alone(warehouse_settings: Settings, schemas: tuple[str, str]) -> None:
    schema = schemas[0]
    with connected(warehouse_settings) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE `{schema}`")
        cursor.execute(f"CREATE TABLE `{schema}`.leagues (league_id INT PRIMARY KEY, name VARCHAR(50))")
        cursor.execute(f"INSERT INTO `{schema}`.leagues VALUES (100, 'Somebody else''s')")
    status, said = run(warehouse_settings, schema, "--games", "1")
    assert status == 2
    assert "nothing was written" in said
    assert ask(warehouse_settings, schema, "SHOW TABLES") == [("leagues",)]


EXPORT = """DROP TABLE IF EXISTS `nations`;
CREATE TABLE `nations` (`nation_id` INT, `name` VARCHAR(80), `gdp` DOUBLE);
INSERT INTO `nations` VALUES (1,'Côte d''Ivoire',1e-7);
INSERT INTO `nations` VALUES (2,'a;b',NULL);
"""


def test_any_export_is_loaded_and_playing_names_what_it_lacks(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "nations.mysql.sql").write_text(EXPORT, encoding="utf-8")
    (tmp_path / "empty.mysql.sql").write_text("CREATE TABLE `empty` (x INT);", encoding="utf-8")
    status, said = run(warehouse_settings, schemas[0], "--seed-dir", str(tmp_path))
    assert status == 2
    assert "the export lacks leagues, sub_leagues, divisions" in said
    rows = ask(warehouse_settings, schemas[0], "SELECT * FROM nations ORDER BY nation_id")
    assert rows == [(1, "Côte d'Ivoire", 1e-7), (2, "a;b", None)]
    assert run(warehouse_settings, schemas[0], "--seed-dir", str(tmp_path), "--seed-only")[0] == 0
    assert ask(warehouse_settings, schemas[0], "SELECT COUNT(*) FROM nations") == [(2,)]


def test_what_the_server_refuses_is_named_by_file_and_line_and_goes_on_once_mended(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "nations.mysql.sql"
    path.write_text(EXPORT.replace("'a;b',NULL", "'a;b'"), encoding="utf-8")
    status, said = run(warehouse_settings, schemas[0], "--seed-dir", str(tmp_path), "--seed-only")
    assert status == 2
    assert f"{path} line 4" in said
    assert "Column count" in said
    assert ask(warehouse_settings, schemas[0], "SELECT COUNT(*) FROM nations") == [(0,)]
    path.write_text(EXPORT, encoding="utf-8")
    assert run(warehouse_settings, schemas[0], "--seed-dir", str(tmp_path), "--seed-only")[0] == 0
    assert ask(warehouse_settings, schemas[0], "SELECT COUNT(*) FROM nations") == [(2,)]


def test_copies_of_the_league_hold_its_rows_under_other_numbers_and_are_played(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    schema = schemas[0]
    assert run(warehouse_settings, schema, "--scale", "2", "--seed-only")[0] == 0
    assert run(warehouse_settings, schema, "--scale", "4", "--seed-only")[0] == 0
    for table in TABLES:
        expected = len(seed_rows()[table.name]) if table.name == "players_game_batting" else None
        total = ask(warehouse_settings, schema, f"SELECT COUNT(*) FROM `{table.name}`")[0][0]
        assert total % 4 == 0
        assert expected is None or total == 4 * expected
    assert ask(warehouse_settings, schema, "SELECT league_id FROM leagues ORDER BY league_id") == [
        (100 + 1000 * copy + place,) for copy in range(4) for place in range(2)
    ]
    lost = (
        "SELECT COUNT(*) FROM players p LEFT JOIN teams t USING (team_id)"
        " WHERE t.league_id <> p.league_id OR t.team_id IS NULL"
    )
    assert ask(warehouse_settings, schema, lost) == [(0,)]
    assert run(warehouse_settings, schema, "--games", "60", "--rate", "0")[0] == 0
    played = (
        "SELECT game_id DIV 100000000, COUNT(*) FROM games WHERE played = 1 AND game_id % 100000000 > 310000 GROUP BY 1"
    )
    counts = dict(ask(warehouse_settings, schema, played))
    assert set(counts) == {0, 1, 2, 3}
    assert ask(warehouse_settings, schema, lost) == [(0,)]


def test_copies_that_were_numbered_when_there_was_one_way_only_are_added_to_and_played_as_they_are(
    warehouse_settings: Settings, schemas: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = schemas[0]
    monkeypatch.setattr(scaling, "numbers_for", lambda _: Numbers(1_000_000))
    warehouse = MysqlWarehouse(warehouse_settings.source, schema)
    orders = Orders(games=0, rate=0, seed=1)
    Loop(warehouse, orders, threading.Event(), structlog.get_logger(), only_load=True, copies=2).prepare()
    warehouse.transact([Statement(f"DELETE FROM {PROGRESS} WHERE step = %s", (scaling.SPACING,))])
    warehouse.close()
    assert run(warehouse_settings, schema, "--scale", "3", "--games", "30", "--rate", "0")[0] == 0
    played = "SELECT game_id DIV 1000000 FROM games WHERE played = 1 AND game_id % 1000000 > 310000 GROUP BY 1"
    assert sorted(ask(warehouse_settings, schema, played)) == [(0,), (1,), (2,)]


def test_more_copies_than_there_are_numbers_for_are_refused_and_nothing_is_written(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    schema = schemas[0]
    assert run(warehouse_settings, schema, "--scale", "2", "--seed-only")[0] == 0
    status, said = run(warehouse_settings, schema, "--scale", "22", "--seed-only")
    assert (status, said.count("there are numbers for 21 copies of this league, not for 22")) == (2, 1)
    assert ask(warehouse_settings, schema, "SELECT COUNT(*) FROM leagues") == [(4,)]


class StoppingWarehouse(MysqlWarehouse):
    """Stops the generator once it has run so many transactions."""

    def __init__(self, source: Source, schema: str, after: int, stopping: threading.Event) -> None:
        super().__init__(source, schema)
        self._left, self._stopping = after, stopping

    def transact(self, statements: Iterable[Sql]) -> int:
        self._left -= 1
        if self._left == 0:
            self._stopping.set()
        return super().transact(statements)


def test_copying_stops_when_it_is_told_to_and_the_next_start_goes_on(
    warehouse_settings: Settings, schemas: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = schemas[0]
    assert run(warehouse_settings, schema, "--seed-only")[0] == 0
    monkeypatch.setattr(scaling, "ROWS_OF_A_TRANSACTION", 1)
    stopping = threading.Event()
    warehouse = StoppingWarehouse(warehouse_settings.source, schema, 6, stopping)
    orders = Orders(games=0, rate=0, seed=1)
    Loop(warehouse, orders, stopping, structlog.get_logger(), only_load=True, copies=5).prepare()
    warehouse.close()
    done = f"SELECT done, complete FROM {PROGRESS} WHERE step = %s"
    with connected(warehouse_settings, schema) as connection, connection.cursor() as cursor:
        cursor.execute(done, (scaling.SCALE,))
        assert cursor.fetchone() == (5, 0)
        cursor.execute("SELECT COUNT(*) FROM divisions")
        assert 6 < cursor.fetchone()[0] < 5 * 6
    assert run(warehouse_settings, schema, "--seed-only", "--scale", "5")[0] == 0
    for table in ("divisions", "games", "players", "trade_history"):
        total = len(seed_rows()[table])
        assert ask(warehouse_settings, schema, f"SELECT COUNT(*) FROM {table}") == [(5 * total,)]


def test_a_second_ctrl_c_ends_a_generator_that_waits_for_a_lock(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    schema = schemas[0]
    assert run(warehouse_settings, schema, "--games", "1", "--rate", "0")[0] == 0
    waiting = "SELECT 1 FROM information_schema.processlist WHERE db = %s AND info LIKE 'UPDATE `leagues`%%'"
    with connected(warehouse_settings, schema) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM leagues FOR UPDATE")
        with start(warehouse_settings, schema, "--rate", "0") as process:
            await_condition(lambda: bool(cursor.execute(waiting, (schema,))), timeout_s=30)

            def ends() -> bool:
                process.send_signal(signal.SIGINT)
                return process.poll() is not None

            await_condition(ends, timeout_s=20)
            assert process.returncode == -signal.SIGINT
    assert unplayed(warehouse_settings, schema) == SCHEDULED - 1
    assert run(warehouse_settings, schema, "--games", "1", "--rate", "0")[0] == 0


def test_copying_interrupted_at_any_time_is_finished_by_the_next_start(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    whole, killed = schemas
    for schema in schemas:
        assert run(warehouse_settings, schema, "--seed-only")[0] == 0
    assert run(warehouse_settings, whole, "--scale", "3", "--seed-only")[0] == 0
    warehouse = LossyWarehouse(warehouse_settings.source, killed, lost_before={4, 11}, lost_after={2, 8, 23})
    loop = Loop(
        warehouse, Orders(games=0, rate=0, seed=1), threading.Event(), structlog.get_logger(), only_load=True, copies=3
    )
    loop.prepare()
    warehouse.close()
    assert everything(warehouse_settings, killed) == everything(warehouse_settings, whole)
