"""`[source] tables` is changed while capture runs: tables come, are read like the first ones, and leave again."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from tests.flow.running import Flow

pytestmark = pytest.mark.live

TAKEN, REFUSED = "event=table filter applied", "event=changed settings are refused"
PARTITIONED = {"players": ["league_id"]}


def write_settings(flow: Flow, tables: Sequence[str], partitions: dict[str, list[str]], more: str = "") -> None:
    """Replaces the settings file as an editor does, at once."""
    sections = "".join(
        f'[tables."{flow.schema}.{name}"]\npartition = {json.dumps(fields)}\n' for name, fields in partitions.items()
    )
    chosen = json.dumps([f"{name[: name.startswith('!')]}{flow.schema}.{name.lstrip('!')}" for name in tables])
    write(flow, f"[source]\ntables = {chosen}\n{more}\n{sections}")


def write(flow: Flow, text: str) -> None:
    config = Path(flow.environment["DFP_CONFIG"])
    other = config.with_suffix(".other")
    other.write_text(text, encoding="utf-8")
    other.replace(config)


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    """Three tables, one of them not captured."""
    del small_flow.environment["DFP_SOURCE_TABLES"]
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_LAKE_FLUSH_S": "0.3"}
    small_flow.sql(f"CREATE TABLE {small_flow.schema}.later (id INT PRIMARY KEY, league_id INT, note VARCHAR(20))")
    small_flow.sql(f"INSERT INTO {small_flow.schema}.later VALUES (1, 1, 'first'), (2, 2, 'second')")
    write_settings(small_flow, ["players", "notes"], PARTITIONED)
    small_flow.start()
    small_flow.match()
    return small_flow


def judged(flow: Flow) -> set[str]:
    return {table.removeprefix(f"{flow.schema}.") for table, _ in flow.verdicts()}


def test_a_table_comes_with_its_own_partition_fields_and_one_leaves_while_all_are_written(flow: Flow) -> None:
    cdc = flow.service("cdc")
    ended = threading.Event()
    written = threading.Event()

    def keep_writing() -> None:
        number = 10_000
        while not ended.is_set():
            number += 1
            for statement in (
                f"INSERT INTO {flow.schema}.players (player_id, league_id) VALUES ({number}, {number % 3 + 1})",
                f"INSERT INTO {flow.schema}.later VALUES ({number}, {number % 3 + 1}, 'w')",
                f"DELETE FROM {flow.schema}.later WHERE id = {number - 5}",
                f"INSERT INTO {flow.schema}.notes VALUES ({number % 3 + 1}, 'w')",
            ):
                flow.sql(statement)
            written.set()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        assert written.wait(60)
        write_settings(flow, ["players", "later"], {**PARTITIONED, "later": ["league_id"]})
        cdc.await_saying(f"event=table is captured from now on table={flow.schema}.later")
        cdc.await_saying("event=snapshot complete", times=2)
        cdc.await_saying(f"event=table left the stream table={flow.schema}.notes")
    finally:
        ended.set()
        writer.join()
    flow.match()
    flow.await_that("notes have no verdict", lambda: judged(flow) == {"players", "later"})
    assert {where for table, where in flow.verdicts() if table.endswith(".later")} >= {"league_id=1", "league_id=2"}
    assert all(flow.lake_rows(name) == flow.source_rows(name) for name in ("players", "later"))
    assert flow.lake_rows("notes")
    assert {finding.outcome for finding in audit(flow.settings, None, None, threading.Event())} == {Outcome.MATCH}
    # One process: it neither ended nor started again, and what it took up is what a restart begins with.
    assert cdc.text.count("event=started") == 1
    cdc.kill()
    cdc.start()
    cdc.await_saying("event=stream resumed")
    flow.sql(f"DELETE FROM {flow.schema}.later WHERE id = 1")
    flow.match()
    assert (judged(flow), flow.ended()) == ({"players", "later"}, {})


def test_what_was_taken_up_holds_when_capture_begins_anew_in_the_same_process(flow: Flow) -> None:
    write_settings(flow, ["players", "notes", "later"], PARTITIONED)
    cdc = flow.service("cdc")
    cdc.await_saying("event=snapshot complete", times=2)
    flow.stack.kill("source")
    flow.stack.start_part("source")
    cdc.await_saying("event=unavailable")
    flow.sql(f"UPDATE {flow.schema}.later SET note = 'changed'")
    flow.match()
    flow.assert_equal()
    assert judged(flow) == {"players", "notes", "later"}
    assert "event=table left the stream" not in cdc.text


UNFIT = (
    ("[source\n", "is not TOML"),
    ('[source]\ntabels = ["{0}.players"]\n', "unknown setting source.tabels"),
    ("[source]\ntables = []\n", "selects no table"),
)


def test_settings_that_are_not_fit_are_refused_and_those_of_before_stay(flow: Flow) -> None:
    cdc = flow.service("cdc")
    for number, (text, why) in enumerate(UNFIT, start=1):
        write(flow, text.format(flow.schema))
        cdc.await_saying(REFUSED, times=number)
        line = [line for line in cdc.text.splitlines() if REFUSED in line][-1]
        assert "level=warning" in line
        assert why.format(flow.schema) in line
        flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (7, 'afterwards')")
        flow.match()
        assert judged(flow) == {"players", "notes"}
    # Each is said once; a file that is mended is taken up.
    write_settings(flow, ["players", "notes", "later"], PARTITIONED)
    cdc.await_saying(TAKEN)
    flow.match()
    flow.await_that("all are judged", lambda: judged(flow) == {"players", "notes", "later"})
    assert cdc.text.count(REFUSED) == len(UNFIT)


def test_what_single_tables_are_not_fit_for_is_said_of_them_and_the_choice_is_taken(flow: Flow) -> None:
    flow.sql(f"CREATE TABLE {flow.schema}.old (i INT PRIMARY KEY) ENGINE=MyISAM")
    cdc = flow.service("cdc")
    write_settings(flow, ["players", "notes", "old", "later", "nots"], {**PARTITIONED, "later": ["year(note)"]})
    cdc.await_saying(TAKEN)
    cdc.await_saying(f"no table matches {flow.schema}.nots")
    for name, why in (("old", "it is a base table in MyISAM"), ("later", "cannot partition by a varchar(20)")):
        cdc.await_saying(f"event=table set aside table={flow.schema}.{name}")
        assert why in cdc.text
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (7, 'afterwards')")
    flow.match()
    write_settings(flow, ["players", "notes", "later"], PARTITIONED)
    flow.match()
    flow.await_that("all are judged", lambda: judged(flow) == {"players", "notes", "later"})
    assert (REFUSED in cdc.text, flow.ended()) == (False, {})


def test_other_settings_that_changed_are_named_without_their_values_and_not_taken_up(flow: Flow) -> None:
    more = '[cdc]\nspill_bytes = 5\n[s3]\nsession_token = "not the one"\n'
    write_settings(flow, ["players", "notes"], {"players": []}, more)
    cdc = flow.service("cdc")
    cdc.await_saying("event=changed settings take effect when the service restarts")
    (line,) = [line for line in cdc.text.splitlines() if "take effect when the service restarts" in line]
    assert "cdc.spill_bytes" in line
    assert "s3.session_token" in line
    assert f'tables."{flow.schema}.players"' in line.replace("\\", "")
    assert "not the one" not in cdc.text
    flow.sql(f"INSERT INTO {flow.schema}.notes VALUES (7, 'afterwards')")
    flow.match()
    assert (TAKEN in cdc.text, REFUSED in cdc.text) == (False, False)
