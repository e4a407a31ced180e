"""Each binlog file has events with or without checksums, and a reader follows the change."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain

import pymysql
import pytest

from datafingerprint.adapters.mysql import binlog_dump
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.transactions import Assembler
from datafingerprint.config import Settings
from tests.datafingerprint.binlog.following import changes_between, execute, position_of

pytestmark = pytest.mark.live

KINDS = ("NONE", "CRC32", "NONE", "CRC32", "CRC32", "NONE")
"""What the server is set to one after another; a value that it has already begins no file."""


@pytest.fixture(params=["native", "python"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """With and without the library, which is not built where there is no compiler."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(binlog_dump, "native_binlog", lambda: None)
        yield


@pytest.fixture
def switching(source: pymysql.Connection) -> Iterator[pymysql.Connection]:
    """A connection to a table `a`; the server's setting is put back."""
    execute(source, "CREATE TABLE IF NOT EXISTS a (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20))")
    with source.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.binlog_checksum")
        (before,) = cursor.fetchone() or ("CRC32",)
    yield source
    execute(source, f"SET GLOBAL binlog_checksum = {before}")


def test_a_reader_that_is_connected_already_reads_on(switching: pymysql.Connection, stack_settings: Settings) -> None:
    reader = BinlogSource(stack_settings)
    start = position_of(switching)
    assembler = Assembler(start, lambda _: True)
    with contextlib.closing(reader.events(start)) as events:
        read = chain.from_iterable(events)
        for kind in KINDS:
            execute(switching, f"SET GLOBAL binlog_checksum = {kind}", f"INSERT INTO a (v) VALUES ('{kind}')")
            end = position_of(switching).gtid
            while assembler.position.gtid != end:
                assembler.feed(parse_event(next(read), "the test"))


def test_a_reader_that_begins_in_any_file_reads_to_the_end(
    switching: pymysql.Connection, stack_settings: Settings
) -> None:
    reader = BinlogSource(stack_settings)
    tables = [table for table in reader.survey().tables.values() if table.name == "a"]
    starts = []
    for kind in KINDS:
        starts.append(position_of(switching))
        execute(switching, f"SET GLOBAL binlog_checksum = {kind}", f"INSERT INTO a (v) VALUES ('{kind}'), ('more')")
    end = position_of(switching)
    for kind in ("CRC32", "NONE"):
        execute(switching, f"SET GLOBAL binlog_checksum = {kind}")
        for passed, start in enumerate(starts):
            result, _ = changes_between(reader, start, end, tables)
            assert result[tables[0].table].rows.num_rows == 2 * (len(KINDS) - passed)
