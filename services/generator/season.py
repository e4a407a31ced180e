"""Schedules: which game has which number, when it is played, and what a new season brings."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.generator.league import Game, League, Record, standings
from services.generator.rows import Change, Insert, Plus, Row, Update, Value

FIRST_SEASON = 2030
ROUNDS = 30  # single round robins of five days each: 150 days, 900 games in two leagues of six teams
FIRST_GAME_TIMES = (1305, 1335, 1905, 1910, 2005)
BLOCK = 10_000  # numbers a season; a game made up for another has that one's number and half a block more
MAKEUP = BLOCK // 2


def season_start(season: int) -> int:
    """The number that all of a season's games are above."""
    return (season - 2000) * BLOCK


def season_of(game_id: int) -> int:
    """The season that a game belongs to, whatever its date."""
    return 2000 + game_id // BLOCK


def schedule(season: int, leagues: Mapping[int, Sequence[int]], rounds: int = ROUNDS) -> tuple[Game, ...]:
    """A season's games, in the order of play; the same for every seed.

    Args:
        season: Its year; game days follow one another from the first of April.
        leagues: Teams of each league.
        rounds: How often each pair of a league meets.
    """
    rng = random.Random(f"schedule:{season}")
    opening = dt.date(season, 4, 1)
    games: list[Game] = []
    for day in range(rounds * 5):
        for league_id, teams in sorted(leagues.items()):
            for pair in _pairs(sorted(teams), day):
                home, away = pair if (day // 5) % 2 == 0 else pair[::-1]
                number = season_start(season) + len(games) + 1
                date = opening + dt.timedelta(days=day)
                games.append(Game(number, league_id, home, away, date, rng.choice(FIRST_GAME_TIMES)))
    return tuple(games)


def _pairs(teams: Sequence[int], day: int) -> list[tuple[int, int]]:
    """The circle method: one team stays, the others move on by a place a day."""
    others = list(teams[1:])
    turn = day % len(others)
    circle = [teams[0], *others[turn:], *others[:turn]]
    return [(circle[place], circle[-1 - place]) for place in range(len(circle) // 2)]


def unplayed_row(game: Game) -> Row:
    """A game of the schedule as a row of `games`: nothing is known yet, so scores are 0 and pitchers NULL."""
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
    found: dict[int, list[int]] = {}
    for record in sorted(records, key=lambda record: record.team_id):
        found.setdefault(record.league_id, []).append(record.team_id)
    return found


def new_season(league: League) -> tuple[tuple[Change, ...], League]:
    """Rolls over to the next year: a schedule, records at nought, everybody a year older."""
    season = league.season + 1
    leagues = teams_by_league(league.records.values())
    games = schedule(season, leagues)
    records = tuple(Record(team_id, league_id) for league_id, teams in leagues.items() for team_id in teams)
    changes: list[Change] = [Insert("games", tuple(unplayed_row(game) for game in games))]
    for league_id in leagues:
        table = standings(record for record in records if record.league_id == league_id)
        changes += [Update("team_record", values, {"team_id": team_id}) for team_id, values in table.items()]
        opening: dict[str, Value | Plus] = {
            "season_year": season,
            "start_date": games[0].date,
            "current_date": games[0].date,
        }
        changes.append(Update("leagues", opening, {"league_id": league_id}))
    changes.append(Update("players", {"age": Plus(1), "experience": Plus(1)}, {}))
    after = replace(league.with_records(records).with_schedule(games), season=season)
    return tuple(changes), after
