"""A league played in memory: totals are the sum of its games, and a restart continues without a trace."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.generator.league import League
from services.generator.numbers import Numbers
from services.generator.reading import read_league
from services.generator.seed_sql import founded, play_next
from services.generator.store import Store
from services.generator.tables import BY_NAME, TABLES
from services.generator.totals import BATTED, BATTED_WORTH, PITCHED, PITCHED_WORTH

SEASON_GAMES = 210
# Shrinking would play hundreds of leagues, and a short one fails as well as a long one.
LAW = settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])


@lru_cache(maxsize=1)
def beginning() -> tuple[Store, League]:
    return founded()


def played(seed: int, games: int, resumed_after: int | None = None) -> tuple[Store, League]:
    """A league after some games and new seasons; everything known is thrown away once, and read again."""
    store, league = copy.deepcopy(beginning())
    for number in range(games):
        league = play_next(store, league, seed, rounds=1)
        if number == resumed_after:
            league = read_league(store.select, Numbers())
    return store, league


def contents(store: Store) -> dict[str, list[str]]:
    return {table.name: sorted(map(repr, store.rows(table.name))) for table in TABLES}


def lines(store: Store, table: str) -> Iterator[dict[str, Any]]:
    names = BY_NAME[table].column_names
    return (dict(zip(names, row, strict=True)) for row in store.rows(table))


def summed(
    store: Store, box: str, key: tuple[str, ...], names: tuple[str, ...]
) -> dict[tuple[float, ...], list[float]]:
    """What the box scores add up to, by season and key; the season is the game's, wherever the row is filed."""

    def place(line: dict[str, float]) -> tuple[float, ...]:
        return (Numbers().season_of(int(line["game_id"])), *(line[name] for name in key))

    rows = sorted(lines(store, box), key=place)
    return {
        at: [sum(column) for column in zip(*([line[name] for name in names] for line in group), strict=True)]
        for at, group in groupby(rows, place)
    }


@LAW
@given(st.integers(0, 2**32), st.integers(1, SEASON_GAMES + 60))
def test_every_total_is_the_sum_of_its_games(seed: int, games: int) -> None:
    assert_totals(*played(seed, games))


def assert_totals(store: Store, league: League) -> None:
    for kind, names in (("batting", BATTED + BATTED_WORTH), ("pitching_stats", PITCHED + PITCHED_WORTH)):
        sums = summed(store, f"players_game_{kind}", ("player_id", "team_id"), names)
        for line in lines(store, f"players_career_{kind.removesuffix('_stats')}_stats"):
            expected = sums.pop((line["year"], line["player_id"], line["team_id"]), [0] * len(names))
            assert [line[name] for name in names] == pytest.approx(expected, abs=1e-9)
        assert not sums
    for kind, names in (("batting", BATTED), ("pitching_stats", PITCHED)):
        kept = tuple(n for n in names if n in BY_NAME[f"team_{kind.removesuffix('_stats')}_stats"].column_names)
        kept = tuple(name for name in kept if name not in ("g", "gs"))
        sums = summed(store, f"players_game_{kind}", ("team_id",), kept)
        for line in lines(store, f"team_{kind.removesuffix('_stats')}_stats"):
            assert line["year"] == league.season
            assert [line[name] for name in kept] == sums.get((league.season, line["team_id"]), [0] * len(kept))


@LAW
@given(st.integers(0, 2**32), st.integers(1, SEASON_GAMES + 60))
def test_records_and_line_scores_add_up_to_the_games(seed: int, games: int) -> None:
    store, league = played(seed, games)
    won: dict[float, int] = {}
    for game in lines(store, "games"):
        scores = [line for line in lines(store, "games_score") if line["game_id"] == game["game_id"]]
        assert [sum(score["score"] for score in scores if score["team"] == side) for side in (0, 1)] == [
            game["runs0"],
            game["runs1"],
        ]
        if game["played"] and Numbers().season_of(int(game["game_id"])) == league.season:
            winner = game["home_team"] if game["runs1"] > game["runs0"] else game["away_team"]
            won[winner] = won.get(winner, 0) + 1
    assert {line["team_id"]: line["w"] for line in lines(store, "team_record") if line["w"]} == won


@LAW
@given(st.integers(0, 2**32), st.integers(1, SEASON_GAMES + 60), st.data())
def test_a_league_resumed_after_any_game_is_the_one_that_was_never_interrupted(
    seed: int, games: int, data: st.DataObject
) -> None:
    resumed_after = data.draw(st.integers(0, games - 1))
    whole, _ = played(seed, games)
    resumed, _ = played(seed, games, resumed_after)
    assert contents(resumed) == contents(whole)


def test_a_season_rolls_over_into_the_next_and_leaves_its_totals_behind() -> None:
    store, league = played(1, SEASON_GAMES + 30)
    assert league.season == 2031
    years = {line["year"] for line in lines(store, "players_career_batting_stats")}
    assert years == {2030, 2031}
    assert {Numbers().season_of(int(game["game_id"])) for game in lines(store, "games") if not game["played"]} == {2031}


@pytest.mark.parametrize("season", [2099, Numbers().last_season - 1])
def test_seasons_follow_one_another_over_any_number_of_years(season: int) -> None:
    store, league = founded(season=season)
    for number in range(SEASON_GAMES + 40):
        league = play_next(store, league, 7, rounds=1)
        if number % 100 == 50:
            league = read_league(store.select, Numbers())
    assert league.season == season + 1
    assert {line["year"] for line in lines(store, "players_career_batting_stats")} == {season, season + 1}
    assert_totals(store, league)
    numbers = [line["game_id"] for line in lines(store, "games")]
    assert len(numbers) == len(set(numbers))
