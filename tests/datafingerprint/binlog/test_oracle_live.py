"""On a real server capture decodes the same values as the common library and a SELECT."""

from __future__ import annotations

import datetime as dt
import random
import struct
from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import pymysql
import pytest
from pymysql.cursors import Cursor
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.transactions import Assembler
from datafingerprint.changes import Changes, Op
from datafingerprint.changes import changes as make_changes
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.gtid import has_reached
from datafingerprint.ledger import net_sums
from datafingerprint.schema import Kind, TableSchema
from services.cdc.epoch_builder import CapturedTable, EpochBuilder, EpochLimits
from tests.datafingerprint.binlog.following import position_of, snapshot_of

pytestmark = pytest.mark.live

ROWS = 150
CREATE = """
    CREATE TABLE `every type's ``table``` (
        `key` INT, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, su SMALLINT UNSIGNED, m MEDIUMINT, mu MEDIUMINT UNSIGNED,
        i INT, iu INT UNSIGNED, b BIGINT, bu BIGINT UNSIGNED, z INT(8) ZEROFILL, yes BOOL,
        f FLOAT, d DOUBLE, `Größe.x` DOUBLE,
        n1 DECIMAL(18,0), n2 DECIMAL(18,18), n3 DECIMAL(10,2), n4 DECIMAL(1,0), n5 DECIMAL(18,9),
        da DATE, dt0 DATETIME, dt1 DATETIME(1), dt2 DATETIME(2), dt3 DATETIME(3), dt6 DATETIME(6),
        ts0 TIMESTAMP NULL, ts4 TIMESTAMP(4) NULL, ts5 TIMESTAMP(5) NULL, ts6 TIMESTAMP(6) NULL,
        c CHAR(10), cl CHAR(200), v VARCHAR(20), vl VARCHAR(2000), va VARCHAR(100) CHARACTER SET ascii,
        tt TINYTEXT, tx TEXT, mt MEDIUMTEXT, lt LONGTEXT, vb VARBINARY(20), tb TINYBLOB, bl BLOB, lb LONGBLOB
    )
"""

TEXTS = ("", "a", " leading and trailing  ", "|=%:", "Šimůnek 陳 😀", "tab\t", "null", "x" * 19)
MOMENTS = ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2031-04-02 19:03:11.123456", "1969-12-31 23:59:59.5")
IMPOSSIBLE = ("0000-00-00", "2031-04-31", "2031-00-10", "0000-04-01")
INTEGERS = {"t": 8, "s": 16, "m": 24, "i": 32, "b": 64}


def drawn_row(chance: random.Random, key: int) -> dict[str, Any]:
    """A row of extreme and ordinary values; about one in six is NULL."""
    row: dict[str, Any] = {"key": key}
    for name, bits in INTEGERS.items():
        row[name] = chance.choice([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0, -1, chance.getrandbits(bits - 1)])
        row[f"{name}u"] = chance.choice([0, 2**bits - 1, chance.getrandbits(bits)])
    row |= {"z": chance.randrange(100), "yes": chance.randrange(2)}
    row["f"] = chance.choice([0.1, -0.0, 1.17549435e-38, 3.4028234e38, 16777217.0, chance.random()])
    for name in ("d", "Größe.x"):
        drawn = struct.unpack(">d", chance.getrandbits(64).to_bytes(8, "big"))[0]
        finite = drawn if drawn - drawn == 0 else 1 / 3
        row[name] = chance.choice([0.1 + 0.2, -0.0, 5e-324, 2.2250738585072014e-308, 1e308, finite])
    for name, digits, scale in (("n1", 18, 0), ("n2", 18, 18), ("n3", 10, 2), ("n4", 1, 0), ("n5", 18, 9)):
        number = chance.choice([0, 1, -1, 10**digits - 1, 1 - 10**digits, chance.randrange(10**digits)])
        row[name] = Decimal(number).scaleb(-scale)
    row["da"] = chance.choice([moment[:10] for moment in MOMENTS] + list(IMPOSSIBLE))
    for name in ("dt0", "dt1", "dt2", "dt3", "dt6"):
        row[name] = chance.choice(MOMENTS + tuple(f"{day} 01:02:03" for day in IMPOSSIBLE))
    for name in ("ts0", "ts4", "ts5", "ts6"):
        row[name] = chance.choice(["1970-01-01 12:00:01", "2037-12-31 23:59:59.99999", "0000-00-00 00:00:00"])
    for name in ("c", "v", "tt", "tx", "mt", "lt"):
        row[name] = chance.choice(TEXTS)[: 10 if name == "c" else 20]
    row |= {"cl": chance.choice(TEXTS) * 8, "vl": "é" * chance.choice([0, 127, 128, 300, 1999]), "va": "ascii"}
    for name in ("vb", "tb", "bl", "lb"):
        row[name] = chance.randbytes(chance.choice([0, 1, 20 if name == "vb" else 255]))
    return {name: value if name == "key" or chance.random() > 1 / 6 else None for name, value in row.items()}


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


TABLE = quoted("every type's `table`")


@pytest.fixture
def table(source: pymysql.Connection) -> pymysql.Connection:
    with source.cursor() as cursor:
        cursor.execute("SET sql_mode = '', time_zone = '+05:30'")
        cursor.execute(CREATE)
    return source


def change_rows(connection: pymysql.Connection, seed: int) -> None:
    """Inserts rows, updates about half of them, and deletes about a third, in many transactions."""
    chance = random.Random(seed)
    with connection.cursor() as cursor:
        for key in range(ROWS):
            insert_row(cursor, drawn_row(chance, key))
        for key in chance.sample(range(ROWS), ROWS // 2):
            row = drawn_row(chance, key)
            texts = ", ".join(f"{quoted(name)} = %s" for name in row)
            cursor.execute(f"UPDATE {TABLE} SET {texts} WHERE `key` = %s", (*row.values(), key))
        cursor.execute(f"DELETE FROM {TABLE} WHERE `key` %% 3 = 0", ())


def insert_row(cursor: Cursor, row: dict[str, Any]) -> None:
    names = ", ".join(quoted(name) for name in row)
    cursor.execute(f"INSERT INTO {TABLE} ({names}) VALUES ({', '.join(['%s'] * len(row))})", tuple(row.values()))


def captured(settings: Settings, start: str, end: str, tables: Sequence[TableSchema]) -> list[Changes]:
    """What capture makes of the binlog between two positions."""
    watched = {item.table: CapturedTable(item, 1) for item in tables}
    assembler = Assembler(SourcePosition(start, "", 0), lambda name: name in watched)
    builder = EpochBuilder(EpochLimits(1e9, 10**9, 1e9), watched)
    events = BinlogSource(settings).events(SourcePosition(start, "", 0))
    for data in chain.from_iterable(events):
        committed = assembler.feed(parse_event(data, "test"))
        if committed:
            builder.add(committed, 0.0)
        if has_reached(assembler.position.gtid, end):
            break
    events.close()
    return builder.take(assembler.position)[1]


def of_library(settings: Settings, start: str, schema: str, count: int) -> list[tuple[dict[str, Any] | None, ...]]:
    """(before, after) of every change, as the library decodes them."""
    source = settings.source
    login = {
        "host": source.host,
        "port": source.port,
        "user": source.user,
        "password": source.password.get_secret_value(),
        "charset": "utf8mb4",
    }
    reader = BinLogStreamReader(
        login, server_id=777, is_mariadb=":" not in start, auto_position=start, blocking=True, resume_stream=True,
        only_schemas=[schema], only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent], enable_logging=False,
    )  # fmt: skip
    result: list[tuple[dict[str, Any] | None, ...]] = []
    for event in reader:
        for row in event.rows:
            if isinstance(event, UpdateRowsEvent):
                result.append((row["before_values"], row["after_values"]))
            elif isinstance(event, WriteRowsEvent):
                result.append((None, row["values"]))
            else:
                result.append((row["values"], None))
        if len(result) >= count:
            break
    reader.close()
    assert len(result) == count
    return result


def same(ours: Any, theirs: Any, kind: Kind) -> bool:  # noqa: ANN401 - values of any column
    """Whether two decodings mean one value; the library leaves some things in another form."""
    if isinstance(theirs, bytes) and kind is Kind.TEXT:
        theirs = theirs.decode()
    if kind is Kind.BYTES and isinstance(theirs, str):
        theirs = theirs.encode("latin-1", "replace")
    if kind is Kind.TIMESTAMP and isinstance(theirs, dt.datetime):
        theirs = theirs.replace(tzinfo=dt.UTC)
    return bool(ours == theirs)


def skipped(column_type: str, theirs: Any) -> bool:  # noqa: ANN401 - a value of any column
    """Dates that the library decodes wrongly: impossible ones, as NULL, as a text, or as 1970."""
    unfit = not isinstance(theirs, dt.date) or theirs == dt.datetime(1970, 1, 1)  # noqa: DTZ001 - it has no zone
    return column_type.startswith(("date", "timestamp")) and unfit


@pytest.mark.filterwarnings("ignore:'db' is deprecated:DeprecationWarning")  # the library logs in that way
def test_capture_decodes_what_the_library_decodes(table: pymysql.Connection, stack_settings: Settings) -> None:
    """Row for row, side for side, in the order of the log."""
    start = position_of(table).gtid
    change_rows(table, seed=1)
    definition = BinlogSource(stack_settings).tables()[0]
    (changes,) = captured(stack_settings, start, position_of(table).gtid, [definition])
    ours = changes.rows.to_pylist()
    theirs = of_library(stack_settings, start, definition.schema, len(ours))
    compared = 0
    for mine, (before, after) in zip(ours, theirs, strict=True):
        for side, image in (("before", before), ("after", after)):
            assert (mine[side] is None) == (image is None)
            if image is None:
                continue
            for column in definition.columns:
                if not skipped(column.type, image[column.name]):
                    assert same(mine[side][column.name], image[column.name], column.kind), column
                    compared += 1
    assert compared > ROWS * len(definition.columns)


def test_the_binlog_adds_up_to_what_a_snapshot_reads(table: pymysql.Connection, stack_settings: Settings) -> None:
    """If an image had another digest than the same row's SELECT, sums would stay wrong for ever."""
    start = position_of(table).gtid
    change_rows(table, seed=2)
    source = BinlogSource(stack_settings)
    definition = source.tables()[0]
    changes = captured(stack_settings, start, position_of(table).gtid, [definition])
    _, result = snapshot_of(source, [definition])
    read = result[definition.table]
    assert read.num_rows == ROWS - len(range(0, ROWS, 3))
    logged: dict[str, Fingerprint] = {}
    for change in changes:
        for name, part in net_sums(change).items():
            logged[name] = logged.get(name, ZERO) + part
    assert logged == net_sums(make_changes(definition, 1, Op.READ, 0, after=read))


def test_what_was_rolled_back_is_not_captured(table: pymysql.Connection, stack_settings: Settings) -> None:
    chance = random.Random(3)
    start = position_of(table).gtid
    table.begin()
    with table.cursor() as cursor:
        insert_row(cursor, drawn_row(chance, 1))
        cursor.execute("SAVEPOINT here")
        insert_row(cursor, drawn_row(chance, 2))
        cursor.execute("ROLLBACK TO SAVEPOINT here")
        insert_row(cursor, drawn_row(chance, 3))
        table.commit()
        table.begin()
        insert_row(cursor, drawn_row(chance, 4))
        table.rollback()
        insert_row(cursor, drawn_row(chance, 5))
    definition = BinlogSource(stack_settings).tables()[0]
    (changes,) = captured(stack_settings, start, position_of(table).gtid, [definition])
    assert changes.after.column("key").to_pylist() == [1, 3, 5]
