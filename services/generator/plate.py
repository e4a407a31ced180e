"""Plays half an inning, plate appearance by plate appearance, from which all scores follow."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache


class Result(IntEnum):
    """How a plate appearance ended, by the numbers of the export's `result` column."""

    STRIKEOUT = 1
    WALK = 2
    ERROR = 3
    GROUND_OUT = 4
    FLY_OUT = 5
    SINGLE = 6
    DOUBLE = 7
    TRIPLE = 8
    HOME_RUN = 9
    HIT_BY_PITCH = 10


HITS = (Result.SINGLE, Result.DOUBLE, Result.TRIPLE, Result.HOME_RUN)
IN_PLAY = (*HITS, Result.ERROR, Result.GROUND_OUT, Result.FLY_OUT)
_ORDER = tuple(Result)
_FREQUENCY = (22.0, 8.0, 1.0, 22.0, 22.0, 15.5, 4.6, 0.5, 3.1, 1.3)
CLOSE_MARGIN = 1
CLOSE_INNING = 7
OUTS = 3


@dataclass(slots=True)
class AtBat:
    """A plate appearance. It is filled in until the half-inning ends."""

    player_id: int
    pitcher_id: int
    team_id: int
    spot: int
    inning: int
    outs: int
    run_diff: int
    bases: tuple[bool, bool, bool]
    pinch: bool
    result: Result = Result.STRIKEOUT
    balls: int = 0
    strikes: int = 0
    sac: bool = False
    double_play: bool = False
    rbi: int = 0
    scored: bool = False
    stolen: int = 0
    caught: int = 0
    hit_loc: int | None = None
    hit_xy: int | None = None
    exit_velo: int | None = None
    launch_angle: int | None = None


@lru_cache(maxsize=65_536)
def _cumulative(player_id: int) -> tuple[float, ...]:
    """A player's cumulative frequencies. His number alone decides his skill."""
    skill = random.Random(player_id).uniform(0.75, 1.3)
    total, sums = 0.0, []
    for result, frequency in zip(_ORDER, _FREQUENCY, strict=True):
        total += frequency * (skill if result in (*HITS, Result.WALK) else 1.0)
        sums.append(total)
    return tuple(sums)


@dataclass(slots=True)
class Half:
    """A half-inning while it is played: runners on base, outs, runs."""

    rng: random.Random
    outs: int = 0
    runs: int = 0
    bases: list[AtBat | None] = field(default_factory=lambda: [None, None, None])

    def play(self, at_bat: AtBat) -> None:
        """Plays one batter, and moves all runners."""
        self._draw(at_bat)
        if at_bat.result in (Result.WALK, Result.HIT_BY_PITCH):
            self._force(at_bat)
        elif at_bat.result in HITS:
            self._hit(at_bat, bases=at_bat.result - Result.SINGLE + 1)
        elif at_bat.result is Result.ERROR:
            self._hit(at_bat, bases=1)
            at_bat.rbi = 0
        elif at_bat.result is Result.GROUND_OUT:
            self._ground(at_bat)
        elif at_bat.result is Result.FLY_OUT:
            self._fly(at_bat)
        else:
            self.outs += 1

    def steal(self) -> None:
        """The runner on first sometimes steals. Never with two out, so the batter gets his turn."""
        runner = self.bases[0]
        if runner is None or self.bases[1] is not None or self.outs == OUTS - 1 or self.rng.random() > 0.08:  # noqa: PLR2004 - eight in a hundred
            return
        self.bases[0] = None
        if self.rng.random() < 0.72:  # noqa: PLR2004 - the share of attempts that succeed
            runner.stolen += 1
            self.bases[1] = runner
        else:
            runner.caught += 1
            self.outs += 1

    def _draw(self, at_bat: AtBat) -> None:
        rng = self.rng
        result = rng.choices(_ORDER, cum_weights=_cumulative(at_bat.player_id))[0]
        at_bat.result = result
        at_bat.balls = 4 if result is Result.WALK else int(rng.random() * 4)
        at_bat.strikes = 3 if result is Result.STRIKEOUT else int(rng.random() * 3)
        if result in IN_PLAY:
            at_bat.hit_loc = 1 + int(rng.random() * 20)
            at_bat.hit_xy = int(rng.random() * 32_000) - 16_000
            at_bat.exit_velo = 55 + int(rng.random() * 62)
            at_bat.launch_angle = int(rng.random() * 100) - 40

    def _score(self, runner: AtBat, at_bat: AtBat) -> None:
        runner.scored = True
        at_bat.rbi += 1
        self.runs += 1

    def _force(self, at_bat: AtBat) -> None:
        """Forced runners move one base. A run scores with the bases full."""
        moving: AtBat | None = at_bat
        for base in range(3):
            moving, self.bases[base] = self.bases[base], moving
            if moving is None:
                return
        if moving is not None:
            self._score(moving, at_bat)

    def _hit(self, at_bat: AtBat, bases: int) -> None:
        """Runners move as far as the batter, and one free base more in two of five cases."""
        before = self.bases
        self.bases = [None, None, None]
        for base in (2, 1, 0):
            runner = before[base]
            if runner is None:
                continue
            target = base + bases + (self.rng.random() < 0.4)  # noqa: PLR2004 - two of five
            while target < OUTS and self.bases[target] is not None:
                target -= 1
            self._to(runner, target, at_bat)
        self._to(at_bat, bases - 1, at_bat)

    def _to(self, runner: AtBat, base: int, at_bat: AtBat) -> None:
        if base >= OUTS:
            self._score(runner, at_bat)
        else:
            self.bases[base] = runner

    def _ground(self, at_bat: AtBat) -> None:
        self.outs += 1
        if self.outs < OUTS and self.bases[0] is not None and self.rng.random() < 0.45:  # noqa: PLR2004 - double plays
            at_bat.double_play = True
            self.bases[0] = None
            self.outs += 1
        elif self.outs < OUTS and self.bases[2] is not None and self.rng.random() < 0.5:  # noqa: PLR2004 - one in two
            self._score(self.bases[2], at_bat)
            self.bases[2] = None

    def _fly(self, at_bat: AtBat) -> None:
        self.outs += 1
        if self.outs < OUTS and self.bases[2] is not None and self.rng.random() < 0.6:  # noqa: PLR2004 - three of five
            at_bat.sac = True
            self._score(self.bases[2], at_bat)
            self.bases[2] = None
