"""A lake table gets new columns in the commit that needs them, and old files stay readable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.table import Table
from pyiceberg.types import StringType

from datafingerprint.adapters.iceberg.connection import LakeConnection, connect
from datafingerprint.adapters.iceberg.definition import KEY, LEFT
from datafingerprint.adapters.iceberg.lake import IcebergLake, IcebergLakeTable
from datafingerprint.column_types import column
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConflictError, LakeError
from datafingerprint.ports.lake import Stamp
from datafingerprint.schema import TableSchema

OLD = (("id", "int(11)"), ("league", "int(11)"), ("name", "varchar(20)"))
WIDER = (("id", "int(11)"), ("born", "date"), ("league", "int(11)"), ("name", "varchar(20)"), ("n", "bigint(20)"))


def table_of(columns: Sequence[tuple[str, str]], key: Sequence[str] = ("id",)) -> TableSchema:
    described = tuple(column(name, kind, nullable=True, charset="utf8mb4") for name, kind in columns)
    return TableSchema("ootp", "players", described, tuple(key), ("league",))


def stamp(epoch: int) -> Stamp:
    return Stamp("stream", epoch, SourcePosition(f"0-1-{epoch}", "binlog.000001", epoch * 100))


def write(lake_table: IcebergLakeTable, table: TableSchema, epoch: int, *rows: dict[str, Any]) -> Sequence[object]:
    return lake_table.write({"league=1": pa.Table.from_pylist(list(rows), schema=table.arrow)}, stamp(epoch))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[LakeConnection]:
    opened = connect(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/lake", "a folder")
    with closing(opened):
        yield opened


@pytest.fixture
def lake(connection: LakeConnection) -> IcebergLake:
    return IcebergLake(Settings(), connection)


@pytest.fixture
def filled(lake: IcebergLake) -> IcebergLakeTable:
    """A table of the old columns with one row."""
    table = table_of(OLD)
    lake_table = lake.table(table)
    lake_table.commit(write(lake_table, table, 1, {"id": 1, "league": 1, "name": "a"}), [], stamp(1))
    return lake_table


def as_another_engine_reads(connection: LakeConnection) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = loaded(connection).scan().to_arrow().sort_by("id").to_pylist()
    return rows


def loaded(connection: LakeConnection) -> Table:
    return connection.catalog.load_table(("ootp", "players"))


def ids(connection: LakeConnection) -> dict[str, int]:
    return {field.name: field.field_id for field in loaded(connection).schema().fields}


@pytest.mark.usefixtures("filled")
def test_new_columns_come_with_the_next_commit_in_the_order_of_the_source(
    lake: IcebergLake, connection: LakeConnection
) -> None:
    table = table_of(WIDER)
    lake_table = lake.table(table)
    assert lake_table.is_outdated
    assert list(ids(connection)) == ["id", "league", "name"]
    lake_table.commit(write(lake_table, table, 2, {"id": 2, "league": 1, "n": 5}), [], stamp(2))
    assert not lake_table.is_outdated
    assert ids(connection) == {"id": 1, "born": 4, "league": 2, "name": 3, "n": 5}
    assert as_another_engine_reads(connection) == [
        {"id": 1, "born": None, "league": 1, "name": "a", "n": None},
        {"id": 2, "born": None, "league": 1, "name": None, "n": 5},
    ]
    old, new = sorted(
        (lake_table.read(file) for file in lake_table.files()), key=lambda rows: rows.column("id")[0].as_py()
    )
    assert (old.column("n").to_pylist(), new.column("n").to_pylist()) == ([None], [5])
    assert not lake.table(table).is_outdated


@pytest.mark.usefixtures("filled")
def test_new_columns_come_without_a_row_by_a_commit_that_carries_the_stamp(
    lake: IcebergLake, connection: LakeConnection
) -> None:
    lake_table = lake.table(table_of(WIDER))
    lake_table.commit([], [], stamp(2))
    assert list(ids(connection)) == ["id", "born", "league", "name", "n"]
    assert lake_table.stamp == stamp(2)
    assert as_another_engine_reads(connection)[0]["born"] is None


@pytest.mark.usefixtures("filled")
def test_a_file_of_old_columns_that_is_rewritten_gets_the_new_ones(
    lake: IcebergLake, connection: LakeConnection
) -> None:
    table = table_of(WIDER)
    lake_table = lake.table(table)
    (file,) = lake_table.files()
    rows = lake_table.read(file).to_pylist()
    lake_table.commit(write(lake_table, table, 2, rows[0] | {"n": 7}), [file], stamp(2))
    assert as_another_engine_reads(connection) == [{"id": 1, "born": None, "league": 1, "name": "a", "n": 7}]


REDEFINED = {
    "a column less": ([("id", "int(11)"), ("league", "int(11)")], {"id": 1, "league": 2}),
    "a wider type": (
        [("id", "bigint(20)"), ("league", "bigint(20)"), ("name", "varchar(20)")],
        {"id": 1, "league": 2, "name": 3},
    ),
    "another type": (
        [("id", "int(11)"), ("league", "int(11)"), ("name", "int(11)")],
        {"id": 1, "league": 2, "name": 4},
    ),
    "another order": (
        [("name", "varchar(20)"), ("league", "int(11)"), ("id", "int(11)")],
        {"name": 3, "league": 2, "id": 1},
    ),
    "another name": ([("id", "int(11)"), ("league", "int(11)"), ("alias", "text")], {"id": 1, "league": 2, "alias": 4}),
}


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("how", REDEFINED)
def test_any_other_definition_is_applied_when_no_old_row_is_left(
    how: str, lake: IcebergLake, connection: LakeConnection
) -> None:
    columns, expected = REDEFINED[how]
    table = table_of(columns)
    lake_table = lake.table(table)
    row = {name: "x" if kind in ("text", "varchar(20)") else 1 for name, kind in columns}
    with pytest.raises(LakeError, match=r"the lake table differs from its source: column .*resync ootp\.players"):
        lake_table.commit(write(lake_table, table, 2, row), [], stamp(2))
    assert as_another_engine_reads(connection) == [{"id": 1, "league": 1, "name": "a"}]
    lake_table.commit(write(lake_table, table, 2, row), list(lake_table.files()), stamp(2))
    assert ids(connection) == expected
    assert as_another_engine_reads(connection) == [row]
    (path,) = [task.file.file_path for task in loaded(connection).scan().plan_files()]
    with closing(duckdb.connect()) as engine:
        rows = engine.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [path]).to_arrow_table()
    assert rows.to_pylist() == [row]


@pytest.mark.usefixtures("filled")
def test_older_snapshots_keep_their_columns(lake: IcebergLake, connection: LakeConnection) -> None:
    before = loaded(connection).current_snapshot()
    assert before is not None
    lake_table = lake.table(table_of(OLD[:2]))
    lake_table.commit([], list(lake_table.files()), stamp(2))
    assert as_another_engine_reads(connection) == []
    old = loaded(connection).scan(snapshot_id=before.snapshot_id).to_arrow().to_pylist()
    assert old == [{"id": 1, "league": 1, "name": "a"}]


@pytest.mark.usefixtures("filled")
def test_a_column_that_is_dropped_and_added_again_has_no_old_values(
    lake: IcebergLake, connection: LakeConnection
) -> None:
    for epoch, columns in ((2, OLD[:2]), (3, OLD)):
        lake_table = lake.table(table_of(columns))
        lake_table.commit([], list(lake_table.files()), stamp(epoch))
    assert ids(connection) == {"id": 1, "league": 2, "name": 4}


@pytest.mark.parametrize("how", ["dropped", "dropped and added again"])
def test_a_column_that_another_engine_dropped_is_not_added_to_rows_that_lost_it(
    how: str, lake: IcebergLake, connection: LakeConnection, filled: IcebergLakeTable
) -> None:
    with loaded(connection).update_schema() as update:
        update.delete_column("name")
    if how != "dropped":
        with loaded(connection).update_schema() as update:
            update.add_column("name", StringType())
    table, row = table_of(OLD), {"id": 2, "league": 1, "name": "b"}
    for lake_table in (lake.table(table), filled):
        lake_table.refresh()
        with pytest.raises(LakeError, match=r"another engine dropped or replaced column name at .*resync ootp\."):
            lake_table.commit(write(lake_table, table, 2, row), [], stamp(2))
    filled.commit(write(filled, table, 2, row), list(filled.files()), stamp(2))
    assert as_another_engine_reads(connection) == [row]
    filled.commit(write(filled, table, 3, row | {"id": 3}), [], stamp(3))
    assert len(as_another_engine_reads(connection)) == 2


@pytest.mark.usefixtures("filled")
def test_a_column_that_partitions_the_table_becomes_a_text_once_no_old_row_is_left(
    lake: IcebergLake, connection: LakeConnection
) -> None:
    table = table_of([("id", "int(11)"), ("league", "varchar(20)"), ("name", "varchar(20)")])
    lake_table = lake.table(table)
    assert "column league, which partitions the lake table, was replaced" in lake_table.needs_reset
    row = {"id": 2, "league": "north", "name": "b"}
    added = lake_table.write({"league=north": pa.Table.from_pylist([row], schema=table.arrow)}, stamp(2))
    lake_table.commit(added, [], stamp(2))
    assert not lake_table.needs_reset
    assert as_another_engine_reads(connection) == [row]


def test_a_writer_that_does_not_know_of_the_new_columns_is_refused(
    lake: IcebergLake, connection: LakeConnection, filled: IcebergLakeTable
) -> None:
    lake.table(table_of(WIDER)).commit([], [], stamp(2))
    table = table_of(OLD)
    with pytest.raises(ConflictError):
        filled.commit(write(filled, table, 2, {"id": 3, "league": 1, "name": "late"}), [], stamp(2))
    assert [row["id"] for row in as_another_engine_reads(connection)] == [1]


def test_a_new_key_is_a_property_for_other_engines(
    lake: IcebergLake, connection: LakeConnection, filled: IcebergLakeTable
) -> None:
    lake_table = lake.table(table_of(OLD, key=("id", "league")))
    lake_table.commit([], list(filled.files()), stamp(2))
    assert json.loads(loaded(connection).properties[KEY]) == ["id", "league"]


@pytest.mark.usefixtures("filled")
def test_a_table_that_left_keeps_its_rows_and_has_their_source_position(
    lake: IcebergLake, connection: LakeConnection
) -> None:
    table = table_of(OLD)
    snapshot = loaded(connection).metadata.current_snapshot_id
    for epoch in (5, 6):
        lake.leave(table, stamp(epoch))
    assert json.loads(loaded(connection).properties[LEFT])["gtid"] == "0-1-5"
    assert loaded(connection).metadata.current_snapshot_id == snapshot
    lake.leave(table_of(OLD, key=()), stamp(7))
    back = lake.table(table)
    assert back.is_outdated
    back.commit([], list(back.files()), stamp(8))
    assert LEFT not in loaded(connection).properties


def test_a_table_that_left_before_its_first_row_is_not_created(lake: IcebergLake, connection: LakeConnection) -> None:
    lake.leave(table_of(OLD), stamp(1))
    assert not connection.catalog.table_exists(("ootp", "players"))
