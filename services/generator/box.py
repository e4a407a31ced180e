"""A finished game as rows: line score, box score, at-bats, game and standings."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from services.generator.chronicle import days_marked
from services.generator.game import AWAY, HOME, GamePlayed
from services.generator.league import League, Player, Record, standings
from services.generator.pitching import pitching_rows
from services.generator.plate import CLOSE_INNING, CLOSE_MARGIN, HITS, AtBat, Result
from services.generator.rows import Change, Insert, Row, Update, Value
from services.generator.tables import PLAYERS_GAME_BATTING, PLAYERS_GAME_PITCHING_STATS, Table
from services.generator.totals import after_game

SAVE_MARGIN = 3
NO_AT_BAT = (Result.WALK, Result.HIT_BY_PITCH)


def game_changes(played: GamePlayed, league: League, rng: random.Random) -> tuple[tuple[Change, ...], League]:
    """All changes of a game to the warehouse, and the league after it."""
    records = _records_after(played, league)
    batting, pitching = batting_rows(played, rng), pitching_rows(played, rng)
    season_changes, totals = after_game(
        league.totals,
        league.numbers.season_of(played.game.game_id),
        (lined(PLAYERS_GAME_BATTING, row) for row in batting),
        (lined(PLAYERS_GAME_PITCHING_STATS, row) for row in pitching),
    )
    after = league.with_records(records).without_game(played.game).with_totals(totals)
    marked, after = days_marked(played.game, after)
    changes = (
        Insert("games_score", score_rows(played)),
        Insert("players_game_batting", batting),
        Insert("players_game_pitching_stats", pitching),
        Insert("players_at_bat_batting_stats", at_bat_rows(played)),
        Update("games", game_values(played), {"game_id": played.game.game_id, "played": 0}),
        *standing_updates(league, after, (played.game.away_team, played.game.home_team)),
        *season_changes,
        *marked,
        *_condition(played, rng),
        Update("leagues", {"current_date": played.game.date}, {"league_id": played.game.league_id}),
    )
    return changes, after


def lined(table: Table, row: Row) -> dict[str, Any]:
    """A row with its columns' names."""
    return dict(zip(table.column_names, row, strict=True))


def _records_after(played: GamePlayed, league: League) -> tuple[Record, Record]:
    away, home = league.records[played.game.away_team], league.records[played.game.home_team]
    return away.after(won=played.winner == AWAY), home.after(won=played.winner == HOME)


def standing_updates(before: League, after: League, teams: Iterable[int]) -> list[Change]:
    """Updates of the rows of `team_record` that change in the divisions of some teams.

    A win of the leader changes `gb` of all others, so up to five rows of a division change.
    """
    divisions = {(before.records[team_id].league_id, before.records[team_id].division) for team_id in teams}
    updates: list[Change] = []
    for place in sorted(divisions):
        old, new = (standings(league.divisions[place]) for league in (before, after))
        updates += [
            Update("team_record", new[team], {"team_id": team}) for team in sorted(new) if new[team] != old[team]
        ]
    return updates


def _condition(played: GamePlayed, rng: random.Random) -> list[Change]:
    """Updates the fatigue of both starters, and the morale of one batter of each side."""
    changes: list[Change] = []
    for side, lineup in enumerate(played.lineups):
        pitches = 60 + int(rng.random() * 60)
        tired = {"fatigue_pitches0": pitches, "fatigue_points": pitches // 2, "fatigue_played_today": 1}
        changes.append(Update("players", tired, {"player_id": lineup.starter.player_id}))
        mood = 10 if side == played.winner else -10
        moved = {"morale": 50 + mood + int(rng.random() * 30), "morale_team_performance": mood}
        changes.append(Update("players", moved, {"player_id": rng.choice(lineup.batters).player_id}))
    return changes


def game_values(played: GamePlayed) -> dict[str, Value]:
    """The columns of `games` that a played game fills."""
    away, home = played.lineups
    winner, loser = (home, away) if played.winner == HOME else (away, home)
    margin = abs(played.runs[HOME] - played.runs[AWAY])
    return {
        "attendance": played.attendance,
        "played": 1,
        "innings": played.innings,
        "runs0": played.runs[AWAY],
        "runs1": played.runs[HOME],
        "hits0": played.hits[AWAY],
        "hits1": played.hits[HOME],
        "errors0": played.errors[AWAY],
        "errors1": played.errors[HOME],
        "winning_pitcher": winner.starter.player_id,
        "losing_pitcher": loser.starter.player_id,
        "save_pitcher": winner.reliever.player_id if margin <= SAVE_MARGIN else 0,
        "starter0": away.starter.player_id,
        "starter1": home.starter.player_id,
    }


def score_rows(played: GamePlayed) -> tuple[Row, ...]:
    """The line score: a row per side and inning. A bottom half that was not played has none."""
    return tuple(
        (played.game.game_id, side, inning, score)
        for side, line in enumerate(played.lines)
        for inning, score in enumerate(line, start=1)
    )


def batting_rows(played: GamePlayed, rng: random.Random) -> tuple[Row, ...]:
    """The box score: a row per batter, the sum of his plate appearances."""
    rows = []
    for side, lineup in enumerate(played.lineups):
        grouped: dict[int, list[AtBat]] = {}
        for at_bat in played.at_bats[side]:
            grouped.setdefault(at_bat.player_id, []).append(at_bat)
        known = {player.player_id: player for player in (*lineup.batters, lineup.bench)}
        rows += [_batting_row(played, known[player_id], at_bats, rng) for player_id, at_bats in grouped.items()]
    return tuple(rows)


def _batting_row(played: GamePlayed, player: Player, at_bats: list[AtBat], rng: random.Random) -> Row:
    results = [at_bat.result for at_bat in at_bats]
    flies = sum(at_bat.sac for at_bat in at_bats)
    free = sum(result in NO_AT_BAT for result in results)
    return (
        player.player_id,
        played.game.date.year,
        player.team_id,
        played.game.game_id,
        player.league_id,
        1,  # level_id: the highest
        0,  # split_id: against all pitchers
        player.position,
        len(at_bats) - free - flies,
        sum(result in HITS for result in results),
        results.count(Result.STRIKEOUT),
        len(at_bats),
        sum(at_bat.balls + at_bat.strikes + 1 for at_bat in at_bats),
        1,  # g
        int(not at_bats[0].pinch),
        results.count(Result.DOUBLE),
        results.count(Result.TRIPLE),
        results.count(Result.HOME_RUN),
        sum(at_bat.scored for at_bat in at_bats),
        sum(at_bat.rbi for at_bat in at_bats),
        sum(at_bat.stolen for at_bat in at_bats),
        sum(at_bat.caught for at_bat in at_bats),
        results.count(Result.WALK),
        0,  # ibb
        sum(at_bat.double_play for at_bat in at_bats),
        0,  # sh
        flies,
        results.count(Result.HIT_BY_PITCH),
        None,  # ci: the export has NULL if there was no interference
        rng.uniform(-0.35, 0.35),
        0,  # stint
        rng.uniform(-1.0, 1.0) / 3,
    )


def at_bat_rows(played: GamePlayed) -> tuple[Row, ...]:
    """Every plate appearance. Measurements of a ball in play are NULL without one."""
    game_id = played.game.game_id
    return tuple(_at_bat_row(game_id, at_bat) for side in played.at_bats for at_bat in side)


def _at_bat_row(game_id: int, at_bat: AtBat) -> Row:
    close = at_bat.inning >= CLOSE_INNING and abs(at_bat.run_diff) <= CLOSE_MARGIN
    return (
        at_bat.player_id,
        game_id,
        at_bat.pitcher_id,
        at_bat.team_id,
        int(at_bat.sac),
        at_bat.balls,
        at_bat.strikes,
        int(at_bat.result),
        int(at_bat.bases[0]),
        int(at_bat.bases[1]),
        int(at_bat.bases[2]),
        int(close),
        int(at_bat.pinch),
        at_bat.inning,
        at_bat.run_diff,
        at_bat.outs,
        at_bat.stolen,
        at_bat.caught,
        at_bat.rbi,
        int(at_bat.scored),
        at_bat.spot,
        at_bat.hit_loc,
        at_bat.hit_xy,
        at_bat.exit_velo,
        at_bat.launch_angle,
    )
