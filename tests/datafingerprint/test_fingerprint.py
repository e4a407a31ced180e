"""The fingerprint is a group: what is added can be taken away, in any order, in any parts."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.fingerprint import MODULUS, ZERO, Fingerprint, of_digests, total

HALVES = st.integers(0, MODULUS - 1) | st.sampled_from([0, 1, MODULUS - 1])
FINGERPRINTS = st.builds(Fingerprint, st.integers(-(10**12), 10**12), HALVES, HALVES)
DIGESTS = st.lists(st.binary(min_size=16, max_size=16), max_size=12)


@given(FINGERPRINTS, FINGERPRINTS, FINGERPRINTS)
def test_addition_is_associative(a: Fingerprint, b: Fingerprint, c: Fingerprint) -> None:
    assert (a + b) + c == a + (b + c)


@given(FINGERPRINTS, FINGERPRINTS)
def test_addition_is_commutative(a: Fingerprint, b: Fingerprint) -> None:
    assert a + b == b + a


@given(FINGERPRINTS)
def test_zero_changes_nothing(a: Fingerprint) -> None:
    assert a + ZERO == a == ZERO + a


@given(FINGERPRINTS, FINGERPRINTS)
def test_what_was_added_can_be_taken_away(a: Fingerprint, b: Fingerprint) -> None:
    assert a + -a == ZERO
    assert a + b - b == a
    assert ZERO - (-a) == a


@given(FINGERPRINTS, FINGERPRINTS)
def test_both_halves_stay_unsigned_64_bit_integers(a: Fingerprint, b: Fingerprint) -> None:
    for item in (a + b, a - b, -a):
        assert 0 <= item.hi < MODULUS
        assert 0 <= item.lo < MODULUS


@given(DIGESTS, DIGESTS)
def test_merging_parts_is_the_sum_over_the_rows_together(left: list[bytes], right: list[bytes]) -> None:
    assert of_digests(left) + of_digests(right) == of_digests(left + right)
    assert total([of_digests(left), of_digests(right)]) == of_digests(right + left)


def test_nothing_sums_to_zero_and_a_row_twice_counts_twice() -> None:
    digest = hashlib.md5(b"a=1", usedforsecurity=False).digest()
    assert total([]) == of_digests([]) == ZERO
    assert of_digests([digest, digest]).rows == 2
    assert of_digests([digest, digest]) != of_digests([digest])


def test_the_digest_is_the_md5_in_hex_and_the_value_its_low_half_in_decimals() -> None:
    known = hashlib.md5(b"a=1", usedforsecurity=False)
    digest = of_digests([known.digest()])
    assert digest.digest == known.hexdigest()
    assert digest.value == str(int(known.hexdigest()[16:], 16))


def test_small_halves_keep_their_zeros_in_the_digest() -> None:
    assert Fingerprint(1, 1, 255).digest == "0000000000000001" + "00000000000000ff"


@given(FINGERPRINTS, st.integers(1, 2**63))
def test_equality_needs_all_three_numbers(a: Fingerprint, d: int) -> None:
    assert a == Fingerprint(a.rows, a.hi, a.lo)
    assert a != Fingerprint(a.rows + d, a.hi, a.lo)
    assert a != Fingerprint(a.rows, (a.hi + d) % MODULUS, a.lo)
    assert a != Fingerprint(a.rows, a.hi, (a.lo + d) % MODULUS)
