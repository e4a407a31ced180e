"""What is exported of the lake is what is live in it, and follows its commits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import duckdb_extension_httpfs
import pytest

from datafingerprint.config import Settings
from tests.services.counted_table import TABLE, CountedTable, counted_table, rows

pytestmark = pytest.mark.live

WITHIN_S = 60.0


@pytest.fixture
def games(stack_settings: Settings, stack_environment: dict[str, str]) -> Iterator[CountedTable]:
    with counted_table(stack_settings, stack_environment) as made:
        yield made


def listed(text: str) -> list[str]:
    return [entry["url"] for entry in json.loads(text)["entries"]]


def test_a_manifest_lists_the_live_files_of_a_snapshot_and_no_others(games: CountedTable, tmp_path: Path) -> None:
    first = games.commit(rows(10))
    old = games.paths()
    games.commit(rows(20))
    new = games.paths()
    assert set(old).isdisjoint(new)
    printed = games.run("export-manifest", TABLE.table)
    assert (printed.exit_code, listed(printed.stdout)) == (0, new)
    sizes = {file.path: file.size_bytes for file in games.lake.files()}
    for entry in json.loads(printed.stdout)["entries"]:
        assert (entry["mandatory"], entry["meta"]["content_length"]) == (True, sizes[entry["url"]])
    assert listed(games.run("export-manifest", TABLE.table, "--snapshot", str(first)).stdout) == old
    written = games.run("export-manifest", TABLE.table, "--output", str(tmp_path / "a.manifest"))
    assert (written.exit_code, written.stdout) == (0, "")
    assert listed((tmp_path / "a.manifest").read_text(encoding="utf-8")) == new


def test_what_cannot_be_exported_is_one_line(games: CountedTable, tmp_path: Path) -> None:
    games.commit(rows(10))
    for arguments, complaint in (
        (("ootp.nothing",), "table ootp.nothing is not captured: captured tables: ootp.games"),
        ((TABLE.table, "--snapshot", "99"), "the lake has no such snapshot of ootp.games: check that"),
        ((TABLE.table, "--output", str(tmp_path / "no" / "folder")), f"cannot write {tmp_path}/no/folder (No such"),
    ):
        refused = games.run("export-manifest", *arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert refused.stderr.startswith(f"datafingerprint: {complaint}")
        assert refused.stderr.count("\n") == 1


def test_a_printed_statement_lists_the_files_of_its_snapshot(games: CountedTable) -> None:
    first = games.commit(rows(10))
    (old,) = games.paths()
    games.commit(rows(20))
    (new,) = games.paths()
    present = games.run("sql", "duckdb", TABLE.table).stdout
    assert (new in present, old in present) == (True, False)
    before = games.run("sql", "duckdb", TABLE.table, "--snapshot", str(first)).stdout
    assert (new in before, old in before) == (False, True)
    refused = games.run("sql", "duckdb", TABLE.table, "--snapshot", "99")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "datafingerprint: the lake has no snapshot 99 of ootp.games: check that the lake writer runs\n",
    )
    refused = games.run("sql", "duckdb", "--all", "--snapshot", "99")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "datafingerprint: a snapshot belongs to one table: leave out --all or --snapshot\n",
    )


def test_a_printed_statement_of_duckdb_says_how_it_is_run(games: CountedTable, stack_settings: Settings) -> None:
    snapshot = games.commit(rows(10))
    said = games.run("sql", "duckdb", TABLE.table).stdout
    host = stack_settings.s3.endpoint.removeprefix("http://")
    assert f"live files of snapshot {snapshot}." in said
    (line,) = (item.removeprefix("--   ") for item in said.splitlines() if "CREATE SECRET" in item)
    assert f"ENDPOINT '{host}', URL_STYLE 'path', USE_SSL false);" in line
    assert stack_settings.s3.secret_key.get_secret_value() not in said
    keys = {
        "KEY_ID '...'": stack_settings.s3.access_key,
        "SECRET '...'": stack_settings.s3.secret_key.get_secret_value(),
    }
    for form, value in keys.items():
        line = line.replace(form, form.replace("...", value))
    extension = next(Path(duckdb_extension_httpfs.__file__).parent.rglob("httpfs.duckdb_extension"))
    with duckdb.connect() as connection:
        connection.load_extension(str(extension))
        connection.execute(line)
        # Pasted as it is, comment and all.
        counted = connection.execute(said).fetchall()
    assert sum(row[1] for row in counted) == 10


def test_a_metastore_is_written_again_after_each_commit_until_it_is_told_to_stop(
    games: CountedTable, tmp_path: Path
) -> None:
    folder = tmp_path / "metastore"
    games.commit(rows(10))
    once = games.run("export-catalog", str(folder))
    assert once.exit_code == 0
    file = folder / "ootp" / "games" / ".prestoSchema"
    location = json.loads(file.read_text())["parameters"]["metadata_location"]
    assert once.stdout == f"ootp.games  {location}\n"
    command = [sys.executable, "-m", "commands", "export-catalog", str(folder), "--follow", "--every-s", "0.1"]
    with subprocess.Popen(command, env={**games.environment}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(WITHIN_S, process.kill)
        watchdog.start()
        assert process.stdout.readline() == f"ootp.games  {location}\n"
        games.commit(rows(20))
        told = process.stdout.readline().split()[1]
        assert told == json.loads(file.read_text())["parameters"]["metadata_location"] != location
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        watchdog.cancel()
