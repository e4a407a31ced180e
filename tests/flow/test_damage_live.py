"""Whatever is done to the lake behind its back is a mismatch of exactly that partition, until it is mended."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import structlog

from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka_lake_commits import KafkaLakeCommitLog
from datafingerprint.adapters.lake import IcebergLake
from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.changes import Changes
from datafingerprint.ports import EpochReader, EpochRows
from datafingerprint.requests import Reread
from datafingerprint.schema import TableSchema
from services.lake_writer.writer import LakeWriter
from services.resync.__main__ import run as resync

pytestmark = pytest.mark.live

WITHIN_S = 30.0

LEAGUES = (1, 2, 3)


@pytest.fixture
def flow(standing_flow: Any) -> Any:  # noqa: ANN401 - made by tests/flow/conftest.py, which cannot be imported
    """The module's flow: settled, and every partition matches."""
    standing_flow.settle()
    standing_flow.await_that("all match", lambda: not standing_flow.mismatches())
    return standing_flow


def partition(flow: Any, league: int) -> tuple[str, str]:  # noqa: ANN401 - as above
    return f"{flow.schema}.players", f"league_id={league}"


def await_mismatch_of(flow: Any, *where: tuple[str, str]) -> str:  # noqa: ANN401 - as above
    """Waits for the first verdict that is no match; it must be these partitions' and no other's."""
    flow.await_that("a mismatch", lambda: bool(flow.mismatches()), within_s=WITHIN_S)
    found = flow.mismatches()
    assert set(found) == set(where)
    return str(found[where[0]])


def await_match(flow: Any) -> None:  # noqa: ANN401 - as above
    flow.await_that("all match again", lambda: not flow.mismatches(), within_s=WITHIN_S)


def data_file(flow: Any, league: int) -> str:  # noqa: ANN401 - as above
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


def test_a_value_altered_in_a_file_is_a_mismatch_of_its_partition_until_it_is_put_back(flow: Any) -> None:  # noqa: ANN401
    path = data_file(flow, 2)
    whole = flow.get_object(path)
    flow.put_object(path, altered(whole))
    reason = await_mismatch_of(flow, partition(flow, 2))
    assert reason == "as many rows on both sides, but other values"
    flow.put_object(path, whole)
    await_match(flow)


def test_a_file_made_garbage_is_a_mismatch_that_names_it_until_it_is_put_back(flow: Any) -> None:  # noqa: ANN401
    path = data_file(flow, 3)
    whole = flow.get_object(path)
    flow.put_object(path, b"garbage" + whole[7:-7] + b"garbage")
    assert path in await_mismatch_of(flow, partition(flow, 3))
    flow.put_object(path, whole)
    await_match(flow)


def test_a_file_deleted_is_a_mismatch_that_names_it_until_it_is_put_back(flow: Any) -> None:  # noqa: ANN401
    path = data_file(flow, 1)
    whole = flow.get_object(path)
    flow.delete_object(path)
    assert path in await_mismatch_of(flow, partition(flow, 1))
    flow.put_object(path, whole)
    await_match(flow)


def take_away(flow: Any, player: int) -> pa.Table:  # noqa: ANN401 - as above
    """Another Iceberg client deletes a player; returns the row."""
    with contextlib.closing(flow.catalog()) as catalog:
        players = catalog.load_table((flow.schema, "players"))
        row = players.scan(row_filter=f"player_id == {player}").to_arrow()
        assert row.num_rows == 1
        players.delete(f"player_id == {player}")
        return row


def put_back(flow: Any, row: pa.Table) -> None:  # noqa: ANN401 - as above
    """Another Iceberg client appends a row."""
    with contextlib.closing(flow.catalog()) as catalog:
        catalog.load_table((flow.schema, "players")).append(row)


def test_a_row_deleted_by_another_client_is_a_mismatch_until_it_is_appended_again(flow: Any) -> None:  # noqa: ANN401
    row = take_away(flow, 205)
    assert await_mismatch_of(flow, partition(flow, 2)) == "the lake has 1 row too few"
    put_back(flow, row)
    await_match(flow)


def test_a_mismatch_stays_as_long_as_the_damage_while_the_writer_goes_on(flow: Any) -> None:  # noqa: ANN401
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
            epoch = store.progress().lake_epoch
            flow.await_that(
                "two more lake commits are judged",
                lambda epoch=epoch, store=store: store.progress().lake_epoch >= epoch + 2,
                within_s=WITHIN_S,
            )
        assert set(flow.mismatches()) == {partition(flow, 1)}
    assert fingerprinter.text.count(healed) == verdicts, "the verdict changed in between"
    put_back(flow, row)
    await_match(flow)
    flow.assert_equal()


class LeavingOut:
    """An `EpochReader` that loses the changes of one player on the way."""

    def __init__(self, reader: EpochReader, player: int) -> None:
        self._reader = reader
        self._player = player
        self.left_out = threading.Event()

    def seek(self, epochs_offset: int, last: tuple[str, int] | None) -> None:
        self._reader.seek(epochs_offset, last)

    def acknowledge(self, epoch: EpochRows) -> None:
        self._reader.acknowledge(epoch)

    def definitions(self) -> Mapping[int, TableSchema]:
        return self._reader.definitions()

    def read(self, timeout_s: float) -> EpochRows | None:
        found = self._reader.read(timeout_s)
        if found is None:
            return None
        return replace(found, changes=[(number, self._thinned(changes)) for number, changes in found.changes])

    def _thinned(self, changes: Changes) -> Changes:
        if changes.table.name != "players":
            return changes
        players = pc.struct_field(changes.rows.column("after"), "player_id")
        keep = pc.fill_null(pc.not_equal(players, self._player), True)  # noqa: FBT003 - Arrow's own signature
        if not pc.all(keep).as_py():
            self.left_out.set()
        return replace(changes, rows=changes.rows.filter(keep))


@contextlib.contextmanager
def careless_writer(flow: Any, player: int) -> Any:  # noqa: ANN401 - as above
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


def test_a_message_lost_before_the_writer_is_a_mismatch_of_its_partition(flow: Any) -> None:  # noqa: ANN401
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


def players_of(flow: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - as above
    return [partition(flow, league) for league in LEAGUES]


def read_again(flow: Any) -> None:  # noqa: ANN401 - as above
    """What `datafingerprint resync` does; everything runs meanwhile."""
    assert resync(flow.settings, Reread(f"{flow.schema}.players", None, time.time()), threading.Event()) == 0


def fingerprinter_anew(flow: Any) -> None:  # noqa: ANN401 - as above
    fingerprinter = flow.service("fingerprinter")
    assert fingerprinter.end() == 0
    fingerprinter.start()


def test_a_manifest_deleted_is_a_mismatch_of_its_table_that_reading_it_again_mends(flow: Any) -> None:  # noqa: ANN401
    """No commit is made, no data file is another one; a fingerprinter that starts meanwhile judges the other table."""
    with contextlib.closing(flow.catalog()) as catalog:
        loaded = catalog.load_table((flow.schema, "players"))
        path = loaded.current_snapshot().manifests(loaded.io)[0].manifest_path
    flow.delete_object(path)
    assert f"object {path} of the lake's metadata is gone" in await_mismatch_of(flow, *players_of(flow))
    fingerprinter_anew(flow)
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (7, 'meanwhile')")
    flow.settle()
    assert f"object {path} of the lake's metadata is gone" in await_mismatch_of(flow, *players_of(flow))
    read_again(flow)
    await_match(flow)
    flow.assert_equal()


def test_a_table_whose_metadata_file_is_deleted_is_made_anew_and_read_again(flow: Any) -> None:  # noqa: ANN401
    with contextlib.closing(flow.catalog()) as catalog:
        path = catalog.load_table((flow.schema, "players")).metadata_location
        flow.delete_object(path)
        assert f"object {path} of the lake's metadata is gone" in await_mismatch_of(flow, *players_of(flow))
        writer = flow.service("lake_writer")
        assert writer.end() == 0
        catalog.drop_table((flow.schema, "players"))
    writer.start()
    read_again(flow)
    await_match(flow)
    flow.assert_equal()
