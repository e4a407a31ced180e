"""Glue is told of each commit, and an Iceberg library finds the lake's rows by what it was told.

Glue is a stand-in here: moto's server. That proves the calls and what is told by them; Amazon's own was never asked,
and the stand-in does not refuse an update that somebody else's came before.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pyiceberg.catalog.glue import GlueCatalog

from datafingerprint.adapters.iceberg.connection import open_connection
from datafingerprint.adapters.iceberg.glue import GlueCopy
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, ConflictError
from deploy.embedded.ports import free_ports
from tests.services.counted_table import TABLE, CountedTable, counted_table, rows

pytestmark = pytest.mark.engines

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def glue() -> Iterator[str]:
    """The stand-in's URL."""
    server = pytest.importorskip("moto.server", reason="NOT RUN: Glue's stand-in is not installed")
    (port,) = free_ports(1)
    started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    started.start()
    yield f"http://127.0.0.1:{port}"
    started.stop()


@pytest.fixture
def games(stack_settings: Settings, stack_environment: dict[str, str], glue: str) -> Iterator[CountedTable]:
    with client(glue, stack_settings) as there, contextlib.suppress(ClientError):
        there.delete_database(Name=TABLE.schema)
    with counted_table(stack_settings, stack_environment) as made:
        yield made


@contextlib.contextmanager
def client(glue: str, settings: Settings) -> Iterator[Any]:
    """A plain client."""
    session = boto3.Session(aws_access_key_id="k", aws_secret_access_key="s", region_name=settings.s3.region)
    with contextlib.closing(session.client("glue", endpoint_url=glue)) as made:
        yield made


def found(glue: str, settings: Settings) -> int:
    """How many rows an Iceberg library reads that knows Glue alone."""
    s3 = settings.s3
    properties = {
        "glue.endpoint": glue,
        "glue.region": s3.region,
        "glue.access-key-id": "k",
        "glue.secret-access-key": "s",
        "s3.endpoint": s3.endpoint,
        "s3.region": s3.region,
        "s3.access-key-id": s3.access_key,
        "s3.secret-access-key": s3.secret_key.get_secret_value(),
    }
    table = GlueCatalog("copy", **properties).load_table((TABLE.schema, TABLE.name))
    return len(table.scan().to_arrow())


def test_an_iceberg_library_finds_the_rows_of_the_commit_that_glue_was_told_of(games: CountedTable, glue: str) -> None:
    games.commit(rows(10))
    first = games.run("export-glue", "--endpoint", glue)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.startswith(f"{TABLE.table}  s3://")
    assert found(glue, games.settings) == 10
    games.commit(rows(25))
    assert found(glue, games.settings) == 10
    assert games.run("export-glue", "--endpoint", glue).exit_code == 0
    assert found(glue, games.settings) == 25
    with client(glue, games.settings) as there:
        entry = there.get_table(DatabaseName=TABLE.schema, Name=TABLE.name)["Table"]
        assert entry["Parameters"]["previous_metadata_location"] == first.stdout.split()[1]
        assert [(column["Name"], column["Type"]) for column in entry["StorageDescriptor"]["Columns"]] == [
            ("id", "int"),
            ("league", "int"),
        ]
        # What it knows already it is not told again.
        assert games.run("export-glue", "--endpoint", glue).exit_code == 0
        assert there.get_table(DatabaseName=TABLE.schema, Name=TABLE.name)["Table"]["VersionId"] == entry["VersionId"]


def test_glue_is_told_of_every_commit_while_it_follows(games: CountedTable, glue: str) -> None:
    games.commit(rows(1))
    command = [sys.executable, "-m", "commands", "export-glue", "--endpoint", glue, "--follow", "--every-s", "0.1"]
    with subprocess.Popen(command, env=games.environment, stdout=subprocess.PIPE, text=True) as following:
        try:
            assert following.stdout is not None
            for count in (7, 8):
                following.stdout.readline()
                assert found(glue, games.settings) == (1 if count == 7 else 7)
                games.commit(rows(count))
            following.stdout.readline()
            assert found(glue, games.settings) == 8
            following.send_signal(signal.SIGTERM)
            assert following.wait(WITHIN_S) == 0
        finally:
            following.kill()


def test_a_table_that_is_none_of_icebergs_is_left_as_it_is(games: CountedTable, glue: str) -> None:
    games.commit(rows(10))
    with client(glue, games.settings) as there:
        there.create_database(DatabaseInput={"Name": TABLE.schema})
        there.create_table(DatabaseName=TABLE.schema, TableInput={"Name": TABLE.name, "Parameters": {"mine": "yes"}})
        refused = games.run("export-glue", "--endpoint", glue)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("datafingerprint: ootp.games is in Glue, but is not an Iceberg table at http")
        assert there.get_table(DatabaseName=TABLE.schema, Name=TABLE.name)["Table"]["Parameters"] == {"mine": "yes"}


def test_a_glue_that_is_away_or_is_none_is_one_line(games: CountedTable) -> None:
    games.commit(rows(10))
    (port,) = free_ports(1)
    away = games.run("export-glue", "--endpoint", f"http://127.0.0.1:{port}")
    assert away.exit_code == 2
    assert away.stderr.startswith("datafingerprint: looking for ootp.games: Glue is away (Could not connect")
    assert away.stderr.count("\n") == 1
    with pytest.raises(ConfigError, match="--endpoint is not a URL"):
        GlueCopy(games.settings.s3, "127.0.0.1:5000")


def test_an_entry_that_somebody_else_has_put_meanwhile_is_not_replaced(games: CountedTable, glue: str) -> None:
    """What Glue answers to an old version is said by this test: the stand-in takes any."""
    games.commit(rows(10))

    def update_table(**given: object) -> None:
        versions.append(given["VersionId"])
        raise ClientError(
            {"Error": {"Code": "ConcurrentModificationException", "Message": "Version mismatch"}}, "UpdateTable"
        )

    versions: list[object] = []
    there = {"Parameters": {"table_type": "ICEBERG", "metadata_location": "s3://old"}, "VersionId": "7"}
    with contextlib.closing(GlueCopy(games.settings.s3, glue)) as copy:
        copy._client = SimpleNamespace(
            get_table=lambda **_: {"Table": there}, update_table=update_table, close=lambda: None
        )
        with (
            contextlib.closing(open_connection(games.settings)) as connection,
            pytest.raises(ConflictError, match=r"updating ootp\.games in Glue: another client was first"),
        ):
            copy.update(connection, [TABLE])
    assert versions == ["7"]
