"""Other partition fields than those of the lake table stop the services; the line names ways on, and each is gone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live

STOPPED = 2
WITHIN_S = 60.0
BEFORE, AFTER = ["league_id"], ["year(born)"]


@pytest.fixture
def flow(small_flow: Any) -> Any:  # noqa: ANN401 - made by tests/flow/conftest.py, which cannot be imported
    del small_flow.environment["DFP_SOURCE_TABLES"]
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3"}
    write_settings(small_flow, ["*"], BEFORE)
    small_flow.start()
    small_flow.match()
    return small_flow


def write_settings(flow: Any, tables: Sequence[str], fields: Sequence[str]) -> None:  # noqa: ANN401 - as above
    chosen = json.dumps([f"{name[: name.startswith('!')]}{flow.schema}.{name.lstrip('!')}" for name in tables])
    Path(flow.environment["DFP_CONFIG"]).write_text(
        f'[source]\ntables = {chosen}\n[tables."{flow.schema}.players"]\npartition = {json.dumps(fields)}\n',
        encoding="utf-8",
    )


def drop_lake_table(flow: Any) -> None:  # noqa: ANN401 - as above
    """What an operator does with an engine of one's own."""
    with contextlib.closing(flow.catalog()) as catalog:
        catalog.drop_table((flow.schema, "players"))


def refusing_line(service: Any) -> str:  # noqa: ANN401 - as above
    assert service.wait(WITHIN_S) == STOPPED
    assert "Traceback" not in service.text
    line = service.text.splitlines()[-1]
    assert "event=stopped" in line
    return str(line)


def partitions(flow: Any) -> set[str]:  # noqa: ANN401 - as above
    """Names of the partitions of players that there is a verdict on, without their values."""
    return {where.partition("=")[0] for table, where in flow.verdicts() if table.endswith(".players")}


def require_new_fields(flow: Any) -> None:  # noqa: ANN401 - as above
    flow.await_that("the table is judged by its new partitions alone", lambda: partitions(flow) == {"born_year"})
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    flow.match()
    flow.assert_equal()
    assert partitions(flow) == {"born_year"}
    assert all("born_year=" in path for path in flow.live_files("players"))


def test_changed_fields_stop_capture_and_setting_them_back_goes_on(flow: Any) -> None:  # noqa: ANN401
    cdc = flow.service("cdc")
    assert cdc.end() == 0
    write_settings(flow, ["*"], AFTER)
    cdc.start()
    line = refusing_line(cdc)
    assert f"the partition fields of {flow.schema}.players were {BEFORE} and are {AFTER}" in line
    assert "remedy=set them back" in line
    write_settings(flow, ["*"], BEFORE)
    cdc.start()
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    flow.match()
    flow.assert_equal()
    assert partitions(flow) == {"league_id"}


def test_a_table_that_left_and_whose_lake_table_is_dropped_comes_back_with_other_fields(flow: Any) -> None:  # noqa: ANN401
    cdc = flow.service("cdc")
    assert cdc.end() == 0
    write_settings(flow, ["*"], AFTER)
    cdc.start()
    assert "take the table out of [source] tables" in refusing_line(cdc)
    write_settings(flow, ["*", "!players"], AFTER)
    cdc.start()
    flow.service("lake_writer").await_saying("event=table left the stream")
    flow.settle()
    drop_lake_table(flow)
    write_settings(flow, ["*"], AFTER)
    require_new_fields(flow)


def test_a_table_that_comes_back_with_other_fields_stops_the_lake_writer_until_its_lake_table_is_dropped(
    flow: Any,  # noqa: ANN401 - as above
) -> None:
    write_settings(flow, ["*", "!players"], AFTER)
    flow.service("lake_writer").await_saying("event=table left the stream")
    write_settings(flow, ["*"], AFTER)
    writer = flow.service("lake_writer")
    line = refusing_line(writer)
    assert f"{flow.schema}.players" in line
    assert "partition field 1 is identity(league_id) in the lake, year(born) is wanted" in line
    assert "remedy=drop the lake table" in line
    drop_lake_table(flow)
    writer.start()
    require_new_fields(flow)


def test_a_lake_table_that_an_engine_gave_other_fields_stops_the_lake_writer_and_is_made_anew(flow: Any) -> None:  # noqa: ANN401
    with (
        contextlib.closing(flow.catalog()) as catalog,
        catalog.load_table((flow.schema, "players")).update_spec() as spec,
    ):
        spec.remove_field("league_id")
    flow.sql(f"UPDATE {flow.schema}.players SET rating = 1 WHERE player_id = 101")
    writer = flow.service("lake_writer")
    line = refusing_line(writer)
    command = f"datafingerprint capture --resnapshot {flow.schema}.players --once"
    assert line.endswith(f"remedy=drop the lake table, read it again, and start the lake writer: {command}")
    drop_lake_table(flow)
    again = flow.service("cdc", "--resnapshot", f"{flow.schema}.players", "--once", label="again")
    again.start()
    assert again.wait(WITHIN_S) == 0
    assert "another process has taken over" in refusing_line(flow.service("cdc"))
    flow.start("cdc", "lake_writer")
    flow.match()
    flow.assert_equal()
    assert all("league_id=" in path for path in flow.live_files("players"))
