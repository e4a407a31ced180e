"""Tables and values at the ends of what a server allows: all ways agree, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql
import pytest

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from tests.datafingerprint.binlog.following import execute, position_of, snapshot_of
from tests.fuzz.running import compare

pytestmark = pytest.mark.live


@pytest.fixture
def reader(stack_settings: Settings) -> BinlogSource:
    return BinlogSource(stack_settings)


KEYS = {
    "composite": ("a INT, b VARCHAR(9), PRIMARY KEY (b, a)", ["1, 'x'", "1, 'y'", "2, 'x'"]),
    "text that knows no case": ("a VARCHAR(20) PRIMARY KEY, b INT", ["'abc', 1", "'ABD', 2", "'é ', 3", "'', 4"]),
    "text padded with spaces": ("a CHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, b INT", ["'a', 1", "'B ', 2"]),
    "text in gbk": ("a VARCHAR(9) CHARACTER SET gbk PRIMARY KEY, b INT", ["'丂', 1", "'a', 2", "'漢字', 3"]),
    "bytes": ("a VARBINARY(9) PRIMARY KEY, b INT", ["x'00', 1", "x'0000', 2", "x'', 3", "x'FF7C3D', 4"]),
    "padded bytes": ("a BINARY(4) PRIMARY KEY, b INT", ["x'00', 1", "x'0001', 2", "x'FFFFFFFF', 3"]),
    "unsigned": ("a BIGINT UNSIGNED PRIMARY KEY, b INT", ["0, 1", "18446744073709551615, 2", "9223372036854775808, 3"]),
    "negative": ("a BIGINT PRIMARY KEY, b INT", ["-9223372036854775808, 1", "-1, 2", "9223372036854775807, 3"]),
    "decimal": ("a DECIMAL(65,30) PRIMARY KEY, b INT", ["-0.1, 1", f"{'9' * 35}.{'9' * 30}, 2", "0, 3"]),
    "double": ("a DOUBLE PRIMARY KEY, b INT", ["-1.5e300, 1", "5e-324, 2", "0, 3", "0.1, 4"]),
    "double of two decimals": ("a DOUBLE(10,2) PRIMARY KEY, b INT", ["2.47, 1", "-0.44, 2", "0, 3", "0.01, 4"]),
    "zeros": ("a INT(99) ZEROFILL PRIMARY KEY, b INT", ["0, 1", "4294967295, 2"]),
    "moment": ("a DATETIME(6), b TIME(6), PRIMARY KEY (a, b)", ["'9999-12-31 23:59:59.999999', '-838:59:59'"]),
    "label": ("a ENUM('x','b','') PRIMARY KEY, b INT", ["'x', 1", "'b', 2", "'', 3"]),
    "label of bytes": (
        "a ENUM('x',x'FF','b','') CHARACTER SET binary PRIMARY KEY, b INT",
        ["'x', 1", "x'FF', 2", "'b', 3", "'', 4"],
    ),
    "unique only": ("a INT NOT NULL UNIQUE, b INT, UNIQUE (b)", ["1, 1", "2, NULL", "3, NULL"]),
    "none, rows twice": ("a INT, b VARCHAR(9)", ["1, 'x'", "1, 'x'", "1, 'X'", "NULL, NULL", "NULL, NULL"]),
}
CHANGED = {"moment": "a = a - INTERVAL 1 DAY", "unique only": "a = a + 10", "none, rows twice": "b = 'x'"}
"""What is set in every other case: `b` where it is a number."""


@pytest.mark.parametrize("name", KEYS)
def test_rows_are_identified_by_keys_of_any_kind(source: pymysql.Connection, reader: BinlogSource, name: str) -> None:
    columns, rows = KEYS[name]
    execute(source, "SET SESSION sql_mode = ''", f"CREATE TABLE keyed ({columns}) DEFAULT CHARSET utf8mb4")
    (table,) = reader.tables()
    start = position_of(source)
    execute(
        source,
        f"INSERT INTO keyed VALUES {', '.join(f'({row})' for row in rows)}",
        f"UPDATE keyed SET {CHANGED.get(name, 'b = CONCAT(b, 1)')}",
        "DELETE FROM keyed LIMIT 1",
        f"INSERT IGNORE INTO keyed VALUES ({rows[0]})",
    )
    compare(source, reader, table, start)


def test_a_keys_text_may_change_where_its_collation_sees_no_difference(
    source: pymysql.Connection, reader: BinlogSource
) -> None:
    execute(source, "CREATE TABLE keyed (a VARCHAR(9) COLLATE utf8mb4_general_ci PRIMARY KEY, b INT)")
    (table,) = reader.tables()
    start = position_of(source)
    execute(source, "INSERT INTO keyed VALUES ('abc', 1)", "UPDATE keyed SET a = 'ABC'", "UPDATE keyed SET a = 'ÀBC '")
    compare(source, reader, table, start)
    _, snapshot = snapshot_of(reader, [table])
    assert snapshot[table.table].column("a").to_pylist() == ["ÀBC "]


ENDS = {
    "TIME": ["-838:59:59", "838:59:59", "-00:00:01", "00:00:00"],
    "TIME(6)": ["-838:59:58.999999", "838:59:59", "-00:00:00.000001", "00:00:00.000001"],
    "DATE": ["0001-01-01", "9999-12-31", "1582-10-10", "1900-02-28", "2000-02-29"],
    "DATETIME(6)": ["0001-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999"],
    "TIMESTAMP(6) NULL": ["1970-01-01 00:00:01.000000", "2038-01-19 03:14:07.999999"],
    "YEAR": ["0000", "1901", "2155"],
    "DECIMAL(65,30)": [f"{sign}{'9' * 35}.{'9' * 30}" for sign in ("", "-")] + ["-0.000000000000000000000000000001"],
    "DECIMAL(65,0)": ["9" * 65, "-" + "9" * 65, "-1", "0"],
    "DECIMAL(30,30)": ["0." + "9" * 30, "-0." + "9" * 30, "-0.5"],
    "DOUBLE": [
        *("1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "-5e-324", "-0.0"),
        *("3.7818280418450374e-124", "-1.2345678901234568e-300", "-1.2345678901234567e-5"),
        *("2.225073858507201e-308", "0.30000000000000004", "123456789.12345679", "9007199254740993", "1e22", "1e23"),
    ],
    "DOUBLE(255,30)": ["1e224", "-1e224", "1e-30", "-1e-30", "0.1", "2.47"],
    "DOUBLE(10,2)": ["2.47", "-0.44", "99999999.99", "-0.0", "0.005"],
    "FLOAT(8,2)": ["2.47", "-0.44", "999999.99", "0.1"],
    "FLOAT": ["3.4028234663852886e38", "1.401298464324817e-45", "-1.1754943508222875e-38", "16777217", "0.1", "-0.0"],
    "BIT(64)": ["0", "18446744073709551615", "9223372036854775808"],
}


def test_values_at_the_ends_of_their_types_are_carried(source: pymysql.Connection, reader: BinlogSource) -> None:
    columns = ", ".join(f"c{number} {words}" for number, words in enumerate(ENDS))
    execute(source, "SET SESSION time_zone = '+00:00'")
    execute(source, f"CREATE TABLE ends (id INT AUTO_INCREMENT PRIMARY KEY, {columns})")
    (table,) = reader.tables()
    start = position_of(source)
    for number, values in enumerate(ENDS.values()):
        quote = "" if list(ENDS)[number].startswith("BIT") else "'"
        rows = ", ".join(f"({quote}{value}{quote})" for value in values)
        execute(source, f"INSERT INTO ends (c{number}) VALUES {rows}")
    execute(source, "UPDATE ends SET id = id + 1000 WHERE id % 2 = 0", "DELETE FROM ends WHERE id % 5 = 0")
    compare(source, reader, table, start)


def test_a_table_of_a_thousand_columns_is_carried(source: pymysql.Connection, reader: BinlogSource) -> None:
    kinds = ("INT", "SMALLINT UNSIGNED", "FLOAT", "DATE", "VARCHAR(1)")
    names = [f"c{number}" for number in range(999)]
    described = ", ".join(f"{name} {kinds[number % len(kinds)]}" for number, name in enumerate(names))
    execute(source, f"CREATE TABLE wide (id INT PRIMARY KEY, {described}) ROW_FORMAT=DYNAMIC")
    (table,) = reader.tables()
    assert len(table.columns) == 1000
    start = position_of(source)
    values = ", ".join(("7", "65535", "-0.1", "'2031-04-02'", "'|'")[number % 5] for number in range(999))
    execute(
        source,
        f"INSERT INTO wide VALUES (1, {values}), (2, {values})",
        "INSERT INTO wide (id, c994) VALUES (3, 'x')",
        f"UPDATE wide SET {', '.join(f'{name} = NULL' for name in names[::3])} WHERE id = 2",
    )
    compare(source, reader, table, start)


@pytest.fixture
def large_packets(source: pymysql.Connection, stack_settings: Settings) -> Iterator[pymysql.Connection]:
    """A connection for values of tens of MiB, sent to the server and made by its expressions."""
    with source.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.max_allowed_packet")
        (before,) = cursor.fetchone() or (0,)
    execute(source, "SET GLOBAL max_allowed_packet = 134217728")
    try:
        with pymysql.connect(
            host=stack_settings.source.host,
            port=stack_settings.source.port,
            user=stack_settings.source.user,
            password=stack_settings.source.password.get_secret_value(),
            database=stack_settings.generator.schema_name,
            charset="utf8mb4",
            autocommit=True,
        ) as connection:
            yield connection
    finally:
        execute(source, f"SET GLOBAL max_allowed_packet = {before}")


def test_values_of_more_than_16_mib_are_carried(large_packets: pymysql.Connection, reader: BinlogSource) -> None:
    # A packet of the protocol ends at 16 MiB less one byte: what is longer comes in several.
    execute(large_packets, "CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB)")
    (table,) = reader.tables()
    start = position_of(large_packets)
    try:
        execute(large_packets, f"INSERT INTO blobs VALUES (1, REPEAT('0123456789abcde|', {17 << 16}))")
        compare(large_packets, reader, table, start)
    finally:
        execute(large_packets, "FLUSH BINARY LOGS")


def test_a_view_has_a_position_behind_an_event_longer_than_a_packet(
    source: pymysql.Connection, reader: BinlogSource
) -> None:
    execute(source, "CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB)", "INSERT INTO blobs VALUES (1, 'x')")
    try:
        # With two images of 9 MiB the event exceeds the 16 MiB that MariaDB has for a packet.
        execute(source, f"UPDATE blobs SET b = REPEAT('x', {9 << 20})", f"UPDATE blobs SET b = REPEAT('y', {9 << 20})")
        position, snapshot = snapshot_of(reader, reader.tables())
        assert position.gtid == position_of(source).gtid
        ((rows),) = snapshot.values()
        assert rows.column("b").to_pylist() == [b"y" * (9 << 20)]
    finally:
        execute(source, "FLUSH BINARY LOGS")


@pytest.mark.only("mysql")
@pytest.mark.parametrize("shown", ["ON", "OFF"])
def test_a_key_that_the_server_made_itself_is_carried(
    source: pymysql.Connection, reader: BinlogSource, shown: str
) -> None:
    execute(source, "SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE made (a INT)")
    execute(source, f"SET GLOBAL show_gipk_in_create_table_and_information_schema = {shown}")
    try:
        (table,) = reader.tables()
    finally:
        execute(source, "SET GLOBAL show_gipk_in_create_table_and_information_schema = ON")
    assert table.key == ("my_row_id",)
    start = position_of(source)
    execute(source, "INSERT INTO made (a) VALUES (1), (1), (2)", "UPDATE made SET a = 3", "DELETE FROM made LIMIT 1")
    compare(source, reader, table, start)


HIDDEN = [
    pytest.param(
        "a INT, j JSON, KEY k ((a + 1)), KEY s ((LOWER(c)))", id="expressions", marks=pytest.mark.only("mysql")
    ),
    pytest.param(
        "a INT, j JSON, KEY k ((CAST(j->'$.n' AS UNSIGNED ARRAY))), KEY t ((CAST(j->'$.s' AS CHAR(9) ARRAY)))",
        id="arrays",
        marks=pytest.mark.only("mysql"),
    ),
    pytest.param("a INT, j JSON, x LONGTEXT, UNIQUE (x)", id="long unique texts", marks=pytest.mark.only("mariadb")),
]


@pytest.mark.parametrize("columns", HIDDEN)
def test_columns_that_the_server_hides_are_no_part_of_a_row(
    source: pymysql.Connection, reader: BinlogSource, columns: str
) -> None:
    execute(source, f"CREATE TABLE hiding (id INT PRIMARY KEY, c VARCHAR(20), {columns})")
    (table,) = reader.tables()
    start = position_of(source)
    execute(
        source,
        """INSERT INTO hiding (id, c, a, j) VALUES (1, 'X', 1, '{"n": [1, 2], "s": ["a"]}'), (2, NULL, NULL, NULL)""",
        """UPDATE hiding SET a = 9, c = 'Yy', j = '{"n": [3], "s": ["bb", "c"]}'""",
        "DELETE FROM hiding WHERE id = 2",
    )
    compare(source, reader, table, start)
