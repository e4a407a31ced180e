"""COMPRESSED columns of MariaDB are captured with their plain values."""

from __future__ import annotations

import pymysql
import pytest

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from tests.datafingerprint.binlog.following import execute, position_of
from tests.fuzz.running import compare

pytestmark = [pytest.mark.live, pytest.mark.only("mariadb")]

COLUMNS = {
    "v": "VARCHAR(300) COMPRESSED",
    "short": "VARCHAR(60) COMPRESSED",
    "longest": "VARCHAR(255) COMPRESSED",
    "latin": "VARCHAR(250) COMPRESSED CHARACTER SET latin1",
    "bytes": "VARBINARY(300) COMPRESSED",
    "x1": "TINYTEXT COMPRESSED",
    "x2": "TEXT COMPRESSED",
    "y2": "BLOB COMPRESSED",
    "x3": "MEDIUMTEXT COMPRESSED",
    "y4": "LONGBLOB COMPRESSED",
    "cyrillic": "TEXT COMPRESSED CHARACTER SET cp1251",
}
SESSIONS = {
    "with zlib's header": "column_compression_zlib_wrap = 1",
    "without it": "column_compression_zlib_wrap = 0",
    "not at all": "column_compression_zlib_level = 0",
    "from the first byte on": "column_compression_threshold = 0",
}


@pytest.mark.parametrize("session", SESSIONS)
def test_compressed_columns_are_carried(source: pymysql.Connection, stack_settings: Settings, session: str) -> None:
    reader = BinlogSource(stack_settings)
    described = ", ".join(f"{name} {words}" for name, words in COLUMNS.items())
    execute(
        source,
        f"SET SESSION sql_mode = '', {SESSIONS[session]}",
        f"CREATE TABLE packed (id INT AUTO_INCREMENT PRIMARY KEY, {described}) DEFAULT CHARSET utf8mb4",
    )
    (table,) = reader.tables()
    start = position_of(source)
    names = ", ".join(COLUMNS)
    for value in ("NULL", "''", "'a'", "'ab'", "REPEAT('a', 50)", "REPEAT('no é', 70)", "REPEAT('x', 70000)"):
        execute(source, f"INSERT INTO packed ({names}) VALUES ({', '.join([value] * len(COLUMNS))})")
    execute(
        source,
        "UPDATE packed SET v = CONCAT(v, v), x2 = REPEAT(x1, 3), y4 = REPEAT('long', 500000) WHERE id IN (3, 5)",
        "DELETE FROM packed WHERE id = 2",
    )
    compare(source, reader, table, start)
