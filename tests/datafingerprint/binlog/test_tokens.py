"""Tokens are those of the servers' lexers, with anything in quotation marks and comments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.binlog.queries import ANSI_QUOTES, NO_BACKSLASH_ESCAPES
from datafingerprint.binlog.tokens import Kind, Token, tokenize

WORD, NAME, TEXT, SIGN = Kind.WORD, Kind.NAME, Kind.TEXT, Kind.SIGN


def read(text: str, mode: int = 0, *, as_mariadb: bool = True) -> list[tuple[Kind, str]] | None:
    tokens = tokenize(text, mode, as_mariadb=as_mariadb)
    return None if tokens is None else [(token.kind, token.text) for token in tokens]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.`b c` 'd'", [(WORD, "a"), (SIGN, "."), (NAME, "b c"), (TEXT, "d")]),
        ("`a``b`'it''s'", [(NAME, "a`b"), (TEXT, "it's")]),
        (r"'a\'b' 'c'", [(TEXT, r"a\'b"), (TEXT, "c")]),
        ('"a""b"', [(TEXT, 'a"b')]),
        ("5--1", [(WORD, "5"), (SIGN, "-"), (SIGN, "-"), (WORD, "1")]),
        ("5-- 1\n2", [(WORD, "5"), (WORD, "2")]),
        ("a#b\nc", [(WORD, "a"), (WORD, "c")]),
        ("a/*b*/c", [(WORD, "a"), (WORD, "c")]),
        ("/*!50003 a*/ b", [(WORD, "a"), (WORD, "b")]),
        ("/*! a /* b */ c */", [(WORD, "a"), (WORD, "c")]),
        ("a */", [(WORD, "a"), (SIGN, "*"), (SIGN, "/")]),
        ("x'41' b'01' N'n' _utf8mb4'u'", [(TEXT, "41"), (TEXT, "01"), (TEXT, "n"), (WORD, "_utf8mb4"), (TEXT, "u")]),
        ("0x41 1e5 1st", [(WORD, "0x41"), (WORD, "1e5"), (WORD, "1st")]),
        ("é a\u00a0b", [(NAME, "é"), (NAME, "a\u00a0b")]),
        ("@a @@b.c u@'%'", [(SIGN, "@"), (WORD, "a"), (SIGN, "@"), (SIGN, "@"), (WORD, "b"), (SIGN, "."), (WORD, "c"),
                            (WORD, "u"), (SIGN, "@"), (TEXT, "%")]),
        ("FUNCTION f AS $$ it's $$", [(WORD, "FUNCTION"), (WORD, "f"), (WORD, "AS"), (TEXT, "$$ it's $$")]),
        ("TABLE $a$, $a$b", [(WORD, "TABLE"), (WORD, "$a$"), (SIGN, ","), (WORD, "$a$b")]),
    ],
)  # fmt: skip
def test_a_text_has_the_tokens_that_servers_find(text: str, expected: list[tuple[Kind, str]]) -> None:
    assert read(text) == expected


def test_tokens_depend_on_the_mode_and_the_server() -> None:
    assert read("\"a\" 'b'", ANSI_QUOTES) == [(NAME, "a"), (TEXT, "b")]
    assert read(r"'a\' 'b'", NO_BACKSLASH_ESCAPES) == [(TEXT, "a\\"), (TEXT, "b")]
    assert read("a /*M! b */ c") == [(WORD, "a"), (WORD, "b"), (WORD, "c")]
    assert read("a /*M! b */ c", as_mariadb=False) == [(WORD, "a"), (WORD, "c")]


@pytest.mark.parametrize("text", ["'a", "`a", '"a', "/* a", "/*! a", r"'a\'", "'a''"])
def test_an_unfinished_quotation_or_comment_is_no_statement(text: str) -> None:
    assert read(text) is None


def written(token: Token, mode: int) -> str:
    """A token as a client may write it."""
    if token.kind is NAME:
        quote = '"' if mode & ANSI_QUOTES else "`"
        return quote + token.text.replace(quote, quote * 2) + quote
    if token.kind is TEXT:
        return "'" + token.text.replace("'", "''") + "'"
    return token.text


@st.composite
def statements(draw: st.DrawFn) -> tuple[int, list[Token], str]:
    """Tokens, and a text of them with blanks and comments in all places."""
    mode = draw(st.sampled_from([0, ANSI_QUOTES, NO_BACKSLASH_ESCAPES, ANSI_QUOTES | NO_BACKSLASH_ESCAPES]))
    inside = st.text(alphabet="ab '\"`()-#/*,;é\n", max_size=6)
    backslashes = "\\" if mode & NO_BACKSLASH_ESCAPES else ""
    any_token = st.one_of(
        st.builds(Token, st.just(WORD), st.text(alphabet="abZ_$019", min_size=1, max_size=5)),
        st.builds(Token, st.just(NAME), inside.filter(bool)),
        st.builds(Token, st.just(TEXT), inside.map(lambda text: text + backslashes)),
        st.builds(Token, st.just(SIGN), st.sampled_from("(),.=;@+<>%")),
    )
    tokens = draw(st.lists(any_token, max_size=12))
    between = st.sampled_from([" ", "\t\n", "/* ' ` \" */", " -- '\n", "# `\n", " /*! */ ", "/*!50000 */"])
    return mode, tokens, "".join(draw(between) + written(item, mode) for item in tokens) + draw(between)


@given(statements())
def test_written_tokens_are_read_with_any_blanks_and_comments_between(drawn: tuple[int, list[Token], str]) -> None:
    mode, expected, text = drawn
    assert tokenize(text, mode) == tuple(expected)
