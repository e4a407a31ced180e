# ruff: noqa: DTZ001 - a DATETIME has no zone
"""Tables of every type that is carried, filled on the real warehouse with the values that engines trip over."""

from __future__ import annotations

import datetime as dt
import random
import struct
from decimal import Decimal
from typing import Any

import pymysql
from pymysql.cursors import Cursor

START, END = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
DENSE_ROWS = 300
MILLION = 1_000_000

TEXTS = [
    "",
    " ",
    "a ",
    "a",
    "A",
    "null",
    "NULL",
    "Peña 🏈",
    "it's",
    'quo"te',
    "back\\slash",
    "a|b=c%2F/",
    "\t\n\r",
    "日本",
    "\0",
]
OCTETS = [b"", b"\0", b"\xff\xfe", bytes(range(256))]
DOUBLES = [
    0.0, -0.0, 0.1, -2.5e9, 5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308,
    -1.7976931348623157e308, 1.797e308, 8.98846567431158e307, 1e22, 123456789.123456789, 4.9e-320,
]  # fmt: skip
FLOATS = [
    0.0,
    0.5,
    3.4028234663852886e38,
    1.401298464324817e-45,
    -16777216.0,
    struct.unpack(">f", b"\x3d\xcc\xcc\xcd")[0],
]
DATES = [
    dt.date(1, 1, 1),
    dt.date(1582, 10, 10),
    dt.date(1900, 3, 1),
    dt.date(2000, 2, 29),
    dt.date(2031, 4, 2),
    dt.date(9999, 12, 31),
]
MOMENTS = [
    START,
    dt.datetime(1582, 10, 10, 1, 2, 3),
    dt.datetime(1969, 12, 31, 23, 59, 59, 1),
    dt.datetime(2031, 3, 30, 2, 30),
    END,
]
INSTANTS = [dt.datetime(1971, 1, 1), dt.datetime(2031, 10, 26, 0, 30, 0, 123456), dt.datetime(2037, 12, 31, 23, 59, 59)]


def _integers(bits: int, *, unsigned: bool = False) -> list[int]:
    return [0, 1, 2**bits - 1] if unsigned else [0, -1, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1]


def _decimals(precision: int, scale: int) -> list[Decimal]:
    return [Decimal(text).scaleb(-scale) for text in (0, 1, -1, "9" * precision, "-" + "9" * precision)]


COLUMNS: dict[str, tuple[str, list[Any]]] = {
    "flag": ("TINYINT(1)", [0, 1, -128, 127]),
    "tiny": ("TINYINT", _integers(8)),
    "small_u": ("SMALLINT UNSIGNED", _integers(16, unsigned=True)),
    "medium": ("MEDIUMINT", _integers(24)),
    "medium_u": ("MEDIUMINT UNSIGNED", _integers(24, unsigned=True)),
    "int_u": ("INT UNSIGNED", _integers(32, unsigned=True)),
    "big": ("BIGINT", _integers(64)),
    "big_u": ("BIGINT UNSIGNED", _integers(64, unsigned=True)),
    "bit_1": ("BIT(1)", [0, 1]),
    "bit_64": ("BIT(64)", _integers(64, unsigned=True)),
    "yr": ("YEAR", [0, 1901, 2031, 2155]),
    "dec_10_2": ("DECIMAL(10,2)", _decimals(10, 2)),
    "dec_2_2": ("DECIMAL(2,2)", _decimals(2, 2)),
    "dec_18_18": ("DECIMAL(18,18)", _decimals(18, 18)),
    "dec_38_0": ("DECIMAL(38,0)", _decimals(38, 0)),
    "dec_38_30": ("DECIMAL(38,30)", _decimals(38, 30)),
    "dec_65_30": ("DECIMAL(65,30)", _decimals(65, 30)),
    "flt": ("FLOAT", FLOATS),
    "dbl": ("DOUBLE", DOUBLES),
    "day": ("DATE", DATES),
    "zero_day": ("DATE", ["0000-00-00", "2031-04-31", "2031-04-30"]),
    "dt_0": ("DATETIME", [moment.replace(microsecond=0) for moment in MOMENTS]),
    "dt_3": ("DATETIME(3)", [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in MOMENTS]),
    "dt_6": ("DATETIME(6)", MOMENTS),
    "tim": ("TIME(6)", ["-838:59:59", "838:59:59", "-00:00:01.5", "00:00:00", "12:34:56.789012"]),
    "chr": ("CHAR(9)", [text[:9] for text in TEXTS]),
    "vch": ("VARCHAR(99)", TEXTS),
    "txt": ("TEXT", [*TEXTS, "é" * 3000]),
    "txt_m": ("MEDIUMTEXT", TEXTS),
    "txt_l": ("LONGTEXT", TEXTS),
    "enm": ("ENUM('a','b,c','','né')", ["a", "b,c", "", "né"]),
    "enm_b": ("ENUM('a','',x'FF00') CHARACTER SET binary", [b"a", b"", b"\xff\x00"]),
    "st": ("SET('a','b','né')", ["", "a", "a,né"]),
    "vbn": ("VARBINARY(300)", OCTETS),
    "bin_4": ("BINARY(4)", [b"", b"\0\xff", b"abcd"]),
    "blb": ("BLOB", OCTETS),
    "blb_m": ("MEDIUMBLOB", OCTETS),
    "blb_l": ("LONGBLOB", [*OCTETS, b"\xfe" * 300_000]),
    "js": ("JSON", ['{"b": [1, "é"], "a": null}', "[]", '"a b"', "1.5"]),
    "pt": ("POINT", ["POINT(1 2)", "POINT(-0.1 1e300)"]),
    'o"d|d=%': ("INT", [7, None]),
    "Ünï it`s": ("VARCHAR(9)", ["ß", "ẞ"]),
}
OF_INSTANTS: dict[str, tuple[str, list[Any]]] = {
    "ts_0": ("TIMESTAMP NULL", [moment.replace(microsecond=0) for moment in INSTANTS]),
    "ts_3": (
        "TIMESTAMP(3) NULL",
        [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in INSTANTS],
    ),
    "ts_6": ("TIMESTAMP(6) NULL", INSTANTS),
}
"""In a table of their own, because Presto reads none that has one."""

OF_MARIADB: dict[str, tuple[str, list[Any]]] = {
    "uid": ("UUID", ["3f06af63-a93c-41e4-9797-00505690773f"]),
    "ip4": ("INET4", ["192.0.2.1"]),
    "ip6": ("INET6", ["::ffff:192.0.2.1", "::"]),
}
OF_MYSQL: dict[str, tuple[str, list[Any]]] = {"vec": ("VECTOR(3)", ["[1, 2, 3]", "[-0.1, 1e30, 0]"])}
READ_BY = {"POINT": "ST_GeomFromText(%s)", "VECTOR(3)": "STRING_TO_VECTOR(%s)"}
"""How the server makes a value of a text, where it does not by itself."""

PARTITIONS = {
    "by_char": ["label", "kind"],
    "every_type": ["year(day)"],
    "by_text": ["label", "n"],
    "by_moment": ["month(dt_6)", "day(ts_6)"],
    "million": ["league_id"],
    "plain": ["league_id"],
}
AS_BYTES = {"as_stored": ["old_char", "old_text"]}


def quoted(name: str) -> str:
    """A name in backticks."""
    doubled = name.replace("`", "``")
    return f"`{doubled}`"


def columns_of(server: str) -> dict[str, tuple[str, list[Any]]]:
    """The columns of `every_type` on a server."""
    return {**COLUMNS, **(OF_MARIADB if server == "mariadb" else OF_MYSQL)}


def _drawn(rng: random.Random, words: str, values: list[Any]) -> Any:  # noqa: ANN401 - a value of any column
    if rng.random() < 0.1:
        return None
    if words == "DOUBLE" and rng.random() < 0.7:
        while True:
            (value,) = struct.unpack(">d", rng.randbytes(8))
            if value == value and abs(value) != float("inf"):  # noqa: PLR0124 - NaN is not itself
                return value
    return rng.choice(values)


def fill(connection: pymysql.Connection, schema: str, server: str, million: int = MILLION) -> None:
    """Makes all the tables in a schema that is there."""
    with connection.cursor() as cursor:
        cursor.execute(f"USE {schema}")
        cursor.execute("SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        _fill_typed(cursor, "every_type", columns_of(server))
        _fill_typed(cursor, "instants", OF_INSTANTS)
        cursor.execute("CREATE TABLE `empty` (id INT PRIMARY KEY, name VARCHAR(9)) DEFAULT CHARSET utf8mb4")
        cursor.execute("CREATE TABLE copies (a INT, b VARCHAR(9)) DEFAULT CHARSET utf8mb4")
        cursor.execute("INSERT INTO copies VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (NULL, NULL), (2, '')")
        cursor.execute(
            "CREATE TABLE by_text (id INT PRIMARY KEY, label VARCHAR(3000) COLLATE utf8mb4_bin, n BIGINT UNSIGNED) "
            "DEFAULT CHARSET utf8mb4"
        )
        labels = [None, *TEXTS, "%6Eull", "%", "=", "a*b", "aXb", "\1" * 1500]
        for number, label in enumerate(labels):
            cursor.execute("INSERT INTO by_text VALUES (%s, %s, %s)", (number, label, [None, 7, 2**64 - 1][number % 3]))
        cursor.execute(
            "CREATE TABLE by_char (id INT PRIMARY KEY, label CHAR(9), kind ENUM('a','ab','null')) "
            "DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"
        )
        for number, label in enumerate([None, "", "a", "A", "a b", "null", "é/=%", "123456789"]):
            cursor.execute(
                "INSERT INTO by_char VALUES (%s, %s, %s)", (number, label, [None, "a", "ab", "null"][number % 4])
            )
        _fill_as_stored(cursor)
        cursor.execute("CREATE TABLE by_moment (id INT PRIMARY KEY, dt_6 DATETIME(6), ts_6 TIMESTAMP(6) NULL)")
        for number, moment in enumerate([None, *MOMENTS]):
            cursor.execute("INSERT INTO by_moment VALUES (%s, %s, %s)", (number, moment, [None, *INSTANTS][number % 4]))
        cursor.execute(
            "CREATE TABLE plain (id INT PRIMARY KEY, league_id INT NOT NULL, name VARCHAR(50), rating DOUBLE, "
            "born DATE, fee DECIMAL(10,2), code CHAR(4), seen DATETIME(3)) DEFAULT CHARSET utf8mb4"
        )
        for number in range(60):
            row = (
                number,
                number % 4,
                TEXTS[number % 14],
                DOUBLES[number % 15],
                DATES[2 + number % 4],
                number / 4,
                TEXTS[number % 5],
            )
            cursor.execute("INSERT INTO plain VALUES (%s, %s, %s, %s, %s, %s, %s, NULL)", row)
        cursor.execute("UPDATE plain SET seen = TIMESTAMPADD(SECOND, id, '2031-04-02 19:03:11.125') WHERE id % 2 = 0")
        _fill_million(cursor, million)
        connection.commit()


def _fill_typed(cursor: Cursor, table: str, columns: dict[str, tuple[str, list[Any]]]) -> None:
    described = ", ".join(f"{quoted(name)} {words}" for name, (words, _) in columns.items())
    cursor.execute(
        f"CREATE TABLE {table} (id BIGINT PRIMARY KEY, {described}) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"
    )
    rng = random.Random(2031)
    longest = max(len(values) for _, values in columns.values())
    marks = ", ".join(READ_BY.get(words, "%s") for words, _ in columns.values())
    rows = [[values[number % len(values)] for _, values in columns.values()] for number in range(longest)]
    rows += [[_drawn(rng, *column) for column in columns.values()] for _ in range(DENSE_ROWS)]
    rows += [[None] * len(columns)]
    for number, row in enumerate(rows):
        cursor.execute(f"INSERT INTO {table} VALUES (%s, {marks})", [number, *row])


def _fill_as_stored(cursor: Cursor) -> None:
    """Texts in other charsets, some of them carried as bytes, and a name that engines write in lower case."""
    cursor.execute(
        "CREATE TABLE as_stored (id INT PRIMARY KEY, CamelCase INT, latin VARCHAR(20) CHARACTER SET latin1, "
        "kana VARCHAR(20) CHARACTER SET sjis, old_char CHAR(9) CHARACTER SET latin1, "
        "old_text VARCHAR(9) CHARACTER SET hp8, plain VARCHAR(9) CHARACTER SET utf8mb3) DEFAULT CHARSET utf8mb4"
    )
    cursor.execute(
        "INSERT INTO as_stored VALUES (1, 7, 'é€ÿ', '日本ソ', 'é ', 'é', 'é'), "
        "(2, NULL, _latin1 x'818d9d', '~', '', '', ''), (3, -1, NULL, NULL, NULL, NULL, NULL), "
        "(4, 0, ' a ', 'ﾊﾝ', 'a', 'A ', 'a ')"
    )


def _fill_million(cursor: Cursor, count: int) -> None:
    cursor.execute(
        "CREATE TABLE million (id INT PRIMARY KEY, league_id INT NOT NULL, name VARCHAR(50), rating DOUBLE, born DATE) "
        "DEFAULT CHARSET utf8mb4"
    )
    if not count:
        return
    digits = " UNION ALL ".join(f"SELECT {digit} AS n" for digit in range(10))
    places = ", ".join(f"({digits}) d{place}" for place in range(6))
    number = " + ".join(f"d{place}.n * {10**place}" for place in range(6))
    cursor.execute(
        "INSERT INTO million "
        "SELECT i, i % 4, CONCAT('player ', i), i / 7e0, DATE_ADD('1990-01-01', INTERVAL i % 9999 DAY) "
        f"FROM (SELECT {number} AS i FROM {places}) numbers WHERE i < {count}"
    )
