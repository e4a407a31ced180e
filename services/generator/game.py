"""Plays one game: line-ups, half-innings, and the result for box score and at-bats."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.generator.league import DESIGNATED_HITTER, PITCHER, Game, Player
from services.generator.plate import HITS, OUTS, AtBat, Half, Result

REGULATION = 9
FIELDERS = range(2, DESIGNATED_HITTER + 1)
STARTERS = 5  # pitchers of a roster who take turns in starting
RELIEF_INNING = 7
PINCH_SPOT = 8
AWAY, HOME = 0, 1


@dataclass(frozen=True)
class Lineup:
    """A team's players in a game: nine batters by spot, one on the bench, starter and reliever."""

    team_id: int
    batters: tuple[Player, ...]
    bench: Player
    starter: Player
    reliever: Player


@dataclass
class Side:
    """A team while it bats: its line score and its next batter."""

    lineup: Lineup
    line: list[int] = field(default_factory=list)
    at_bats: list[AtBat] = field(default_factory=list)
    next_spot: int = 0

    @property
    def runs(self) -> int:
        """Runs so far: the sum of the line score."""
        return sum(self.line)

    def batter(self, inning: int) -> tuple[Player, bool]:
        """The next batter, and whether he is a pinch hitter, as in the last spot late in the game."""
        pinch = inning >= RELIEF_INNING and self.next_spot == PINCH_SPOT
        return (self.lineup.bench if pinch else self.lineup.batters[self.next_spot]), pinch


@dataclass(frozen=True)
class GamePlayed:
    """A finished game. Index 0 is the away side and 1 the home side, as in the export's columns.

    Attributes:
        game: The scheduled game.
        lineups: The players of both sides.
        lines: Runs by inning; the home side may lack the last one.
        at_bats: Every plate appearance in order.
        attendance: Number of spectators.
    """

    game: Game
    lineups: tuple[Lineup, Lineup]
    lines: tuple[tuple[int, ...], tuple[int, ...]]
    at_bats: tuple[tuple[AtBat, ...], tuple[AtBat, ...]]
    attendance: int

    @property
    def runs(self) -> tuple[int, int]:
        """Runs of both sides."""
        return sum(self.lines[AWAY]), sum(self.lines[HOME])

    @property
    def innings(self) -> int:
        """Number of innings, more than nine after a tie."""
        return len(self.lines[AWAY])

    def count(self, side: int, results: Sequence[Result]) -> int:
        """Plate appearances of a side that ended in one of these ways."""
        return sum(at_bat.result in results for at_bat in self.at_bats[side])

    @property
    def hits(self) -> tuple[int, int]:
        """Hits of both sides."""
        return self.count(AWAY, HITS), self.count(HOME, HITS)

    @property
    def errors(self) -> tuple[int, int]:
        """Errors that each side made in the field: those that the other one reached base on."""
        return self.count(HOME, (Result.ERROR,)), self.count(AWAY, (Result.ERROR,))

    @property
    def winner(self) -> int:
        """The side with more runs. There are no ties."""
        return HOME if self.runs[HOME] > self.runs[AWAY] else AWAY


def lineup(roster: Sequence[Player], games_played: int) -> Lineup:
    """Picks a team's nine: at each position the first healthy player, in the order of their ids.

    Args:
        roster: The team's players; each position has at least one, and the bench at least one more.
        games_played: The team's games so far, which decide the starter.
    """
    pitchers = [player for player in roster if player.position == PITCHER]
    healthy_first = sorted(roster, key=lambda player: (player.injured, player.player_id))
    batters = tuple(next(player for player in healthy_first if player.position == position) for position in FIELDERS)
    bench = next(player for player in healthy_first if player.position != PITCHER and player not in batters)
    relief = pitchers[STARTERS:]
    return Lineup(
        roster[0].team_id,
        batters,
        bench,
        pitchers[games_played % STARTERS],
        relief[games_played % len(relief)],
    )


def play(
    game: Game, rosters: Mapping[int, Sequence[Player]], games_played: Mapping[int, int], rng: random.Random
) -> GamePlayed:
    """Plays a game. The same arguments give the same game."""
    lineups = (
        lineup(rosters[game.away_team], games_played[game.away_team]),
        lineup(rosters[game.home_team], games_played[game.home_team]),
    )
    sides = (Side(lineups[AWAY]), Side(lineups[HOME]))
    inning = 1
    while inning <= REGULATION or sides[AWAY].runs == sides[HOME].runs:
        _bat(sides[AWAY], sides[HOME], inning, rng, may_walk_off=False)
        if inning < REGULATION or sides[HOME].runs <= sides[AWAY].runs:
            _bat(sides[HOME], sides[AWAY], inning, rng, may_walk_off=inning >= REGULATION)
        inning += 1
    return GamePlayed(
        game,
        lineups,
        (tuple(sides[AWAY].line), tuple(sides[HOME].line)),
        (tuple(sides[AWAY].at_bats), tuple(sides[HOME].at_bats)),
        attendance=8_000 + int(rng.random() * 34_000),
    )


def _bat(side: Side, other: Side, inning: int, rng: random.Random, *, may_walk_off: bool) -> None:
    """Plays one half-inning, until three are out or the home side has won."""
    half = Half(rng)
    lead = side.runs - other.runs
    pitcher = other.lineup.starter if inning < RELIEF_INNING else other.lineup.reliever
    while half.outs < OUTS and not (may_walk_off and lead + half.runs > 0):
        half.steal()
        player, pinch = side.batter(inning)
        at_bat = AtBat(
            player_id=player.player_id,
            pitcher_id=pitcher.player_id,
            team_id=side.lineup.team_id,
            spot=side.next_spot + 1,
            inning=inning,
            outs=half.outs,
            run_diff=lead + half.runs,
            bases=(half.bases[0] is not None, half.bases[1] is not None, half.bases[2] is not None),
            pinch=pinch,
        )
        half.play(at_bat)
        side.at_bats.append(at_bat)
        side.next_spot = (side.next_spot + 1) % 9
    side.line.append(half.runs)
