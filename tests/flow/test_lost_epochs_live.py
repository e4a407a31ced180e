"""The broker comes back with an older copy of its data: capture and every reader notice it, and none goes on."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from datafingerprint.adapters.kafka.epoch_records import end_of_stream
from deploy.embedded.waiting import await_condition
from tests.flow.running import CONSOLE, Flow, Service

pytestmark = pytest.mark.live

STOPPED = 2
WITHIN_S = 60.0
SERVICES = ("cdc", "lake_writer", "fingerprinter")
LOST = "the broker has lost an acknowledged epoch"
REMEDY = "restore the topics, or start over with another [kafka] prefix"


def data_of(flow: Flow) -> Path:
    return flow.stack.blueprint.kafka.directory / "data"


def swap(flow: Flow, put: Path | None, keep: Path) -> None:
    """Stops the broker, keeps a copy of its data, puts another copy in place, and starts it again."""
    flow.stack.kill("kafka")
    shutil.copytree(data_of(flow), keep)
    if put is not None:
        shutil.rmtree(data_of(flow))
        shutil.copytree(put, data_of(flow))
    flow.stack.start_part("kafka")


def end(flow: Flow) -> None:
    assert [flow.service(name).end() for name in SERVICES] == [0, 0, 0]


def last_number(flow: Flow) -> int:
    result = end_of_stream(flow.settings.kafka)
    return 0 if result is None else result[1].number


def stopped(service: Service) -> str:
    assert service.wait(WITHIN_S) == STOPPED
    assert "Traceback" not in service.text
    return str(service.text.splitlines()[-1])


def insert(flow: Flow, player: int) -> None:
    flow.sql(f"INSERT INTO {flow.schema}.players (player_id, league_id) VALUES (%s, 1)", (player,))


def reading_tail(flow: Flow) -> Service:
    """A `tail` that has shown a row. It shows none from before it has found the end, so rows are written until then."""
    tail = flow.service(CONSOLE, "tail", f"{flow.schema}.players", "--json", label="tail")
    tail.start()
    numbers = itertools.count(2000)

    def has_shown() -> bool:
        insert(flow, next(numbers))
        return tail.says("player_id")

    flow.await_that("tail shows a row", has_shown)
    return tail


def test_an_older_copy_of_the_broker_is_noticed_by_capture_and_every_reader_and_the_newer_one_goes_on(
    small_flow: Flow, tmp_path: Path
) -> None:
    flow, older, newer = small_flow, tmp_path / "older", tmp_path / "newer"
    flow.environment |= {"DFP_CDC_HEARTBEAT_S": "0.5", "DFP_CDC_EPOCH_S": "0.2", "DFP_LAKE_FLUSH_S": "0.2"}
    flow.start()
    flow.match()
    end(flow)
    swap(flow, None, older)
    flow.start()
    insert(flow, 1000)
    flow.match()
    tail = reading_tail(flow)
    flow.match()
    end(flow)
    reached = last_number(flow)
    swap(flow, older, newer)
    assert last_number(flow) < reached

    # Capture knows it from the state store, and publishes nothing under the lost numbers.
    cdc = flow.service("cdc")
    before = last_number(flow)
    cdc.start()
    line = stopped(cdc)
    assert LOST in line
    assert "as the state store shows" in line
    assert REMEDY in line
    assert last_number(flow) == before

    # A capture that cannot know it publishes other epochs under these numbers. No reader takes them for the lost ones.
    cdc.start(DFP_STATE_URL=f"sqlite:///{tmp_path}/unknown.db")
    assert await_condition(lambda: last_number(flow) > reached + 2, timeout_s=WITHIN_S)
    judged = {where: stored.verdict for where, stored in flow.verdicts().items()}
    for name in ("lake_writer", "fingerprinter"):
        flow.service(name).start()
    lines = {name: stopped(flow.service(name)) for name in ("lake_writer", "fingerprinter")}
    assert LOST in lines["fingerprinter"]
    assert "another record is at its offset" in lines["fingerprinter"]
    assert f"as the lake table {flow.schema}.players shows" in lines["lake_writer"]
    assert all(REMEDY in line for line in lines.values())
    assert tail.wait(WITHIN_S) == STOPPED
    assert REMEDY in tail.text
    assert {where: stored.verdict for where, stored in flow.verdicts().items()} == judged
    assert cdc.end() == 0

    # As the remedy says, the topics are restored, and all go on.
    swap(flow, newer, tmp_path / "other")
    flow.start()
    insert(flow, 1001)
    flow.match()
    flow.assert_equal()
