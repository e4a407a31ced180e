"""A table's name is one text, and no two tables have the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.table_names import split_table_name, table_name

PART = st.text(st.sampled_from("ab.`- _é"), min_size=1, max_size=5)


@given(PART, PART)
def test_the_name_tells_schema_and_table(schema: str, name: str) -> None:
    assert split_table_name(table_name(schema, name)) == (schema, name)


@given(PART, PART, PART, PART)
def test_two_tables_never_have_one_name(a: str, b: str, c: str, d: str) -> None:
    assert (table_name(a, b) == table_name(c, d)) == ((a, b) == (c, d))


def test_ordinary_names_are_joined_and_only_dots_and_backticks_are_quoted() -> None:
    assert table_name("ootp", "players") == "ootp.players"
    assert table_name("a b", "c-d$é") == "a b.c-d$é"
    assert table_name("x", "y.z") == "x.`y.z`"
    assert table_name("x.y", "z") == "`x.y`.z"
    assert table_name("a`b", ".") == "`a``b`.`.`"


@pytest.mark.parametrize("text", ["", "players", "a.b.c", "`a.b", ".b", "a.", "`a`b.c", "a.`b`c`"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not schema\.table"):
        split_table_name(text)
