"""Changes that were put together leave the rows that they leave one by one, and are few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from services.generator.batches import Updates, batched
from services.generator.rows import Change, Delete, Insert, Plus, Update, Value
from services.generator.season import new_season
from services.generator.seed_sql import founded
from services.generator.store import Store

TABLE = "games_score"
SMALL = st.integers(0, 2)
ROWS = st.lists(st.tuples(SMALL, SMALL, SMALL, SMALL), min_size=1, max_size=3).map(tuple)


def matches(**columns: st.SearchStrategy[int]) -> st.SearchStrategy[dict[str, Value]]:
    return st.fixed_dictionaries({}, optional=columns)


MATCH = matches(game_id=SMALL, team=SMALL, inning=SMALL)
NEW = st.one_of(SMALL, SMALL.map(Plus))
CHANGE = st.one_of(
    st.builds(Insert, st.just(TABLE), ROWS),
    st.builds(Delete, st.just(TABLE), MATCH),
    st.builds(Update, st.just(TABLE), st.fixed_dictionaries({"score": NEW}, optional={"inning": NEW}), MATCH),
)


def one_by_one(changes: Iterable[Change | Updates]) -> Iterator[Change]:
    """The changes again that were put together."""
    for change in changes:
        if not isinstance(change, Updates):
            yield change
            continue
        fixed_from, grown_from = len(change.match), len(change.match) + len(change.fixed)
        for row in change.rows:
            values: dict[str, Value | Plus] = dict(zip(change.fixed, row[fixed_from:grown_from], strict=True))
            for name, by in zip(change.grown, row[grown_from:], strict=True):
                assert isinstance(by, int | float)
                values[name] = Plus(by)
            yield Update(change.table, values, dict(zip(change.match, row[:fixed_from], strict=True)))


def left_by(changes: Iterable[Change]) -> list[str]:
    store = Store()
    store.apply([Insert(TABLE, tuple((a, b, c, 0) for a in range(3) for b in range(3) for c in range(2)))])
    store.apply(changes)
    return sorted(map(repr, store.rows(TABLE)))


@settings(max_examples=400)
@given(st.lists(CHANGE, max_size=8))
def test_what_was_put_together_leaves_the_same_rows(changes: list[Change]) -> None:
    assert left_by(one_by_one(batched(changes))) == left_by(changes)


def test_updates_of_several_rows_are_one_and_a_second_one_of_a_row_comes_after_them() -> None:
    changes: list[Change] = [
        Update(TABLE, {"score": Plus(1)}, {"game_id": 1, "team": 0}),
        Insert(TABLE, ((7, 0, 1, 0),)),
        Update(TABLE, {"score": Plus(2)}, {"game_id": 2, "team": 0}),
        Insert(TABLE, ((8, 0, 1, 0),)),
        Update(TABLE, {"score": Plus(4)}, {"game_id": 1, "team": 0}),
    ]
    assert list(batched(changes)) == [
        Updates(TABLE, ("game_id", "team"), (), ("score",), ((1, 0, 1), (2, 0, 2))),
        Insert(TABLE, ((7, 0, 1, 0), (8, 0, 1, 0))),
        changes[4],
    ]


def test_a_row_that_just_came_is_updated_after_it_came() -> None:
    changes: list[Change] = [
        Update(TABLE, {"score": Plus(1)}, {"game_id": 1}),
        Insert(TABLE, ((2, 0, 1, 0),)),
        Update(TABLE, {"score": Plus(1)}, {"game_id": 2}),
    ]
    assert list(batched(changes)) == changes


def test_a_row_that_another_update_moves_into_a_match_is_updated_after_it_moved() -> None:
    changes: list[Change] = [
        Update(TABLE, {"score": Plus(1)}, {"inning": 2}),
        Update(TABLE, {"inning": 1}, {"inning": 0}),
        Update(TABLE, {"score": Plus(1)}, {"inning": 1}),
    ]
    assert list(batched(changes)) == changes


def test_what_one_row_does_not_grow_by_is_nought_and_what_is_new_is_of_the_same_columns() -> None:
    changes: list[Change] = [
        Update(TABLE, {"score": Plus(1), "inning": 3}, {"game_id": 1}),
        Update(TABLE, {"inning": None}, {"game_id": 2}),
        Update(TABLE, {"score": 5}, {"game_id": 3}),
    ]
    assert list(batched(changes)) == [
        Updates(TABLE, ("game_id",), ("inning",), ("score",), ((1, 3, 1), (2, None, 0))),
        changes[2],
    ]


def test_texts_are_never_told_apart_here_and_a_game_that_must_not_be_played_stands_alone() -> None:
    changes: list[Change] = [
        Update("games", {"played": 1}, {"game_id": 1, "played": 0}),
        Update("games", {"played": 1}, {"game_id": 2, "played": 0}),
        Update("teams", {"level": 1}, {"abbr": "a"}),
        Update("teams", {"level": Plus(1)}, {"abbr": "A"}),
    ]
    assert list(batched(changes)) == changes


def test_a_new_season_is_few_changes() -> None:
    changes, _ = new_season(founded()[1])
    assert len(changes) >= 100
    assert len(list(batched(changes))) < 15
