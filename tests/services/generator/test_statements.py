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
    )
    keywords = r"\b(UPDATE|SET|WHERE|INSERT|INTO|VALUES|DELETE|FROM|AND|LIMIT)\b"
    for statement in statements(changes):
        rest = re.sub(r"`[^`]+`|%s|" + keywords, "", statement.sql)
        assert not re.search(r"[A-Za-z]", rest), statement.sql
        assert statement.sql.count("%s") == len(statement.parameters)


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
    sizes = [len(statement.parameters) // 21 for statement in statements((Insert("games", 3 * rows),))]
    assert sizes == [ROWS_MAX, 900 - ROWS_MAX]


def test_a_game_already_played_stops_the_transaction() -> None:
    (statement,) = statements((Update("games", {"played": 1}, {"game_id": 1, "played": 0}),))
    assert statement.must_change
