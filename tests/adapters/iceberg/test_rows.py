"""Rows of a lake table are found by key, of any type, in the files that may hold them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datafingerprint.adapters.iceberg.connection import LakeConnection, connect
from datafingerprint.adapters.iceberg.definition import identifier
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.iceberg.rows import LakeRowReader, row_filter
from datafingerprint.config import Settings
from datafingerprint.differences import Wanted
from datafingerprint.digests import partition_names
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import LakeError
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import Stamp
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.sketching import count_rows

Row = dict[str, Any]

INT = Column("i", "int", Kind.INTEGER, width_bytes=4, nullable=False)
BIG = Column("u", "bigint unsigned", Kind.INTEGER, width_bytes=8, unsigned=True)
DATE = Column("d", "date", Kind.DATE)
MOMENT = Column("m", "datetime(6)", Kind.DATETIME)
INSTANT = Column("z", "timestamp(6)", Kind.TIMESTAMP)
PRICE = Column("c", "decimal(9,2)", Kind.DECIMAL, precision=9, scale=2)
TEXT = Column("t", "varchar(40)", Kind.TEXT)
OCTETS = Column("b", "varbinary(40)", Kind.BYTES)
COLUMNS = (INT, BIG, DATE, MOMENT, INSTANT, PRICE, TEXT, OCTETS)


def row(number: int) -> Row:
    day = dt.datetime(2030, 12, 30) + dt.timedelta(days=number, seconds=5)  # noqa: DTZ001 - a DATETIME
    return {
        "i": number - 3,
        "u": 2**64 - 1 - number,
        "d": day.date(),
        "m": day,
        "z": day.replace(tzinfo=dt.UTC),
        "c": Decimal(number - 3) / 4,
        "t": f"{'long' * 5 * (number % 2)}{number}'é",
        "b": bytes([number]) * (1 + 20 * (number % 2)),
    }


ROWS = [row(number) for number in range(8)]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[LakeConnection]:
    with closing(connect(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/lake", "a folder")) as opened:
        yield opened


def write(connection: LakeConnection, table: TableSchema, rows: list[Row]) -> int:
    result = pa.Table.from_pylist(rows, schema=table.arrow)
    names = partition_names(result, partitioning(table)).to_pylist()
    parted = {name: result.take([at for at, other in enumerate(names) if other == name]) for name in sorted(set(names))}
    stamp = Stamp("stream", 1, SourcePosition("0-1-1", "binlog", 1))
    lake_table = IcebergLake(Settings(), connection).table(table)
    lake_table.commit(lake_table.write(parted, stamp), [], stamp)
    snapshot = lake_table.snapshot_id
    assert snapshot is not None
    return snapshot


def wanted(table: TableSchema, row: Row) -> Wanted:
    form = SketchForm.of(table, 40)
    rows = pa.Table.from_pylist([row], schema=table.arrow)
    counted = count_rows(rows, table.columns, partitioning(table), form)
    hi, lo = counted.keys
    key = int(hi[0]) << 64 | int(lo[0])
    return Wanted(table, partitioning(table).name(row), form, frozenset({key}))


KEYS = [(column.name,) for column in COLUMNS] + [("i", "d"), ("d", "m"), ("i", "t"), ()]
PARTITIONS = ["", "i", "u", "d", "t", "year(d)", "month(m)", "day(z)", "year(z)"]


@pytest.mark.parametrize(
    ("key", "partition"), [(key, "") for key in KEYS] + [(("i",), partition) for partition in PARTITIONS[1:]]
)
def test_a_row_is_found_by_its_key_and_no_other(
    connection: LakeConnection, key: tuple[str, ...], partition: str
) -> None:
    table = TableSchema("s", "t", COLUMNS, key, (partition,) if partition else ())
    snapshot = write(connection, table, ROWS)
    reader = LakeRowReader(connection)
    for item in (ROWS[2], ROWS[7]):
        (result,) = reader.find(wanted(table, item), snapshot).rows
        assert dict(result.values) == item
        assert result.path.startswith("file://")
    assert reader.find(wanted(table, row(9)), snapshot).rows == []


def test_a_row_of_a_partition_of_null_is_found(connection: LakeConnection) -> None:
    table = TableSchema("s", "t", COLUMNS, ("i",), ("year(d)",))
    item = ROWS[1] | {"d": None}
    snapshot = write(connection, table, [*ROWS[2:], item])
    (result,) = LakeRowReader(connection).find(wanted(table, item), snapshot).rows
    assert dict(result.values) == item


def test_only_files_that_may_hold_the_key_are_read(connection: LakeConnection) -> None:
    table = TableSchema("s", "t", COLUMNS, ("i",), ("year(d)",))
    for number in range(8):
        snapshot = write(connection, table, [ROWS[number]])
    there = connection.catalog.load_table(identifier(table))
    assert len(list(there.scan(snapshot_id=snapshot).plan_files())) == 8
    assert len(list(there.scan(row_filter(wanted(table, ROWS[3]))).plan_files())) == 1


def test_a_row_that_is_there_twice_is_found_twice_in_the_snapshot_that_is_asked(connection: LakeConnection) -> None:
    table = TableSchema("s", "t", COLUMNS, ("i",))
    first = write(connection, table, ROWS)
    second = write(connection, table, ROWS[:1])
    reader = LakeRowReader(connection)
    assert len(reader.find(wanted(table, ROWS[0]), first).rows) == 1
    assert len({item.path for item in reader.find(wanted(table, ROWS[0]), second).rows}) == 2
    with pytest.raises(LakeError, match="the lake's snapshot has expired"):
        reader.find(wanted(table, ROWS[0]), 12345)
