"""Numbers that say where they belong: of seasons, games and copies of the league.

A league with its teams, games, players and messages can stand in a warehouse several times. Copy 0 is the original; the
numbers of the others are shifted: leagues and teams by a thousand a copy, games, players and messages by as much as
lets the copies that were asked for fit an INT, so that fewer copies have room for more seasons.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SEASON = 2030
BLOCK = 10_000  # games a season; a game made up for another has that one's number and half a block more
MAKEUP = BLOCK // 2
COPY_OF_LEAGUES = 1_000

INT_MAX = 2**31 - 1
SPACINGS = (100_000_000, 10_000_000, 1_000_000)
"""How far the games of two copies may be apart: 21, 214 and 2,000 copies fit, of 7,969, 970 and 70 seasons."""

_YEAR_ZERO = 2000
_LAST_YEAR = 9998  # its last games may be moved into the next March, and no DATE is later than the year 9999


@dataclass(frozen=True, slots=True)
class Numbers:
    """How the numbers of a warehouse's games, players and messages are laid out.

    Attributes:
        spacing: How far those of a copy are from those of the next.
    """

    spacing: int = SPACINGS[0]

    @property
    def copies_max(self) -> int:
        """How many copies there are numbers for, the original included."""
        return min(INT_MAX // self.spacing, 2_000)

    @property
    def last_season(self) -> int:
        """The last season that there are numbers for."""
        return min(_YEAR_ZERO + self.spacing // BLOCK - 1, _LAST_YEAR)

    def season_start(self, season: int, copy: int = 0) -> int:
        """The number that all of a season's games are above."""
        return copy * self.spacing + (season - _YEAR_ZERO) * BLOCK

    def season_of(self, game_id: int) -> int:
        """The season that a game belongs to, whatever its date."""
        return _YEAR_ZERO + game_id % self.spacing // BLOCK

    def copy_of(self, game_id: int) -> int:
        """The copy of the league that a game is played in."""
        return game_id // self.spacing


WITHOUT_COPIES = Numbers()
"""The layout of a league that stands alone."""

COPIES_MAX = Numbers(SPACINGS[-1]).copies_max
"""How many copies of a league there can be at all, the original included."""


def numbers_for(copies: int) -> Numbers:
    """The layout with the most seasons for so many copies, at most `COPIES_MAX`."""
    return next(found for found in map(Numbers, SPACINGS) if found.copies_max >= copies)
