"""SET statements of an export: what changes the meaning of its rows counts, what no load may set is refused by name."""

from __future__ import annotations

import pytest

from datafingerprint.errors import ConfigError
from services.generator.session import honoured


@pytest.mark.parametrize(
    "text",
    [
        "SET sql_mode = ''",
        "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES'",
        "SET @@session.time_zone := '+02:00'",
        'SET time_zone = "+00:00"',
        "set foreign_key_checks=0",
        "SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE=DEFAULT",
        "SET SQL_MODE=@OLD_SQL_MODE",
        "SET @old = @@session.time_zone, @@time_zone = @old",
    ],
)
def test_what_changes_the_meaning_of_rows_is_told_to_the_server(text: str) -> None:
    assert honoured(text, "x") == "SET" + text[3:]


@pytest.mark.parametrize(
    "text",
    [
        "SET NAMES utf8",
        "SET NAMES 'utf8mb4' COLLATE 'utf8mb4_bin'",
        "SET NAMES utf8mb3 COLLATE utf8mb3_general_ci",
        "SET CHARACTER SET utf8",
        "SET character_set_client = @saved_cs_client",
        "SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION",
        "SET collation_connection = utf8mb4_unicode_ci",
        "SET autocommit=0",
        "SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0",
        "SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0",
        "SET @saved_cs_client     = @@character_set_client",
    ],
)
def test_what_a_load_has_no_use_for_is_passed_over(text: str) -> None:
    assert honoured(text, "x") == ""


def test_of_several_only_those_that_count_are_told_within_the_marks_that_servers_read() -> None:
    assert honoured("SET NAMES utf8, time_zone='+00:00', UNIQUE_CHECKS=0", "x") == "SET time_zone='+00:00'"
    assert honoured("/*!40103 SET TIME_ZONE='+00:00' */", "x") == "/*!40103 SET TIME_ZONE='+00:00' */"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SET @@SESSION.SQL_LOG_BIN= 0", "SET sql_log_bin is not"),
        ("SET sql_log_bin = 0", "--set-gtid-purged=OFF"),
        ("SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ ''", "SET \"@@GLOBAL.GTID_PURGED= '+' ''\" is not"),
        ("SET GLOBAL time_zone = '+00:00'", "SET GLOBAL time_zone is not"),
        ("SET PERSIST sql_mode = ''", "SET PERSIST sql_mode is not"),
        ("SET binlog_format = STATEMENT", "SET binlog_format is not"),
        ("SET SESSION binlog_row_image = MINIMAL", "SET binlog_row_image is not"),
        ("SET insert_id = 5", "SET insert_id is not"),
        ("SET time_zone='+00:00', default_storage_engine = MyISAM", "SET default_storage_engine is not"),
        ("SET @x = 'ANSI_QUOTES'", "SET @x = 'ANSI_QUOTES' is not"),
        ("SET sql_mode = @@GLOBAL.sql_mode", "is not allowed in an export"),
        ("SET sql_mode = CONCAT(@@sql_mode, ',ANSI')", "is not allowed in an export"),
        ("SET time_zone = (SELECT 1)", "is not allowed in an export"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET 'TRANSACTION ISOLATION LEVEL SE' is not"),
        ("SET PASSWORD = 'x'", "SET password is not"),
        ("SET NAMES latin1", "SET names latin1: an export is read as UTF-8"),
        ("SET NAMES binary", "SET names binary: an export is read as UTF-8"),
        ("SET character_set_client = cp1252", "an export is read as UTF-8"),
        ("SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES'", "SET sql_mode with ANSI_QUOTES: it changes how texts"),
        ("SET sql_mode = no_backslash_escapes", "SET sql_mode with NO_BACKSLASH_ESCAPES: it changes how texts"),
    ],
)
def test_what_no_load_may_set_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        honoured(text, "x.sql line 7")
    assert said in str(caught.value)
    assert "at x.sql line 7" in str(caught.value)
