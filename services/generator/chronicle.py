"""The league's history: messages, trades, injuries, and its calendar."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Mapping

from services.generator.league import Event, Game, League, Player
from services.generator.numbers import COPY_OF_LEAGUES, Numbers
from services.generator.rows import Change, Delete, Insert, Row, Update, Value
from services.generator.tables.notation import Table
from services.generator.tables.people import LEAGUE_EVENTS, MESSAGES, PLAYERS_INJURY_HISTORY, TRADE_HISTORY

_CALENDAR = {
    1: ("Opening Day", 4, 1),
    2: ("All-Star Game", 7, 12),
    3: ("Trade Deadline", 7, 31),
    4: ("End of the Season", 10, 1),
}
TRADE, INJURY, DRAFT, SCHEDULE, SEASON = 1, 2, 3, 4, 5  # kinds of messages


def _row(table: Table, known: Mapping[str, Value]) -> Row:
    """A row with 0 in every column that is not known."""
    return tuple(known.get(column.name, 0) for column in table.columns)


def message(number: int, kind: int, subject: str, date: dt.date, about: Mapping[str, Value]) -> Change:
    """A row of `messages`. A game has at most one, with the game's number."""
    known: dict[str, Value] = {
        "message_id": number,
        "subject": subject,
        "importance": 1 + kind % 3,
        "message_type": kind,
        "date": date,
        "sender_id": -1,
        "recipient_id": None,
        "ongoing_story_id": None,
        **about,
    }
    return Insert(MESSAGES.name, (_row(MESSAGES, known),))


def trade(game: Game, here: Player, there: Player) -> tuple[Change, Change]:
    """A trade as history and as news."""
    summary = f"{_who(here)} went to team {there.team_id} for {_who(there)}"
    about: dict[str, Value] = {"team_id_0": here.team_id, "team_id_1": there.team_id}
    known: dict[str, Value] = {
        **about,
        "date": game.date,
        "summary": summary,
        "message_id": game.game_id,
        "player_id_0_0": here.player_id,
        "player_id_1_0": there.player_id,
    }
    details: dict[str, Value] = {
        **about,
        "player_id_0": here.player_id,
        "player_id_1": there.player_id,
        "league_id_0": here.league_id,
        "league_id_1": there.league_id,
        "trade_id": game.game_id,
    }
    return (
        Insert(TRADE_HISTORY.name, (_row(TRADE_HISTORY, known),)),
        message(game.game_id, TRADE, summary, game.date, details),
    )


def injury(game: Game, player: Player, days: int, rng: random.Random) -> tuple[Change, Change]:
    """An injury as history and as news."""
    known: dict[str, Value] = {
        "player_id": player.player_id,
        "date": game.date,
        "length": days,
        "setbacks": None,
        "day_to_day": int(days < 10),  # noqa: PLR2004 - days that a player is not put on the list for
        "effect": -rng.randint(5, 40),
        "body_part": rng.randint(1, 12),
    }
    return (
        Insert(PLAYERS_INJURY_HISTORY.name, (_row(PLAYERS_INJURY_HISTORY, known),)),
        news(game, INJURY, f"{_who(player)} is out for {days} days", player),
    )


def news(game: Game, kind: int, subject: str, player: Player | None = None) -> Change:
    """A message about a player, or about a game's league."""
    about: dict[str, Value] = {"league_id_0": game.league_id, "team_id_0": game.home_team}
    if player is not None:
        about = {"league_id_0": player.league_id, "team_id_0": player.team_id, "player_id_0": player.player_id}
    return message(game.game_id, kind, subject, game.date, about)


def _who(player: Player) -> str:
    return f"Player №{player.player_id}"


def calendar(season: int, leagues: Iterable[int]) -> tuple[Event, ...]:
    """The events in every league's calendar of a season."""
    return tuple(
        Event(league_id, dt.date(season, month, day), kind)
        for league_id in sorted(leagues)
        for kind, (_, month, day) in _CALENDAR.items()
    )


def calendar_changes(
    season: int, leagues: Iterable[int], numbers: Numbers
) -> tuple[tuple[Change, ...], tuple[Event, ...]]:
    """Replaces the calendar by a new season's, with a message to each copy of the league."""
    leagues = sorted(leagues)
    events = calendar(season, leagues)
    copies = sorted({league_id // COPY_OF_LEAGUES for league_id in leagues})
    return (
        *(Delete(LEAGUE_EVENTS.name, {"league_id": league_id}) for league_id in leagues),
        Insert(LEAGUE_EVENTS.name, tuple(_event_row(event) for event in events)),
        *(
            message(numbers.season_start(season + 1, copy) - 1, SEASON, f"Season {season}", events[0].start_date, {})
            for copy in copies
        ),
    ), events


def _event_row(event: Event) -> Row:
    known: dict[str, Value] = {
        "league_id": event.league_id,
        "start_date": event.start_date,
        "type": event.type,
        "name": _CALENDAR[event.type][0],
        "real_sim_date": None,
    }
    return _row(LEAGUE_EVENTS, known)


def days_marked(game: Game, league: League) -> tuple[tuple[Change, ...], League]:
    """Marks the events of the game's league that are over."""
    over = [event for event in league.calendar if event.league_id == game.league_id and event.start_date <= game.date]
    if not over:
        return (), league
    changes = tuple(
        Update(LEAGUE_EVENTS.name, {"event_over": 1}, {"league_id": event.league_id, "type": event.type})
        for event in over
    )
    return changes, league.with_calendar(event for event in league.calendar if event not in over)
