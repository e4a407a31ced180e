"""Other partition fields than those of the stream stop capture; a lake table gets the fields that its table has."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.flow.running import Flow, Service

pytestmark = pytest.mark.live

STOPPED = 2
WITHIN_S = 60.0
BEFORE, AFTER = ["league_id"], ["year(born)"]


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    del small_flow.environment["DFP_SOURCE_TABLES"]
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3"}
    write_settings(small_flow, ["*"], BEFORE)
    small_flow.start()
    small_flow.match()
    return small_flow


def write_settings(flow: Flow, tables: Sequence[str], fields: Sequence[str]) -> None:
    chosen = json.dumps([f"{name[: name.startswith('!')]}{flow.schema}.{name.lstrip('!')}" for name in tables])
    Path(flow.environment["DFP_CONFIG"]).write_text(
        f'[source]\ntables = {chosen}\n[tables."{flow.schema}.players"]\npartition = {json.dumps(fields)}\n',
        encoding="utf-8",
    )


def drop_lake_table(flow: Flow) -> None:
    """What an operator does with an engine of one's own."""
    with contextlib.closing(flow.catalog()) as catalog:
        catalog.drop_table((flow.schema, "players"))


def refusing_line(service: Service) -> str:
    assert service.wait(WITHIN_S) == STOPPED
    assert "Traceback" not in service.text
    line = service.text.splitlines()[-1]
    assert "event=stopped" in line
    return str(line)


def partitions(flow: Flow) -> set[str]:
    """Names of the partitions of players that there is a verdict on, without their values."""
    return {where.partition("=")[0] for table, where in flow.verdicts() if table.endswith(".players")}


def require_new_fields(flow: Flow) -> None:
    flow.await_that("the table is judged by its new partitions alone", lambda: partitions(flow) == {"born_year"})
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    flow.match()
    flow.assert_equal()
    assert partitions(flow) == {"born_year"}
    assert all("born_year=" in path for path in flow.live_files("players"))


def test_changed_fields_set_the_table_aside_and_setting_them_back_brings_it_back(flow: Flow) -> None:
    cdc = flow.service("cdc")
    assert cdc.end() == 0
    write_settings(flow, ["*"], AFTER)
    cdc.start()
    cdc.await_saying(f"event=table set aside table={flow.schema}.players")
    line = next(line for line in cdc.text.splitlines() if "event=table set aside" in line)
    assert f"its partition fields were {BEFORE} and are {AFTER}" in line
    assert "remedy=set them back" in line
    assert cdc.end() == 0
    write_settings(flow, ["*"], BEFORE)
    cdc.start()
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    flow.match()
    flow.assert_equal()
    assert partitions(flow) == {"league_id"}


def test_a_table_that_left_and_whose_lake_table_is_dropped_comes_back_with_other_fields(flow: Flow) -> None:
    cdc = flow.service("cdc")
    assert cdc.end() == 0
    write_settings(flow, ["*"], AFTER)
    cdc.start()
    cdc.await_saying("take the table out of [source] tables")
    write_settings(flow, ["*", "!players"], AFTER)
    flow.service("lake_writer").await_saying("event=table left the stream")
    flow.settle()
    drop_lake_table(flow)
    write_settings(flow, ["*"], AFTER)
    require_new_fields(flow)


def test_a_table_that_comes_back_with_other_fields_replaces_its_lake_table(flow: Flow) -> None:
    write_settings(flow, ["*", "!players"], AFTER)
    flow.service("lake_writer").await_saying("event=table left the stream")
    write_settings(flow, ["*"], AFTER)
    require_new_fields(flow)
