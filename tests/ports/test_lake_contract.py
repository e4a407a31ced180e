"""One suite of promises of the lake's ports, kept by the in-memory fake and by Iceberg over a folder.

Iceberg's tables are in a SQL catalog, in Iceberg's own REST catalog server, and in a stand-in of AWS Glue (moto).
The stand-in refuses no commit that another one overtook, so that promise is not asked of it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from datafingerprint.adapters.iceberg.connection import connect
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.column_types import column
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConflictError, LakeError
from datafingerprint.ports.lake import Lake, LakeTable, LakeView, Stamp
from datafingerprint.schema import TableSchema
from tests.adapters.iceberg.folder_objects import FolderObjects
from tests.catalogs import Catalogs
from tests.flow.memory import MemoryLake, MemoryLakeView, Store

COLUMNS = (("id", "int(11)"), ("league", "int(11)"), ("name", "varchar(20)"))


def table_of(*columns: tuple[str, str]) -> TableSchema:
    described = tuple(column(name, kind, nullable=True, charset="utf8mb4") for name, kind in columns)
    return TableSchema("ootp", "players", described, ("id",), ("league",))


TABLE = table_of(*COLUMNS)


def rows_of(*ids: int, league: int = 1) -> pa.Table:
    rows = [{"id": number, "league": league, "name": f"n{number}"} for number in ids]
    return pa.Table.from_pylist(rows, schema=TABLE.arrow)


def stamp(epoch: int) -> Stamp:
    return Stamp("stream", epoch, SourcePosition(f"0-1-{epoch}", "binlog.000001", epoch * 100))


@dataclass(frozen=True)
class Sides:
    """The lake of the writer, and its view for the fingerprinter."""

    lake: Lake
    view: LakeView


REMOTE = [pytest.param(kind, marks=pytest.mark.live) for kind in ("rest", "glue")]


@pytest.fixture(params=["memory", "iceberg", *REMOTE])
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sides]:
    if request.param == "memory":
        store = Store()
        yield Sides(MemoryLake(store), MemoryLakeView(store))
        return
    catalogs: Catalogs = (
        request.getfixturevalue(f"{request.param}_catalog") if request.param != "iceberg" else sql_catalog(tmp_path)
    )
    with (
        closing(IcebergLake(Settings(), catalogs())) as lake,
        closing(IcebergLakeView(Settings(), catalogs(), FolderObjects())) as view,
    ):
        yield Sides(lake, view)


def sql_catalog(folder: Path) -> Catalogs:
    return lambda: connect(f"sqlite:///{folder}/catalog.db", f"file://{folder}/lake", "a folder")


def put(table: LakeTable, epoch: int, rows: pa.Table, partition: str = "league=1") -> int:
    return table.commit(table.write({partition: rows}, stamp(epoch)), [], stamp(epoch))


def ids_of(table: LakeTable) -> list[int]:
    return sorted(number for file in table.files() for number in table.read(file).column("id").to_pylist())


def test_a_new_table_has_no_snapshot_and_no_stamp(sides: Sides) -> None:
    assert sides.view.current(TABLE) is None
    table = sides.lake.table(TABLE)
    assert (table.snapshot_id, table.stamp, list(table.files()), table.needs_reset) == (None, None, [], "")
    assert sides.lake.stamps() == {}


def test_files_are_live_only_after_their_commit(sides: Sides) -> None:
    table = sides.lake.table(TABLE)
    added = table.write({"league=1": rows_of(1, 2), "league=2": rows_of(3, league=2)}, stamp(1))
    assert list(table.files()) == []
    snapshot_id = table.commit(added, [], stamp(1))
    assert (table.snapshot_id, table.stamp) == (snapshot_id, stamp(1))
    assert {file.partition: file.rows for file in table.files()} == {"league=1": 2, "league=2": 1}
    assert ids_of(sides.lake.table(TABLE)) == [1, 2, 3]
    assert sides.lake.stamps() == {TABLE.table: stamp(1)}


def test_a_commit_removes_exactly_the_named_files(sides: Sides) -> None:
    table = sides.lake.table(TABLE)
    put(table, 1, rows_of(1))
    put(table, 2, rows_of(2))
    (old,) = [file for file in table.files() if table.read(file).column("id").to_pylist() == [1]]
    table.commit(table.write({"league=1": rows_of(3)}, stamp(3)), [old], stamp(3))
    assert ids_of(table) == [2, 3]
    table.commit([], list(table.files()), stamp(4))
    assert ids_of(sides.lake.table(TABLE)) == []


def test_a_commit_without_files_carries_the_stamp(sides: Sides) -> None:
    table = sides.lake.table(TABLE)
    put(table, 1, rows_of(1))
    table.commit([], [], stamp(2))
    assert (sides.lake.table(TABLE).stamp, ids_of(table)) == (stamp(2), [1])


def test_the_second_of_two_writers_is_refused_until_it_refreshes(sides: Sides) -> None:
    first, second = sides.lake.table(TABLE), sides.lake.table(TABLE)
    put(first, 1, rows_of(1))
    with pytest.raises(ConflictError):
        put(second, 1, rows_of(1))
    second.refresh()
    assert (second.stamp, ids_of(second)) == (stamp(1), [1])
    put(second, 2, rows_of(2))
    assert ids_of(sides.lake.table(TABLE)) == [1, 2]


def test_rows_in_pieces_are_read_back_in_pieces(sides: Sides) -> None:
    table = sides.lake.table(TABLE)
    pieces = [rows_of(1, 2), rows_of(3), rows_of(4, 5, 6)]
    table.commit(table.write_pieces("league=1", iter(pieces), stamp(1)), [], stamp(1))
    (file,) = table.files()
    assert pa.concat_tables(table.read_pieces(file)) == pa.concat_tables(pieces)
    assert pa.concat_tables(table.read_pieces(file, ["id"])).column_names == ["id"]


def test_a_table_without_one_of_its_columns_needs_a_reset(sides: Sides) -> None:
    put(sides.lake.table(TABLE), 1, rows_of(1))
    table = sides.lake.table(table_of(*COLUMNS[:2]))
    assert table.needs_reset
    assert table.is_outdated
    table.commit([], list(table.files()), stamp(2))
    assert (table.needs_reset, table.is_outdated) == ("", False)


def test_a_view_shows_every_snapshot_with_its_own_files(sides: Sides) -> None:
    table = sides.lake.table(TABLE)
    snapshots = [put(table, epoch, rows_of(epoch)) for epoch in (1, 2, 3)]
    for epoch, snapshot_id in enumerate(snapshots, start=1):
        shown = sides.view.snapshot(TABLE, snapshot_id)
        assert shown is not None
        assert (len(shown.files), shown.stamp, shown.is_foreign, shown.unreadable) == (epoch, stamp(epoch), False, "")
    current = sides.view.current(TABLE)
    assert current is not None
    assert current.snapshot_id == snapshots[-1]
    assert {(file.path, file.size_bytes) for file in current.files} == {
        (file.path, file.size_bytes) for file in table.files()
    }
    assert sides.view.snapshot(TABLE, 1) is None
    assert not sides.view.is_altered(TABLE)


def test_a_view_copies_an_object_with_its_etag_and_names_a_missing_one(sides: Sides) -> None:
    table = sides.lake.table(TABLE)
    put(table, 1, rows_of(1))
    (file,) = table.files()
    content = io.BytesIO()
    etag = sides.view.copy(file.path, content)
    missing = f"{file.path}.missing"
    assert sides.view.etags([file.path, missing]) == {file.path: (etag, len(content.getvalue()))}
    with pytest.raises(LakeError):
        sides.view.copy(missing, io.BytesIO())


def test_a_table_that_left_keeps_its_rows_and_may_leave_twice(sides: Sides) -> None:
    table = sides.lake.table(TABLE)
    put(table, 1, rows_of(1))
    for epoch in (2, 3):
        sides.lake.leave(TABLE, stamp(epoch))
    assert ids_of(sides.lake.table(TABLE)) == [1]
    assert sides.lake.stamps() == {TABLE.table: stamp(1)}
