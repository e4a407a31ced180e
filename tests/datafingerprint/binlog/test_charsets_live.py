"""Texts in every character set of a real server: its tables are ours, and all ways agree."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pyarrow as pa
import pymysql
import pytest
from pymysql.cursors import Cursor

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.charsets import IN_CODE_UNITS, KNOWN, TABLES, charset_of, table_of, texts
from datafingerprint.config import Settings
from datafingerprint.errors import DecodeError, SourceError
from deploy.charset_tables.reading import fill_codes, read_collations, read_gb18030, read_table
from tests.datafingerprint.binlog.following import changes_between, committed_between, execute, position_of, snapshot_of
from tests.fuzz.documents import text
from tests.fuzz.running import compare

pytestmark = pytest.mark.live

ONLY_MYSQL = frozenset({"gb18030"})


@pytest.fixture
def reader(stack_settings: Settings) -> BinlogSource:
    return BinlogSource(stack_settings)


@pytest.fixture
def codes(source: pymysql.Connection) -> Iterator[Cursor]:
    execute(source, "SET SESSION sql_mode = ''")
    with source.cursor() as cursor:
        fill_codes(cursor)
        yield cursor


def test_the_server_has_no_character_set_that_is_not_known(source: pymysql.Connection) -> None:
    with source.cursor() as cursor:
        cursor.execute("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS")
        names = {row[0] for row in cursor.fetchall()}
    assert names - {"binary"} <= KNOWN


def test_every_table_is_the_servers_own(codes: Cursor, request: pytest.FixtureRequest) -> None:
    missing = ONLY_MYSQL if request.config.getoption("--source") == "mariadb" else frozenset()
    for charset in sorted(TABLES - missing):
        short = {code: character for code, character in table_of(charset).items() if len(code) < 4}
        assert read_table(codes, charset) == short, charset


@pytest.mark.only("mysql")
def test_all_of_unicode_in_gb18030_is_decoded_as_by_the_server(source: pymysql.Connection) -> None:
    with source.cursor() as cursor:
        for block, raw, again in read_gb18030(cursor):
            assert again == block
            assert texts(pa.array([raw]), "gb18030", "c").to_pylist() == [block]


@pytest.mark.parametrize("charset", sorted(IN_CODE_UNITS))
def test_all_of_unicode_in_code_units_is_decoded_as_by_the_server(source: pymysql.Connection, charset: str) -> None:
    end = 0x10000 if charset == "ucs2" else 0x110000
    with source.cursor() as cursor:
        for start in range(0, end, 0x8000):
            letters = [chr(number) for number in range(start, start + 0x8000) if not 0xD800 <= number < 0xE000]
            block = "".join(letters)
            cursor.execute(f"SELECT HEX(CONVERT(_utf8mb4 x'{block.encode().hex()}' USING {charset}))")
            (stored,) = cursor.fetchone() or ("",)
            assert texts(pa.array([bytes.fromhex(stored)]), charset, "c").to_pylist() == [block]


def letters_of(charset: str) -> str:
    if charset in TABLES:
        return "".join(table_of(charset).values()) + ("🏈€ÿ" if charset == "gb18030" else "")
    return (
        "".join(map(chr, [*range(256), *range(0x400, 0x460), 0x20AC, 0xFFFD]))
        + "日本"
        + ("" if charset in ("ucs2", "utf8mb3") else "🏈𠜎")
    )


def drawn(chooser: random.Random, letters: str, longest: int) -> str:
    size = chooser.choice([0, 1, 2, longest // 2, longest - 2])
    return "".join(chooser.choices(letters, k=size)) + chooser.choice(["", " ", "  "])


def labels_of(chooser: random.Random, letters: str) -> list[str]:
    fit = [letter for letter in letters if letter.isalnum()]
    return sorted({f"l{number}{chooser.choice(fit)}" for number in range(9)})


SINGLE_BYTE = frozenset(charset for charset in TABLES if all(len(code) == 1 for code in table_of(charset)))
GROUPS = {
    "one byte, a to h": {charset for charset in SINGLE_BYTE if charset < "hp8"},
    "one byte, h to t": {charset for charset in SINGLE_BYTE if charset >= "hp8"},
    "several bytes": TABLES - SINGLE_BYTE,
    "code units": frozenset(IN_CODE_UNITS),
}


@pytest.mark.parametrize("group", GROUPS)
def test_all_ways_agree_on_texts_in_any_character_set(
    source: pymysql.Connection, reader: BinlogSource, group: str, request: pytest.FixtureRequest
) -> None:
    missing = ONLY_MYSQL if request.config.getoption("--source") == "mariadb" else frozenset()
    chooser = random.Random(group)
    columns: dict[str, tuple[str, Callable[[], str]]] = {}
    for charset in sorted(GROUPS[group] - missing):
        columns |= columns_of(charset, chooser)
    described = ", ".join(f"{name} {words}" for name, (words, _) in columns.items())
    execute(source, "SET SESSION sql_mode = ''", f"CREATE TABLE words (id INT AUTO_INCREMENT PRIMARY KEY, {described})")
    (table,) = reader.tables()
    assert {column.charset for column in table.columns} == {"", *GROUPS[group] - missing}
    start = position_of(source)
    rows = [[draw() for _, draw in columns.values()] for _ in range(20)]
    rows += [["NULL"] * len(columns), [text("")] * len(columns)]
    values = ", ".join(f"({', '.join(row)})" for row in rows)
    changed = ", ".join(f"{name} = CONCAT({name}, {name.replace('_x', '_c')})" for name in columns if "_x" in name)
    execute(
        source,
        f"INSERT INTO words ({', '.join(columns)}) VALUES {values}",
        f"UPDATE words SET {changed} WHERE id % 3 = 0",
        "DELETE FROM words WHERE id % 7 = 0",
    )
    compare(source, reader, table, start)
    _, snapshot = snapshot_of(reader, [table])
    with source.cursor() as cursor:
        cursor.execute("SELECT * FROM words ORDER BY id")
        shown = [tuple(row) for row in cursor.fetchall()]
    assert [tuple(row.values()) for row in snapshot[table.table].sort_by("id").to_pylist()] == shown


def columns_of(charset: str, chooser: random.Random) -> dict[str, tuple[str, Callable[[], str]]]:
    """Type and drawn expression of columns of every kind of text."""
    letters = letters_of(charset)
    labels = labels_of(chooser, letters)
    quoted = ", ".join(f"'{label}'" for label in labels)
    return {
        f"{charset}_{name}": (f"{words} CHARACTER SET {charset}", draw)
        for name, words, draw in (
            ("c", "CHAR(20)", lambda: text(drawn(chooser, letters, 18))),
            ("v", "VARCHAR(70)", lambda: text(drawn(chooser, letters, 60))),
            ("x", "TEXT", lambda: f"REPEAT({text(drawn(chooser, letters, 40))}, {chooser.choice([1, 100])})"),
            ("e", f"ENUM({quoted})", lambda: text(chooser.choice(labels))),
            ("s", f"SET({quoted})", lambda: text(",".join(label for label in labels if chooser.random() < 0.3))),
        )
    }


OF_ALL_KINDS = {
    "both": "i INT, d DOUBLE, b BINARY(3), vb VARBINARY(9), y BLOB, n DECIMAL(9), m DATETIME(3), t BIT(3)",
    "mysql": "j JSON, v VECTOR(3)",
    "mariadb": "u UUID, a INET6, z TEXT COMPRESSED, k VARCHAR(9) COMPRESSED CHARACTER SET greek",
}


@pytest.mark.parametrize(("usual", "more"), [("utf8mb4", ""), ("latin1", ""), ("latin1", "g GEOMETRY, ")])
def test_the_log_names_the_character_set_of_every_column(
    source: pymysql.Connection, reader: BinlogSource, usual: str, more: str, request: pytest.FixtureRequest
) -> None:
    """The table mixes columns of all kinds with texts and labels in many character sets."""
    others = f"{more}{OF_ALL_KINDS['both']}, {OF_ALL_KINDS[request.config.getoption('--source')]}".split(", ")
    charsets = ["cp1251", usual, "utf8mb4", "gbk", usual, "utf16", usual]
    words = ("VARCHAR(9)", "CHAR(9)", "TEXT", "ENUM(%s)", "SET(%s)")
    texts_between = [
        f"{item}, c{number} {words[number % 5]} CHARACTER SET {charset}"
        for number, (item, charset) in enumerate(zip(others, charsets * 9, strict=False))
    ]
    described = ", ".join(texts_between).replace("%s", "'x', 'y'")
    execute(source, f"CREATE TABLE kinds (id INT PRIMARY KEY, {described}) CHARACTER SET {usual}")
    (table,) = reader.tables()
    start = position_of(source)
    execute(source, "INSERT INTO kinds (id, c0) VALUES (1, 'x')")
    (committed,) = committed_between(reader, start, position_of(source), [table.table])
    logged = next(iter(committed.rows)).table_map.columns
    result = {item.name: charset_of(item.collation) for item in logged}
    expected = {column.name: column.charset for column in table.columns if column.charset}
    assert len(set(expected.values())) > 3
    # Where only exceptions from the most frequent collation are logged, a GEOMETRY makes their places unsure.
    assert {name: result[name] or (charset if more else "") for name, charset in expected.items()} == expected


def test_every_collation_of_the_server_is_known(source: pymysql.Connection) -> None:
    with source.cursor() as cursor:
        collations = read_collations(cursor)
    assert len(collations) > 250
    assert {number: charset_of(number) for number in collations} == collations


def test_rows_in_another_character_set_than_the_definitions_stop_capture(
    source: pymysql.Connection, reader: BinlogSource
) -> None:
    execute(source, "CREATE TABLE words (id INT PRIMARY KEY, w VARCHAR(9) CHARACTER SET latin1)")
    (table,) = reader.tables()
    execute(source, "ALTER TABLE words MODIFY w VARCHAR(9) CHARACTER SET cp1251")
    start = position_of(source)
    execute(source, "INSERT INTO words VALUES (1, 'я')")
    with pytest.raises(DecodeError, match="column w is no longer stored in latin1"):
        changes_between(reader, start, position_of(source), [table])


NO_CHARACTER = {"cp1251": "98", "gbk": "a2ab", "cp932": "8790", "geostd8": "41ff", "ujis": "8fa2b7", "sjis": "5c"}
"""Bytes that the server stores, and that have no character, or one that is stored as other bytes."""


def test_a_server_that_converts_otherwise_is_refused(source: pymysql.Connection, reader: BinlogSource) -> None:
    execute(source, "CREATE TABLE words (id INT PRIMARY KEY, w VARCHAR(9) CHARACTER SET koi8r)")
    table_of("koi8r")[b"A"] = "Б"
    try:
        with pytest.raises(
            SourceError, match=r"converts koi8r differently .* column w of .*\.words .*as_bytes = \['w'\]"
        ):
            reader.tables()
    finally:
        table_of.cache_clear()
    reader.tables()


@pytest.mark.parametrize("charset", NO_CHARACTER)
def test_bytes_without_an_exact_character_are_rejected_by_name(
    source: pymysql.Connection, reader: BinlogSource, charset: str
) -> None:
    digits = NO_CHARACTER[charset]
    execute(source, "SET SESSION sql_mode = ''", f"CREATE TABLE words (w VARCHAR(9) CHARACTER SET {charset})")
    (table,) = reader.tables()
    start = position_of(source)
    execute(source, f"INSERT INTO words VALUES (x'{digits}')")
    with source.cursor() as cursor:
        cursor.execute("SELECT HEX(w) FROM words")
        assert cursor.fetchone() == (digits.upper(),)
    expected = f"a text in column w holds x'({digits[-2:]}|{digits})', .* at {table.table}.*as_bytes"
    with pytest.raises(DecodeError, match=expected):
        changes_between(reader, start, position_of(source), [table])
    with pytest.raises(DecodeError, match=expected):
        snapshot_of(reader, [table])
