"""Values of every supported type: the binlog and the snapshot agree on a real server."""

from __future__ import annotations

import random
import struct
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pymysql
import pytest

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.changes import Changes
from datafingerprint.config import Settings
from datafingerprint.digests import sums_by_partition
from datafingerprint.fingerprint import ZERO
from datafingerprint.ledger import net_sums
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from tests.datafingerprint.binlog.following import changes_between, execute, position_of, pushed_down, snapshot_of
from tests.datafingerprint.drawn import Row, arrow

pytestmark = pytest.mark.live

Draw = Callable[[random.Random], Any]


def addresses(chooser: random.Random) -> bytes:
    """IPv6 addresses as bytes, with zeros in runs of all lengths, IPv4 inside, zeros at the end."""
    words = [chooser.choice([0, 0, 1, 0xFFFF, chooser.randrange(65536)]) for _ in range(8)]
    begin = chooser.choice([[], [0] * 6, [0] * 5 + [0xFFFF], [0] * 8])
    return b"".join(word.to_bytes(2, "big") for word in [*begin, *words[len(begin) :]])


def integers(bits: int, *, unsigned: bool = False) -> Draw:
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return lambda chooser: chooser.choice([low, high, 0, chooser.randint(low, high)])


def decimals(precision: int, scale: int, *, unsigned: bool = False) -> Draw:
    most = 10**precision - 1
    return lambda chooser: Decimal(
        chooser.choice([0, most, 0 if unsigned else -most, chooser.randint(0 if unsigned else -most, most)])
    ).scaleb(-scale)


def texts(length: int) -> Draw:
    letters = "aZ |=%\n\t'\"\\é漢ñ\x00"
    return lambda chooser: "".join(chooser.choices(letters, k=chooser.choice([0, 1, length // 2, length]))) + "."


def some_bytes(length: int) -> Draw:
    return lambda chooser: chooser.randbytes(chooser.choice([0, 1, length // 2, length]))


def doubles(chooser: random.Random) -> float:
    mantissa, exponent = chooser.uniform(-1, 1), chooser.randint(-300, 300)
    return chooser.choice(
        [
            *(0.0, -0.0, 5e-324, -2.5e-310, 1e308, -1.7976931348623157e308, 0.1),
            *(mantissa * 10.0**exponent, mantissa * 10.0 ** chooser.randint(-9, 22)),
        ]
    )


def shown_with(decimals: int, whole: int, *, unsigned: bool = False) -> Draw:
    """Numbers with some decimals. Most have no exact binary form, so the server rounds them."""

    def draw(chooser: random.Random) -> str:
        digits = chooser.randrange(10 ** chooser.randint(1, whole + decimals))
        sign = "" if unsigned else chooser.choice(["", "-"])
        return f"{sign}{Decimal(digits).scaleb(-decimals):f}"

    def known(chooser: random.Random) -> str:
        return chooser.choice(["2.47", "0.01", "0", "3.712", "1e-9"] + ([] if unsigned else ["-0.44", "-0.0", "-1e-9"]))

    return lambda chooser: chooser.choice([draw, known])(chooser)


def floats(chooser: random.Random) -> float:
    mantissa, exponent = chooser.uniform(-1, 1), chooser.randint(-36, 36)
    return chooser.choice([0.0, -0.0, 1e-45, 3.4028234e38, 16777217.0, 0.1, mantissa * 10.0**exponent])


def days(chooser: random.Random) -> str:
    return chooser.choice(
        ["0001-01-01", "9999-12-31", "2032-02-29", "1969-12-31", f"{chooser.randint(1, 9999):04}-07-04"]
    )


def moments(chooser: random.Random) -> str:
    clock = f"{chooser.randint(0, 23):02}:{chooser.randint(0, 59):02}:59"
    return f"{days(chooser)} {clock}.{chooser.choice(['000000', '000001', '123456', '999998'])}"


def times(chooser: random.Random) -> str:
    hours = chooser.choice([0, 23, 99, 100, 837, 838])
    sign, fraction = chooser.choice(["", "-"]), chooser.choice(["000000", "000001", "123456", "999998"])
    return f"{sign}{hours:02}:{chooser.randint(0, 58):02}:{chooser.choice([0, 58]):02}.{fraction}"


def instants(chooser: random.Random) -> str:
    return f"{chooser.randint(1971, 2036)}-03-29 02:30:00.{chooser.choice(['000000', '000001', '120000', '123456'])}"


def one_of(*labels: str | bytes) -> Draw:
    return lambda chooser: chooser.choice(labels)


def sets(labels: list[str]) -> Draw:
    return lambda chooser: ",".join(chooser.sample(labels, chooser.randint(0, len(labels))))


Columns = dict[str, tuple[str, Draw]]

COLUMNS: Columns = {
    "i1": ("TINYINT", integers(8)),
    "u1": ("TINYINT UNSIGNED", integers(8, unsigned=True)),
    "i2": ("SMALLINT", integers(16)),
    "u2": ("SMALLINT UNSIGNED", integers(16, unsigned=True)),
    "i3": ("MEDIUMINT", integers(24)),
    "u3": ("MEDIUMINT UNSIGNED", integers(24, unsigned=True)),
    "i4": ("INT", integers(32)),
    "u4": ("INT UNSIGNED", integers(32, unsigned=True)),
    "i8": ("BIGINT", integers(64)),
    "u8": ("BIGINT UNSIGNED", integers(64, unsigned=True)),
    "yes": ("BOOL", integers(1, unsigned=True)),
    "zeros": ("INT(9) ZEROFILL", integers(20, unsigned=True)),
    "n18_0": ("DECIMAL(18,0)", decimals(18, 0)),
    "n18_1": ("DECIMAL(18,1)", decimals(18, 1)),
    "n18_9": ("DECIMAL(18,9)", decimals(18, 9)),
    "n18_17": ("DECIMAL(18,17)", decimals(18, 17)),
    "n18_18": ("DECIMAL(18,18)", decimals(18, 18)),
    "n5_2": ("DECIMAL(5,2)", decimals(5, 2)),
    "n1_0": ("DECIMAL(1,0)", decimals(1, 0)),
    "n10_2u": ("DECIMAL(10,2) UNSIGNED", decimals(10, 2, unsigned=True)),
    "n8_3z": ("DECIMAL(8,3) ZEROFILL", decimals(8, 3, unsigned=True)),
    "f": ("FLOAT", floats),
    "f_fixed": ("FLOAT(10,2)", lambda chooser: chooser.uniform(-1e6, 1e6)),
    "g": ("DOUBLE", doubles),
    "g_fixed": ("DOUBLE(20,4)", lambda chooser: chooser.uniform(-1e12, 1e12)),
    **{
        f"g{whole + places}_{places}{''.join(more.split())}": (
            f"{base}({whole + places},{places}) {more}",
            shown_with(places, whole, unsigned=bool(more)),
        )
        for base, more in (("DOUBLE", ""), ("DOUBLE", "UNSIGNED"), ("DOUBLE", "ZEROFILL"))
        for whole, places in ((8, 2), (17, 5), (13, 0), (1, 15), (225, 30))
    },
    **{
        f"f{whole + places}_{places}{''.join(more.split())}": (
            f"FLOAT({whole + places},{places}) {more}",
            shown_with(places, whole, unsigned=bool(more)),
        )
        for more in ("", "UNSIGNED ZEROFILL")
        for whole, places in ((6, 2), (3, 5), (10, 0), (3, 30))
    },
    "g_zeros": ("DOUBLE ZEROFILL", lambda chooser: abs(doubles(chooser))),
    "f_zeros": ("FLOAT ZEROFILL", lambda chooser: abs(floats(chooser))),
    "real": ("REAL(30,10)", shown_with(10, 20)),
    "i1_zeros": ("TINYINT ZEROFILL", integers(8, unsigned=True)),
    "i4_wide": ("INT(255) ZEROFILL", integers(32, unsigned=True)),
    "i8_zeros": ("BIGINT(200) UNSIGNED ZEROFILL", integers(64, unsigned=True)),
    "n38_30z": ("DECIMAL(38,30) ZEROFILL", decimals(38, 30, unsigned=True)),
    "n65_0z": ("DECIMAL(65,0) UNSIGNED ZEROFILL", decimals(65, 0, unsigned=True)),
    "n19_0": ("DECIMAL(19,0)", decimals(19, 0)),
    "n20_19": ("DECIMAL(20,19)", decimals(20, 19)),
    "n30_30": ("DECIMAL(30,30)", decimals(30, 30)),
    "n38_0": ("DECIMAL(38,0)", decimals(38, 0)),
    "n38_30": ("DECIMAL(38,30)", decimals(38, 30)),
    "n39_1": ("DECIMAL(39,1)", decimals(39, 1)),
    "n65_0": ("DECIMAL(65,0)", decimals(65, 0)),
    "n65_30": ("DECIMAL(65,30)", decimals(65, 30)),
    "n50_30z": ("DECIMAL(50,30) ZEROFILL", decimals(50, 30, unsigned=True)),
    **{f"bit{width}": (f"BIT({width})", integers(width, unsigned=True)) for width in (1, 7, 8, 9, 31, 56, 57, 63, 64)},
    "u8_behind": ("BIGINT UNSIGNED", integers(64, unsigned=True)),
    "y": ("YEAR", lambda chooser: chooser.choice([0, 1901, 2155, 2031])),
    "i1_behind": ("TINYINT UNSIGNED", integers(8, unsigned=True)),
    **{f"clock{digits}": (f"TIME({digits})", times) for digits in range(7)},
    "e": (
        "ENUM('a,b','','it''s','né','日本','back\\slash','x(y)')",
        one_of("a,b", "", "it's", "né", "日本", "back\\slash", "x(y)"),
    ),
    "e300": (
        f"ENUM({', '.join(f'{chr(39)}l{n}{chr(39)}' for n in range(300))})",
        lambda chooser: f"l{chooser.randrange(300)}",
    ),
    "s": ("SET('a','it''s','né','日本','x y')", sets(["a", "it's", "né", "日本", "x y"])),
    "e_bytes": (
        "ENUM('UNKNOWN','',x'FF00','é','B') CHARACTER SET binary",
        one_of(b"UNKNOWN", b"", b"\xff\x00", "é".encode(), b"b"),
    ),
    "s_bytes": ("SET('a','b c','é') CHARACTER SET binary", one_of(b"", b"a", b"b c", b"a,\xc3\xa9")),
    "s64": (f"SET({', '.join(f'{chr(39)}l{n}{chr(39)}' for n in range(64))})", sets([f"l{n}" for n in range(64)])),
    "p1": ("BINARY(1)", some_bytes(0)),
    "p20": ("BINARY(20)", lambda chooser: chooser.randbytes(chooser.choice([0, 1, 20]))),
    "p255": ("BINARY(255)", some_bytes(255)),
    "d": ("DATE", days),
    **{f"m{digits}": (f"DATETIME({digits})", moments) for digits in range(7)},
    **{f"t{digits}": (f"TIMESTAMP({digits}) NULL", instants) for digits in range(7)},
    "c10": ("CHAR(12)", texts(10)),
    "c255": ("CHAR(255)", texts(250)),
    "v63": ("VARCHAR(63)", texts(60)),
    "v64": ("VARCHAR(64)", texts(60)),
    "v300": ("VARCHAR(300)", texts(290)),
    "ascii": ("VARCHAR(200) CHARACTER SET ascii", lambda chooser: chooser.choice(["", "a ", "~\x7f", "x" * 200])),
    "old": ("VARCHAR(90) CHARACTER SET utf8mb3", texts(80)),
    "x1": ("TINYTEXT", texts(60)),
    "x2": ("TEXT", texts(900)),
    "x3": ("MEDIUMTEXT", lambda chooser: "é🏈" * chooser.choice([0, 1, 20_000])),
    "x4": ("LONGTEXT", texts(900)),
    "b255": ("VARBINARY(255)", some_bytes(255)),
    "b300": ("VARBINARY(300)", some_bytes(300)),
    "y1": ("TINYBLOB", some_bytes(255)),
    "y2": ("BLOB", some_bytes(900)),
    "y3": ("MEDIUMBLOB", some_bytes(900)),
    "y4": ("LONGBLOB", some_bytes(70_000)),
}


def drawn_row(columns: Columns, chooser: random.Random) -> list[Any]:
    share = chooser.choice([0.0, 0.2, 1.0])
    return [None if chooser.random() < share else draw(chooser) for _, draw in columns.values()]


def tampered(connection: pymysql.Connection, columns: Columns, chooser: random.Random) -> None:
    """Inserts, updates and deletes rows of every kind, several per statement."""
    names = ", ".join(f"`{name}`" for name in columns)
    marks = ", ".join(["%s"] * len(columns))
    sets = ", ".join(f"`{name}` = %s" for name in columns)
    with connection.cursor() as cursor:
        # Neither the writer's zone nor its mode may show in what is read.
        cursor.execute("SET SESSION time_zone = '-05:30', sql_mode = ''")
        cursor.executemany(
            f"INSERT INTO kinds ({names}) VALUES ({marks})", [drawn_row(columns, chooser) for _ in range(60)]
        )
        for identity in chooser.sample(range(1, 61), 30):
            cursor.execute(f"UPDATE kinds SET {sets} WHERE id = %s", [*drawn_row(columns, chooser), identity])
        cursor.execute("BEGIN")
        cursor.execute("DELETE FROM kinds WHERE id % 4 = 0")
        cursor.execute("UPDATE kinds SET id = id + 1000 WHERE id % 5 = 0")
        cursor.execute(f"INSERT INTO kinds ({names}) SELECT {names} FROM kinds WHERE id % 3 = 0")
        cursor.execute("COMMIT")


def shapes(chooser: random.Random) -> bytes:
    """A point as the server stores it: the number of its reference system, and WKB."""
    return struct.pack("<IBIdd", chooser.choice([0, 4326]), 1, 1, chooser.uniform(-80, 80), chooser.uniform(-80, 80))


SHAPES: Columns = {"g": ("GEOMETRY", shapes), "p": ("POINT", shapes)}

GENERATED = (
    "a INT, b VARCHAR(20), v INT AS (a + 1) VIRTUAL, w VARCHAR(40) AS (CONCAT(b, '!')) STORED, c INT, "
    "h INT INVISIBLE DEFAULT 7"
)


def test_generated_and_invisible_columns_are_carried(source: pymysql.Connection, reader: BinlogSource) -> None:
    execute(source, f"CREATE TABLE made (id INT PRIMARY KEY, {GENERATED}) DEFAULT CHARSET utf8mb4")
    (table,) = reader.tables()
    assert [column.name for column in table.columns] == ["id", "a", "b", "v", "w", "c", "h"]
    start = position_of(source)
    execute(
        source,
        "INSERT INTO made (id, a, b, c) VALUES (1, 2, 'x', 3), (2, NULL, NULL, NULL)",
        "INSERT INTO made (id, a, b, c, h) VALUES (3, 5, 'é', 1, 8)",
        "UPDATE made SET a = a * 10, h = h + 1",
        "DELETE FROM made WHERE id = 2",
    )
    result, _ = changes_between(reader, start, position_of(source), [table])
    require_same_as_snapshot(source, reader, table, result[table.table])


MARIADB_COLUMNS: Columns = {
    "s_bytes": ("SET('a',x'FE','é') CHARACTER SET binary", one_of(b"", b"a", b"\xfe", b"a,\xfe,\xc3\xa9")),
    "json": ("JSON", lambda chooser: chooser.choice(['{"b": 1,  "a":[1.0]}', "[]", '"é"'])),
    "a4": ("INET4", lambda chooser: ".".join(str(chooser.choice([0, 1, 255])) for _ in range(4))),
    "a6": ("INET6", addresses),
    "u": ("UUID", lambda chooser: str(uuid.UUID(int=chooser.getrandbits(128), version=chooser.choice([1, 4])))),
    "y2": ("YEAR(2)", lambda chooser: chooser.choice([0, 1, "00", 69, 70, 99, 1901, 2000, 2031, 2155, "none"])),
    "u7": ("UUID", lambda chooser: str(uuid.UUID(int=chooser.getrandbits(72) << 56 | 7 << 76, version=4))),
}
"""Types that only MariaDB has, or has in a form of its own."""

MYSQL_COLUMNS: Columns = {
    "vector": ("VECTOR(3)", lambda chooser: struct.pack("<3f", *(chooser.uniform(-9, 9) for _ in range(3)))),
}
"""The same of MySQL."""


@pytest.fixture
def reader(stack_settings: Settings) -> BinlogSource:
    return BinlogSource(stack_settings)


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(COLUMNS, id="both"),
        pytest.param(SHAPES, id="shapes"),
        pytest.param(MARIADB_COLUMNS, id="mariadb", marks=pytest.mark.only("mariadb")),
        pytest.param(MYSQL_COLUMNS, id="mysql", marks=pytest.mark.only("mysql")),
    ],
)
def test_the_binlog_and_the_snapshot_agree_on_every_type(
    source: pymysql.Connection, reader: BinlogSource, columns: Columns
) -> None:
    described = ", ".join(f"`{name}` {kind}" for name, (kind, _) in columns.items())
    execute(source, f"CREATE TABLE kinds (id INT AUTO_INCREMENT PRIMARY KEY, {described}) DEFAULT CHARSET utf8mb4")
    (table,) = reader.tables()
    start = position_of(source)
    tampered(source, columns, random.Random(2031))
    end = position_of(source)
    result, impossible = changes_between(reader, start, end, [table])
    assert impossible == {}
    changed = result[table.table]
    assert changed.rows.num_rows > 120
    require_same_as_snapshot(source, reader, table, changed)


def require_same_as_snapshot(
    connection: pymysql.Connection, reader: BinlogSource, table: TableSchema, changed: Changes
) -> None:
    _, snapshot = snapshot_of(reader, [table])
    rows = snapshot[table.table]
    held: dict[Any, Row] = {}
    for event in changed.rows.to_pylist():
        if event["before"]:
            assert held.pop(event["before"][table.key[0]]) == event["before"]
        if event["after"]:
            held[event["after"][table.key[0]]] = event["after"]
    in_order = [held[key] for key in rows.column(table.key[0]).to_pylist()]
    assert len(held) == rows.num_rows
    assert arrow(table, in_order).equals(rows)
    net = {name: part for name, part in net_sums(changed).items() if part != ZERO}
    assert net == sums_by_partition(rows, table.columns, partitioning(table))
    assert net == pushed_down(connection, table)


def test_dates_that_are_no_days_are_null_on_both_ways(source: pymysql.Connection, reader: BinlogSource) -> None:
    execute(
        source,
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'",
        "CREATE TABLE dates (id INT PRIMARY KEY, d DATE, m DATETIME(3), s TIMESTAMP NULL)",
    )
    (table,) = reader.tables()
    start = position_of(source)
    execute(
        source,
        "INSERT INTO dates VALUES (1, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00')",
        "INSERT INTO dates VALUES (2, '2031-04-31', '2031-02-30 10:00:00.5', NULL)",
        "INSERT INTO dates VALUES (3, '2031-00-00', '2031-00-01', '2031-04-01 00:00:00')",
        "INSERT INTO dates VALUES (4, '0000-01-01', '0000-12-31 23:59:59', NULL), (5, NULL, NULL, NULL)",
        "UPDATE dates SET d = '2031-04-30' WHERE id = 2",
    )
    result, impossible = changes_between(reader, start, position_of(source), [table])
    assert impossible == {f"{table.table}.d": 5, f"{table.table}.m": 6, f"{table.table}.s": 1}
    require_same_as_snapshot(source, reader, table, result[table.table])


FIELDS: dict[str, tuple[str, str, list[str]]] = {
    "text": ("VARCHAR(20)", "{}", ["", "a", "A", "a ", "null", "NULL", "x/y=z%", "é", "it's", "a\tb", "\x7f"]),
    "enum": ("ENUM('a/b','null','C')", "{}", ["a/b", "null", "c"]),
    "number": ("BIGINT UNSIGNED", "{}", ["0", "18446744073709551615", "7"]),
    "zeros": ("INT(9) ZEROFILL", "{}", ["0", "7"]),
    "wide": ("INT(200) ZEROFILL", "{}", ["0", "4294967295"]),
    "year": ("YEAR", "{}", ["0000", "2031"]),
    "short year": ("YEAR(2)", "{}", ["1901", "2001", "2031", "none", "00"]),
    "date": ("DATE", "{}", ["0001-01-01", "2031-12-31", "0000-00-00"]),
    "of_year": ("DATETIME(3)", "year({})", ["0999-01-01 10:00:00", "2031-12-31 23:59:59.999", "2031-00-10"]),
    "of_month": ("TIMESTAMP NULL", "month({})", ["2031-12-31 23:59:59", "1999-01-01 00:00:00"]),
    "of_day": ("DATE", "day({})", ["2031-02-28", "2031-04-31"]),
}
"""Type, partition field, values."""


ONLY = {"short year": pytest.mark.only("mariadb")}


@pytest.mark.parametrize("name", [pytest.param(name, marks=ONLY.get(name, ())) for name in FIELDS])
def test_the_source_names_partitions_as_we_do(source: pymysql.Connection, stack_settings: Settings, name: str) -> None:
    kind, form, values = FIELDS[name]
    execute(source, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+05:00'")
    execute(source, f"CREATE TABLE split (id INT AUTO_INCREMENT PRIMARY KEY, f {kind}) DEFAULT CHARSET utf8mb4")
    with source.cursor() as cursor:
        cursor.executemany("INSERT INTO split (f) VALUES (%s)", [(value,) for value in [*values, None, *values]])
    document = {"tables": {f"{stack_settings.generator.schema_name}.split": {"partition": [form.format("f")]}}}
    settings = stack_settings.model_copy(update={"tables": Settings.model_validate(document).tables})
    (table,) = BinlogSource(settings).tables()
    _, snapshot = snapshot_of(BinlogSource(settings), [table])
    expected = sums_by_partition(snapshot[table.table], table.columns, partitioning(table))
    assert len(expected) > 1
    assert pushed_down(source, table) == expected
    for partition, part in expected.items():
        assert pushed_down(source, table, partition) == {partition: part}


NAMES = ["order", "a.b", "q\"'é", "日本", "back`tick", "per%cent|=", "# no comment"]


@pytest.mark.parametrize("name", NAMES)
def test_a_tables_and_a_columns_name_may_be_anything(
    source: pymysql.Connection, reader: BinlogSource, name: str
) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    execute(
        source, f"CREATE TABLE {quoted} ({quoted} INT PRIMARY KEY, `select` TEXT, `x.y` INT) DEFAULT CHARSET utf8mb4"
    )
    (table,) = reader.tables()
    assert table.name == table.key[0] == name
    start = position_of(source)
    execute(
        source,
        f"INSERT INTO {quoted} VALUES (1, 'x', 1), (2, NULL, NULL)",
        f"UPDATE {quoted} SET `x.y` = 7",
        f"DELETE FROM {quoted} WHERE {quoted} = 2",
    )
    result, _ = changes_between(reader, start, position_of(source), [table])
    require_same_as_snapshot(source, reader, table, result[table.table])
