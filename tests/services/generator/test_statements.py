"""Changes become SQL with quoted identifiers, parameters for every value, and few statements."""

from __future__ import annotations

import re

from services.generator.rows import Delete, Insert, Plus, Select, Update
from services.generator.season import schedule, unplayed_row
from services.generator.statements import ROWS_MAX, quoted, selection, statements


def test_an_identifier_is_quoted_whatever_it_holds() -> None:
    assert quoted("current_date") == "`current_date`"
    assert quoted("a`b%") == "`a``b%%`"


def test_every_identifier_stands_between_backticks() -> None:
    changes = (
        Update("leagues", {"current_date": None}, {"league_id": 100}),
        Insert("games_score", ((1, 0, 1, 2),)),
        Delete("games", {"game_id": 1}),
        Update("players", {"age": Plus(1)}, {}),
        Update("team_record", {"pct": 0.5, "w": Plus(1)}, {"team_id": 1}),
        Update("team_record", {"pct": 0.25, "w": Plus(1)}, {"team_id": 2}),
    )
    keywords = r"\b(UNION ALL|SELECT|STRAIGHT_JOIN|AS|ON|UPDATE|SET|WHERE|INSERT|INTO|VALUES|DELETE|FROM|AND|LIMIT)\b"
    for statement in statements(changes):
        rest = re.sub(r"`[^`]+`|%s|" + keywords, "", statement.sql)
        assert not re.search(r"[A-Za-z]", rest), statement.sql
        assert statement.sql.count("%s") == len(statement.parameters)


def test_rows_that_change_alike_are_one_update_of_a_list_of_new_values() -> None:
    (statement,) = statements(
        Update("team_record", {"streak": team, "pct": team / 4, "w": Plus(1)}, {"team_id": team}) for team in (1, 2)
    )
    assert statement.sql == (
        "UPDATE (SELECT 1 AS `team_id`, 1 AS `streak`, %s AS `pct`, 1 AS `w` UNION ALL SELECT 2, 2, %s, 1) AS `new`"
        " STRAIGHT_JOIN `team_record` ON `team_record`.`team_id` = `new`.`team_id`"
        " SET `team_record`.`streak` = `new`.`streak`, `team_record`.`pct` = `new`.`pct`,"
        " `team_record`.`w` = `team_record`.`w` + `new`.`w`"
    )
    assert statement.parameters == (0.25, 0.5)


def test_a_question_becomes_a_select_with_its_bounds_in_order() -> None:
    question = Select(
        "games", ("date",), {"played": 1}, ("game_id", 3), ("game_id", 9), "game_id", descending=True, limit=1
    )
    statement = selection(question)
    assert statement.sql == (
        "SELECT `date` FROM `games` WHERE `played` = %s AND `game_id` > %s AND `game_id` < %s"
        " ORDER BY `game_id` DESC LIMIT 1"
    )
    assert statement.parameters == (1, 3, 9)
    assert (
        selection(Select("games", ("date",), below=("time", 5))).sql == "SELECT `date` FROM `games` WHERE `time` < %s"
    )


def test_null_is_found_by_a_match() -> None:
    (statement,) = statements((Delete("players_at_bat_batting_stats", {"hit_xy": None, "game_id": 1}, limit=1),))
    assert "`hit_xy` <=> %s AND `game_id` = %s LIMIT 1" in statement.sql


def test_many_rows_are_few_statements() -> None:
    rows = tuple(unplayed_row(game) for game in schedule(2031, {100: range(1, 7), 101: range(7, 13)}))
    assert len(rows) == 300
    sizes = [len(re.findall(r"\(\d+,", statement.sql)) for statement in statements((Insert("games", 3 * rows),))]
    assert sizes == [ROWS_MAX, 900 - ROWS_MAX]


def test_a_game_already_played_stops_the_transaction() -> None:
    (statement,) = statements((Update("games", {"played": 1}, {"game_id": 1, "played": 0}),))
    assert statement.must_change
