"""What the tests of the whole flow share: the services as processes, and a check that knows nothing of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import Settings, load_settings
from datafingerprint.ledger import StoredVerdict
from datafingerprint.verdict import Outcome
from deploy.embedded.part import last_lines
from deploy.embedded.process import end_with_parent
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.waiting import await_condition

SERVICES = ("cdc", "lake_writer", "fingerprinter")
LOG_LINES = 40
STOP_WITHIN_S = 30.0
SETTLE_WITHIN_S = 90.0

Rows = Counter[tuple[Any, ...]]


@dataclass
class Service:
    """One service as a child process; its log goes on over restarts."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, **more: str) -> None:
        command = [*end_with_parent("KILL"), sys.executable, "-m", f"services.{self.name}", *self.arguments]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env={**self.environment, **more}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @property
    def child(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, f"{self.name} was never started"
        return self.process

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Kill -9; that it still runs until then is a promise too: a service never ends by itself."""
        assert self.child.poll() is None, f"{self.name} ended by itself with status {self.child.returncode}"
        self.child.kill()
        self.child.wait()

    def end(self, within_s: float = STOP_WITHIN_S) -> int:
        """SIGTERM; the status that it ends with."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(within_s)

    def wait(self, timeout_s: float) -> int:
        return self.child.wait(timeout_s)

    @property
    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def says(self, text: str, times: int = 1) -> bool:
        return self.text.count(text) >= times

    def await_saying(self, text: str, *, times: int = 1, within_s: float = 60.0) -> None:
        await_condition(lambda: self.says(text, times) or not self.is_running, timeout_s=within_s)
        assert self.says(text, times), f"{self.name} did not say {text!r} {times} times"


@dataclass
class Flow:
    """A whole flow of one test: its services, its schema on the source, its lake and its state store."""

    stack: EmbeddedStack
    environment: dict[str, str]
    settings: Settings
    directory: Path
    services: dict[str, Service] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        return self.settings.generator.schema_name

    def service(self, name: str, *arguments: str, label: str = "") -> Service:
        """A service of this flow; the same name and label give the same one."""
        key = label or name
        if key not in self.services:
            self.services[key] = Service(name, arguments, self.environment, self.directory / f"{key}.log")
        return self.services[key]

    def start(self, *names: str) -> None:
        for name in names or SERVICES:
            self.service(name).start()

    def seed(self) -> None:
        """Loads the league's tables, which must be there before capture is."""
        seeding = self.service("generator", "--seed-only", label="seeding")
        seeding.start()
        assert seeding.wait(60) == 0

    def sql(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Runs one statement on the source, by a connection of its own."""
        with (
            contextlib.closing(self.stack.blueprint.warehouse.connect()) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, values or None)
            found = list(cursor.fetchall())
            connection.commit()
            return found

    @property
    def source_gtid(self) -> str:
        return self.stack.blueprint.warehouse.gtid()

    @property
    def source_moment(self) -> int:
        """How many transactions the source has committed in its life."""
        return int(self.source_gtid.split("-")[-1] or 0)

    @contextlib.contextmanager
    def state(self) -> Iterator[SqlStateStore]:
        with contextlib.closing(SqlStateStore(self.settings.state.url.get_secret_value())) as store:
            yield store

    def judged_gtid(self) -> str:
        """The source's position that the last judged lake commit stands at; empty before the first."""
        with self.state() as store:
            stored = store.epoch(store.progress().lake_epoch)
            return stored.epoch.position.gtid if stored else ""

    def is_read(self) -> bool:
        """Whether no table is being read at the last judged lake commit: those epochs all stand at one position."""
        with self.state() as store:
            stored = store.epoch(store.progress().lake_epoch)
            return stored is not None and all(one.complete for one in stored.epoch.snapshots.values())

    def verdicts(self) -> dict[tuple[str, str], StoredVerdict]:
        with self.state() as store:
            return {(one.table, one.partition): one for one in store.verdicts()}

    def mismatches(self) -> dict[tuple[str, str], str]:
        """Partitions that do not match, with the reason."""
        return {
            where: one.verdict.reason
            for where, one in self.verdicts().items()
            if one.verdict.outcome is not Outcome.MATCH
        }

    def await_that(self, what: str, holds: Callable[[], bool], *, within_s: float = SETTLE_WITHIN_S) -> None:
        """Waits for a condition, as long as every service that was started is still running."""
        await_condition(lambda: bool(self.ended()) or holds(), timeout_s=within_s, pause_s=0.1)
        assert not self.ended(), f"ended by themselves: {self.ended()}"
        assert holds(), f"not within {within_s:.0f} s: {what}; mismatches: {self.mismatches()}"

    def ended(self) -> dict[str, int | None]:
        """Services that ended although they should run."""
        return {
            name: self.services[name].child.poll()
            for name in SERVICES
            if name in self.services and self.services[name].process and not self.services[name].is_running
        }

    def settle(self) -> None:
        """Waits until the lake has been judged at the source's present position, all tables read to their ends."""
        gtid = self.source_gtid
        self.await_that(f"judged at {gtid}", lambda: self.judged_gtid() == gtid and self.is_read())

    def match(self) -> None:
        """Waits until all partitions match there; a table that is read again has several epochs at one position."""
        self.settle()
        self.await_that("all match", lambda: not self.mismatches())

    def source_rows(self, table: str) -> Rows:
        """All rows of a table as a plain client sees them."""
        return Counter(self.sql(f"SELECT * FROM `{self.schema}`.`{table}`"))

    def tables(self) -> list[str]:
        return [
            name
            for (name,) in self.sql(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (self.schema,)
            )
        ]

    def catalog(self) -> SqlCatalog:
        """The lake as any Iceberg engine opens it."""
        s3 = self.settings.s3
        return SqlCatalog(
            "datafingerprint",
            **{
                "uri": self.settings.lake.catalog.get_secret_value(),
                "s3.endpoint": s3.endpoint,
                "s3.region": s3.region,
                "s3.access-key-id": s3.access_key,
                "s3.secret-access-key": s3.secret_key.get_secret_value(),
            },
        )

    def live_files(self, table: str) -> list[str]:
        """Paths of a table's live files, by a scan's plan."""
        with contextlib.closing(self.catalog()) as catalog:
            if not catalog.table_exists((self.schema, table)):
                return []
            return sorted(task.file.file_path for task in catalog.load_table((self.schema, table)).scan().plan_files())

    def s3(self) -> Any:  # noqa: ANN401 - boto3's clients are made at run time
        s3 = self.settings.s3
        return boto3.client(
            "s3",
            endpoint_url=s3.endpoint,
            region_name=s3.region,
            aws_access_key_id=s3.access_key,
            aws_secret_access_key=s3.secret_key.get_secret_value(),
        )

    def get_object(self, path: str) -> bytes:
        bucket, _, key = path.removeprefix("s3://").partition("/")
        with contextlib.closing(self.s3()) as client:
            return bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def put_object(self, path: str, octets: bytes) -> None:
        bucket, _, key = path.removeprefix("s3://").partition("/")
        with contextlib.closing(self.s3()) as client:
            client.put_object(Bucket=bucket, Key=key, Body=octets)

    def delete_object(self, path: str) -> None:
        bucket, _, key = path.removeprefix("s3://").partition("/")
        with contextlib.closing(self.s3()) as client:
            client.delete_object(Bucket=bucket, Key=key)

    def lake_rows(self, table: str) -> Rows:
        """All rows of a table's live files, read by plain DuckDB; a column that a file lacks is NULL in it."""
        folder = self.directory / "fetched"
        folder.mkdir(exist_ok=True)
        rows: Rows = Counter()
        columns = [
            name
            for (name,) in self.sql(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
                "ORDER BY ordinal_position",
                (self.schema, table),
            )
        ]
        for path in self.live_files(table):
            local = folder / "file.parquet"
            local.write_bytes(self.get_object(path))
            with contextlib.closing(duckdb.connect()) as connection:
                found = connection.execute("SELECT name FROM parquet_schema(?)", [str(local)]).fetchall()
                names = ", ".join(f'"{name}"' if (name,) in found else "NULL" for name in columns)
                rows.update(
                    connection.execute(
                        f"SELECT {names} FROM read_parquet(?, hive_partitioning = false)", [str(local)]
                    ).fetchall()
                )
        return rows

    def assert_equal(self) -> int:
        """Every table of the lake holds the source's rows, row for row; returns how many rows those are."""
        total = 0
        for table in self.tables():
            source, lake = self.source_rows(table), self.lake_rows(table)
            assert lake == source, (
                f"{table}: lacking {list((source - lake).items())[:3]}, more {list((lake - source).items())[:3]}"
            )
            total += source.total()
        return total

    def assert_all_match(self) -> None:
        """There are verdicts, on every table that has rows, and each of them is a match."""
        assert not self.mismatches()
        judged = {table for table, _ in self.verdicts()}
        assert judged == {f"{self.schema}.{table}" for table in self.tables() if self.source_rows(table)}

    def end(self) -> None:
        """Ends what still runs; only processes that this flow started."""
        for service in self.services.values():
            if service.is_running:
                service.child.kill()
                service.child.wait()

    def logs(self) -> str:
        return "\n".join(
            f"--- {name}\n" + "\n".join(last_lines(service.log, LOG_LINES)) for name, service in self.services.items()
        )


LEAGUE_PARTITIONS = {"games": ["year(date)"], "players": ["league_id"], "players_game_batting": ["year", "league_id"]}
SMALL_PARTITIONS = {"players": ["league_id"]}


def build_flow(
    stack: EmbeddedStack,
    environment: dict[str, str],
    directory: Path,
    partitions: dict[str, list[str]],
    as_bytes: dict[str, list[str]] | None = None,
) -> Flow:
    """A flow with the partition fields, and the columns carried as bytes, of some tables set in a file of its own."""
    schema, octets = environment["DFP_GENERATOR_SCHEMA_NAME"], as_bytes or {}
    tables = {
        f"{schema}.{table}": {"partition": partitions.get(table, []), "as_bytes": octets.get(table, [])}
        for table in {**partitions, **octets}
    }
    config = directory / "datafingerprint.toml"
    config.write_text(
        "".join(
            f'[tables."{name}"]\n' + "".join(f"{setting} = {json.dumps(words)}\n" for setting, words in one.items())
            for name, one in tables.items()
        ),
        encoding="utf-8",
    )
    others = {name: value for name, value in os.environ.items() if not name.startswith("DFP_")}
    return Flow(
        stack,
        {**others, **environment, "DFP_CONFIG": str(config)},
        load_settings({"tables": tables}, environment),
        directory,
    )


@contextlib.contextmanager
def ending(made: Flow, request: pytest.FixtureRequest) -> Iterator[Flow]:
    """Ends the flow's services; when a test has failed meanwhile, the ends of all logs are shown."""
    failed_before = request.session.testsfailed
    try:
        yield made
    finally:
        made.end()
        if request.session.testsfailed > failed_before:
            sys.stderr.write(made.logs())


@pytest.fixture
def flow(
    stack: EmbeddedStack, stack_environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Flow]:
    """The flow of one test, over the league's tables."""
    with ending(build_flow(stack, stack_environment, tmp_path, LEAGUE_PARTITIONS), request) as made:
        yield made


@pytest.fixture
def small_flow(
    stack: EmbeddedStack, stack_environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Flow]:
    """The flow of one test, over two small tables."""
    with ending(build_flow(stack, stack_environment, tmp_path, SMALL_PARTITIONS), request) as made:
        create_small_tables(made)
        yield made


@pytest.fixture(scope="module")
def standing_flow(
    stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Flow]:
    """One flow for all tests of a module, over two small tables; all its services run, and every partition matches."""
    directory = tmp_path_factory.mktemp("standing")
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    environment = {
        **stack.environment(),
        "DFP_SOURCE_TABLES": f"{name}.*",
        "DFP_GENERATOR_SCHEMA_NAME": name,
        "DFP_KAFKA_PREFIX": name,
        "DFP_LAKE_PATH": name,
        "DFP_LAKE_CATALOG": f"sqlite:///{directory}/catalog.db",
        "DFP_STATE_URL": f"sqlite:///{directory}/state.db",
        "DFP_LAKE_FLUSH_S": "0.2",
        "DFP_CDC_EPOCH_S": "0.2",
        "DFP_CDC_HEARTBEAT_S": "0.5",
        "DFP_FINGERPRINTER_ETAG_CHECK_S": "0.5",
        "DFP_FINGERPRINTER_POLL_S": "0.5",
    }
    with ending(build_flow(stack, environment, directory, SMALL_PARTITIONS), request) as made:
        create_small_tables(made)
        made.start()
        made.settle()
        # The position alone may be that of an epoch at which the first snapshot was not complete.
        made.await_that("both tables match", lambda: len(made.verdicts()) > len(LEAGUES) and not made.mismatches())
        made.assert_all_match()
        yield made


LEAGUES = (1, 2, 3)
PLAYERS_PER_LEAGUE = 20


def create_small_tables(made: Flow) -> None:
    """`players` with a key, in a partition per league; `notes` without a key, some rows in several copies."""
    made.sql(f"CREATE DATABASE IF NOT EXISTS {made.schema}")
    made.sql(
        f"CREATE TABLE {made.schema}.players (player_id INT PRIMARY KEY, league_id INT NOT NULL, "
        "name VARCHAR(50), rating DOUBLE, born DATE)"
    )
    made.sql(f"CREATE TABLE {made.schema}.notes (league_id INT, note VARCHAR(50))")
    for league in LEAGUES:
        for number in range(PLAYERS_PER_LEAGUE):
            player = 100 * league + number
            made.sql(
                f"INSERT INTO {made.schema}.players VALUES (%s, %s, %s, %s, %s)",
                (player, league, f"player {player}", player / 7, f"20{number:02}-01-31"),
            )
        made.sql(f"INSERT INTO {made.schema}.notes VALUES (%s, 'again'), (%s, 'again'), (NULL, NULL)", (league, league))
