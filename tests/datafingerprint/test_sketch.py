"""Sketches: a group under addition, whose differences name the rows that differ or say that they cannot."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint.fingerprint import MODULUS, Fingerprint
from datafingerprint.native.library import library
from datafingerprint.native.sketches import packed_text
from datafingerprint.sketch import (
    Entries,
    Overflow,
    RowVersion,
    Sketch,
    check_of,
    checks_of,
    of_entries,
    peel,
    places_of,
    zero,
)
from datafingerprint.sketch_limits import CELLS_MAX

WORDS = st.integers(0, MODULUS - 1)
HALVES = st.integers(0, (1 << 128) - 1)
VERSIONS = st.builds(RowVersion, st.integers(0, 50) | HALVES, HALVES)
ROWS = st.lists(VERSIONS, max_size=30)
CELLS = st.sampled_from([4, 24, 40, 252])


def entries(rows: list[RowVersion]) -> Entries:
    words = [(row.key >> 64, row.key % MODULUS, row.digest >> 64, row.digest % MODULUS) for row in rows]
    return Entries(*np.array(words, np.uint64).reshape(-1, 4).T.copy())


def sketch(rows: list[RowVersion], cells: int = 40) -> Sketch:
    return of_entries(entries(rows), cells)


def fingerprint(rows: list[RowVersion]) -> Fingerprint:
    hi, lo = (sum(part) % MODULUS for part in ([r.digest >> 64 for r in rows], [r.digest % MODULUS for r in rows]))
    return Fingerprint(len(rows), hi, lo)


def difference(source: list[RowVersion], lake: list[RowVersion], cells: int = 40) -> Counter[RowVersion] | Overflow:
    expected = fingerprint(source) - fingerprint(lake)
    return peel(sketch(source, cells) - sketch(lake, cells), expected)


def signed(source: list[RowVersion], lake: list[RowVersion]) -> Counter[RowVersion]:
    net = Counter(source)
    net.subtract(lake)
    return Counter({row: times for row, times in net.items() if times})


@given(ROWS, st.randoms(use_true_random=False), CELLS)
def test_the_order_of_rows_does_not_matter(rows: list[RowVersion], chance: object, cells: int) -> None:
    shuffled = rows.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sketch(shuffled, cells) == sketch(rows, cells)


@given(ROWS, ROWS, CELLS)
def test_what_is_added_and_taken_away_leaves_nothing(some: list[RowVersion], others: list[RowVersion], c: int) -> None:
    both = sketch(some, c) + sketch(others, c)
    assert both == sketch(some + others, c)
    assert both - sketch(others, c) == sketch(some, c)
    assert (both - both).is_zero
    assert (both + -both).is_zero
    assert sketch(some, c) * 3 == sketch(some * 3, c)
    assert sketch(some, c) * -1 == -sketch(some, c)


@given(ROWS, ROWS, ROWS, CELLS)
@settings(max_examples=300, deadline=None)
def test_a_decoded_difference_is_the_true_one_or_an_overflow(
    both: list[RowVersion], source: list[RowVersion], lake: list[RowVersion], cells: int
) -> None:
    result = difference(both + source, lake + both, cells)
    assert isinstance(result, Overflow) or result == signed(source, lake)


@given(st.lists(VERSIONS, max_size=6, unique=True), st.data())
@settings(max_examples=200, deadline=None)
def test_copies_of_a_row_are_counted(rows: list[RowVersion], data: st.DataObject) -> None:
    lake = [row for row in rows for _ in range(data.draw(st.integers(0, 12)))]
    result = difference(rows, lake, 252)
    assert isinstance(result, Overflow) or result == signed(rows, lake)


def random_rows(count: int, seed: int) -> list[RowVersion]:
    chance = np.random.default_rng(seed)
    digests = chance.integers(0, MODULUS, (count, 2), np.uint64).tolist()
    return [RowVersion(number, hi << 64 | lo) for number, (hi, lo) in enumerate(digests)]


@pytest.mark.parametrize(("cells", "rows"), [(40, 8), (60, 11), (252, 120)])
def test_a_sketch_names_about_a_quarter_of_its_cells_and_larger_ones_more(cells: int, rows: int) -> None:
    kept = random_rows(500, 1)
    named = 0
    for seed in range(2, 102):
        lost = random_rows(rows, seed)
        named += difference(kept + lost, kept, cells) == signed(lost, [])
    assert named >= 97


@pytest.mark.parametrize("copies", [1, 2, 3, 5, 6, 8, 12, 1_000_000_007])
def test_many_copies_of_one_row_are_told(copies: int) -> None:
    (row,) = random_rows(1, 4)
    expected = fingerprint([row]) * copies
    assert peel(sketch([row]) * copies, expected) == {row: copies}
    assert peel(sketch([row]) * -copies, expected * -1) == {row: -copies}


def test_too_many_copies_in_powers_of_two_are_an_overflow() -> None:
    (row,) = random_rows(1, 4)
    assert peel(sketch([row]) * 16, fingerprint([row]) * 16) == Overflow()


def test_a_difference_that_does_not_add_up_to_the_sums_is_an_overflow() -> None:
    rows = random_rows(3, 6)
    assert peel(sketch(rows), fingerprint(rows)) == dict.fromkeys(rows, 1)
    assert peel(sketch(rows), fingerprint(rows[:2])) == Overflow()


def test_two_versions_of_a_row_are_both_named() -> None:
    old, new = (RowVersion(7, digest) for digest in (1 << 100, 1 << 101))
    assert difference([new], [old]) == {new: 1, old: -1}


@given(ROWS, CELLS)
def test_stored_cells_are_read_as_they_were(rows: list[RowVersion], cells: int) -> None:
    made = sketch(rows, cells)
    assert Sketch.from_bytes(made.to_bytes()) == made


def test_stored_cells_that_are_damaged_are_refused() -> None:
    stored = sketch(random_rows(5, 1)).to_bytes()
    for damaged in (stored[:-3], b"", stored[:10] + b"\0\0" + stored[12:]):
        with pytest.raises(ValueError, match="stored cells are"):
            Sketch.from_bytes(damaged)


@pytest.mark.parametrize("cells", [0, 3, 42, -4, CELLS_MAX + 4])
def test_no_sketch_has_other_numbers_of_cells(cells: int) -> None:
    with pytest.raises(ValueError, match="a sketch has"):
        zero(cells)


@given(st.lists(VERSIONS, min_size=1, max_size=20))
def test_whole_columns_are_hashed_as_one_row_is(rows: list[RowVersion]) -> None:
    checks = checks_of(entries(rows)).tolist()
    assert checks == [check_of(row) for row in rows]
    cells = sketch(rows[:1]).cells
    filled = np.flatnonzero(cells[:, 0]).tolist()
    assert filled == list(places_of(checks[0], 10))


@given(ROWS, CELLS, st.data())
@settings(max_examples=200)
def test_native_code_makes_the_cells_that_numpy_makes(rows: list[RowVersion], cells: int, data: st.DataObject) -> None:
    native = library()
    assert native is not None
    of = entries(rows)
    digests = np.ascontiguousarray(np.stack([of.digest_hi, of.digest_lo], axis=1)).reshape(-1)
    keys = of.key_hi, of.key_lo
    assert native.sketches.sketch(keys, digests, None, (0, len(rows)), cells) == sketch(rows, cells)
    assert native.sketches.by_group(keys, digests, None, 1, cells) == [sketch(rows, cells)]
    groups = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    of_group = [[row for row, group in zip(rows, groups, strict=True) if group == number] for number in range(4)]
    by_group = native.sketches.by_group(keys, digests, np.array(groups, np.int32), 4, cells)
    assert by_group == [sketch(item, cells) for item in of_group]
    order = data.draw(st.permutations(range(len(rows))))
    start, end = sorted((data.draw(st.integers(0, len(rows))), data.draw(st.integers(0, len(rows)))))
    result = native.sketches.sketch(keys, digests, np.array(order, np.int64), (start, end), cells)
    assert result == sketch([rows[place] for place in order[start:end]], cells)


def test_a_short_text_is_packed_with_its_length() -> None:
    assert packed_text(b"ab").to_bytes(16) == b"\x02ab" + bytes(13)
    assert packed_text(b"") == 0
    assert packed_text(b"x" * 16) == 0
