"""Schedules are fair, numbers never clash, and a finished season is followed by the next one."""

from __future__ import annotations

from collections import Counter

from services.generator.founding import first_players, first_teams
from services.generator.league import League
from services.generator.rows import Insert, Update
from services.generator.season import new_season, schedule, season_of, teams_by_league
from services.generator.tables import GAMES

LEAGUES = teams_by_league(first_teams().values())


def test_every_team_plays_once_a_day_and_meets_each_other_team_equally_often() -> None:
    games = schedule(2031, LEAGUES)
    a_day = Counter((game.date, team) for game in games for team in (game.home_team, game.away_team))
    pairs = Counter(frozenset((game.home_team, game.away_team)) for game in games)
    assert len(games) == 900
    assert set(a_day.values()) == {1}
    assert set(pairs.values()) == {30}
    assert all(game.date.year == season_of(game.game_id) == 2031 for game in games)


def test_home_advantage_is_shared() -> None:
    home = Counter(game.home_team for game in schedule(2031, LEAGUES))
    assert set(home.values()) == {75}


def test_a_finished_season_is_followed_by_the_next_year_with_new_numbers_and_empty_records() -> None:
    used = first_teams()
    played = {team: record.after(won=True) for team, record in used.items()}
    changes, after = new_season(League(2031, first_players(), played, ()))
    assert after.season == 2032
    assert {game.date.year for game in after.schedule} == {2032}
    assert not {game.game_id for game in after.schedule} & {game.game_id for game in schedule(2031, LEAGUES)}
    assert after.records == used
    (games,) = [change for change in changes if isinstance(change, Insert)]
    assert {row[GAMES.column_names.index("played")] for row in games.rows} == {0}
    assert any(isinstance(change, Update) and change.match == {} for change in changes)


def test_a_schedule_does_not_depend_on_chance() -> None:
    assert schedule(2040, LEAGUES) == schedule(2040, LEAGUES)
