"""Reads from the warehouse what the next game depends on: after every start and every lost connection."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from datafingerprint.errors import SourceError
from services.generator.events import OLD_GAME, Archive, ArchivedBatting, Kind
from services.generator.league import Game, League, Player, Record
from services.generator.ports import Warehouse
from services.generator.rows import Value
from services.generator.season import BLOCK, FIRST_SEASON, season_of, season_start
from services.generator.statements import Statement, quoted
from services.generator.tables import PLAYERS_AT_BAT_BATTING_STATS, TABLES

_COLUMNS = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = DATABASE()"
_GAME = "`game_id`, `league_id`, `home_team`, `away_team`, `date`, `time`"


def require_tables(warehouse: Warehouse) -> None:
    """Refuses to play in a schema that lacks what playing writes.

    Raises:
        SourceError: tables, or columns of them, are not there; all of them are named.
    """
    found: dict[str, set[str]] = {}
    for table, column in _rows(warehouse, _COLUMNS):
        found.setdefault(table, set()).add(column)
    lacking = [table.name for table in TABLES if table.name not in found]
    lacking += [
        f"{table.name}.{name}"
        for table in TABLES
        for name in table.column_names
        if table.name in found and name not in found[table.name]
    ]
    if lacking:
        raise SourceError(
            f"the league cannot be played: the export lacks {', '.join(lacking)}",
            where="the generator's schema",
            remedy="add them to the files of --seed-dir and load an empty schema; what was loaded stays as it is",
        )


def read_league(warehouse: Warehouse) -> League:
    """The league as it stands.

    Raises:
        SourceError: the schema has the tables but no league in them that could go on.
    """
    players = _rows(
        warehouse, "SELECT `player_id`, `team_id`, `league_id`, `position`, `injury_is_injured` FROM `players`"
    )
    records = _rows(
        warehouse,
        "SELECT r.`team_id`, t.`league_id`, r.`g`, r.`w`, r.`l`, r.`streak`"
        " FROM `team_record` r JOIN `teams` t ON t.`team_id` = r.`team_id`",
    )
    schedule = _rows(warehouse, f"SELECT {_GAME} FROM `games` WHERE `played` = 0")
    ((newest,),) = _rows(warehouse, "SELECT MAX(`game_id`) FROM `games`")
    if newest is None or not records or not players:
        raise SourceError(
            "the league is not whole: games, team_record or players is empty",
            where="the generator's schema",
            remedy="drop the schema; the generator then loads its seed again",
        )
    known = {row[0]: Player(row[0], row[1], row[2], row[3], injured=bool(row[4])) for row in players}
    league = League(season_of(newest), known, {row[0]: Record(*row) for row in records}, ())
    return league.with_schedule(Game(*row) for row in schedule)


def read_archive(warehouse: Warehouse, kind: Kind, game: Game, rng: random.Random) -> Archive | None:
    """The earlier game that an event is about: the first one played from a random number on, or the very first.

    An annulled game is one of the season that is being played; all other events look into the seasons
    before: every other time into the one just over, else into the first.
    """
    if kind is not Kind.ANNULLED and kind not in OLD_GAME:
        return None
    season = season_of(game.game_id)
    if kind is not Kind.ANNULLED:
        season = rng.choice((FIRST_SEASON, season - 1))
    pivot = season_start(season) + int(rng.random() * (BLOCK // 10))
    found = _first_played(warehouse, pivot, season) or _first_played(warehouse, season_start(season), season)
    if found is None or found.game.game_id == game.game_id:
        return None
    batting = kind in (Kind.BATTING_CORRECTED, Kind.REFILED)
    return Archive(
        found.game,
        found.runs,
        _batting(warehouse, found.game.game_id) if batting else (),
        _at_bats(warehouse, found.game.game_id) if kind is Kind.AT_BAT_CORRECTED else (),
    )


def _first_played(warehouse: Warehouse, pivot: int, season: int) -> Archive | None:
    rows = _rows(
        warehouse,
        f"SELECT {_GAME}, `runs0`, `runs1` FROM `games`"
        " WHERE `game_id` > %s AND `game_id` < %s AND `played` = 1 ORDER BY `game_id` LIMIT 1",
        pivot,
        season_start(season + 1),
    )
    return Archive(Game(*rows[0][:6]), (rows[0][6], rows[0][7])) if rows else None


def _batting(warehouse: Warehouse, game_id: int) -> tuple[ArchivedBatting, ...]:
    sql = "SELECT `player_id`, `year`, `league_id` FROM `players_game_batting` WHERE `game_id` = %s"
    rows = sorted(_rows(warehouse, sql, game_id))
    return tuple(ArchivedBatting(*row) for row in rows)


def _at_bats(warehouse: Warehouse, game_id: int) -> tuple[tuple[Any, ...], ...]:
    """Sorted, for a table without a key has no order of its own; NULLs first."""
    names = ", ".join(quoted(name) for name in PLAYERS_AT_BAT_BATTING_STATS.column_names)
    sql = f"SELECT {names} FROM `players_at_bat_batting_stats` WHERE `game_id` = %s"
    rows = _rows(warehouse, sql, game_id)
    return tuple(sorted(rows, key=lambda row: tuple((value is not None, value or 0) for value in row)))


def _rows(warehouse: Warehouse, sql: str, *parameters: Value) -> Sequence[tuple[Any, ...]]:
    return warehouse.query(Statement(sql, parameters))
