"""Every kind of event occurs within twenty games, and does what its name says."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from services.generator.day import play_day
from services.generator.events import (
    OF_A_GAME,
    OLD_GAME,
    PERIOD,
    Archive,
    Kind,
    happen,
    kind_of,
)
from services.generator.founding import first_players, first_teams
from services.generator.league import Game, League
from services.generator.rows import Change, Delete, Insert, Update
from services.generator.season import schedule, teams_by_league
from services.generator.tables import PLAYERS_AT_BAT_BATTING_STATS, PLAYERS_GAME_BATTING

GAMES = schedule(2031, teams_by_league(first_teams().values()))
OLD = Game(300_007, 100, 1, 2, dt.date(2030, 4, 2), 1305)


def batted(player_id: int, year: int) -> dict[str, Any]:
    line: dict[str, Any] = dict.fromkeys(PLAYERS_GAME_BATTING.column_names, 1)
    return {**line, "player_id": player_id, "year": year, "team_id": 1, "league_id": 100, "game_id": OLD.game_id}


AT_BAT = (1, OLD.game_id, *range(len(PLAYERS_AT_BAT_BATTING_STATS.columns) - 2))
ARCHIVE = Archive(OLD, (3, 5), (batted(1001, 2030), batted(1002, 2030)), at_bats=(AT_BAT,))


def league() -> League:
    return League(2031, first_players(), first_teams(), GAMES[1:])


def outcome(kind: Kind, seed: int = 1, archive: Archive | None = ARCHIVE) -> tuple[tuple[Change, ...], League]:
    return happen(kind, GAMES[0], league(), archive, random.Random(seed))


def test_any_twenty_games_in_a_row_carry_every_kind() -> None:
    for start in range(310_001, 310_001 + 3 * PERIOD):
        assert {kind_of(start + ahead) for ahead in range(PERIOD)} - {None} == set(Kind)


def test_fifty_games_played_in_order_hold_every_kind_and_change_rows_by_it() -> None:
    now, seen = League(2031, first_players(), first_teams(), GAMES), set()
    for _ in range(50):
        game = now.schedule[0]
        quiet = play_day(7, game, now, None)
        day = play_day(7, game, now, ARCHIVE if quiet.event in OLD_GAME else None)
        if day.event in OLD_GAME:
            assert len(day.changes) > len(quiet.changes)
        if day.event is not None:
            seen.add(day.event)
        now = day.league
    assert seen == set(Kind)


@pytest.mark.parametrize("kind", [*list(OLD_GAME), Kind.ANNULLED])
def test_an_event_without_an_earlier_game_changes_nothing(kind: Kind) -> None:
    before = league()
    assert happen(kind, GAMES[0], before, None, random.Random(1)) == ((), before)


def test_a_trade_moves_two_players_and_keeps_both_rosters_whole() -> None:
    changes, after = outcome(Kind.TRADE)
    assert [change.table for change in changes] == ["players", "players", "trade_history", "messages"]
    before = league()
    moved = [player for player in after.players.values() if player != before.players[player.player_id]]
    assert len(moved) == 2
    assert {team: len(roster) for team, roster in after.rosters.items()} == dict.fromkeys(range(1, 31), 40)


def test_a_rescheduled_game_changes_its_year_and_is_still_to_be_played() -> None:
    (update, _), after = outcome(Kind.RESCHEDULED)
    assert isinstance(update, Update)
    assert update.table == "games"
    date = update.values["date"]
    assert isinstance(date, dt.date)
    assert date.year == 2032
    assert after.schedule[-1].date == date
    assert len(after.schedule) == len(GAMES) - 1


def test_a_postponed_game_is_deleted_and_made_up_for_under_another_number() -> None:
    (gone, made_up, _), after = outcome(Kind.POSTPONED)
    assert isinstance(gone, Delete)
    assert isinstance(made_up, Insert)
    assert made_up.rows[0][0] not in {game.game_id for game in GAMES}
    assert len(after.schedule) == len(GAMES) - 1


def test_only_quiet_games_are_moved() -> None:
    for seed in range(50):
        for kind in (Kind.RESCHEDULED, Kind.POSTPONED):
            changed = set(league().schedule) - set(outcome(kind, seed)[1].schedule)
            assert [kind_of(game.game_id) for game in changed] == [None]


def test_a_draft_deletes_one_player_and_inserts_another_for_his_position() -> None:
    (gone, drafted, _), after = outcome(Kind.DRAFT)
    assert isinstance(gone, Delete)
    assert isinstance(drafted, Insert)
    assert len(after.players) == len(league().players)
    assert gone.match["player_id"] not in after.players


def test_an_injured_player_comes_back_with_the_next_injury_event() -> None:
    _, hurt = outcome(Kind.INJURY)
    assert sum(player.injured for player in hurt.players.values()) == 1
    _, healed = happen(Kind.INJURY, GAMES[0], hurt, None, random.Random(2))
    assert not any(player.injured for player in healed.players.values())


def test_a_refiled_row_changes_year_or_league_and_is_put_right_next_time() -> None:
    (update,), _ = outcome(Kind.REFILED)
    assert isinstance(update, Update)
    filed = (update.values["year"], update.values["league_id"])
    assert filed != (2030, 100)
    astray = Archive(OLD, (3, 5), (batted(1001, 2029), batted(1002, 2030)))
    (back,), _ = outcome(Kind.REFILED, archive=astray)
    assert isinstance(back, Update)
    assert (back.values["year"], back.values["league_id"]) == (2030, 100)
    assert back.match["player_id"] == 1001


def test_a_corrected_at_bat_is_deleted_once_and_written_again() -> None:
    (gone, new), _ = outcome(Kind.AT_BAT_CORRECTED)
    assert isinstance(gone, Delete)
    assert isinstance(new, Insert)
    assert gone.limit == 1
    assert tuple(gone.match.values()) == AT_BAT
    assert new.rows[0][:-2] == AT_BAT[:-2]


def test_an_annulled_game_takes_all_its_rows_and_its_place_in_the_records() -> None:
    now = league().with_records(
        (first_teams()[1].after(won=True), first_teams()[2].after(won=False)),
    )
    changes, after = happen(Kind.ANNULLED, GAMES[0], now, ARCHIVE, random.Random(1))
    tables = [change.table for change in changes if isinstance(change, Delete)]
    assert tables == list(OF_A_GAME)
    assert (after.records[1].games, after.records[1].wins, after.records[2].losses) == (0, 0, 0)
