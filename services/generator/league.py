"""The league: players, records, and scheduled games."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from services.generator.numbers import Numbers
from services.generator.rows import Value
from services.generator.totals import Totals

PITCHER = 1
DESIGNATED_HITTER = 10


@dataclass(frozen=True, order=True)
class Player:
    """What line-ups and trades need to know of a player."""

    player_id: int
    team_id: int
    league_id: int
    position: int
    injured: bool = False


@dataclass(frozen=True)
class Record:
    """A team's season so far. `streak` is positive for wins and negative for losses."""

    team_id: int
    league_id: int
    games: int = 0
    wins: int = 0
    losses: int = 0
    streak: int = 0
    division: int = 0

    @property
    def pct(self) -> float:
        """Share of games won, as in the export: a double that is not rounded."""
        return self.wins / self.games if self.games else 0.0

    def after(self, *, won: bool) -> Record:
        """The record with one more game."""
        streak = max(self.streak, 0) + 1 if won else min(self.streak, 0) - 1
        return replace(
            self,
            games=self.games + 1,
            wins=self.wins + won,
            losses=self.losses + (not won),
            streak=streak,
        )

    def without(self, *, won: bool) -> Record:
        """The record with a game annulled. The streak does not change."""
        return replace(self, games=self.games - 1, wins=self.wins - won, losses=self.losses - (not won))


@dataclass(frozen=True)
class Game:
    """A scheduled game."""

    game_id: int
    league_id: int
    home_team: int
    away_team: int
    date: dt.date
    time: int

    @property
    def order(self) -> tuple[dt.date, int]:
        """Games are played by date, and within a day by number."""
        return (self.date, self.game_id)


@dataclass(frozen=True, order=True)
class Event:
    """A day in a league's calendar, such as its opening day."""

    league_id: int
    start_date: dt.date
    type: int


@dataclass(frozen=True)
class League:
    """All that the next game depends on. The warehouse holds all of it.

    Attributes:
        season: The latest season that has a schedule.
        players: By player id.
        records: By team id.
        schedule: Games not played, in the order of play.
        totals: The totals of the season so far.
        calendar: Future events of the leagues.
        numbers: How games and copies of the league are numbered.
    """

    season: int
    players: Mapping[int, Player]
    records: Mapping[int, Record]
    schedule: tuple[Game, ...]
    totals: Totals = field(default_factory=Totals)
    calendar: tuple[Event, ...] = ()
    numbers: Numbers = field(default_factory=Numbers)

    @cached_property
    def rosters(self) -> Mapping[int, tuple[Player, ...]]:
        """Players by team, in the order of their ids."""
        rosters: dict[int, list[Player]] = {team_id: [] for team_id in self.records}
        for player in sorted(self.players.values()):
            rosters.setdefault(player.team_id, []).append(player)
        return {team_id: tuple(players) for team_id, players in rosters.items()}

    @cached_property
    def divisions(self) -> Mapping[tuple[int, int], tuple[Record, ...]]:
        """Records by league and division."""
        divisions: dict[tuple[int, int], list[Record]] = {}
        for record in self.records.values():
            divisions.setdefault((record.league_id, record.division), []).append(record)
        return {division: tuple(records) for division, records in divisions.items()}

    def with_players(self, joined: Iterable[Player], left: Iterable[int] = ()) -> League:
        """The league after players came, changed or left."""
        players = {**self.players, **{player.player_id: player for player in joined}}
        for player_id in left:
            del players[player_id]
        return replace(self, players=players)

    def with_records(self, records: Iterable[Record]) -> League:
        """The league with some teams' records replaced."""
        return self._keeping_rosters(
            replace(self, records={**self.records, **{record.team_id: record for record in records}})
        )

    def without_game(self, game: Game) -> League:
        """The league without a scheduled game, which usually is the next one."""
        rest = (
            self.schedule[1:] if self.schedule[:1] == (game,) else [other for other in self.schedule if other != game]
        )
        return self._keeping_rosters(replace(self, schedule=tuple(rest)))

    def with_totals(self, totals: Totals) -> League:
        """The league with other totals."""
        return self._keeping_rosters(replace(self, totals=totals))

    def with_calendar(self, calendar: Iterable[Event]) -> League:
        """The league with another calendar."""
        return self._keeping_rosters(replace(self, calendar=tuple(sorted(calendar))))

    def with_schedule(self, games: Iterable[Game]) -> League:
        """The league with another schedule, put into the order of play."""
        return self._keeping_rosters(replace(self, schedule=tuple(sorted(games, key=lambda game: game.order))))

    def _keeping_rosters(self, league: League) -> League:
        """Keeps the rosters: 1,200 players are then sorted once per trade, not three times a game."""
        league.__dict__["rosters"] = self.rosters
        return league


def standings(records: Iterable[Record]) -> dict[int, dict[str, Value]]:
    """The rows of one division's standings by team id: all columns but the key."""
    table = sorted(records, key=lambda record: (-record.pct, -record.wins, record.team_id))
    first = table[0]
    return {
        record.team_id: {
            "g": record.games,
            "w": record.wins,
            "l": record.losses,
            "t": 0,
            "pos": place,
            "pct": record.pct,
            "gb": ((first.wins - record.wins) + (record.losses - first.losses)) / 2,
            "streak": record.streak,
        }
        for place, record in enumerate(table, start=1)
    }
