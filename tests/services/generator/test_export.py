"""Statements of an export are cut where they end; what is none of an export's is refused with file, line and reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafingerprint.errors import ConfigError
from services.generator.export import Kind, Part, parts
from services.generator.seed_sql import SEED_FOLDER, _literal


def cut(text: str) -> list[Part]:
    return list(parts(text.splitlines(keepends=True), "x.sql"))


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        cut(text)
    return str(caught.value)


def test_statements_begin_where_their_first_word_stands() -> None:
    comments = "-- an export\n\n/* of\n2031 */ LOCK TABLES `a` WRITE;\n"
    text = comments + "CREATE TABLE `a` (\n  `x` INT\n);\nINSERT INTO a VALUES (1);"
    assert [(part.line, part.table, part.kind) for part in cut(text)] == [(5, "a", Kind.CREATE), (8, "a", Kind.INSERT)]


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
        ("CREATE TABLE a (x INT);\n\nDELETE FROM a;", 3, "not a statement of an export: 'DELETE FROM a'"),
        ("INSERT INTO a SELECT * FROM mysql.user;", 1, "not a statement of an export"),
        ("INSERT INTO other.a VALUES (1);", 1, "not a statement of an export"),
        ("CREATE TABLE other.a (x INT);", 1, "not a statement of an export"),
        ("GRANT ALL ON *.* TO x;", 1, "not a statement of an export"),
    ],
)
def test_what_is_no_export_is_refused_with_file_line_and_reason(text: str, line: int, reason: str) -> None:
    said = refusal(text)
    assert f"x.sql line {line}" in said
    assert reason in said


DUMP = """/*M!999999\\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)
--
-- Host: localhost    Database: ootp
-- ------------------------------------------------------
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*M!100616 SET @OLD_NOTE_VERBOSITY=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */;

--
-- Table structure for table `a`; not yet
--

DROP TABLE IF EXISTS `a`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!40101 SET character_set_client = utf8mb4 */;
CREATE TABLE `a` (
  `x` int(11) NOT NULL COMMENT 'it''s; -- */'
) ENGINE=InnoDB /*!50100 PARTITION BY HASH (`x`)
PARTITIONS 2 */;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `a` WRITE;
/*!40000 ALTER TABLE `a` DISABLE KEYS */;
set autocommit=0;
INSERT INTO `a` VALUES
(1),
(2);
/*!40000 ALTER TABLE `a` ENABLE KEYS */;
UNLOCK TABLES;
commit;
/*!50001 DROP VIEW IF EXISTS `v`*/;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`root`@`localhost` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select `a`.`x` AS `x` from `a` */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
-- Dump completed on 2031-04-01  0:00:00
"""


def test_what_mysqldump_writes_is_an_export_and_what_servers_execute_stays_in_its_statements() -> None:
    statements = cut(DUMP)
    assert [(part.line, part.kind, part.table) for part in statements if part.kind is not Kind.SET] == [
        (19, Kind.DROP, "a"),
        (22, Kind.CREATE, "a"),
        (31, Kind.INSERT, "a"),
    ]
    (create,) = (part.sql for part in statements if part.kind is Kind.CREATE)
    assert "COMMENT 'it''s; -- */'" in create
    assert create.endswith("/*!50100 PARTITION BY HASH (`x`)\nPARTITIONS 2 */")
    assert [part.sql for part in statements if part.kind is Kind.SET] == [
        "/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */",
        "/*!40103 SET TIME_ZONE='+00:00' */",
        "/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */",
        "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */",
        "/*!40101 SET SQL_MODE=@OLD_SQL_MODE */",
    ]


def test_a_table_may_be_made_unless_it_is_there_and_several_be_dropped_by_one_statement() -> None:
    statements = cut(
        "DROP TABLE IF EXISTS `a`, b;\nCREATE TABLE /*!32312 IF NOT EXISTS*/ `a` (x INT);\nCREATE TABLE b (x INT);"
    )
    assert [(part.kind, part.table, part.unless_there) for part in statements] == [
        (Kind.DROP, "a", False),
        (Kind.DROP, "b", False),
        (Kind.CREATE, "a", True),
        (Kind.CREATE, "b", False),
    ]


def test_a_line_of_any_length_is_read_in_time_in_proportion_to_it() -> None:
    """Counted, not timed: how much of the line is looked at in all."""
    row = "(1,'it''s \\'so\\'',NULL,2.5e0,'José')"
    line = Counted("INSERT INTO `a` VALUES " + ",".join([row] * 20_000) + "; # end\n")
    (part,) = parts([line], "x.sql")
    assert part.sql.count("José") == 20_000
    assert line.taken < 2 * len(line)


class Counted(str):
    """A text that counts the characters that are cut out of it."""

    taken = 0
    __slots__ = ()

    def __getitem__(self, place: Any) -> Counted:  # noqa: ANN401 - as str has it
        piece = Counted(super().__getitem__(place))
        Counted.taken += len(piece)
        return piece


def test_the_project_s_own_seed_is_an_export() -> None:
    for path in SEED_FOLDER.glob("*.sql"):
        result = list(parts(path.read_text(encoding="utf-8").splitlines(keepends=True), path.name))
        assert {part.table for part in result} == {path.name.partition(".")[0]}
        assert result[0].kind is Kind.CREATE
