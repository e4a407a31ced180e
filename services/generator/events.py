"""Events besides the games: trades, injuries, drafts, and corrections of earlier games.

Twenty games in a row have every kind once. A game's number decides its kind, and every second game is quiet. Only quiet
games are moved or postponed, so no kind is skipped. An event is part of its game's transaction: after a crash both are
there, or both are done again.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from services.generator.box import standing_updates
from services.generator.chronicle import DRAFT, INJURY, SCHEDULE, injury, news, trade
from services.generator.founding import player_row
from services.generator.league import PITCHER, Game, League, Player
from services.generator.numbers import BLOCK, COPY_OF_LEAGUES, MAKEUP
from services.generator.rows import Change, Delete, Insert, Plus, Row, Update, Value
from services.generator.season import unplayed_row
from services.generator.tables import PLAYERS_AT_BAT_BATTING_STATS
from services.generator.totals import after_game, worth_corrected

PERIOD = 20


class Kind(StrEnum):
    """The kinds of events."""

    TRADE = "trade"
    POSTPONED = "postponed"
    INJURY = "injury"
    GAME_CORRECTED = "game corrected"
    BATTING_CORRECTED = "batting corrected"
    REFILED = "batting filed under another season or league"
    AT_BAT_CORRECTED = "at-bat corrected"
    RESCHEDULED = "rescheduled"
    DRAFT = "draft"
    ANNULLED = "annulled"


_KINDS = tuple(Kind)
OF_A_GAME = (
    "players_at_bat_batting_stats",
    "players_game_batting",
    "players_game_pitching_stats",
    "games_score",
    "games",
)
OLD_GAME = (Kind.GAME_CORRECTED, Kind.BATTING_CORRECTED, Kind.REFILED, Kind.AT_BAT_CORRECTED)


@dataclass(frozen=True)
class Archive:
    """An earlier game as the warehouse holds it. It is read for events that need one.

    Attributes:
        game: The game.
        runs: Away side's and home side's.
        batting: Its box score by the columns' names, sorted.
        pitching: The pitchers' one.
        at_bats: Its plate appearances, sorted; all columns.
    """

    game: Game
    runs: tuple[int, int]
    batting: tuple[Mapping[str, Any], ...] = ()
    pitching: tuple[Mapping[str, Any], ...] = ()
    at_bats: tuple[Row, ...] = ()


Outcome = tuple[tuple[Change, ...], League]


def kind_of(game_id: int) -> Kind | None:
    """The event of a game. None for quiet games."""
    slot, odd = divmod(game_id % PERIOD, 2)
    return _KINDS[slot] if odd else None


def happen(kind: Kind, game: Game, league: League, archive: Archive | None, rng: random.Random) -> Outcome:
    """Makes an event happen on the day of a game. Without anything to act on it changes nothing.

    Args:
        kind: Which event.
        game: The game just played.
        league: The league after it.
        archive: The earlier game that the event concerns, if it needs one and there is one.
        rng: Source of random numbers.
    """
    if kind in _TODAY:
        return _TODAY[kind](game, league, rng)
    if archive is None:
        return (), league
    return _EARLIER[kind](archive, league, rng)


def _trade(game: Game, league: League, rng: random.Random) -> Outcome:
    """Swaps two players of the same position, every other time between leagues."""
    here = rng.choice(league.rosters[game.home_team])
    elsewhere = (game.game_id // PERIOD) % 2 == 0
    partners = [
        record.team_id
        for record in sorted(league.records.values(), key=lambda record: record.team_id)
        if record.team_id != here.team_id
        and record.team_id // COPY_OF_LEAGUES == here.team_id // COPY_OF_LEAGUES
        and (record.league_id != here.league_id) == elsewhere
    ]
    there = rng.choice([player for player in league.rosters[rng.choice(partners)] if player.position == here.position])
    moved = (
        replace(here, team_id=there.team_id, league_id=there.league_id),
        replace(there, team_id=here.team_id, league_id=here.league_id),
    )
    changes = tuple(_moves(old, new, game.date) for old, new in zip((here, there), moved, strict=True))
    return (*changes, *trade(game, here, there)), league.with_players(moved)


def _moves(old: Player, new: Player, date: dt.date) -> Change:
    values: dict[str, Value | Plus] = {
        "team_id": new.team_id,
        "league_id": new.league_id,
        "organization_id": new.team_id,
        "last_team_id": old.team_id,
        "last_league_id": old.league_id,
        "acquired_date": date,
    }
    return Update("players", values, {"player_id": old.player_id})


def _postponed(game: Game, league: League, rng: random.Random) -> Outcome:
    """Replaces a scheduled game by another one in September."""
    target = _quiet_game(game, league, rng)
    if target is None:
        return (), league
    date = dt.date(league.numbers.season_of(target.game_id), 9, rng.randint(1, 30))
    makeup = replace(target, game_id=target.game_id + MAKEUP, date=date)
    changes = (
        Delete("games", {"game_id": target.game_id}),
        Insert("games", (unplayed_row(makeup),)),
        news(game, SCHEDULE, f"Game {target.game_id} is postponed to {date}"),
    )
    rest = (other for other in league.schedule if other != target)
    return changes, league.with_schedule((*rest, makeup))


def _rescheduled(game: Game, league: League, rng: random.Random) -> Outcome:
    """Moves a scheduled game to the next year's March, before that season starts."""
    target = _quiet_game(game, league, rng)
    if target is None:
        return (), league
    date = dt.date(league.numbers.season_of(target.game_id) + 1, 3, rng.randint(1, 28))
    moved = replace(target, date=date)
    rest = (other for other in league.schedule if other != target)
    update = Update("games", {"date": date}, {"game_id": target.game_id})
    message = news(game, SCHEDULE, f"Game {target.game_id} is moved to {date}")
    return (update, message), league.with_schedule((*rest, moved))


def _quiet_game(today: Game, league: League, rng: random.Random) -> Game | None:
    """A scheduled game of the same copy that has no event and was not moved before."""
    copy_of = league.numbers.copy_of
    quiet = [
        game
        for game in league.schedule
        if copy_of(game.game_id) == copy_of(today.game_id)
        and kind_of(game.game_id) is None
        and game.game_id % BLOCK < MAKEUP
        and game.date.year == league.numbers.season_of(game.game_id)
    ]
    return rng.choice(quiet) if quiet else None


def _injury(game: Game, league: League, rng: random.Random) -> Outcome:
    """Heals the home team's injured player. If there is none, one is injured."""
    batters = [player for player in league.rosters[game.home_team] if player.position != PITCHER]
    hurt = [player for player in batters if player.injured]
    player = hurt[0] if hurt else rng.choice(batters)
    injured = not hurt
    days = rng.randint(3, 60)
    values: dict[str, Value | Plus] = {
        "injury_is_injured": int(injured),
        "injury_left": days if injured else 0,
        "injury_id": rng.randint(1, 300) if injured else None,
        "dtd_injury_effect_run": -rng.randint(5, 40) if injured else 0,
    }
    update = Update("players", values, {"player_id": player.player_id})
    messages = injury(game, player, days, rng) if injured else (news(game, INJURY, "Back in the line-up", player),)
    return (update, *messages), league.with_players((replace(player, injured=injured),))


def _draft(game: Game, league: League, rng: random.Random) -> Outcome:
    """Replaces a retiring player by a young one, who has the game's number."""
    leaving = rng.choice(league.rosters[game.away_team])
    drafted = replace(leaving, player_id=game.game_id, injured=False)
    changes = (
        Delete("players", {"player_id": leaving.player_id}),
        Insert("players", (player_row(drafted, rng, game.date, drafted=True),)),
        news(game, DRAFT, f"Player №{leaving.player_id} retires", drafted),
    )
    return changes, league.with_players((drafted,), left=(leaving.player_id,))


def _game_corrected(archive: Archive, league: League, rng: random.Random) -> Outcome:
    """Corrects or withdraws the attendance."""
    attendance = None if rng.random() < 0.25 else rng.randint(5_000, 45_000)  # noqa: PLR2004 - one in four
    values = {"attendance": attendance, "time": rng.randint(1200, 2259)}
    return (Update("games", values, {"game_id": archive.game.game_id}),), league


def _batting_corrected(archive: Archive, league: League, rng: random.Random) -> Outcome:
    """Corrects the worth of one batter in a game, and in his season."""
    if not archive.batting:
        return (), league
    row = rng.choice(archive.batting)
    wpa, ubr = rng.uniform(-0.35, 0.35), rng.uniform(-1.0, 1.0) / 7
    corrected = Update("players_game_batting", {"wpa": wpa, "ubr": ubr}, _batting_match(archive, row))
    return (corrected, worth_corrected(league.numbers.season_of(archive.game.game_id), row, wpa, ubr)), league


def _refiled(archive: Archive, league: League, rng: random.Random) -> Outcome:
    """Corrects a row with the wrong season or league.

    If there is none, one row gets a wrong one.
    """
    if not archive.batting:
        return (), league
    home = (archive.game.date.year, archive.game.league_id)
    astray = [row for row in archive.batting if (row["year"], row["league_id"]) != home]
    row = astray[0] if astray else rng.choice(archive.batting)
    others = sorted({record.league_id for record in league.records.values()} - {row["league_id"]})
    wrong = (home[0] - 1, home[1]) if rng.random() < 0.5 else (home[0], rng.choice(others))  # noqa: PLR2004 - a coin
    year, league_id = home if astray else wrong
    update = Update("players_game_batting", {"year": year, "league_id": league_id}, _batting_match(archive, row))
    return (update,), league


def _batting_match(archive: Archive, row: Mapping[str, Any]) -> Mapping[str, Value]:
    """Matches a batter's row in a game, by season and league too. The table has no key."""
    return {
        "player_id": row["player_id"],
        "game_id": archive.game.game_id,
        "year": row["year"],
        "league_id": row["league_id"],
    }


def _at_bat_corrected(archive: Archive, league: League, rng: random.Random) -> Outcome:
    """Deletes a plate appearance, and inserts it with other measurements."""
    if not archive.at_bats:
        return (), league
    old = rng.choice(archive.at_bats)
    new = (*old[:-2], rng.randint(55, 116), rng.randint(-40, 60))
    match = dict(zip(PLAYERS_AT_BAT_BATTING_STATS.column_names, old, strict=True))
    table = PLAYERS_AT_BAT_BATTING_STATS.name
    return (Delete(table, match, limit=1), Insert(table, (new,))), league


def _annulled(archive: Archive, league: League, _rng: random.Random) -> Outcome:
    """Annuls a game of this season: deletes its rows, and subtracts it from records and totals."""
    game = archive.game
    home_won = archive.runs[1] > archive.runs[0]
    records = (
        league.records[game.away_team].without(won=not home_won),
        league.records[game.home_team].without(won=home_won),
    )
    season = league.numbers.season_of(game.game_id)
    taken, totals = after_game(league.totals, season, archive.batting, archive.pitching, sign=-1)
    after = league.with_records(records).with_totals(totals)
    changes = (
        *(Delete(table, {"game_id": game.game_id}) for table in OF_A_GAME),
        *standing_updates(league, after, (game.away_team, game.home_team)),
        *taken,
    )
    return changes, after


_TODAY: Mapping[Kind, Callable[[Game, League, random.Random], Outcome]] = {
    Kind.TRADE: _trade,
    Kind.POSTPONED: _postponed,
    Kind.INJURY: _injury,
    Kind.RESCHEDULED: _rescheduled,
    Kind.DRAFT: _draft,
}
_EARLIER: Mapping[Kind, Callable[[Archive, League, random.Random], Outcome]] = {
    Kind.GAME_CORRECTED: _game_corrected,
    Kind.BATTING_CORRECTED: _batting_corrected,
    Kind.REFILED: _refiled,
    Kind.AT_BAT_CORRECTED: _at_bat_corrected,
    Kind.ANNULLED: _annulled,
}
