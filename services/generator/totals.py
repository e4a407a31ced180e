"""Season totals: a line of each player with each team, and of each team.

They are always the sum of the games. A player's line grows by the game's counts, so only its existence must be known.
A team's line has shares and averages too, and is written as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from services.generator.rates import team_batting_values, team_pitching_values
from services.generator.rows import Change, Insert, Plus, Update, Value
from services.generator.tables.games import PLAYERS_GAME_BATTING, PLAYERS_GAME_PITCHING_STATS
from services.generator.tables.notation import Table
from services.generator.tables.seasons import (
    PLAYERS_CAREER_BATTING_STATS,
    PLAYERS_CAREER_PITCHING_STATS,
    TEAM_BATTING_STATS,
    TEAM_PITCHING_STATS,
)

Line = Mapping[str, Any]
_NO_COUNTS = {"year", "level_id", "split_id", "position", "stint", "ci", "ip", "ipf"}
WAR_OF_WPA = 1.5  # The export's formula is unknown. With a constant, a line is the sum of its games.


def _counts(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.type == "SMALLINT" and column.name not in _NO_COUNTS)


BATTED = _counts(PLAYERS_GAME_BATTING)
PITCHED = _counts(PLAYERS_GAME_PITCHING_STATS)
BATTED_WORTH = ("wpa", "ubr")
PITCHED_WORTH = ("ir", "irs", "wpa", "li")


@dataclass(frozen=True)
class Totals:
    """The totals of the season so far that the next game's changes need.

    Attributes:
        batted: By team, the players with a batting line.
        pitched: By team and player with a pitching line, the outs in that line.
        batting: By team, its batting counts.
        pitching: By team, its pitching counts.
    """

    batted: Mapping[int, frozenset[int]] = field(default_factory=dict)
    pitched: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    batting: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    pitching: Mapping[int, Mapping[str, int]] = field(default_factory=dict)


def after_game(
    totals: Totals, season: int, batting: Iterable[Line], pitching: Iterable[Line], *, sign: int = 1
) -> tuple[tuple[Change, ...], Totals]:
    """Adds a game's box scores to the season, or subtracts them (`sign` -1)."""
    batting, pitching = list(batting), list(pitching)
    changes: list[Change] = []
    for team_id in sorted({line["team_id"] for line in (*batting, *pitching)}):
        batted = [line for line in batting if line["team_id"] == team_id]
        pitched = [line for line in pitching if line["team_id"] == team_id]
        more, totals = _batters(totals, season, team_id, batted, sign)
        changes += more
        more, totals = _pitchers(totals, season, team_id, pitched, sign)
        changes += more
        totals = replace(
            totals,
            batting={**totals.batting, team_id: _sum(totals.batting.get(team_id, {}), batted, BATTED, sign)},
            pitching={**totals.pitching, team_id: _sum(totals.pitching.get(team_id, {}), pitched, PITCHED, sign)},
        )
        changes += team_changes(team_id, totals)
    return tuple(changes), totals


def team_changes(team_id: int, totals: Totals) -> tuple[Change, Change]:
    """Writes both lines of a team."""
    match: Mapping[str, Value] = {"team_id": team_id}
    return (
        Update(TEAM_BATTING_STATS.name, team_batting_values(totals.batting.get(team_id, {})), match),
        Update(TEAM_PITCHING_STATS.name, team_pitching_values(totals.pitching.get(team_id, {})), match),
    )


def worth_corrected(season: int, line: Line, wpa: float, ubr: float) -> Change:
    """Applies a correction of one batter's worth in a game to his season line."""
    moved = {"wpa": Plus(wpa - line["wpa"]), "ubr": Plus(ubr - line["ubr"])}
    moved["war"] = Plus(WAR_OF_WPA * moved["wpa"].by)
    return Update(PLAYERS_CAREER_BATTING_STATS.name, moved, _match(line, season))


def _batters(totals: Totals, season: int, team_id: int, lines: list[Line], sign: int) -> tuple[list[Change], Totals]:
    known = totals.batted.get(team_id, frozenset())
    changes: list[Change] = []
    for line in lines:
        grown = {**_grown(line, (*BATTED, *BATTED_WORTH), sign), "war": sign * WAR_OF_WPA * line["wpa"]}
        changes.append(
            _line_change(PLAYERS_CAREER_BATTING_STATS, season, line, grown, {}, is_known=line["player_id"] in known)
        )
    known |= {line["player_id"] for line in lines}
    return changes, replace(totals, batted={**totals.batted, team_id: known})


def _pitchers(totals: Totals, season: int, team_id: int, lines: list[Line], sign: int) -> tuple[list[Change], Totals]:
    known = dict(totals.pitched.get(team_id, {}))
    changes: list[Change] = []
    for line in lines:
        player_id = line["player_id"]
        outs = known.get(player_id, 0) + sign * line["outs"]
        worth = {"war": sign * WAR_OF_WPA * line["wpa"], "ra9war": sign * (line["outs"] / 54 - line["r"] / 10)}
        grown = {**_grown(line, (*PITCHED, *PITCHED_WORTH), sign), **worth}
        innings = {"ip": outs // 3, "ipf": outs % 3}
        changes.append(
            _line_change(PLAYERS_CAREER_PITCHING_STATS, season, line, grown, innings, is_known=player_id in known)
        )
        known[player_id] = outs
    return changes, replace(totals, pitched={**totals.pitched, team_id: known})


def _line_change(
    table: Table, season: int, line: Line, grown: Mapping[str, float], fixed: Mapping[str, int], *, is_known: bool
) -> Change:
    """Adds a game to an existing line, or starts a line with it."""
    if is_known:
        more = {name: Plus(by) for name, by in grown.items() if by}
        return Update(table.name, {**more, **fixed}, _match(line, season))
    same = {name: line[name] for name in ("player_id", "team_id", "league_id", "level_id", "split_id", "stint")}
    known: dict[str, Value] = {**same, "position": line.get("position"), "year": season, "game_id": 0, **grown, **fixed}
    return Insert(table.name, (tuple(known.get(name, 0) for name in table.column_names),))


def _match(line: Line, season: int) -> Mapping[str, Value]:
    return {"player_id": line["player_id"], "year": season, "team_id": line["team_id"]}


def _grown(line: Line, names: tuple[str, ...], sign: int) -> dict[str, float]:
    return {name: sign * line[name] for name in names}


def _sum(before: Mapping[str, int], lines: list[Line], names: tuple[str, ...], sign: int) -> dict[str, int]:
    """A team's counts. It has played one game, not one per player."""
    counts = {name: before.get(name, 0) + sign * sum(line[name] for line in lines) for name in names}
    return {**counts, "g": before.get("g", 0) + sign, "gs": before.get("gs", 0) + sign}
