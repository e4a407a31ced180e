"""Whatever somebody else does to the lake: where its readers find other rows than the source's, it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.table.update import AddSchemaUpdate, SetCurrentSchemaUpdate

from datafingerprint.column_types import column
from datafingerprint.partitions import WHOLE
from datafingerprint.verdict import Outcome
from tests.databases import by_hand
from tests.services.fingerprinter.watched_lake import ROWS, TABLE, WatchedLake, local, table_of

MATCH = {"league=1": "match", "league=2": "match"}


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[WatchedLake]:
    """A table of six rows in two partitions, which match."""
    with closing(WatchedLake(tmp_path, TABLE)) as watched:
        watched.write(TABLE, *ROWS)
        watched.judge()
        assert watched.said() == MATCH
        yield watched


def test_a_file_that_is_added_a_second_time_doubles_its_rows_until_it_is_not_live_any_more(lake: WatchedLake) -> None:
    first, second = lake.paths()
    lake.iceberg().add_files([first], check_duplicate_files=False)
    assert len(lake.read()) == 9
    states = lake.look()["league=1"]
    assert (states.outcome, states.reason) == (Outcome.MISMATCH, "the lake has 3 rows too many")
    assert states.lake == states.source * 2 if states.source else None
    lake.restart()
    lake.write(TABLE, {"id": 7, "league": 2, "runs": 1})
    lake.judge()
    assert lake.said() == {"league=1": "the lake has 3 rows too many", "league=2": "match"}

    table = lake.lake.table(TABLE)
    (doubled,) = [file for file in table.files() if file.path == first]
    stamp = table.stamp
    assert stamp is not None
    rows = table.read(doubled)
    table.commit(table.write({"league=1": rows}, stamp), [doubled], stamp)
    assert len(lake.read()) == 7
    assert first not in lake.paths()
    assert second in lake.paths()
    lake.look()
    assert lake.said() == MATCH


def test_a_row_in_the_file_of_another_partition_is_a_mismatch_of_both(lake: WatchedLake) -> None:
    """An engine that looks for the row's partition does not find it, and one that looks for the other's does."""
    first, second = lake.paths()
    whole = [local(path).read_bytes() for path in (first, second)]
    here, there = (pq.ParquetFile(pa.BufferReader(octets)).read() for octets in whole)
    pq.write_table(pa.concat_tables([here, there.slice(0, 1)]), local(first))
    pq.write_table(there.slice(1), local(second))
    assert lake.iceberg().scan(row_filter="league == 2").to_arrow().num_rows == 2
    for _ in range(2):
        lake.look()
        said = f"rows of league=2 are filed under league=1: {first}"
        assert lake.said() == {"league=1": said, "league=2": said}
        assert [verdict.source == verdict.lake for verdict in lake.verdicts().values()] == [True, True]
    for path, octets in zip((first, second), whole, strict=True):
        local(path).write_bytes(octets)
    lake.look()
    assert lake.said() == MATCH


def test_a_file_that_lies_in_another_partition_by_its_metadata_is_a_mismatch_of_both(lake: WatchedLake) -> None:
    _, second = lake.paths()
    rows = pq.ParquetFile(pa.BufferReader(local(second).read_bytes())).read()
    lake.iceberg().delete("league == 2")
    assert lake.look()["league=2"].reason == "the lake has 3 rows too few"
    lake.iceberg().append(rows.set_column(1, rows.schema.field(1), pa.array([1] * 3, pa.int32())))
    (added,) = [path for path in lake.paths() if "0000000001-" not in path]
    pq.write_table(rows, local(added))
    lake.look()
    said = f"rows of league=2 are filed under league=1: {added}"
    assert lake.said() == {"league=1": said, "league=2": said}


def test_of_files_that_are_filed_by_other_fields_nothing_can_be_told(lake: WatchedLake) -> None:
    with lake.iceberg().update_spec() as update:
        update.add_identity("runs")
    assert lake.look() == lake.verdicts()
    assert lake.said() == MATCH
    lake.iceberg().append(pa.Table.from_pylist([{"id": 9, "league": 2, "runs": 4}], schema=TABLE.arrow))
    states = lake.look()
    assert {item.outcome for item in states.values()} == {Outcome.INCONCLUSIVE}
    assert set(lake.said().values()) == {"1 files have partition fields that this project did not write"}


def test_a_column_that_somebody_drops_from_the_lake_is_missing_until_it_is_back(lake: WatchedLake) -> None:
    """Nothing but the metadata changes: no file, no snapshot."""
    schema = lake.iceberg().schema()
    with lake.iceberg().update_schema() as update:
        update.delete_column("runs")
    assert "runs" not in lake.read()[0]
    for _ in range(2):
        states = lake.look()
        assert set(lake.said().values()) == {"the lake table has no column runs"}
        assert not any(item.source == item.lake for item in states.values())
        lake.restart()
    with lake.iceberg().transaction() as transaction:
        back = AddSchemaUpdate(schema_=schema.model_copy(update={"schema_id": 2}))
        transaction._apply((back, SetCurrentSchemaUpdate(schema_id=2)), ())
    assert lake.read() == ROWS
    lake.look()
    assert lake.said() == MATCH


def test_columns_whose_names_somebody_exchanges_hold_other_values(tmp_path: Path) -> None:
    table = table_of(("id", "bigint(20)"), ("league", "int(11)"), ("runs", "int(11)"), ("hits", "int(11)"))
    with closing(WatchedLake(tmp_path, table)) as lake:
        lake.write(table, *(row | {"hits": 100 + row["id"]} for row in ROWS))
        lake.judge()
        assert lake.said() == MATCH
        for old, new in (("runs", "other"), ("hits", "runs"), ("other", "hits")):
            with lake.iceberg(table).update_schema() as update:
                update.rename_column(old, new)
        assert lake.read(table)[3]["runs"] == 103
        lake.look()
        assert set(lake.said().values()) == {"as many rows on both sides, but other values"}


def test_rows_that_another_engine_writes_again_match_however_it_spells_the_columns(tmp_path: Path) -> None:
    table = table_of(("id", "bigint(20)"), ("league", "int(11)"), ("home runs", "int(11)"))
    with closing(WatchedLake(tmp_path, table)) as lake:
        rows = [{"id": number, "league": 1 + number % 2, "home runs": number * 3} for number in range(6)]
        lake.write(table, *rows)
        lake.judge()
        lake.iceberg(table).overwrite(lake.iceberg(table).scan().to_arrow())
        assert "home runs" not in pq.read_schema(local(lake.paths(table)[0])).names
        assert lake.read(table) == rows
        lake.look()
        assert lake.said() == MATCH


def test_a_new_column_costs_no_file_another_reading(lake: WatchedLake) -> None:
    read = {path: file.read_at for path, file in lake.store.files(TABLE.table).items()}
    wider = replace(TABLE, columns=(*TABLE.columns, column("hits", "int(11)", nullable=True, charset=None)))
    lake.tables[0] = wider
    lake.now += 100.0
    lake.restart()
    lake.write(wider, {"id": 8, "league": 2, "runs": 1, "hits": 5})
    lake.judge()
    assert lake.said() == MATCH
    assert read.items() <= {path: file.read_at for path, file in lake.store.files(TABLE.table).items()}.items()


@pytest.mark.parametrize(
    ("table", "change"), [("file_sums", "lo = lo + 1024"), ("source_sums", "hi = hi - 8"), ("files", "octets = 3")]
)
def test_a_flipped_bit_in_the_state_store_is_its_damage_and_not_the_lakes(
    lake: WatchedLake, tmp_path: Path, table: str, change: str
) -> None:
    with by_hand(f"sqlite:///{tmp_path}/state.db") as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET {change} WHERE rowid = 1")
    lake.restart()
    lake.write(TABLE, {"id": 7, "league": 2, "runs": 1})
    states = lake.judge()
    told = {item.reason for item in states.values() if item.outcome is not Outcome.MATCH}
    if table == "files":  # no sum is another one for that
        assert not told
        return
    assert {item.outcome for item in states.values()} == {Outcome.INCONCLUSIVE}
    (reason,) = told
    assert f"the state store is damaged: a row of {table}" in reason
    assert "delete the state store" in reason


def test_a_table_that_a_lake_commit_sets_aside_is_inconclusive_until_a_later_one_does_not(lake: WatchedLake) -> None:
    lake.write(TABLE, {"id": 7, "league": 2, "runs": 1})
    lake.commits[-1] = replace(lake.commits[-1], set_aside={TABLE.table: "another engine altered it"})
    lake.judge()
    for _ in range(2):
        assert set(lake.said().values()) == {"another engine altered it"}
        lake.iceberg().delete("id == 1")
        lake.restart()
        lake.look()
    lake.write(TABLE, {"id": 8, "league": 2, "runs": 1})
    lake.judge()
    assert lake.said() == {"league=1": "match", "league=2": "the lake has 1 row too few"}


def test_a_table_that_capture_has_set_aside_is_inconclusive_with_the_reason_until_it_is_back(lake: WatchedLake) -> None:
    lake.set_aside = {TABLE.table: "a zero date stands in a key"}
    lake.write(TABLE, {"id": 8, "league": 2, "runs": 1})
    states = lake.judge()
    assert {(item.outcome, item.reason) for item in states.values()} == {
        (Outcome.INCONCLUSIVE, "a zero date stands in a key")
    }
    lake.set_aside = {}
    lake.write(TABLE, {"id": 9, "league": 2, "runs": 1})
    lake.judge()
    assert lake.said() == MATCH


def test_a_table_without_rows_that_capture_has_set_aside_has_a_verdict_too(tmp_path: Path) -> None:
    with closing(WatchedLake(tmp_path, TABLE)) as watched:
        watched.set_aside = {TABLE.table: "a zero date stands in a key"}
        watched.write(TABLE)
        watched.judge()
        assert watched.said() == {WHOLE: "a zero date stands in a key"}
