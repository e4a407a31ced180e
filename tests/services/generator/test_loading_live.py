"""Exports as people have them, loaded into a real server: the values in the tables are those of the files."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from datafingerprint.adapters.mysql.warehouse import MysqlWarehouse
from datafingerprint.config import Settings
from datafingerprint.errors import SourceError
from deploy.embedded.waiting import await_condition
from services.generator.loop import Loop, Orders
from services.generator.progress import PROGRESS
from services.generator.statements import Statement
from tests.services.generator.running import LossyWarehouse, ask, connected, run, start

pytestmark = pytest.mark.live

MIB = 1 << 20


def load(settings: Settings, schema: str, folder: Path) -> tuple[int, str]:
    return run(settings, schema, "--seed-dir", str(folder), "--seed-only")


def refusal(settings: Settings, schema: str, folder: Path) -> str:
    """What a load that is refused says: one line."""
    status, said = load(settings, schema, folder)
    assert status == 2
    lines = [line for line in said.splitlines() if "event=loaded" not in line]
    assert len(lines) == 1, said
    return lines[0]


def write(folder: Path, name: str, *lines: str, end: str = "\n") -> Path:
    path = folder / f"{name}.mysql.sql"
    path.write_bytes(end.join([*lines, ""]).encode())
    return path


TEXTS = [
    "a\r\nb",
    "a\nb",
    "a\rb",
    "\ufeff",
    "it's; -- no # comment /* nor */ this",
    '"',
    "陳 \U0001f3f4",
    "\\",
    "\t\x1a%s",
    "",
]


def test_texts_are_those_of_the_file_with_its_line_ends_and_a_mark_at_its_head(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    def quoted_otherwise(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    write(
        tmp_path,
        "texts",
        "\ufeff-- an export\r",
        "CREATE TABLE `texts` (\r",
        "  `id` INT, # a number\r",
        "  `text` TEXT CHARACTER SET utf8mb4, `same` TEXT CHARACTER SET utf8mb4\r",
        ");\r",
        *(f"INSERT INTO `texts` VALUES ({n},{quoted(t)},{quoted_otherwise(t)});\r" for n, t in enumerate(TEXTS)),
    )
    assert load(warehouse_settings, schemas[0], tmp_path)[0] == 0
    rows = ask(warehouse_settings, schemas[0], "SELECT HEX(`text`), HEX(`same`) FROM texts ORDER BY id")
    assert rows == [(text.encode().hex().upper(),) * 2 for text in TEXTS]


def test_doubles_and_numbers_are_those_of_the_file(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    numbers = ["0.1", "1e-7", "1.7976931348623157e308", "5e-324", "0.30000000000000004", "123456789012345678"]
    write(
        tmp_path,
        "numbers",
        "CREATE TABLE numbers (id INT, d DOUBLE);",
        "INSERT INTO numbers VALUES " + ", ".join(f"({n}, {number})" for n, number in enumerate(numbers)) + ";",
    )
    assert load(warehouse_settings, schemas[0], tmp_path)[0] == 0
    rows = ask(warehouse_settings, schemas[0], "SELECT d FROM numbers ORDER BY id")
    assert [repr(d) for (d,) in rows] == [repr(float(number)) for number in numbers]


DUMP = """/*M!999999\\- enable the sandbox mode */
-- MySQL dump 10.13  Distrib 9.7.0, for Linux (x86_64)
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!50503 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+05:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;

DROP TABLE IF EXISTS `child`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `child` (
  `id` int NOT NULL AUTO_INCREMENT,
  `parent_id` int DEFAULT NULL,
  `at` timestamp NULL DEFAULT NULL,
  `day` date NOT NULL DEFAULT '0000-00-00',
  PRIMARY KEY (`id`),
  CONSTRAINT `of_parent` FOREIGN KEY (`parent_id`) REFERENCES `parent` (`id`)
) ENGINE=InnoDB /*!40100 DEFAULT CHARSET=utf8mb4 COMMENT='kept' */;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `child` WRITE;
/*!40000 ALTER TABLE `child` DISABLE KEYS */;
INSERT INTO `child` VALUES (0,7,'2031-04-01 05:00:00','0000-00-00');
/*!40000 ALTER TABLE `child` ENABLE KEYS */;
UNLOCK TABLES;
INSERT INTO `child` (`id`) VALUES (2);
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
INSERT INTO `child` VALUES (3,7,'2031-04-01 05:00:00','2031-04-01');
-- Dump completed
"""
PARENT = (
    "CREATE TABLE parent (id INT PRIMARY KEY, at TIMESTAMP NULL);",
    "INSERT INTO parent VALUES (7,'2031-04-01 05:00:00');",
)


def in_utc(settings: Settings, schema: str, sql: str) -> list[tuple[Any, ...]]:
    with connected(settings, schema) as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_what_a_dump_sets_counts_until_it_puts_it_back_and_for_no_other_file(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "child.mysql.sql").write_text(DUMP, encoding="utf-8")
    write(tmp_path, "lasting", "SET time_zone = '+07:00';", "CREATE TABLE lasting (x INT);")
    write(tmp_path, "parent", *PARENT)
    assert load(warehouse_settings, schemas[0], tmp_path)[0] == 0
    require_dump(warehouse_settings, schemas[0])


def require_dump(settings: Settings, schema: str) -> None:
    five = "2031-04-01 05:00:00"
    rows = in_utc(settings, schema, "SELECT id, parent_id, CAST(at AS CHAR), CAST(day AS CHAR) FROM child ORDER BY id")
    assert rows == [
        (0, 7, "2031-04-01 00:00:00", "0000-00-00"),
        (2, None, None, "0000-00-00"),
        (3, 7, five, "2031-04-01"),
    ]
    assert in_utc(settings, schema, "SELECT CAST(at AS CHAR) FROM parent") == [(five,)]
    assert "COMMENT='kept'" in ask(settings, schema, "SHOW CREATE TABLE child")[0][1]


@pytest.mark.parametrize("lost", range(3, 16))
def test_a_load_that_loses_its_connection_sets_the_session_anew_and_goes_on(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path, lost: int
) -> None:
    (tmp_path / "child.mysql.sql").write_text(DUMP, encoding="utf-8")
    write(tmp_path, "parent", *PARENT)
    warehouse = LossyWarehouse(warehouse_settings.source, schemas[0], {lost}, {lost + 7})
    orders = Orders(games=0, rate=0, seed=1)
    Loop(warehouse, orders, threading.Event(), structlog.get_logger(), tmp_path, only_load=True).prepare()
    warehouse.close()
    require_dump(warehouse_settings, schemas[0])


def test_a_statement_that_is_refused_is_refused_in_the_session_that_the_file_sets(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    """The statements are run again one by one to find the line: with the keys checked, the first would be the one."""
    path = write(
        tmp_path,
        "tree",
        "CREATE TABLE tree (id INT PRIMARY KEY, above INT, FOREIGN KEY (above) REFERENCES tree (id));",
        "SET foreign_key_checks = 0;",
        "INSERT INTO tree VALUES (1, 2);",
        "INSERT INTO tree VALUES (2);",
    )
    assert f"{path} line 4" in refusal(warehouse_settings, schemas[0], tmp_path)
    assert ask(warehouse_settings, schemas[0], "SELECT COUNT(*) FROM tree") == [(0,)]


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("TINYINT", "300", "warning 1264"),
        ("VARCHAR(2)", "'abc'", "warning 1265"),
        ("INT NOT NULL", "NULL", "warning 1048"),
    ],
)
def test_a_value_that_a_lax_server_would_store_otherwise_is_refused(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path, column: str, value: str, why: str
) -> None:
    lines = ["SET sql_mode = '';", f"CREATE TABLE t (x {column});", "INSERT INTO t VALUES (1);"]
    path = write(tmp_path, "t", *lines, f"INSERT INTO t VALUES (2),({value});")
    said = refusal(warehouse_settings, schemas[0], tmp_path)
    assert why in said
    assert f"{path} line 4" in said
    assert ask(warehouse_settings, schemas[0], "SELECT COUNT(*) FROM t") == [(0,)]


@pytest.fixture
def small_packets(warehouse_settings: Settings) -> Iterator[None]:
    def set_to(size_bytes: int) -> None:
        with connected(warehouse_settings) as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL max_allowed_packet = %s", (size_bytes,))

    ((before,),) = ask(warehouse_settings, "mysql", "SELECT @@GLOBAL.max_allowed_packet")
    set_to(MIB)
    yield
    set_to(before)


@pytest.mark.usefixtures("small_packets")
def test_an_insert_that_is_longer_than_the_server_takes_is_loaded_in_pieces(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    rows = [(number, f"{number};),(''\\\\陳" + "é" * 150) for number in range(12_000)]
    values = ",".join(f"({number},'{text}')" for number, text in rows)
    write(tmp_path, "t", "CREATE TABLE t (x INT, y TEXT CHARACTER SET utf8mb4);", f"INSERT INTO t VALUES {values};")
    assert len(values.encode()) > 3 * MIB
    assert load(warehouse_settings, schemas[0], tmp_path)[0] == 0
    result = ask(warehouse_settings, schemas[0], "SELECT x, HEX(y) FROM t ORDER BY x")
    stored = [(number, text.replace("''", "'").replace("\\\\", "\\")) for number, text in rows]
    assert result == [(number, text.encode().hex().upper()) for number, text in stored]


@pytest.mark.usefixtures("small_packets")
def test_a_row_that_is_longer_than_the_server_takes_is_named_and_loaded_once_the_server_takes_it(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    text = "x" * (2 * MIB)
    path = write(tmp_path, "t", "CREATE TABLE t (x INT, y LONGTEXT);", "", f"INSERT INTO t VALUES (1,''),(2,'{text}');")
    said = refusal(warehouse_settings, schemas[0], tmp_path)
    assert f"row 2 of an INSERT is {2 * MIB + 27:,} bytes long, and the server takes 1,048,576" in said
    assert f"{path} line 3: SET GLOBAL max_allowed_packet = {3 * MIB}, and start again" in said
    assert ask(warehouse_settings, schemas[0], "SHOW TABLES") == [(PROGRESS,)]
    with connected(warehouse_settings) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET GLOBAL max_allowed_packet = {3 * MIB}")
    assert load(warehouse_settings, schemas[0], tmp_path)[0] == 0
    assert ask(warehouse_settings, schemas[0], "SELECT LENGTH(y) FROM t ORDER BY x") == [(0,), (2 * MIB,)]


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        (["SET @@SESSION.SQL_LOG_BIN= 0;"], 1, "SET sql_log_bin is not allowed in an export"),
        (["SET GLOBAL time_zone = '+00:00';"], 1, "SET GLOBAL time_zone is not allowed in an export"),
        (["SET NAMES latin1;"], 1, "SET names latin1: an export is read as UTF-8"),
        (["id,name", "1,Aaron"], 1, "a statement is not ended by a semicolon"),
        ([f"CREATE TABLE {PROGRESS} (step INT);"], 1, f"{PROGRESS} is the generator's own table"),
        ([f"INSERT INTO `{PROGRESS}` VALUES ('all files', 9, 1);"], 1, f"{PROGRESS} is the generator's own table"),
        (["CREATE TABLE t (x INT);", "CREATE TABLE t (y INT);"], 2, "t was made before in this file"),
        (["CREATE TABLE t (x INT);", "DROP TABLE t;"], 2, "t was made before in this file"),
        (["CREATE TABLE first (x INT);"], 1, "first was made by another file of the export"),
        (["DROP TABLE IF EXISTS `first`;"], 1, "first was made by another file of the export"),
    ],
)
def test_what_would_go_wrong_without_a_word_is_refused_in_one_line(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path, lines: list[str], line: int, why: str
) -> None:
    write(tmp_path, "a", "CREATE TABLE first (x INT);", "INSERT INTO first VALUES (1);")
    path = write(tmp_path, "b", *lines)
    for _ in range(2):
        said = refusal(warehouse_settings, schemas[0], tmp_path)
        assert why in said
        assert f"{path} line {line}" in said
    assert sorted(ask(warehouse_settings, schemas[0], "SHOW TABLES")) == [("first",), (PROGRESS,)]
    assert ask(warehouse_settings, schemas[0], "SELECT * FROM first") == [(1,)]


def test_an_export_may_have_a_table_in_several_files_that_leave_it_alone_if_it_is_there(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    for name in "ab":
        write(tmp_path, name, "CREATE TABLE IF NOT EXISTS t (x INT);", "INSERT INTO t VALUES (1);")
    assert load(warehouse_settings, schemas[0], tmp_path)[0] == 0
    assert ask(warehouse_settings, schemas[0], "SELECT COUNT(*) FROM t") == [(2,)]


def test_a_folder_that_is_not_there_is_no_folder_or_is_empty_is_refused_in_one_line(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("CREATE TABLE a (x INT);", encoding="utf-8")
    (tmp_path / "folder.sql").mkdir()
    for folder, why in (
        (tmp_path, "there are no .sql files"),
        (tmp_path / "nowhere", "there is no such folder"),
        (tmp_path / "a.txt", "cannot read the folder (Not a directory)"),
    ):
        assert f"{why} at {folder}: name the folder" in refusal(warehouse_settings, schemas[0], folder)


def test_bytes_that_are_not_text_are_refused_with_their_line(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "picture.sql"
    path.write_bytes(b"CREATE TABLE t (x BLOB);\nINSERT INTO t VALUES ('\x89PNG\r\n\x1a');\n")
    assert f"not UTF-8 (invalid start byte) at {path} line 2" in refusal(warehouse_settings, schemas[0], tmp_path)


def test_two_exports_are_never_mixed_in_a_schema(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    first, other = tmp_path / "one", tmp_path / "other"
    first.mkdir()
    other.mkdir()
    write(first, "a", "CREATE TABLE a (x INT);")
    broken = write(first, "b", "CREATE TABLE b (x INT)")
    write(other, "c", "CREATE TABLE c (x INT);")
    assert "line 1" in refusal(warehouse_settings, schemas[0], first)
    for folder in (["--seed-dir", str(other)], []):
        status, said = run(warehouse_settings, schemas[0], *folder, "--seed-only")
        assert (status, said.count("\n")) == (2, 1)
        assert "holds a part of another export: it came from a.mysql.sql" in said
    broken.write_text("CREATE TABLE b (x INT);", encoding="utf-8")
    assert load(warehouse_settings, schemas[0], first)[0] == 0
    assert "holds another export: it has no c.mysql.sql" in refusal(warehouse_settings, schemas[0], other)
    assert run(warehouse_settings, schemas[0], "--seed-only")[0] == 0
    assert sorted(ask(warehouse_settings, schemas[0], "SHOW TABLES")) == [("a",), ("b",), (PROGRESS,)]


def test_a_load_stops_when_it_is_told_to_and_the_next_one_goes_on(
    warehouse_settings: Settings, schemas: tuple[str, str], tmp_path: Path
) -> None:
    statements, of_one = 12_000, 5
    text = "x" * 300
    row = ",".join([f"('{text}')"] * of_one)
    write(tmp_path, "t", "CREATE TABLE t (x VARCHAR(300));", *[f"INSERT INTO t VALUES {row};"] * statements)
    done = f"SELECT done, complete FROM {PROGRESS} WHERE step = 't.mysql.sql'"

    def progress() -> tuple[int, int]:
        return next(iter(ask(warehouse_settings, schemas[0], done)), (0, 0))

    with start(warehouse_settings, schemas[0], "--seed-dir", str(tmp_path), "--seed-only") as process:
        await_condition(
            lambda: bool(schema_is_there(warehouse_settings, schemas[0])) and progress()[0] > 0, timeout_s=30
        )
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.count("\n") == 1
    assert "stopped before everything was loaded; the next start continues there" in said
    seen, complete = progress()
    assert (0 < seen < statements, complete) == (True, 0)
    assert load(warehouse_settings, schemas[0], tmp_path)[0] == 0
    assert ask(warehouse_settings, schemas[0], "SELECT COUNT(*) FROM t") == [(statements * of_one,)]


def schema_is_there(settings: Settings, schema: str) -> list[tuple[Any, ...]]:
    sql = f"SELECT 1 FROM information_schema.tables WHERE table_schema = '{schema}' AND table_name = '{PROGRESS}'"
    return ask(settings, "mysql", sql)


def test_more_warnings_than_the_server_tells_are_no_proof_that_every_value_is_kept(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    """A warning about an altered value could be among those that are not sent. On MySQL more need a privilege."""
    warehouse = MysqlWarehouse(warehouse_settings.source, schemas[0])
    warehouse.connect()
    rounded = ", ".join(f"({number}.25)" for number in range(9))
    with contextlib.closing(warehouse):
        warehouse.transact([Statement("CREATE TABLE notes (price DECIMAL(3,1))")])
        insert = Statement(f"INSERT INTO notes VALUES {rounded}", keeps_values=True)
        assert warehouse.transact([insert]) == 9
        with pytest.raises(SourceError, match=r"9 warnings but lists 5, .*SET GLOBAL max_error_count"):
            warehouse.transact([Statement("SET SESSION max_error_count = 5"), insert])
        assert warehouse.query(Statement("SELECT COUNT(*) FROM notes")) == ((9,),)
