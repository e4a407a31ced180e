"""How seasons, games and copies of the league are numbered.

A warehouse can hold several copies of a league with its teams, games, players and messages. Copy 0 is the original. The
others have shifted numbers: leagues and teams by a thousand per copy; games, players and messages by a spacing for
which all copies fit an INT. So fewer copies have numbers for more seasons.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SEASON = 2030
BLOCK = 10_000  # games a season; a makeup game has the number of the postponed one plus half a block
MAKEUP = BLOCK // 2
COPY_OF_LEAGUES = 1_000

INT_MAX = 2**31 - 1
SPACINGS = (100_000_000, 10_000_000, 1_000_000)
"""Possible spacings of two copies: for 21, 214 and 2,000 copies of 7,969, 970 and 70 seasons."""

_YEAR_ZERO = 2000
_LAST_YEAR = 9998  # its last games may be moved into the next March, and no DATE is later than the year 9999


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbering of a warehouse's games, players and messages.

    Attributes:
        spacing: Distance between the numbers of two copies.
    """

    spacing: int = SPACINGS[0]

    @property
    def copies_max(self) -> int:
        """The largest number of copies, the original included."""
        return min(INT_MAX // self.spacing, 2_000)

    @property
    def last_season(self) -> int:
        """The last season with numbers."""
        return min(_YEAR_ZERO + self.spacing // BLOCK - 1, _LAST_YEAR)

    def season_start(self, season: int, copy: int = 0) -> int:
        """The number before a season's first game."""
        return copy * self.spacing + (season - _YEAR_ZERO) * BLOCK

    def season_of(self, game_id: int) -> int:
        """The season that a game belongs to. Its date may be in another year."""
        return _YEAR_ZERO + game_id % self.spacing // BLOCK

    def copy_of(self, game_id: int) -> int:
        """The copy of the league that a game belongs to."""
        return game_id // self.spacing


WITHOUT_COPIES = Numbers()
"""The numbering of a league without copies."""

COPIES_MAX = Numbers(SPACINGS[-1]).copies_max
"""The largest number of copies of any league, the original included."""


def numbers_for(copies: int) -> Numbers:
    """The numbering with the most seasons for so many copies, at most `COPIES_MAX`."""
    return next(numbers for numbers in map(Numbers, SPACINGS) if numbers.copies_max >= copies)
