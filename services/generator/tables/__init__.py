"""The tables of an Out of the Park export that the generator uses: columns, types, keys."""

from __future__ import annotations

from services.generator.tables.games import (
    GAMES,
    GAMES_SCORE,
    PLAYERS_AT_BAT_BATTING_STATS,
    PLAYERS_GAME_BATTING,
    PLAYERS_GAME_PITCHING_STATS,
)
from services.generator.tables.league import DIVISIONS, LEAGUES, PARKS, SUB_LEAGUES, TEAMS
from services.generator.tables.notation import Column, Table
from services.generator.tables.people import (
    LEAGUE_EVENTS,
    MESSAGES,
    PLAYERS,
    PLAYERS_INJURY_HISTORY,
    TRADE_HISTORY,
)
from services.generator.tables.seasons import (
    PLAYERS_CAREER_BATTING_STATS,
    PLAYERS_CAREER_PITCHING_STATS,
    TEAM_BATTING_STATS,
    TEAM_PITCHING_STATS,
    TEAM_RECORD,
)

TABLES = (
    LEAGUES,
    SUB_LEAGUES,
    DIVISIONS,
    PARKS,
    TEAMS,
    PLAYERS,
    GAMES,
    GAMES_SCORE,
    PLAYERS_GAME_BATTING,
    PLAYERS_GAME_PITCHING_STATS,
    PLAYERS_AT_BAT_BATTING_STATS,
    PLAYERS_CAREER_BATTING_STATS,
    PLAYERS_CAREER_PITCHING_STATS,
    PLAYERS_INJURY_HISTORY,
    TRADE_HISTORY,
    LEAGUE_EVENTS,
    MESSAGES,
    TEAM_BATTING_STATS,
    TEAM_PITCHING_STATS,
    TEAM_RECORD,
)
BY_NAME = {table.name: table for table in TABLES}

__all__ = [
    "BY_NAME",
    "DIVISIONS",
    "GAMES",
    "GAMES_SCORE",
    "LEAGUES",
    "LEAGUE_EVENTS",
    "MESSAGES",
    "PARKS",
    "PLAYERS",
    "PLAYERS_AT_BAT_BATTING_STATS",
    "PLAYERS_CAREER_BATTING_STATS",
    "PLAYERS_CAREER_PITCHING_STATS",
    "PLAYERS_GAME_BATTING",
    "PLAYERS_GAME_PITCHING_STATS",
    "PLAYERS_INJURY_HISTORY",
    "SUB_LEAGUES",
    "TABLES",
    "TEAMS",
    "TEAM_BATTING_STATS",
    "TEAM_PITCHING_STATS",
    "TEAM_RECORD",
    "TRADE_HISTORY",
    "Column",
    "Table",
]
