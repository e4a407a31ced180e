"""Schedules: numbers and dates of games, and the start of a new season."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from datafingerprint.errors import SourceError
from services.generator.chronicle import calendar_changes
from services.generator.league import Game, League, Record, standings
from services.generator.numbers import COPY_OF_LEAGUES, WITHOUT_COPIES, Numbers
from services.generator.rows import Change, Insert, Plus, Row, Update, Value
from services.generator.tables.seasons import TEAM_BATTING_STATS, TEAM_PITCHING_STATS
from services.generator.totals import Totals, team_changes

ROUNDS = 10  # single round robins: of fifteen teams a round is fifteen days of seven games, 1,050 games a league
FIRST_GAME_TIMES = (1305, 1335, 1905, 1910, 2005)


def schedule(
    season: int, leagues: Mapping[int, Sequence[int]], rounds: int = ROUNDS, numbers: Numbers = WITHOUT_COPIES
) -> tuple[Game, ...]:
    """A season's games in the order of play. They are the same for every seed.

    Args:
        season: Its year. Game days start on the first of April.
        leagues: Teams of each league.
        rounds: How often each pair of a league meets.
        numbers: How games are numbered.
    """
    opening = dt.date(season, 4, 1)
    games: list[Game] = []
    # Every copy of the league draws the same numbers, so that schedules are copies too.
    dice = {league_id // COPY_OF_LEAGUES: random.Random(f"schedule:{season}") for league_id in leagues}
    following = {copy: itertools.count(numbers.season_start(season, copy) + 1) for copy in dice}
    for day in range(rounds * max(_round_days(teams) for teams in leagues.values())):
        for league_id, teams in sorted(leagues.items()):
            turn, in_round = divmod(day, _round_days(teams))
            if turn >= rounds:
                continue
            copy = league_id // COPY_OF_LEAGUES
            for pair in _pairs(sorted(teams), in_round):
                home, away = pair if turn % 2 == 0 else pair[::-1]
                date, time = opening + dt.timedelta(days=day), dice[copy].choice(FIRST_GAME_TIMES)
                games.append(Game(next(following[copy]), league_id, home, away, date, time))
    return tuple(sorted(games, key=lambda game: game.order))


def _round_days(teams: Sequence[int]) -> int:
    """The days of a round, in which every team meets every other.

    One rests if their number is odd.
    """
    return len(teams) - 1 + len(teams) % 2


def _pairs(teams: Sequence[int], day: int) -> list[tuple[int, int]]:
    """The circle method: one team stays, the others move on by one place a day.

    The team that is paired with `rest` does not play.
    """
    rest = 0
    fixed, *others = teams if len(teams) % 2 == 0 else (rest, *teams)
    turn = day % len(others)
    circle = [fixed, *others[turn:], *others[:turn]]
    pairs = [(circle[place], circle[-1 - place]) for place in range(len(circle) // 2)]
    # The team that stays would always be at home.
    pairs[0] = pairs[0] if day % 2 == 0 else pairs[0][::-1]
    return [pair for pair in pairs if rest not in pair]


def unplayed_row(game: Game) -> Row:
    """A scheduled game as a row of `games`, with scores of 0 and pitchers NULL."""
    played_columns: Row = (0, 0, 0, 0, 0, 0, 0, 0, 0)
    pitchers: Row = (None, None, 0, None, None)
    return (
        game.game_id,
        game.league_id,
        game.home_team,
        game.away_team,
        None,
        game.date,
        game.time,
        *played_columns,
        *pitchers,
    )


def teams_by_league(records: Iterable[Record]) -> dict[int, list[int]]:
    """Team ids of each league, ascending."""
    teams: dict[int, list[int]] = {}
    for record in sorted(records, key=lambda record: record.team_id):
        teams.setdefault(record.league_id, []).append(record.team_id)
    return teams


def new_season(league: League, rounds: int = ROUNDS) -> tuple[tuple[Change, ...], League]:
    """Starts the next season: a schedule, empty records, and every player a year older.

    Raises:
        SourceError: there are no numbers left for another season.
    """
    season = league.season + 1
    if season > league.numbers.last_season:
        raise SourceError(
            f"the league is over: there are no numbers for the games of season {season}",
            where="the generator's schema",
            remedy="name an empty schema as generator.schema_name for a new league, or drop this one; "
            "what was played stays as it is",
        )
    leagues = teams_by_league(league.records.values())
    games = schedule(season, leagues, rounds, league.numbers)
    records = tuple(Record(old.team_id, old.league_id, division=old.division) for old in league.records.values())
    dates, events = calendar_changes(season, leagues, league.numbers)
    changes: list[Change] = [Insert("games", tuple(unplayed_row(game) for game in games))]
    after = replace(league.with_records(records).with_schedule(games), season=season, totals=Totals())
    for division in after.divisions.values():
        changes += [Update("team_record", row, {"team_id": team}) for team, row in standings(division).items()]
    for team_id in after.records:
        changes += team_changes(team_id, after.totals)
    for table in (TEAM_BATTING_STATS, TEAM_PITCHING_STATS):
        changes.append(Update(table.name, {"year": season}, {}))
    for league_id in leagues:
        opening: dict[str, Value | Plus] = {
            "season_year": season,
            "start_date": games[0].date,
            "current_date": games[0].date,
        }
        changes.append(Update("leagues", opening, {"league_id": league_id}))
    changes.append(Update("players", {"age": Plus(1), "experience": Plus(1)}, {}))
    changes += dates
    return tuple(changes), replace(after, calendar=events)
