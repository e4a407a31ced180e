"""Numbers that say where they belong: of seasons, games and copies of the league.

A league with its teams, games, players and messages can stand in a warehouse several times. Copy 0 is the original; the
numbers of the others are shifted: leagues and teams by a thousand a copy, games, players and messages by a million.
"""

from __future__ import annotations

FIRST_SEASON = 2030
BLOCK = 10_000  # games a season; a game made up for another has that one's number and half a block more
MAKEUP = BLOCK // 2
COPY_OF_GAMES = 1_000_000
COPY_OF_LEAGUES = 1_000


def season_start(season: int, copy: int = 0) -> int:
    """The number that all of a season's games are above."""
    return copy * COPY_OF_GAMES + (season - 2000) * BLOCK


def season_of(game_id: int) -> int:
    """The season that a game belongs to, whatever its date."""
    return 2000 + game_id % COPY_OF_GAMES // BLOCK


def copy_of(game_id: int) -> int:
    """The copy of the league that a game is played in."""
    return game_id // COPY_OF_GAMES
