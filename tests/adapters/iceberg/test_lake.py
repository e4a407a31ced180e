"""The lake holds exactly the written rows in the right partitions, for every engine."""

from __future__ import annotations

import datetime as dt
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import ManifestContent, ManifestWriterV2
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import TableRequirement, TableUpdate
from sqlalchemy.exc import OperationalError

from datafingerprint.adapters.iceberg import parquet as lake_parquet
from datafingerprint.adapters.iceberg.connection import CATALOG_NAME, LakeConnection, connect
from datafingerprint.adapters.iceberg.lake import IcebergLake, IcebergLakeTable
from datafingerprint.adapters.iceberg.manifests import MANIFESTS_MAX, Manifests, Replacement
from datafingerprint.adapters.iceberg.partitions import FOLDER_BYTES_MAX, partition_folders
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.column_types import column
from datafingerprint.config import Lake, Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, ConflictError, LakeError, LakeTableError, TableDamageError, Unavailable
from datafingerprint.partitions import partitioning
from datafingerprint.ports.lake import Stamp
from datafingerprint.schema import TableSchema
from tests.adapters.iceberg.folder_objects import FolderObjects

COLUMNS = (
    ("id", "bigint(20)"),
    ("tiny", "tinyint(4)"),
    ("whole", "int(11)"),
    ("unsigned", "int(10) unsigned"),
    ("huge", "bigint(20) unsigned"),
    ("single", "float"),
    ("double", "double"),
    ("price", "decimal(18,4)"),
    ("date", "date"),
    ("seen", "datetime(6)"),
    ("moment", "timestamp(3)"),
    ("name", "varchar(100)"),
    ("bytes", "varbinary(100)"),
)


def table_of(
    *partition: str, name: str = "games", key: Sequence[str] = ("id",), columns: Sequence[tuple[str, str]] = COLUMNS
) -> TableSchema:
    return TableSchema(
        "ootp",
        name,
        tuple(column(title, kind, nullable=True, charset="utf8mb4") for title, kind in columns),
        tuple(key),
        partition,
    )


def rows_of(table: TableSchema, *rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=table.arrow)


def by_partition(table: TableSchema, rows: pa.Table) -> dict[str, pa.Table]:
    names = [partitioning(table).name(row) for row in rows.to_pylist()]
    return {
        name: rows.take([number for number, other in enumerate(names) if other == name]) for name in sorted(set(names))
    }


def stamp(epoch: int) -> Stamp:
    return Stamp("stream", epoch, SourcePosition(f"0-1-{epoch}", "binlog.000001", epoch * 100))


def put(lake_table: IcebergLakeTable, table: TableSchema, rows: pa.Table, epoch: int) -> int:
    added = lake_table.write(by_partition(table, rows), stamp(epoch))
    return lake_table.commit(added, [], stamp(epoch))


def all_rows(lake_table: IcebergLakeTable) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for file in lake_table.files():
        rows += lake_table.read(file).to_pylist()
    return sorted(rows, key=lambda row: row["id"])


FULL = {
    "id": -(2**63),
    "tiny": -128,
    "whole": -(2**31),
    "unsigned": 2**32 - 1,
    "huge": Decimal(2**64 - 1),
    "single": 1.5,
    "double": 5e-324,
    "price": Decimal("-99999999999999.9999"),
    "date": dt.date(1969, 12, 31),
    "seen": dt.datetime(1000, 1, 1, 23, 59, 59, 999999),  # noqa: DTZ001 - a DATETIME has no zone
    "moment": dt.datetime(2038, 1, 19, 3, 14, 7, 123000, tzinfo=dt.UTC),
    "name": "Žluťoučký 🐴 %/=|",
    "bytes": bytes(range(100)),
}
NULLS: dict[str, Any] = dict.fromkeys(FULL) | {"id": 1}
ORDINARY = FULL | {"id": 2, "date": dt.date(2031, 4, 2), "name": "null", "double": float("-inf")}


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Callable[[], LakeConnection]]:
    opened: list[LakeConnection] = []

    def open_connection() -> LakeConnection:
        url = f"sqlite:///{tmp_path}/made/catalog.db"
        opened.append(connect(url, f"file://{tmp_path}/lake", f"folder {tmp_path}"))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(open_folder: Callable[[], LakeConnection]) -> LakeConnection:
    return open_folder()


@pytest.fixture
def lake(connection: LakeConnection) -> IcebergLake:
    return IcebergLake(Settings(), connection)


@pytest.fixture
def view(open_folder: Callable[[], LakeConnection]) -> IcebergLakeView:
    return IcebergLakeView(Settings(), open_folder(), FolderObjects())


def test_every_type_comes_back_as_it_was_written(lake: IcebergLake) -> None:
    table = table_of()
    lake_table = lake.table(table)
    put(lake_table, table, rows_of(table, ORDINARY, FULL, NULLS), 1)
    (file,) = lake_table.files()
    read = lake_table.read(file)
    assert read.schema == table.arrow
    assert read.to_pylist() == [FULL, NULLS, ORDINARY]


def test_another_engine_reads_the_same_rows(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of("year(date)")
    put(lake.table(table), table, rows_of(table, FULL, NULLS, ORDINARY), 1)
    scanned = connection.catalog.load_table("ootp.games").scan().to_arrow()
    assert sorted(scanned.to_pylist(), key=lambda row: row["id"]) == [FULL, NULLS, ORDINARY]


def test_the_columns_carry_their_mysql_types(lake: IcebergLake, connection: LakeConnection) -> None:
    lake.table(table_of())
    schema = connection.catalog.load_table("ootp.games").schema()
    assert [(field.name, field.doc) for field in schema.fields] == list(COLUMNS)
    assert not any(field.required for field in schema.fields)


@pytest.mark.parametrize(
    "partition",
    [
        (),
        ("whole",),
        ("huge",),
        ("name",),
        ("date",),
        ("year(date)",),
        ("month(date)",),
        ("day(date)",),
        ("year(seen)", "name"),
        ("month(moment)",),
        ("day(seen)",),
        ("year(date)", "whole"),
    ],
)
def test_files_have_the_partition_names_of_the_definition(
    lake: IcebergLake, connection: LakeConnection, partition: tuple[str, ...]
) -> None:
    table = table_of(*partition)
    rows = rows_of(table, FULL, NULLS, ORDINARY)
    put(lake.table(table), table, rows, 1)
    # A second opening knows only what is in the bucket.
    lake_table = lake.table(table)
    expected = by_partition(table, rows)
    assert {file.partition: file.rows for file in lake_table.files()} == {
        name: part.num_rows for name, part in expected.items()
    }
    for file in lake_table.files():
        assert by_partition(table, lake_table.read(file)).keys() == {file.partition}
        assert f"/data/{partition_folders(file.partition)}" in file.path
    assert len(connection.catalog.load_table("ootp.games").scan().to_arrow()) == 3


def test_partition_fields_may_not_be_mistaken_for_columns(lake: IcebergLake) -> None:
    table = table_of("year(date)", "date_year", columns=(*COLUMNS, ("date_year", "int(11)")))
    lake_table = lake.table(table)
    row = ORDINARY | {"date_year": 7}
    put(lake_table, table, rows_of(table, row), 1)
    assert lake_table.files()[0].partition == "date_year=2031/date_year=7"
    assert lake.table(table).files() == lake_table.files()


def test_odd_names_of_tables_and_columns_are_kept_apart(lake: IcebergLake) -> None:
    columns = (("id", "int(11)"), ("a.b", "int(11)"), ("Jméno hráče", "text"), ("x%y/z", "int(11)"))
    first = TableSchema("a.b", "c", table_of(columns=columns).columns, ("id",), ("a.b", "x%y/z", "Jméno hráče"))
    second = TableSchema("a", "b.c", first.columns, ("id",), first.partition)
    rows = rows_of(first, {"id": 1, "a.b": 2, "Jméno hráče": "ž/é", "x%y/z": 3})
    for table in (first, second):
        put(lake.table(table), table, rows, 1)
    for table in (first, second):
        lake_table = lake.table(table)
        (file,) = lake_table.files()
        assert file.partition == partitioning(table).name(rows.to_pylist()[0])
        assert lake_table.read(file) == rows
        lake_table.commit([], [file], stamp(2))
        assert lake_table.files() == []


def test_a_long_text_does_not_make_a_path_too_long() -> None:
    folders = partition_folders(f"name={'ž' * 400}/id=1")
    assert max(len(folder) for folder in folders.split("/")) <= FOLDER_BYTES_MAX
    assert folders != partition_folders(f"name={'ž' * 399}/id=1")


def test_rows_are_sorted_by_key_and_files_know_their_bounds(lake: IcebergLake) -> None:
    table = table_of(key=("whole", "id"))
    lake_table = lake.table(table)
    rows = rows_of(table, *(ORDINARY | {"id": number, "whole": 9 - number} for number in range(10)))
    put(lake_table, table, rows, 1)
    (file,) = lake_table.files()
    assert lake_table.read(file).column("whole").to_pylist() == list(range(10))
    days = (dt.date(2031, 4, 2) - dt.date(1970, 1, 1)).days
    assert file.bounds["whole"] == (0, 9)
    assert file.bounds["date"] == (days, days)
    assert file.bounds["huge"] == (2**64 - 1, 2**64 - 1)
    assert "name" not in file.bounds
    assert "price" not in file.bounds


def test_rows_written_in_pieces_are_read_in_pieces_as_they_were(
    open_folder: Callable[[], LakeConnection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files have limited rows, several row groups, and the bounds of a whole file."""
    monkeypatch.setattr(lake_parquet, "ROW_GROUP_ROWS", 2)
    monkeypatch.setattr(lake_parquet, "_PIECE_ROWS", 1)
    settings = Settings(lake=Lake(file_rows_max=5))
    table = table_of(key=("whole", "id"))
    lake_table = IcebergLake(settings, open_folder()).table(table)
    rows = rows_of(table, *(ORDINARY | {"id": number, "whole": number} for number in range(12)))
    pieces = [rows.slice(0, 1), rows.slice(1, 0), rows.slice(1, 7), rows.slice(8)]
    added = lake_table.write_pieces("-", iter(pieces), stamp(1))
    lake_table.commit(added, [], stamp(1))
    files = sorted(lake_table.files(), key=lambda file: file.bounds["whole"])
    assert [file.rows for file in files] == [5, 5, 2]
    assert [file.bounds["whole"] for file in files] == [(0, 4), (5, 9), (10, 11)]
    read = [list(lake_table.read_pieces(file)) for file in files]
    assert len(read[0]) == 5
    assert pa.concat_tables([piece for pieces in read for piece in pieces]) == rows
    assert pa.concat_tables([lake_table.read(file) for file in files]) == rows
    keys = pa.concat_tables(list(lake_table.read_pieces(files[2], ("id", "whole"))))
    assert keys == rows.select(["id", "whole"]).slice(10)


def test_a_reader_of_the_catalog_blocks_no_commit(open_folder: Callable[[], LakeConnection], tmp_path: Path) -> None:
    table = table_of()
    lake_table = IcebergLake(Settings(), open_folder()).table(table)
    (database,) = tmp_path.rglob("*.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT * FROM iceberg_tables").fetchall()
        added = lake_table.write({"-": rows_of(table, ORDINARY)}, stamp(1))
        assert lake_table.commit(added, [], stamp(1)) == lake_table.snapshot_id


def test_pieces_of_another_partition_are_refused(lake: IcebergLake) -> None:
    table = table_of("name")
    with pytest.raises(LakeError, match="were given as name=other"):
        lake.table(table).write_pieces("name=other", [rows_of(table, ORDINARY)], stamp(1))


def test_a_column_of_nulls_has_no_bounds(lake: IcebergLake) -> None:
    table = table_of()
    lake_table = lake.table(table)
    put(lake_table, table, rows_of(table, NULLS), 1)
    assert lake_table.files()[0].bounds == {"id": (1, 1)}


def test_long_values_are_kept_whole(lake: IcebergLake) -> None:
    table = table_of(columns=(("id", "int(11)"), ("text", "longtext"), ("blob", "longblob")))
    rows = rows_of(table, {"id": 1, "text": "ž" * 100_000, "blob": b"\xff" * 100_000})
    lake_table = lake.table(table)
    put(lake_table, table, rows, 1)
    assert lake_table.read(lake_table.files()[0]) == rows


def test_many_rows_are_split_into_files_of_narrow_bounds(connection: LakeConnection) -> None:
    table = table_of()
    settings = Settings(lake=Lake(file_rows_max=4))
    lake_table = IcebergLake(settings, connection).table(table)
    rows = rows_of(table, *(ORDINARY | {"id": number * 7 % 10} for number in range(10)))
    put(lake_table, table, rows, 1)
    assert sorted(file.bounds["id"] for file in lake_table.files()) == [(0, 3), (4, 7), (8, 9)]


def test_rows_given_for_a_wrong_partition_are_refused(lake: IcebergLake) -> None:
    table = table_of("year(date)")
    with pytest.raises(LakeError, match="partition date_year=2031 were given as date_year=2030"):
        lake.table(table).write({"date_year=2030": rows_of(table, ORDINARY)}, stamp(1))


def test_a_filter_on_the_partition_column_reads_only_its_files(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of("year(date)", "whole")
    rows = rows_of(
        table,
        *(ORDINARY | {"id": number, "date": dt.date(2031 + number % 3, 5, 5), "whole": 5} for number in range(9)),
    )
    put(lake.table(table), table, rows, 1)
    loaded = connection.catalog.load_table("ootp.games")
    scan = loaded.scan(row_filter="date == '2032-05-05'")
    assert len(list(scan.plan_files())) == 1
    assert sorted(scan.to_arrow().column("id").to_pylist()) == [1, 4, 7]
    assert len(loaded.scan(row_filter="whole == 6").to_arrow()) == 0


def test_a_rewrite_replaces_files_and_nothing_else(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of("whole")
    lake_table = lake.table(table)
    put(lake_table, table, rows_of(table, ORDINARY | {"id": 1, "whole": 1}, ORDINARY | {"id": 2, "whole": 2}), 1)
    put(lake_table, table, rows_of(table, ORDINARY | {"id": 3, "whole": 1}), 2)
    gone = [file for file in lake_table.files() if file.bounds["id"] == (1, 1)]
    changed = rows_of(table, ORDINARY | {"id": 1, "whole": 1, "name": "changed"})
    added = lake_table.write(by_partition(table, changed), stamp(3))
    snapshot_id = lake_table.commit(added, gone, stamp(3))
    assert lake_table.snapshot_id == snapshot_id
    assert [(row["id"], row["name"]) for row in all_rows(lake_table)] == [(1, "changed"), (2, "null"), (3, "null")]
    loaded = connection.catalog.load_table("ootp.games")
    assert len(loaded.scan().to_arrow()) == 3
    summary = loaded.current_snapshot()
    assert summary is not None
    assert summary.summary is not None
    assert summary.summary["total-records"] == "3"
    assert summary.summary.operation.value == "overwrite"


def test_all_files_can_be_removed_and_an_empty_commit_carries_a_stamp(lake: IcebergLake) -> None:
    table = table_of("whole")
    lake_table = lake.table(table)
    lake_table.commit([], [], stamp(1))
    assert lake_table.stamp == stamp(1)
    put(lake_table, table, rows_of(table, FULL, NULLS), 2)
    lake_table.commit([], lake_table.files(), stamp(3))
    lake_table.commit([], [], stamp(4))
    reopened = lake.table(table)
    assert reopened.files() == []
    assert reopened.stamp == stamp(4)


def test_many_commits_keep_few_manifests(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of("whole")
    lake_table = lake.table(table)
    for epoch in range(1, 2 * MANIFESTS_MAX):
        put(lake_table, table, rows_of(table, ORDINARY | {"id": epoch, "whole": epoch % 3}), epoch)
        if epoch % 5 == 0:
            file = lake_table.files()[0]
            lake_table.commit(
                lake_table.write({file.partition: lake_table.read(file)}, stamp(epoch)), [file], stamp(epoch)
            )
    expected = list(range(1, 2 * MANIFESTS_MAX))
    assert [row["id"] for row in all_rows(lake_table)] == expected
    assert [row["id"] for row in all_rows(lake.table(table))] == expected
    loaded = connection.catalog.load_table("ootp.games")
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(loaded.io)) <= MANIFESTS_MAX + 2
    assert sorted(loaded.scan().to_arrow().column("id").to_pylist()) == expected


def test_the_second_of_two_writers_is_refused_and_nothing_is_doubled(lake: IcebergLake) -> None:
    table = table_of()
    first, second = lake.table(table), lake.table(table)
    rows = rows_of(table, ORDINARY)
    put(first, table, rows, 1)
    with pytest.raises(ConflictError, match=r"ootp\.games"):
        put(second, table, rows, 1)
    second.refresh()
    assert second.stamp == stamp(1)
    assert len(second.files()) == 1
    put(second, table, rows_of(table, ORDINARY | {"id": 3}), 2)
    assert len(lake.table(table).files()) == 2


def test_a_conflict_on_the_first_snapshot_is_seen_in_every_kind_of_commit(lake: IcebergLake) -> None:
    table = table_of()
    put(lake.table(table), table, rows_of(table, ORDINARY, FULL), 1)
    first, second = lake.table(table), lake.table(table)
    files = second.files()
    first.commit([], first.files(), stamp(2))
    with pytest.raises(ConflictError):
        second.commit([], files, stamp(2))
    with pytest.raises(ConflictError):
        second.commit([], [], stamp(2))
    second.refresh()
    with pytest.raises(ConflictError, match="no longer live"):
        second.commit([], files, stamp(2))


def test_a_stamp_is_found_below_the_snapshot_of_another_writer(
    lake: IcebergLake, connection: LakeConnection, view: IcebergLakeView
) -> None:
    table = table_of("whole")
    lake_table = lake.table(table)
    ours = put(lake_table, table, rows_of(table, ORDINARY | {"whole": 1}, FULL | {"whole": 2}), 7)
    before = view.current(table)
    assert before is not None
    assert (before.snapshot_id, before.stamp, before.is_foreign, len(before.files)) == (ours, stamp(7), False, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        connection.catalog.load_table("ootp.games").delete("whole == 1")
    lake_table.refresh()
    assert lake_table.snapshot_id != ours
    assert lake_table.stamp == stamp(7)
    assert len(lake_table.files()) == 1
    after = view.current(table)
    assert after is not None
    assert (after.stamp, after.is_foreign, len(after.files)) == (stamp(7), True, 1)
    assert view.snapshot(table, ours) == before


def test_a_view_of_nothing_is_none_and_of_an_empty_table_is_empty(lake: IcebergLake, view: IcebergLakeView) -> None:
    table = table_of()
    assert view.current(table) is None
    assert view.snapshot(table, 1) is None
    assert not lake.stamps()
    lake.table(table)
    assert not lake.stamps()
    empty = view.current(table)
    assert empty is not None
    assert (empty.snapshot_id, empty.stamp, empty.is_foreign, empty.files) == (None, None, False, frozenset())
    lake.table(table).commit([], [], stamp(1))
    assert lake.stamps() == {table.table: stamp(1)}
    assert view.snapshot(table, 1) is None


def test_a_view_gives_every_snapshot_its_own_files(lake: IcebergLake, view: IcebergLakeView) -> None:
    table = table_of()
    lake_table = lake.table(table)
    made = [put(lake_table, table, rows_of(table, ORDINARY | {"id": number}), number) for number in range(1, 8)]
    for number, snapshot_id in reversed(list(enumerate(made, start=1))):
        seen = view.snapshot(table, snapshot_id)
        assert seen is not None
        assert (len(seen.files), seen.stamp) == (number, stamp(number))
    live = view.current(table)
    assert live is not None
    assert {(file.path, file.size_bytes) for file in live.files} == {
        (file.path, file.size_bytes) for file in lake_table.files()
    }


def test_a_table_with_other_partition_fields_is_replaced_by_a_commit_of_all_rows(
    lake: IcebergLake, connection: LakeConnection, view: IcebergLakeView
) -> None:
    before, after = table_of("year(date)"), table_of("month(date)")
    put(lake.table(before), before, rows_of(before, ORDINARY), 1)
    other = lake.table(after)
    assert "partition field 1 is year(date) in the lake, but must be month(date)" in other.needs_reset
    assert (other.stamp, other.is_outdated, other.files()) == (stamp(1), True, [])
    with pytest.raises(LakeError, match="month"):
        lake.existing(after)
    added = other.write(by_partition(after, rows_of(after, FULL, ORDINARY)), stamp(2))
    assert all_rows(lake.table(before)) == [ORDINARY]
    other.commit(added, [], stamp(2))
    assert (other.needs_reset, other.stamp, all_rows(other)) == ("", stamp(2), [FULL, ORDINARY])
    assert connection.catalog.load_table("ootp.games").scan().count() == 2
    seen = view.current(after)
    assert seen is not None
    assert {file.partitions for file in seen.files} == {("date_month=1969-12",), ("date_month=2031-04",)}
    put(other, after, rows_of(after, NULLS), 3)
    assert len(all_rows(lake.table(after))) == 3


def test_only_one_of_two_writers_replaces_a_table(lake: IcebergLake) -> None:
    before, after = table_of("year(date)"), table_of("month(date)")
    put(lake.table(before), before, rows_of(before, ORDINARY), 1)
    first, second = lake.table(after), lake.table(after)
    put(first, after, rows_of(after, FULL), 2)
    with pytest.raises(ConflictError):
        put(second, after, rows_of(after, FULL), 2)
    second.refresh()
    assert (second.needs_reset, all_rows(second)) == ("", [FULL])


@pytest.mark.parametrize("damage", ["gone", "no metadata"])
def test_a_table_with_lost_metadata_is_replaced_by_a_commit_of_all_rows(
    lake: IcebergLake, connection: LakeConnection, damage: str
) -> None:
    table = table_of()
    known = lake.table(table)
    put(known, table, rows_of(table, ORDINARY), 1)
    lost = Path(connection.catalog.load_table("ootp.games").metadata_location.removeprefix("file://"))
    lost.unlink() if damage == "gone" else lost.write_text("{}")
    with pytest.raises(TableDamageError, match=r"metadata\.json of the lake's metadata"):
        lake.existing(table)
    damaged = lake.table(table)
    assert lost.name in damaged.needs_reset
    assert (damaged.stamp, damaged.snapshot_id, damaged.files()) == (None, None, [])
    put(damaged, table, rows_of(table, FULL), 2)
    assert (damaged.needs_reset, damaged.stamp, all_rows(lake.table(table))) == ("", stamp(2), [FULL])
    known.refresh()
    assert all_rows(known) == [FULL]


def test_a_dropped_table_is_an_error(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of()
    known = lake.table(table)
    connection.catalog.drop_table("ootp.games")
    with pytest.raises(LakeTableError, match=r"no longer in the catalog .*resync"):
        known.refresh()


def test_a_definition_that_iceberg_cannot_hold_is_an_error_of_that_table(lake: IcebergLake) -> None:
    with pytest.raises(LakeTableError):
        lake.table(table_of("year(name)"))


def test_a_catalog_of_another_location_is_refused(lake: IcebergLake, connection: LakeConnection) -> None:
    lake.table(table_of())
    moved = LakeConnection(connection.catalog, f"{connection.warehouse}-other", "elsewhere")
    with pytest.raises(LakeError, match="is at"):
        IcebergLake(Settings(), moved).table(table_of())


def test_a_catalog_that_is_no_url_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"lake\.catalog"):
        IcebergLake(Settings(lake=Lake(catalog="nonsense")))


def test_a_lost_data_file_is_named(lake: IcebergLake) -> None:
    table = table_of()
    lake_table = lake.table(table)
    put(lake_table, table, rows_of(table, ORDINARY), 1)
    (file,) = lake_table.files()
    Path(file.path.removeprefix("file://")).unlink()
    with pytest.raises(LakeError, match=r"reading a file of ootp\.games: an object of the table is gone"):
        lake_table.read(file)


def test_an_emptied_table_drops_the_files_of_its_lost_metadata(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of()
    put(lake.table(table), table, rows_of(table, ORDINARY), 1)
    loaded = connection.catalog.load_table("ootp.games")
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    lost = snapshot.manifests(loaded.io)[0].manifest_path
    Path(lost.removeprefix("file://")).unlink()
    again = lake.table(table)
    with pytest.raises(TableDamageError, match=f"object {lost} of the lake's metadata is gone: restore it, or re-snap"):
        again.files()
    again.start_empty()
    put(again, table, rows_of(table, FULL), 2)
    assert connection.catalog.load_table("ootp.games").scan().to_arrow().column("id").to_pylist() == [FULL["id"]]
    assert all_rows(lake.table(table)) == [FULL]
    put(again, table, rows_of(table, ORDINARY), 3)
    assert all_rows(lake.table(table)) == [FULL, ORDINARY]


def test_an_emptied_table_is_committed_without_rows_too(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of()
    put(lake.table(table), table, rows_of(table, ORDINARY), 1)
    loaded = connection.catalog.load_table("ootp.games")
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    Path(snapshot.manifests(loaded.io)[0].manifest_path.removeprefix("file://")).unlink()
    again = lake.table(table)
    again.start_empty()
    assert again.is_outdated
    again.commit([], [], stamp(2))
    assert not again.is_outdated
    assert all_rows(lake.table(table)) == []
    assert connection.catalog.load_table("ootp.games").scan().to_arrow().num_rows == 0


class LosesReplies(SqlCatalog):
    """A catalog whose commits succeed, but whose replies get lost."""

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        super().commit_table(table, requirements, updates)
        raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))


def test_a_commit_whose_reply_was_lost_is_found_by_its_stamp(lake: IcebergLake, connection: LakeConnection) -> None:
    table = table_of()
    lake.table(table)
    with closing(LosesReplies(CATALOG_NAME, **connection.catalog.properties)) as catalog:
        deaf = IcebergLake(Settings(), LakeConnection(catalog, connection.warehouse, "here")).table(table)
        with pytest.raises(Unavailable, match=r"commit to ootp\.games: the catalog is away"):
            put(deaf, table, rows_of(table, ORDINARY), 1)
        assert deaf.stamp is None
        deaf.refresh()
        assert deaf.stamp == stamp(1)
        assert all_rows(deaf) == [ORDINARY]


class DeletesWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES


class LeavesDeleteFiles(Replacement):
    """Writes delete files like an engine with merge-on-read, which pyiceberg cannot do."""

    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriterV2:
        return DeletesWriter(spec, self.schema(), self.new_manifest_output(), self._snapshot_id, "zstandard")


def test_delete_files_are_refused_by_the_writer_and_reported_by_the_view(
    lake: IcebergLake, connection: LakeConnection, view: IcebergLakeView
) -> None:
    table = table_of()
    lake_table = lake.table(table)
    put(lake_table, table, rows_of(table, ORDINARY), 1)
    loaded = connection.catalog.load_table("ootp.games")
    deletes = lake_table.write({"-": rows_of(table, ORDINARY)}, stamp(1))
    transaction = loaded.transaction()
    manifests = Manifests(loaded.io)
    manifests.load(loaded.current_snapshot())
    LeavesDeleteFiles(transaction, manifests, deletes, frozenset(), {}).commit()
    transaction.commit_transaction()
    lake_table.refresh()
    with pytest.raises(LakeError, match="has delete files"):
        lake_table.files()
    seen = view.current(table)
    assert seen is not None
    assert seen.unreadable == "1 delete files that this project did not write"
    assert len(seen.files) == 1
