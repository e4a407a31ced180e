"""Inserts are joined and cut into what a server takes, and bring the same rows in the same order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.errors import ConfigError
from services.generator.export import Part, parts
from services.generator.inserts import RESERVED_BYTES, fitted, joined, row_texts, size_bytes, sized
from services.generator.seed_sql import _literal

MIB = 1 << 20


def cut(text: str) -> list[Part]:
    return list(parts(text.splitlines(keepends=True), "x.sql"))


def insert(*rows: str, tail: str = "") -> Part:
    (part,) = parts([f"INSERT INTO `a` (`x`) VALUES {','.join(rows)}{tail};"], "x.sql")
    return part


def test_inserts_with_one_head_become_one_statement_up_to_a_size() -> None:
    rows = cut("".join(f"INSERT INTO a VALUES ({number});\n" for number in range(5)) + "INSERT INTO b VALUES (9);")
    whole = list(joined(rows, 1_000))
    assert [part.sql for part in whole] == ["INSERT INTO a VALUES (0),(1),(2),(3),(4)", "INSERT INTO b VALUES (9)"]
    assert [part.line for part in joined(rows, 60)] == [1, 3, 5, 6]


ROW = st.lists(
    st.one_of(
        st.integers(), st.none(), st.text(st.characters(exclude_categories=["Cs"])).filter(lambda t: "\n" not in t)
    ),
    min_size=1,
).map(lambda values: "(" + ",".join(_literal(value) for value in values) + ")")


@given(st.lists(ROW, min_size=1), st.integers(RESERVED_BYTES + 200, RESERVED_BYTES + 2_000))
def test_an_insert_that_is_too_long_is_cut_between_its_rows(rows: list[str], packet_bytes: int) -> None:
    part = insert(*rows)
    assert row_texts(part) == rows
    longest = len(part.head) + max(map(size_bytes, rows))
    if longest > packet_bytes - RESERVED_BYTES:
        with pytest.raises(ConfigError):
            list(fitted(part, packet_bytes, "x.sql"))
        return
    pieces = list(fitted(part, packet_bytes, "x.sql"))
    assert all(size_bytes(piece.sql) <= packet_bytes - RESERVED_BYTES for piece in pieces)
    assert [row for piece in pieces for row in row_texts(piece) or ()] == rows


def test_brackets_within_a_row_do_not_end_it() -> None:
    rows = ["(1, (2), UPPER('a)'), \"b(\")", "( 2,(3),'','')"]
    assert row_texts(insert(*rows)) == rows


def test_joined_inserts_are_never_longer_than_the_server_takes() -> None:
    rows = cut("".join(f"INSERT INTO a VALUES ('{'陳' * 100}');\n" for _ in range(50)))
    pieces = list(sized(rows, 4_096, "x.sql"))
    assert 1 < len(pieces) < 50
    assert all(size_bytes(piece.sql) <= 4_096 - RESERVED_BYTES for piece in pieces)


def test_a_row_that_is_too_long_is_named_with_its_size_and_what_mends_it() -> None:
    part = insert("(1)", f"('{'é' * MIB}')")
    with pytest.raises(ConfigError) as caught:
        list(fitted(part, MIB, "x.sql"))
    assert str(caught.value) == (
        "row 2 of an INSERT is 2,097,185 bytes long, and the server takes 1,048,576 (max_allowed_packet)"
        " at x.sql line 1: SET GLOBAL max_allowed_packet = 3145728, and start again"
    )


def test_what_cannot_be_cut_is_refused_with_its_size() -> None:
    rows = [f"({number})" for number in range(2_000)]
    for part in (
        insert(*rows, tail=" ON DUPLICATE KEY UPDATE x = 1"),
        *cut(f"CREATE TABLE a (x INT) COMMENT '{'y' * 9_000}';"),
    ):
        with pytest.raises(ConfigError, match="a statement that cannot be split between rows"):
            list(fitted(part, 4_096, "x.sql"))


def test_more_than_any_server_takes_has_to_become_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.generator.inserts.PACKET_BYTES_MAX", MIB)
    with pytest.raises(ConfigError, match="no server takes more than 1 GiB: shorten it"):
        list(fitted(insert(f"('{'y' * MIB}')"), MIB, "x.sql"))
