"""Any damage of the lake is a mismatch of exactly its partition, until it is repaired."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import structlog

from commands.resync.__main__ import run as resync
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.lake_commits import KafkaLakeCommitLog
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.changes import Changes
from datafingerprint.epoch_chain import EpochMark
from datafingerprint.ports.stream import EpochReader, EpochRows
from datafingerprint.resync import ResyncRequest
from datafingerprint.schema import TableSchema
from services.lake_writer.writer import LakeWriter
from tests.flow.running import Flow

pytestmark = pytest.mark.live

WITHIN_S = 30.0

LEAGUES = (1, 2, 3)


@pytest.fixture
def flow(standing_flow: Flow) -> Flow:
    """The module's flow: settled, and every partition matches."""
    standing_flow.settle()
    standing_flow.await_that("all match", lambda: not standing_flow.mismatches())
    return standing_flow


def partition(flow: Flow, league: int) -> tuple[str, str]:
    return f"{flow.schema}.players", f"league_id={league}"


def await_mismatch_of(flow: Flow, *where: tuple[str, str]) -> str:
    """Waits for the first verdict that is no match; it must be these partitions' and no other's."""
    flow.await_that("a mismatch", lambda: bool(flow.mismatches()), within_s=WITHIN_S)
    mismatches = flow.mismatches()
    assert set(mismatches) == set(where)
    return str(mismatches[where[0]])


def await_match(flow: Flow) -> None:
    flow.await_that("all match again", lambda: not flow.mismatches(), within_s=WITHIN_S)


def data_file(flow: Flow, league: int) -> str:
    return str(next(path for path in flow.live_files("players") if f"league_id={league}/" in path))


def altered(octets: bytes) -> bytes:
    """The same Parquet file with one value changed."""
    rows = pq.read_table(io.BytesIO(octets))
    ratings = rows.column("rating").to_pylist()
    ratings[0] += 0.5
    at = rows.schema.get_field_index("rating")
    sink = io.BytesIO()
    pq.write_table(rows.set_column(at, rows.schema.field(at), pa.array(ratings, pa.float64())), sink)
    return sink.getvalue()


def test_a_value_altered_in_a_file_is_a_mismatch_of_its_partition_until_it_is_put_back(flow: Flow) -> None:
    path = data_file(flow, 2)
    whole = flow.get_object(path)
    flow.put_object(path, altered(whole))
    reason = await_mismatch_of(flow, partition(flow, 2))
    assert reason == "as many rows on both sides, but other values"
    flow.put_object(path, whole)
    await_match(flow)


def test_a_file_made_garbage_is_a_mismatch_that_names_it_until_it_is_put_back(flow: Flow) -> None:
    path = data_file(flow, 3)
    whole = flow.get_object(path)
    flow.put_object(path, b"garbage" + whole[7:-7] + b"garbage")
    assert path in await_mismatch_of(flow, partition(flow, 3))
    flow.put_object(path, whole)
    await_match(flow)


def test_a_file_deleted_is_a_mismatch_that_names_it_until_it_is_put_back(flow: Flow) -> None:
    path = data_file(flow, 1)
    whole = flow.get_object(path)
    flow.delete_object(path)
    assert path in await_mismatch_of(flow, partition(flow, 1))
    flow.put_object(path, whole)
    await_match(flow)


def take_away(flow: Flow, player: int) -> pa.Table:
    """Another Iceberg client deletes a player; returns the row."""
    with contextlib.closing(flow.catalog()) as catalog:
        players = catalog.load_table((flow.schema, "players"))
        row = players.scan(row_filter=f"player_id == {player}").to_arrow()
        assert row.num_rows == 1
        players.delete(f"player_id == {player}")
        return row


def put_back(flow: Flow, row: pa.Table) -> None:
    """Another Iceberg client appends a row."""
    with contextlib.closing(flow.catalog()) as catalog:
        catalog.load_table((flow.schema, "players")).append(row)


def test_a_row_deleted_by_another_client_is_a_mismatch_until_it_is_appended_again(flow: Flow) -> None:
    row = take_away(flow, 205)
    assert await_mismatch_of(flow, partition(flow, 2)) == "the lake has 1 row too few"
    put_back(flow, row)
    await_match(flow)


def test_a_mismatch_stays_as_long_as_the_damage_while_the_writer_goes_on(flow: Flow) -> None:
    """Not for one lake commit does it look well, be the commit empty, of other partitions, or of this one."""
    row = take_away(flow, 105)
    await_mismatch_of(flow, partition(flow, 1))
    fingerprinter = flow.service("fingerprinter")
    healed = f"table={flow.schema}.players partition=league_id=1"
    verdicts = fingerprinter.text.count(healed)
    for statement in (
        None,
        f"INSERT INTO {flow.schema}.players VALUES (290, 2, 'late', 0.1, NULL)",
        f"INSERT INTO {flow.schema}.players VALUES (190, 1, 'late', 0.1, NULL)",
        f"UPDATE {flow.schema}.players SET rating = rating + 1 WHERE league_id = 1 AND player_id <> 105",
        None,
    ):
        if statement:
            flow.sql(statement)
            flow.settle()
        with flow.state() as store:
            flow.await_that(
                "two more lake commits are judged",
                partial(has_judged, store, store.progress().lake_epoch + 2),
                within_s=WITHIN_S,
            )
        assert set(flow.mismatches()) == {partition(flow, 1)}
    assert fingerprinter.text.count(healed) == verdicts, "the verdict changed in between"
    put_back(flow, row)
    await_match(flow)
    flow.assert_equal()


def has_judged(store: SqlStateStore, epoch: int) -> bool:
    return store.progress().lake_epoch >= epoch


class LeavingOut:
    """An `EpochReader` that loses the changes of one player on the way."""

    def __init__(self, reader: EpochReader, player: int) -> None:
        self._reader = reader
        self._player = player
        self.left_out = threading.Event()

    def seek(self, epochs_offset: int, last: EpochMark | tuple[str, int] | None) -> None:
        self._reader.seek(epochs_offset, last)

    def is_empty(self) -> bool:
        return self._reader.is_empty()

    def acknowledge(self, epoch: EpochRows) -> None:
        self._reader.acknowledge(epoch)

    def definitions(self) -> Mapping[int, TableSchema]:
        return self._reader.definitions()

    def read(self, timeout_s: float) -> EpochRows | None:
        rows = self._reader.read(timeout_s)
        if rows is None:
            return None
        return replace(rows, changes=[(number, self._thinned(changes)) for number, changes in rows.changes])

    def _thinned(self, changes: Changes) -> Changes:
        if changes.table.name != "players":
            return changes
        players = pc.struct_field(changes.rows.column("after"), "player_id")
        keep = pc.fill_null(pc.not_equal(players, self._player), True)  # noqa: FBT003 - Arrow's own signature
        if not pc.all(keep).as_py():
            self.left_out.set()
        return replace(changes, rows=changes.rows.filter(keep))


@contextlib.contextmanager
def careless_writer(flow: Flow, player: int) -> Iterator[LeavingOut]:
    """The lake writer in this process, losing one player's changes."""
    settings = flow.settings
    log = structlog.wrap_logger(structlog.ReturnLogger())
    stop = threading.Event()
    with (
        contextlib.closing(IcebergLake(settings)) as lake,
        contextlib.closing(KafkaEpochReader(settings.kafka, "careless")) as reader,
        contextlib.closing(KafkaLakeCommitLog(settings.kafka)) as commits,
    ):
        losing = LeavingOut(reader, player)
        writing = threading.Thread(
            target=LakeWriter(losing, lake, commits, settings.lake, log, TemporaryScratch("")).run,
            args=(stop,),
            daemon=True,
        )
        writing.start()
        try:
            yield losing
        finally:
            stop.set()
            writing.join()


def test_a_message_lost_before_the_writer_is_a_mismatch_of_its_partition(flow: Flow) -> None:
    writer = flow.service("lake_writer")
    assert writer.end() == 0
    writer.process = None
    with careless_writer(flow, 399) as losing:
        flow.sql(f"INSERT INTO {flow.schema}.players VALUES (398, 3, 'kept', 1, NULL), (399, 3, 'lost', 2, NULL)")
        flow.settle()
        assert losing.left_out.is_set()
        assert await_mismatch_of(flow, partition(flow, 3)) == "the lake has 1 row too few"
    writer.start()
    with contextlib.closing(flow.catalog()) as catalog:
        schema = catalog.load_table((flow.schema, "players")).schema().as_arrow()
    put_back(flow, pa.Table.from_pylist([{"player_id": 399, "league_id": 3, "name": "lost", "rating": 2.0}], schema))
    await_match(flow)
    flow.sql(f"DELETE FROM {flow.schema}.players WHERE player_id IN (398, 399)")
    flow.settle()
    assert not flow.mismatches()
    flow.assert_equal()


def players_of(flow: Flow) -> list[tuple[str, str]]:
    return [partition(flow, league) for league in LEAGUES]


def read_again(flow: Flow) -> None:
    """What `datafingerprint resync` does; everything runs meanwhile."""
    assert resync(flow.settings, ResyncRequest(f"{flow.schema}.players", None, time.time()), threading.Event()) == 0


def fingerprinter_anew(flow: Flow) -> None:
    fingerprinter = flow.service("fingerprinter")
    assert fingerprinter.end() == 0
    fingerprinter.start()


def test_a_manifest_deleted_is_a_mismatch_of_its_table_that_reading_it_again_mends(flow: Flow) -> None:
    """No commit is made, no data file is another one; a fingerprinter that starts meanwhile judges the other table."""
    with contextlib.closing(flow.catalog()) as catalog:
        loaded = catalog.load_table((flow.schema, "players"))
        snapshot = loaded.current_snapshot()
        assert snapshot is not None
        path = snapshot.manifests(loaded.io)[0].manifest_path
    flow.delete_object(path)
    assert f"object {path} of the lake's metadata is gone" in await_mismatch_of(flow, *players_of(flow))
    fingerprinter_anew(flow)
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (7, 'meanwhile')")
    flow.settle()
    assert f"object {path} of the lake's metadata is gone" in await_mismatch_of(flow, *players_of(flow))
    read_again(flow)
    await_match(flow)
    flow.assert_equal()


def test_a_table_whose_metadata_file_is_deleted_keeps_no_other_waiting_and_is_replaced_when_read_again(
    flow: Flow,
) -> None:
    with contextlib.closing(flow.catalog()) as catalog:
        path = catalog.load_table((flow.schema, "players")).metadata_location
    flow.delete_object(path)
    assert f"object {path} of the lake's metadata is gone" in await_mismatch_of(flow, *players_of(flow))
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 7 WHERE player_id = 101")
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (8, 'meanwhile')")
    flow.settle()
    assert f"object {path} of the lake's metadata is gone" in await_mismatch_of(flow, *players_of(flow))
    read_again(flow)
    await_match(flow)
    flow.assert_equal()
