"""Reads the league from the warehouse, after every start and every lost connection."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from datafingerprint.errors import SourceError
from services.generator.events import OLD_GAME, Archive, Kind
from services.generator.league import Event, Game, League, Player, Record
from services.generator.numbers import BLOCK, FIRST_SEASON, Numbers
from services.generator.ports import Warehouse
from services.generator.rows import Select
from services.generator.statements import Statement, selection
from services.generator.tables import (
    BY_NAME,
    PLAYERS_AT_BAT_BATTING_STATS,
    PLAYERS_GAME_BATTING,
    PLAYERS_GAME_PITCHING_STATS,
    TABLES,
    Table,
)
from services.generator.totals import BATTED, PITCHED, Totals

_COLUMNS = Statement("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()")
_GAME = ("game_id", "league_id", "home_team", "away_team", "date", "time")

Ask = Callable[[Select], Sequence[tuple[Any, ...]]]


def asking(warehouse: Warehouse) -> Ask:
    """Returns a function that runs a SELECT on a warehouse."""
    return lambda select: warehouse.query(selection(select))


def require_tables(warehouse: Warehouse) -> None:
    """Requires the tables and columns that the generator writes.

    Raises:
        SourceError: some are missing. All of them are named.
    """
    present: dict[str, set[str]] = {}
    for table, column in warehouse.query(_COLUMNS):
        present.setdefault(table, set()).add(column)
    lacking = [table.name for table in TABLES if table.name not in present]
    lacking += [
        f"{table.name}.{name}"
        for table in TABLES
        for name in table.column_names
        if table.name in present and name not in present[table.name]
    ]
    if lacking:
        raise SourceError(
            f"the league cannot be played: the export lacks {', '.join(lacking)}",
            where="the generator's schema",
            remedy="add them to the files of --seed-dir and load an empty schema; what was loaded stays as it is",
        )


def read_league(ask: Ask, numbers: Numbers) -> League:
    """The present league.

    Args:
        ask: Runs a SELECT.
        numbers: How its games are numbered.

    Raises:
        SourceError: the tables hold no complete league.
    """
    players = ask(Select("players", ("player_id", "team_id", "league_id", "position", "injury_is_injured")))
    original = ("game_id", numbers.spacing)
    newest = ask(Select("games", ("game_id",), below=original, ordered_by="game_id", descending=True, limit=1))
    records = _records(ask)
    if not newest or not records or not players:
        raise SourceError(
            "the league is incomplete: games, team_record or players is empty",
            where="the generator's schema",
            remedy="drop the schema; the generator then loads its seed again",
        )
    season = numbers.season_of(newest[0][0])
    known = {row[0]: Player(row[0], row[1], row[2], row[3], injured=bool(row[4])) for row in players}
    league = League(season, known, records, (), _totals(ask, season), _calendar(ask), numbers)
    return league.with_schedule(Game(*row) for row in ask(Select("games", _GAME, {"played": 0})))


def _records(ask: Ask) -> dict[int, Record]:
    teams = {row[0]: row[1:] for row in ask(Select("teams", ("team_id", "league_id", "division_id")))}
    standing = ask(Select("team_record", ("team_id", "g", "w", "l", "streak")))
    return {
        team_id: Record(team_id, teams[team_id][0], games, wins, losses, streak, teams[team_id][1])
        for team_id, games, wins, losses, streak in sorted(standing)
    }


def _calendar(ask: Ask) -> tuple[Event, ...]:
    rows = ask(Select("league_events", ("league_id", "start_date", "type"), {"event_over": 0}))
    return tuple(sorted(Event(*row) for row in rows))


def _totals(ask: Ask, season: int) -> Totals:
    batted: dict[int, set[int]] = {}
    for team_id, player_id in ask(Select("players_career_batting_stats", ("team_id", "player_id"), {"year": season})):
        batted.setdefault(team_id, set()).add(player_id)
    pitched: dict[int, dict[int, int]] = {}
    columns = ("team_id", "player_id", "outs")
    for team_id, player_id, outs in ask(Select("players_career_pitching_stats", columns, {"year": season})):
        pitched.setdefault(team_id, {})[player_id] = outs
    return Totals(
        {team_id: frozenset(players) for team_id, players in batted.items()},
        pitched,
        _team_counts(ask, "team_batting_stats", BATTED),
        _team_counts(ask, "team_pitching_stats", PITCHED),
    )


def _team_counts(ask: Ask, table: str, names: tuple[str, ...]) -> dict[int, dict[str, int]]:
    """A team's counts. The export has innings and thirds instead of outs."""
    kept = tuple(name for name in (*names, "ip", "ipf") if name in BY_NAME[table].column_names)
    by_team: dict[int, dict[str, int]] = {}
    for team_id, *values in ask(Select(table, ("team_id", *kept))):
        counts = dict(zip(kept, values, strict=True))
        if "outs" in names:
            counts["outs"] = 3 * counts.pop("ip") + counts.pop("ipf")
        by_team[team_id] = counts
    return by_team


def read_archive(ask: Ask, kind: Kind, game: Game, rng: random.Random, numbers: Numbers) -> Archive | None:
    """The earlier game of an event: the first one played from a random number on.

    If there is none, it is the first game of the season. An annulled game is of the present season. Other events take a
    game of the last season or of the first one.
    """
    if kind is not Kind.ANNULLED and kind not in OLD_GAME:
        return None
    season, copy = numbers.season_of(game.game_id), numbers.copy_of(game.game_id)
    if kind is not Kind.ANNULLED:
        season = rng.choice((FIRST_SEASON, season - 1))
    start, end = numbers.season_start(season, copy), numbers.season_start(season + 1, copy)
    pivot = start + int(rng.random() * (BLOCK // 10))
    archive = _first_played(ask, pivot, end) or _first_played(ask, start, end)
    if archive is None or archive.game.game_id == game.game_id:
        return None
    batting = kind in (Kind.BATTING_CORRECTED, Kind.REFILED, Kind.ANNULLED)
    return replace(
        archive,
        batting=_lines(ask, PLAYERS_GAME_BATTING, archive.game) if batting else (),
        pitching=_lines(ask, PLAYERS_GAME_PITCHING_STATS, archive.game) if kind is Kind.ANNULLED else (),
        at_bats=_of_game(ask, PLAYERS_AT_BAT_BATTING_STATS, archive.game) if kind is Kind.AT_BAT_CORRECTED else (),
    )


def _first_played(ask: Ask, above: int, below: int) -> Archive | None:
    rows = ask(
        Select(
            "games",
            (*_GAME, "runs0", "runs1"),
            {"played": 1},
            above=("game_id", above),
            below=("game_id", below),
            ordered_by="game_id",
            limit=1,
        )
    )
    return Archive(Game(*rows[0][:6]), (rows[0][6], rows[0][7])) if rows else None


def _lines(ask: Ask, table: Table, game: Game) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(table.column_names, row, strict=True)) for row in _of_game(ask, table, game))


def _of_game(ask: Ask, table: Table, game: Game) -> tuple[tuple[Any, ...], ...]:
    """A game's rows, sorted with NULLs first, because a table without a key has no order."""
    rows = ask(Select(table.name, table.column_names, {"game_id": game.game_id}))
    return tuple(sorted(rows, key=lambda row: tuple((value is not None, value or 0) for value in row)))
