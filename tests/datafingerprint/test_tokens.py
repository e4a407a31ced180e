"""Tokens: secrets that cannot be guessed, states over time, and the search for a holder."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.tokens import PREFIX, Role, TokenState, digest, holder, is_name, new_token

NOW = 1_000_000.0


def test_a_secret_is_long_new_each_time_and_not_kept() -> None:
    made = [new_token("a", Role.VIEWER, NOW, None) for _ in range(100)]
    secrets = {secret for secret, _ in made}
    assert len(secrets) == 100
    for secret, token in made:
        assert secret.startswith(PREFIX)
        assert len(secret) > 40
        assert secret not in repr(token)
        assert token.digest == digest(secret)


@given(lifetime_s=st.one_of(st.none(), st.floats(1, 1e9)), after_s=st.floats(0, 1e9), is_revoked=st.booleans())
def test_a_token_is_valid_until_it_expires_or_is_revoked(
    lifetime_s: float | None, after_s: float, *, is_revoked: bool
) -> None:
    _, token = new_token("a", Role.OPERATOR, 0.0, lifetime_s)
    token = replace(token, revoked_at=0.0 if is_revoked else None)
    state = token.state(after_s)
    if is_revoked:
        assert state is TokenState.REVOKED
    else:
        assert (state is TokenState.EXPIRED) is (lifetime_s is not None and after_s >= lifetime_s)


def test_a_holder_is_found_by_the_whole_secret_only() -> None:
    made = [new_token(f"token {number}", Role.VIEWER, NOW, None) for number in range(5)]
    tokens = [token for _, token in made]
    for secret, token in made:
        assert holder(digest(secret), tokens) == token
        assert holder(digest(secret[:-1]), tokens) is None
    assert holder(digest(""), tokens) is None
    assert holder(digest(made[0][0]), []) is None


@pytest.mark.parametrize(
    ("text", "is_good"),
    [("grafana", True), ("night shift", True), ("büro", True), ("", False), (" a", False), ("a\n", False),
     ("a\x1b[0m", False), ("x" * 100, True), ("x" * 101, False)],
)  # fmt: skip
def test_a_name_can_be_printed_on_one_line(text: str, *, is_good: bool) -> None:
    assert is_name(text) is is_good


def test_half_of_a_surrogate_pair_is_no_error() -> None:
    assert digest("\udc80") != digest("?")
