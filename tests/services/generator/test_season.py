"""Schedules are fair, numbers never clash, and a finished season is followed by the next one."""

from __future__ import annotations

from collections import Counter

import pytest

from datafingerprint.config import Generator
from datafingerprint.errors import SourceError
from services.generator.founding import first_players, first_teams
from services.generator.league import League
from services.generator.numbers import BLOCK, COPIES_MAX, INT_MAX, SPACINGS, Numbers, numbers_for
from services.generator.rows import Insert, Update
from services.generator.season import new_season, schedule, teams_by_league
from services.generator.tables import GAMES

LEAGUES = teams_by_league(first_teams().values())


def test_every_team_plays_at_most_once_a_day_and_meets_each_other_team_equally_often() -> None:
    games = schedule(2031, LEAGUES)
    a_day = Counter((game.date, team) for game in games for team in (game.home_team, game.away_team))
    pairs = Counter(frozenset((game.home_team, game.away_team)) for game in games)
    assert len(games) == 2100
    assert set(a_day.values()) == {1}
    assert set(pairs.values()) == {10}
    assert len(pairs) == 2 * 15 * 14 / 2
    assert all(game.date.year == Numbers().season_of(game.game_id) == 2031 for game in games)


def test_home_advantage_is_shared() -> None:
    for leagues in (LEAGUES, {1: range(1, 7)}):
        games = schedule(2031, leagues)
        home = Counter(game.home_team for game in games)
        away = Counter(game.away_team for game in games)
        assert all(abs(home[team] - away[team]) <= 2 for team in home)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_copy_of_the_league_plays_the_same_schedule_under_its_own_numbers(spacing: int) -> None:
    numbers = Numbers(spacing)
    shifted = {league_id + 3000: [team + 3000 for team in teams] for league_id, teams in LEAGUES.items()}
    games = schedule(2031, {**LEAGUES, **shifted}, numbers=numbers)
    original = [game for game in games if numbers.copy_of(game.game_id) == 0]
    copied = [game for game in games if numbers.copy_of(game.game_id) == 3]
    assert original == list(schedule(2031, LEAGUES))
    assert [(game.game_id - 3 * spacing, game.home_team - 3000, game.time) for game in copied] == [
        (game.game_id, game.home_team, game.time) for game in original
    ]


@pytest.mark.parametrize("copies", [1, 21, 22, 214, 215, COPIES_MAX])
def test_games_of_any_season_and_copy_are_told_apart_and_fit_an_int(copies: int) -> None:
    numbers = numbers_for(copies)
    last_of_all = numbers.season_start(numbers.last_season, copies - 1) + BLOCK - 1
    assert last_of_all <= INT_MAX
    assert (numbers.season_of(last_of_all), numbers.copy_of(last_of_all)) == (numbers.last_season, copies - 1)
    a_season = copies * len(schedule(2031, LEAGUES))
    days = (numbers.last_season - 2030) * a_season / Generator().rate / 86_400
    assert days > 31, "a month at the default rate"


def test_after_the_last_season_that_there_are_numbers_for_the_league_is_over() -> None:
    for spacing in SPACINGS:
        numbers = Numbers(spacing)
        last, result = new_season(League(numbers.last_season - 1, first_players(), first_teams(), (), numbers=numbers))
        assert last
        assert {numbers.season_of(game.game_id) for game in result.schedule} == {numbers.last_season}
        with pytest.raises(SourceError, match=f"no numbers for the games of season {numbers.last_season + 1} "):
            new_season(result)


def test_a_finished_season_is_followed_by_the_next_year_with_new_numbers_and_empty_records() -> None:
    used = first_teams()
    played = {team: record.after(won=True) for team, record in used.items()}
    changes, after = new_season(League(2031, first_players(), played, ()))
    assert after.season == 2032
    assert {game.date.year for game in after.schedule} == {2032}
    assert not {game.game_id for game in after.schedule} & {game.game_id for game in schedule(2031, LEAGUES)}
    assert after.records == used
    (games,) = [change for change in changes if isinstance(change, Insert) and change.table == "games"]
    assert {row[GAMES.column_names.index("played")] for row in games.rows} == {0}
    assert any(isinstance(change, Update) and change.match == {} for change in changes)


def test_a_schedule_does_not_depend_on_chance() -> None:
    assert schedule(2040, LEAGUES) == schedule(2040, LEAGUES)
