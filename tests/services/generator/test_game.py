"""A game's line score, box score and at-bats agree, and the same seed gives the same game."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.generator.day import DayPlayed, play_day
from services.generator.founding import first_players, first_teams
from services.generator.league import Game, League
from services.generator.rows import Insert, Row, Update
from services.generator.season import schedule, teams_by_league
from services.generator.tables import BY_NAME

LEAGUES = teams_by_league(first_teams().values())
GAMES = schedule(2031, LEAGUES)
SEEDS = st.integers(min_value=-(2**40), max_value=2**40)
HITS = {6, 7, 8, 9}


def league() -> League:
    return League(2031, first_players(), first_teams(), GAMES)


def played(seed: int, game: Game) -> DayPlayed:
    return play_day(seed, game, league(), None)


def inserted(day: DayPlayed, table: str) -> list[dict[str, object]]:
    rows: list[Row] = [
        row for change in day.changes if isinstance(change, Insert) and change.table == table for row in change.rows
    ]
    return [dict(zip(BY_NAME[table].column_names, row, strict=True)) for row in rows]


def game_values(day: DayPlayed) -> dict[str, object]:
    return next(
        dict(change.values)
        for change in day.changes
        if isinstance(change, Update) and change.table == "games" and "played" in change.values
    )


def total(rows: list[dict[str, object]], column: str) -> int:
    return sum(int(str(row[column])) for row in rows)


@given(SEEDS, st.sampled_from(GAMES[:200]))
@settings(max_examples=60, deadline=None)
def test_runs_of_the_game_are_those_of_line_score_box_score_and_at_bats(seed: int, game: Game) -> None:
    day = played(seed, game)
    result = game_values(day)
    for side, team in enumerate((game.away_team, game.home_team)):
        line = [row for row in inserted(day, "games_score") if row["team"] == side]
        box = [row for row in inserted(day, "players_game_batting") if row["team_id"] == team]
        book = [row for row in inserted(day, "players_at_bat_batting_stats") if row["team_id"] == team]
        runs = result[f"runs{side}"]
        assert runs == total(line, "score") == total(box, "r") == total(book, "r")
        assert total(box, "rbi") == total(book, "rbi") <= total(book, "r")
        assert result[f"hits{side}"] == total(box, "h") == sum(row["result"] in HITS for row in book)
        assert total(box, "pa") == len(book)
        assert total(box, "sb") == total(book, "sb")
    assert result["runs0"] != result["runs1"]


@given(SEEDS, st.sampled_from(GAMES[:200]))
@settings(max_examples=60, deadline=None)
def test_every_plate_appearance_is_an_at_bat_a_walk_a_hit_by_pitch_or_a_sacrifice(seed: int, game: Game) -> None:
    for row in inserted(played(seed, game), "players_game_batting"):
        assert row["pa"] == sum(int(str(row[name])) for name in ("ab", "bb", "hp", "sf", "sh"))
        assert total([row], "h") <= total([row], "ab")


@given(SEEDS, st.sampled_from(GAMES[:200]))
@settings(max_examples=60, deadline=None)
def test_a_half_inning_begins_with_nobody_out_and_has_three_outs_at_most(seed: int, game: Game) -> None:
    book = inserted(played(seed, game), "players_at_bat_batting_stats")
    for row in book:
        assert row["outs"] in (0, 1, 2)
    firsts = {(row["team_id"], row["inning"]): row for row in reversed(book)}
    assert all(row["outs"] == 0 and row["base1"] == 0 for row in firsts.values())


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_same_seed_plays_the_same_game(seed: int) -> None:
    assert played(seed, GAMES[0]).changes == played(seed, GAMES[0]).changes
    assert played(seed, GAMES[0]).changes != played(seed + 1, GAMES[0]).changes


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_game_has_at_least_eighteen_batters_and_some_seventy_plate_appearances(seed: int) -> None:
    day = played(seed, GAMES[0])
    assert len(inserted(day, "players_game_batting")) >= 18
    assert 51 <= len(inserted(day, "players_at_bat_batting_stats")) <= 250


def test_records_of_both_teams_count_the_game() -> None:
    game = GAMES[0]
    after = played(1, game).league
    home, away = after.records[game.home_team], after.records[game.away_team]
    assert (home.games, away.games) == (1, 1)
    assert home.wins + away.wins == home.losses + away.losses == 1
    assert {home.streak, away.streak} == {1, -1}
    assert game not in after.schedule
