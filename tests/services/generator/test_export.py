"""Statements of an export are cut where they end; what is none of an export's is refused with file, line and reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.errors import ConfigError
from services.generator.export import Part, merged, parts
from services.generator.seed_sql import SEED_FOLDER, _literal


def cut(text: str) -> list[Part]:
    return list(parts(text.splitlines(keepends=True), "x.sql"))


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        cut(text)
    return str(caught.value)


def test_statements_begin_where_their_first_word_stands() -> None:
    comments = "-- an export\n\n/* of\n2031 */ DROP TABLE IF EXISTS `a`;\n"
    text = comments + "CREATE TABLE `a` (\n  `x` INT\n);\nINSERT INTO a VALUES (1);"
    assert [(part.line, part.table, part.is_insert) for part in cut(text)] == [(5, "a", False), (8, "a", True)]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")))
)
def test_whatever_a_text_holds_a_statement_ends_at_its_own_semicolon(values: list[str]) -> None:
    inserts = [f"INSERT INTO `a` VALUES ({_literal(value)})" for value in values]
    assert [part.sql for part in cut(";\n".join([*inserts, ""]))] == inserts


def test_quotes_escapes_and_comments_hide_semicolons() -> None:
    text = """INSERT INTO `a;b` VALUES ('it''s; \\'so\\';', "x;""y", '-- no', '/* no'); # a; comment
INSERT INTO c (`x`, `y`) VALUES /* ; */ (1, 2); -- end;
"""
    assert [part.table for part in cut(text)] == ["a;b", "c"]
    assert cut(text)[1].head.startswith("INSERT INTO c (`x`, `y`) VALUES")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("CREATE TABLE a (x INT);\nINSERT INTO a VALUES ('open);\n", 2, "a text in ' is not closed"),
        ("\n/* open\n", 2, "a comment is not closed"),
        ("CREATE TABLE a (\n x INT\n)", 1, "not ended by a semicolon"),
        ("CREATE TABLE a (x INT);\n\nDELETE FROM a;", 3, "beginning 'DELETE FROM a'"),
        ("INSERT INTO a SELECT * FROM mysql.user;", 1, "no export has"),
        ("INSERT INTO other.a VALUES (1);", 1, "no export has"),
        ("CREATE TABLE other.a (x INT);", 1, "no export has"),
        ("GRANT ALL ON *.* TO x;", 1, "no export has"),
    ],
)
def test_what_is_no_export_is_refused_with_file_line_and_reason(text: str, line: int, reason: str) -> None:
    said = refusal(text)
    assert f"x.sql line {line}" in said
    assert reason in said


def test_inserts_with_one_head_become_one_statement_up_to_a_size() -> None:
    rows = cut("".join(f"INSERT INTO a VALUES ({number});\n" for number in range(5)) + "INSERT INTO b VALUES (9);")
    whole = list(merged(rows, 1_000))
    assert [part.sql for part in whole] == ["INSERT INTO a VALUES (0),(1),(2),(3),(4)", "INSERT INTO b VALUES (9)"]
    assert [part.line for part in merged(rows, 60)] == [1, 3, 5, 6]


def test_the_project_s_own_seed_is_an_export() -> None:
    for path in SEED_FOLDER.glob("*.sql"):
        found = list(parts(path.read_text(encoding="utf-8").splitlines(keepends=True), path.name))
        assert {part.table for part in found} == {path.name.partition(".")[0]}
        assert not found[0].is_insert
