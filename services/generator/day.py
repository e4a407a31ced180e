"""One step of the league: a game with its event, or a new season, as one transaction."""

from __future__ import annotations

import random
from dataclasses import dataclass

from services.generator.box import game_changes
from services.generator.events import Archive, Kind, happen, kind_of
from services.generator.game import play
from services.generator.league import Game, League
from services.generator.rows import Change


@dataclass(frozen=True)
class DayPlayed:
    """A game's transaction, and the league once it is committed."""

    game_id: int
    event: Kind | None
    changes: tuple[Change, ...]
    league: League


def dice(seed: int, game: Game, purpose: str) -> random.Random:
    """A random generator for one purpose of one game.

    It is the same whenever the game is played.
    """
    return random.Random(f"{seed}:{game.game_id}:{purpose}")


def play_day(seed: int, game: Game, league: League, archive: Archive | None) -> DayPlayed:
    """Plays a game and its event.

    Args:
        seed: The seed of the league.
        game: The next game of the schedule.
        league: The league before it.
        archive: The earlier game that the event concerns, if any.
    """
    rng = dice(seed, game, "game")
    counts = {team_id: record.games for team_id, record in league.records.items()}
    changes, after = game_changes(play(game, league.rosters, counts, rng), league, rng)
    event = kind_of(game.game_id)
    if event is not None:
        more, after = happen(event, game, after, archive, dice(seed, game, "event"))
        changes += more
    return DayPlayed(game.game_id, event, changes, after)
