"""Every stream has a replica number of its own, in the upper half of what a server takes."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.replica_number import NUMBER_MAX, NUMBER_MIN, derived_number, number_lock, stream_lock

LOCK_NAME_MAX = 64


@given(st.text())
def test_the_number_follows_from_the_stream_alone(stream_id: str) -> None:
    number = derived_number(stream_id)
    assert NUMBER_MIN <= number <= NUMBER_MAX < 2**32 - 1
    assert derived_number(stream_id) == number


@given(st.text(), st.sets(st.integers(0, 2**32 - 1), max_size=20), st.integers(1, 20))
def test_a_number_that_is_taken_is_passed_over(stream_id: str, others: set[int], count: int) -> None:
    taken = set(others)
    for _ in range(count):
        number = derived_number(stream_id, taken)
        assert number not in taken
        assert NUMBER_MIN <= number <= NUMBER_MAX
        taken.add(number)


def test_streams_have_different_numbers() -> None:
    streams = [uuid.UUID(int=n).hex for n in range(1_000)]
    assert len({derived_number(stream) for stream in streams}) == len(streams)


@given(st.integers(1, 2**32 - 1), st.text())
def test_locks_have_names_that_a_server_takes(number: int, stream_id: str) -> None:
    assert len(number_lock(number)) <= LOCK_NAME_MAX
    assert len(stream_lock(number, stream_id)) <= LOCK_NAME_MAX
    assert stream_lock(number, stream_id) != stream_lock(number, f"{stream_id}x")
