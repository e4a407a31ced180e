"""A whole export of seventy tables, most of them without a key, is loaded and watched, and agrees on every side."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path

import pytest

from datafingerprint.verdict import Outcome
from services.auditor.__main__ import run as audit
from services.generator.progress import PROGRESS
from tests.flow.running import Flow
from tests.flow.wide_export import LACKING, made_up, write_export

pytestmark = pytest.mark.live

READ_ROW_BY_ROW = ("finals", "pitch_splits", "players", "speakers", "trainers")


def test_the_export_is_as_wide_as_a_league_s(tmp_path: Path) -> None:
    names = write_export(tmp_path / "export")
    assert len(set(names)) == 70
    text = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "export").iterdir())
    keys = re.findall(r"PRIMARY KEY \((.*)\)", text)
    assert 70 - len(keys) == 37
    assert max(key.count(",") for key in keys) == 3
    assert len(re.findall(r"` DOUBLE\b", text)) == 283


def test_an_export_of_seventy_tables_is_loaded_and_watched_and_every_partition_matches(
    flow: Flow,
    tmp_path: Path,
) -> None:
    names = write_export(tmp_path / "export")
    generate = flow.service("commands", "generate", "--seed-dir", str(tmp_path / "export"), label="generate")
    generate.start()
    assert generate.wait(60) == 2
    assert f"the league cannot be played: the export lacks {', '.join(LACKING)} at" in generate.text
    assert generate.text.count("event=loaded") == 70
    flow.start()
    flow.match()
    change_every_table(flow)
    flow.match()
    assert not flow.mismatches()
    assert {table for table, _ in flow.verdicts()} == {f"{flow.schema}.{name}" for name in (*names, PROGRESS)}
    for name in READ_ROW_BY_ROW:
        assert flow.lake_rows(name) == flow.source_rows(name)
    findings = audit(flow.settings, None, None, threading.Event())
    assert {(finding.table, finding.outcome) for finding in findings} == {
        (f"{flow.schema}.{name}", Outcome.MATCH) for name in (*names, PROGRESS)
    }


def change_every_table(flow: Flow) -> None:
    """A row of each is deleted, where there is no key one of several that are the same; one is copied, or changed."""
    connection = flow.stack.blueprint.warehouse.connect()
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"USE {flow.schema}")
        for table in made_up():
            cursor.execute(f"DELETE FROM {table.name} LIMIT 1")
            if table.types:
                column = table.column(len(table.types) - 1)
                cursor.execute(f"UPDATE {table.name} SET {column} = NULL WHERE {column} IS NOT NULL LIMIT 3")
            if not table.key:
                cursor.execute(f"INSERT INTO {table.name} SELECT * FROM {table.name} LIMIT 2")
        connection.commit()
