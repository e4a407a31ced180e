"""Rows damaged in the lake are named with what differs: by a whole number, by a text, and without a key."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest

from api.__main__ import row_differ

pytestmark = pytest.mark.live

WITHIN_S = 120.0
LONG = "a name that is longer than a key in a sketch"


def diff(flow: Any, *arguments: str, status: int) -> str:  # noqa: ANN401 - made by tests/flow/conftest.py
    done = subprocess.run(
        [sys.executable, "-m", "commands", "diff", *arguments],
        env=flow.environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (status, "")
    return done.stdout


def named(flow: Any, table: str) -> list[dict[str, Any]]:  # noqa: ANN401 - as above
    """The rows of a table that differ, ordered by kind."""
    answer = json.loads(diff(flow, f"{flow.schema}.{table}", "--json", status=1))
    parts = answer["partitions"]
    assert {(part["state"], part["reason"]) for part in parts} == {("differs", None)}
    assert all(part["differing"] == len(part["rows"]) and part["source_position"]["gtid"] for part in parts)
    return sorted(
        (row for part in parts for row in part["rows"]), key=lambda row: (row["kind"], json.dumps(row["key"]))
    )


def damage(flow: Any, table: str, gone: str, *rows: dict[str, Any], copied: str) -> None:  # noqa: ANN401 - as above
    """Another Iceberg client deletes some rows, and appends others and a copy of one that is there."""
    with contextlib.closing(flow.catalog()) as catalog:
        there = catalog.load_table((flow.schema, table))
        copy = there.scan(row_filter=copied).to_arrow().slice(0, 1)
        assert copy.num_rows == 1
        there.delete(gone)
        schema = there.schema().as_arrow()
        there.append(pa.concat_tables([pa.Table.from_pylist(list(rows), schema=schema), copy.cast(schema)]))


def test_damaged_rows_are_named_with_their_keys_kinds_and_values(standing_flow: Any) -> None:  # noqa: ANN401
    """Four kinds of damage in tables with a key of a number, of a text and without one, all at once."""
    flow = standing_flow
    flow.sql(f"CREATE TABLE {flow.schema}.teams (name VARCHAR(60) PRIMARY KEY, city VARCHAR(20), won BIGINT UNSIGNED)")
    teams = [(f"team {number}", "Graz", number) for number in range(40)] + [(LONG, "Linz", 2**64 - 1)]
    flow.sql(f"INSERT INTO {flow.schema}.teams VALUES " + ", ".join(["%s"] * len(teams)), teams)
    flow.match()
    assert diff(flow, status=0) == "no difference: every partition matches\n"
    first = f"{flow.schema}.players", "league_id=1"
    assert "no difference" in diff(flow, first[0], "--partition", first[1], status=0)

    player = {"player_id": 105, "league_id": 1, "name": "player 105", "rating": 99.5, "born": None}
    extra = player | {"player_id": 9}
    damage(flow, "players", "player_id in (105, 106)", player, extra, copied="player_id == 107")
    changed = {"name": LONG, "city": "Wien", "won": 2**64 - 1}
    unknown = {"name": "nobody's", "city": None, "won": 0}
    damage(flow, "teams", f"name in ('{LONG}', 'team 3')", changed, unknown, copied="name == 'team 4'")
    note, other = {"league_id": 1, "note": "again"}, {"league_id": 1, "note": "never"}
    damage(flow, "notes", "note == 'again' and league_id == 1", note, other, copied="league_id == 2")
    damaged = {first, (f"{flow.schema}.teams", "-"), (f"{flow.schema}.notes", "-")}
    wrong = dict.fromkeys(damaged, "the lake has 1 row too many")
    flow.await_that("both commits to three tables are judged", lambda: flow.mismatches() == wrong)

    for number in range(2):
        change, doubled, more, missing = named(flow, "players")
        assert (change["kind"], change["key"], change["columns"]) == ("changed", {"player_id": 105}, ["rating", "born"])
        assert (change["source"]["rating"], change["lake"]["rating"]) == (15.0, 99.5)
        assert (doubled["kind"], doubled["key"], doubled["copies"]) == ("duplicated", {"player_id": 107}, 1)
        assert len(doubled["files"]) == 2
        assert (more["kind"], more["key"], more["lake"]["name"]) == ("extra_in_lake", {"player_id": 9}, "player 105")
        assert (missing["kind"], missing["key"]) == ("missing_in_lake", {"player_id": 106})
        assert (missing["source"]["name"], missing["lake"]) == ("player 106", None)

        change, doubled, more, missing = named(flow, "teams")
        assert (change["kind"], change["key"], change["columns"]) == ("changed", {"name": LONG}, ["city"])
        assert (change["source"]["city"], change["lake"]["city"]) == ("Linz", "Wien")
        assert (doubled["kind"], doubled["key"]) == ("duplicated", {"name": "team 4"})
        assert (more["kind"], more["key"]) == ("extra_in_lake", {"name": "nobody's"})
        assert (missing["kind"], missing["key"]) == ("missing_in_lake", {"name": "team 3"})

        doubled, more, missing = named(flow, "notes")
        assert (doubled["kind"], doubled["lake"]) == ("duplicated", {"league_id": 2, "note": "again"})
        assert (more["kind"], more["lake"]) == ("extra_in_lake", other)
        assert (missing["kind"], missing["source"], missing["copies"]) == ("missing_in_lake", note, -1)

        # Killed, and with rows that come and go meanwhile, it names the same.
        flow.service("fingerprinter").kill()
        flow.sql(f"INSERT INTO {flow.schema}.players (player_id, league_id) VALUES (%s, 1)", (900 + number,))
        flow.sql(f"DELETE FROM {flow.schema}.teams WHERE name = 'team {9 + number}'")
        flow.service("fingerprinter").start()
        flow.settle()
        flow.await_that("the same is wrong", lambda: flow.mismatches() == wrong)

    with flow.state() as store:
        (result,) = row_differ(flow.settings, store)(first[0], first[1], 1)
    assert (result.count, [row.key for row in result.rows]) == (4, [{"player_id": 9}])
    text = diff(flow, f"{flow.schema}.players", status=1)
    assert "changed          player_id=105  rating: 15.0 -> 99.5  born: '2005-01-31' -> NULL" in text
