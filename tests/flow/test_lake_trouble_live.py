"""One table is made again, loses its topic, or is changed by another engine: all others go on, and it comes back."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from commands.resync.__main__ import run as resync
from datafingerprint.resync import ResyncRequest
from datafingerprint.verdict import Outcome
from deploy.embedded.waiting import await_condition
from tests.flow.running import Flow

pytestmark = pytest.mark.live

READERS = ("lake_writer", "fingerprinter")


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.2", "DFP_CDC_HEARTBEAT_S": "0.5", "DFP_LAKE_FLUSH_S": "0.2"}
    small_flow.environment |= {"DFP_FINGERPRINTER_POLL_S": "0.5", "DFP_FINGERPRINTER_ETAG_CHECK_S": "0.5"}
    small_flow.start()
    small_flow.match()
    return small_flow


def kill(flow: Flow, *names: str) -> None:
    for name in names:
        flow.service(name).child.kill()
        flow.service(name).child.wait()


def verdict_of(flow: Flow, table: str) -> tuple[set[Outcome], str]:
    """What is said of a table's partitions, and a reason."""
    items = [item.verdict for (name, _), item in flow.verdicts().items() if name == f"{flow.schema}.{table}"]
    return {item.outcome for item in items}, max((item.reason for item in items), default="")


def require_equal(flow: Flow) -> None:
    flow.match()
    flow.assert_equal()


def test_a_table_that_is_made_again_leaves_and_comes_back_from_nothing(flow: Flow) -> None:
    players, notes = f"{flow.schema}.players", f"{flow.schema}.notes"
    # On a quiet source, with other columns and another key.
    flow.sql(f"DROP TABLE {notes}")
    flow.sql(f"CREATE TABLE {notes} (k VARCHAR(9) PRIMARY KEY, y DATE)")
    flow.sql(f"INSERT INTO {notes} VALUES ('a', NULL)")
    require_equal(flow)
    flow.sql(f"INSERT INTO {notes} VALUES ('b', NULL)")
    require_equal(flow)
    # The column that partitions the lake table is of another type, several times, while no lake writer runs.
    kill(flow, "lake_writer")
    for key, kind in (("p", "VARCHAR(9)"), ("q", "INT"), ("r", "VARCHAR(12)")):
        flow.sql(f"DROP TABLE {players}")
        flow.sql(f"CREATE TABLE {players} (player_id BIGINT PRIMARY KEY, league_id {kind} NOT NULL, name TEXT)")
        flow.sql(f"INSERT INTO {players} VALUES (1, '7', 'one'), (2, '8', 'two')")
        flow.sql(f"INSERT INTO {notes} VALUES ('{key}', NULL)")
    flow.service("lake_writer").start()
    require_equal(flow)
    # Renamed away and back, with other columns meanwhile; capture is killed in between.
    flow.sql(f"RENAME TABLE {notes} TO {notes}_away")
    kill(flow, "cdc")
    flow.sql(f"CREATE TABLE {notes} (n INT)")
    flow.sql(f"INSERT INTO {notes} VALUES (1), (1)")
    flow.service("cdc").start()
    flow.sql(f"DROP TABLE {notes}")
    flow.sql(f"RENAME TABLE {notes}_away TO {notes}")
    kill(flow, "lake_writer")
    flow.service("lake_writer").start()
    require_equal(flow)
    assert not flow.ended()


def await_published(flow: Flow) -> None:
    """Waits until capture has published all that the source has."""
    flow.service("cdc").await_saying(flow.source_gtid)


def delete_records(flow: Flow, topic: str) -> None:
    """What retention does to a topic, all at once."""
    bootstrap = flow.settings.kafka.bootstrap
    with contextlib.closing(KafkaConsumer(bootstrap_servers=bootstrap)) as consumer:
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = consumer.end_offsets(parts)
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        admin.delete_records(dict(ends))


def delete_topic(flow: Flow, topic: str) -> None:
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=flow.settings.kafka.bootstrap)) as admin:
        admin.delete_topics([topic])
        assert await_condition(lambda: topic not in admin.list_topics(), timeout_s=30)


@pytest.mark.parametrize("lose", [delete_records, delete_topic])
def test_a_hole_in_one_tables_topic_is_healed_by_a_re_snapshot_that_nobody_asks_for(
    flow: Flow, lose: Callable[[Flow, str], None]
) -> None:
    kill(flow, *READERS)
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 3 WHERE league_id = 2")
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (9, 'beside')")
    await_published(flow)
    assert flow.service("cdc").end() == 0
    flow.service("cdc").process = None
    lose(flow, f"{flow.settings.kafka.prefix}.{flow.schema}.players")
    flow.start("fingerprinter", "lake_writer")
    writer = flow.service("lake_writer")
    writer.await_saying("event=table is set aside")
    flow.await_that("the hole is told", lambda: "missing in Kafka" in verdict_of(flow, "players")[1])
    assert verdict_of(flow, "players")[0] == {Outcome.INCONCLUSIVE}
    kill(flow, *READERS)
    flow.start("fingerprinter", "lake_writer", "cdc")
    flow.await_that("the other table goes on", lambda: verdict_of(flow, "notes")[0] == {Outcome.MATCH})
    require_equal(flow)
    writer.await_saying("event=table is carried on")
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 4 WHERE league_id = 1")
    require_equal(flow)


def test_a_lake_table_that_another_engine_altered_is_set_aside_and_a_resync_brings_it_back(flow: Flow) -> None:
    with (
        contextlib.closing(flow.catalog()) as catalog,
        catalog.load_table((flow.schema, "players")).update_spec() as spec,
    ):
        spec.remove_field("league_id")
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (9, 'beside')")
    flow.service("lake_writer").await_saying("event=table is set aside")
    flow.await_that(
        "that is told", lambda: "partition field 1 is nothing in the lake" in verdict_of(flow, "players")[1]
    )
    flow.settle()
    assert verdict_of(flow, "notes")[0] == {Outcome.MATCH}
    request = ResyncRequest(f"{flow.schema}.players", None, time.time())
    assert resync(flow.settings, request, threading.Event()) == 0
    require_equal(flow)
    assert all("league_id=" in path for path in flow.live_files("players"))


def test_a_lake_table_that_is_dropped_by_hand_is_set_aside_and_filled_again_by_itself(flow: Flow) -> None:
    with contextlib.closing(flow.catalog()) as catalog:
        catalog.drop_table((flow.schema, "players"))
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    flow.service("lake_writer").await_saying("event=table is set aside")
    flow.service("lake_writer").await_saying("event=table is carried on")
    require_equal(flow)
