"""The pitchers' box score: the sum of the plate appearances against each of them."""

from __future__ import annotations

import random

from services.generator.game import AWAY, HOME, GamePlayed, Lineup
from services.generator.league import Player
from services.generator.plate import HITS, AtBat, Result
from services.generator.rows import Row
from services.generator.tables.games import PLAYERS_GAME_PITCHING_STATS

SAVE_MARGIN = 3
QUALITY_OUTS = 18
QUALITY_RUNS = 3
_FREE = (Result.WALK, Result.HIT_BY_PITCH)
_OUT = (Result.STRIKEOUT, Result.GROUND_OUT, Result.FLY_OUT)


def pitching_rows(played: GamePlayed, rng: random.Random) -> tuple[Row, ...]:
    """A row for each pitcher: the starter and the reliever of both sides."""
    return tuple(
        _pitching_row(played, side, pitcher, rng)
        for side, lineup in enumerate(played.lineups)
        for pitcher in (lineup.starter, lineup.reliever)
    )


def _pitching_row(played: GamePlayed, side: int, pitcher: Player, rng: random.Random) -> Row:
    other = AWAY if side == HOME else HOME
    at_bats = [at_bat for at_bat in played.at_bats[other] if at_bat.pitcher_id == pitcher.player_id]
    allowed = _allowed(at_bats)
    known: dict[str, int | float | None] = {
        "player_id": pitcher.player_id,
        "year": played.game.date.year,
        "team_id": pitcher.team_id,
        "game_id": played.game.game_id,
        "league_id": pitcher.league_id,
        "level_id": 1,
        **allowed,
        **_decisions(played, side, played.lineups[side], pitcher, allowed),
        "wpa": rng.uniform(-0.4, 0.4),
        "li": rng.uniform(0.2, 2.4) / 3,
        "ir": 0.0,
        "irs": 0.0,
    }
    return tuple(known.get(name, 0) for name in PLAYERS_GAME_PITCHING_STATS.column_names)


def _allowed(at_bats: list[AtBat]) -> dict[str, int]:
    """Counts against a pitcher. A runner counts against the pitcher who let him reach base."""
    results = [at_bat.result for at_bat in at_bats]
    doubles, triples, homers = (results.count(kind) for kind in (Result.DOUBLE, Result.TRIPLE, Result.HOME_RUN))
    hits = sum(result in HITS for result in results)
    flies = sum(at_bat.sac for at_bat in at_bats)
    outs = sum(result in _OUT for result in results) + sum(at_bat.double_play + at_bat.caught for at_bat in at_bats)
    return {
        "ip": outs // 3,
        "ipf": outs % 3,
        "outs": outs,
        "bf": len(at_bats),
        "ab": len(at_bats) - sum(result in _FREE for result in results) - flies,
        "ha": hits,
        "sa": hits - doubles - triples - homers,
        "da": doubles,
        "ta": triples,
        "hra": homers,
        "tb": hits + doubles + 2 * triples + 3 * homers,
        "k": results.count(Result.STRIKEOUT),
        "bb": results.count(Result.WALK),
        "hp": results.count(Result.HIT_BY_PITCH),
        "gb": results.count(Result.GROUND_OUT),
        "fb": results.count(Result.FLY_OUT),
        "sf": flies,
        "dp": sum(at_bat.double_play for at_bat in at_bats),
        "sb": sum(at_bat.stolen for at_bat in at_bats),
        "cs": sum(at_bat.caught for at_bat in at_bats),
        "pi": sum(at_bat.balls + at_bat.strikes + 1 for at_bat in at_bats),
        "r": sum(at_bat.scored for at_bat in at_bats),
        "er": sum(at_bat.scored and at_bat.result is not Result.ERROR for at_bat in at_bats),
    }


def _decisions(
    played: GamePlayed, side: int, lineup: Lineup, pitcher: Player, allowed: dict[str, int]
) -> dict[str, int]:
    """Start, win, loss and save of a pitcher. The starter gets the runs of his side."""
    started = pitcher == lineup.starter
    won = played.winner == side
    saved = int(won and not started and abs(played.runs[HOME] - played.runs[AWAY]) <= SAVE_MARGIN)
    return {
        "g": 1,
        "gs": int(started),
        "w": int(won and started),
        "l": int(not won and started),
        "s": saved,
        "svo": saved,
        "sd": saved,
        "ra": int(not started),
        "gf": int(not started),
        "rs": played.runs[side] if started else 0,
        "qs": int(started and allowed["outs"] >= QUALITY_OUTS and allowed["er"] <= QUALITY_RUNS),
    }
