"""Copies of a league move the numbers that say whose a row is, and nothing else."""

from __future__ import annotations

import pytest

from services.generator.numbers import COPY_OF_LEAGUES, Numbers
from services.generator.scaling import copying, numbered_tables, shift_of
from services.generator.tables import TABLES


@pytest.mark.parametrize(
    "column",
    [
        "league_id",
        "team_id",
        "home_team",
        "last_organization_id",
        "team_id_1",
        "draft_team_0_3",
        "park_id",
        "league_id_0",
    ],
)
def test_leagues_teams_and_parks_move_by_a_thousand(column: str) -> None:
    assert shift_of(column, "int", Numbers()) == COPY_OF_LEAGUES


@pytest.mark.parametrize(
    "column",
    [
        "player_id",
        "opponent_player_id",
        "player_id_0_9",
        "game_id",
        "message_id",
        "trade_id",
        "save_pitcher",
        "starter1",
    ],
)
def test_players_games_and_messages_move_by_what_was_chosen(column: str) -> None:
    assert shift_of(column, "int", Numbers(10_000_000)) == 10_000_000


@pytest.mark.parametrize(
    ("column", "data_type"),
    [
        ("sub_league_id", "int"),
        ("nation_id", "int"),
        ("historical_team_id", "varchar"),
        ("human_team", "tinyint"),
        ("team", "smallint"),
    ],
)
def test_what_all_copies_share_stays(column: str, data_type: str) -> None:
    assert shift_of(column, data_type, Numbers()) is None


def test_every_table_of_the_league_is_copied_and_shared_ones_are_not() -> None:
    columns = [
        (table.name, column.name, column.type.partition("(")[0], int(column.name in table.key))
        for table in TABLES
        for column in table.columns
    ]
    shared = [("cities", "city_id", "int", 1), ("cities", "team_id", "int", 0), ("notes", "text", "varchar", 0)]
    numbers = numbered_tables([*columns, *shared, ("generator_progress", "team_id", "int", 1)], Numbers())
    assert {table.name for table in numbers} == {table.name for table in TABLES}


def test_copies_are_made_by_one_statement_from_the_original_alone() -> None:
    (table,) = numbered_tables([("games", "game_id", "int", 1), ("games", "played", "tinyint", 0)], Numbers(1_000_000))
    assert copying(table, range(1, 3)).sql == (
        "INSERT INTO `games` (`game_id`, `played`)"
        " SELECT IF(o.`game_id` > 0, o.`game_id` + c.n * 1000000, o.`game_id`), o.`played`"
        " FROM `games` o CROSS JOIN (SELECT 1 AS n UNION ALL SELECT 2 AS n) c"
        " WHERE COALESCE(o.`game_id`, 0) < 1000000 AND (o.`game_id` > 0)"
    )
