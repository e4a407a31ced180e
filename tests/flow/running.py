"""A flow of real services as processes, and a check of its lake that knows nothing of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import duckdb
import pytest
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog

from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings, load_settings
from datafingerprint.ledger import StoredEpoch, StoredVerdict
from datafingerprint.table_names import table_name
from datafingerprint.verdict import Outcome
from datafingerprint.wire import encoded_name
from deploy.embedded.part import last_lines
from deploy.embedded.process import end_with_parent
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.waiting import await_condition

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SERVICES = ("cdc", "lake_writer", "fingerprinter")
CONSOLE = "commands"
LOG_LINES = 40
STOP_WITHIN_S = 30.0
SETTLE_WITHIN_S = 90.0

LIMIT_S = 600.0
"""How long a test waits for one condition at most, however much progress there is."""

Rows = Counter[tuple[Any, ...]]


@dataclass
class Stall:
    """Notices that a measure of progress has not changed for some time."""

    progress: Callable[[], int]
    after_s: float
    seen: int = -1
    since: float = 0.0

    def is_stalled(self) -> bool:
        now, progress = time.monotonic(), self.progress()
        if progress != self.seen:
            self.seen, self.since = progress, now
        return now - self.since > self.after_s


def await_progress(holds: Callable[[], bool], progress: Callable[[], int], *, stalled_s: float) -> None:
    """Waits for a condition until nothing has changed for some time; a busy machine is no reason to fail."""
    stall = Stall(progress, stalled_s)
    await_condition(lambda: holds() or stall.is_stalled(), timeout_s=LIMIT_S, pause_s=0.1)


@dataclass
class Service:
    """One service as a child process; its log goes on over restarts."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, **more: str) -> None:
        command = [*end_with_parent("KILL"), sys.executable, "-m", self.module, *self.arguments]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env={**self.environment, **more}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    @property
    def module(self) -> str:
        """What is run: a service by its name, or the console script."""
        return self.name if self.name == CONSOLE else f"services.{self.name}"

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
        """Its log; of one in text, values are without the quotation marks around those with spaces."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        if self.environment.get("DFP_LOG_FORMAT") == "json":
            return text
        return text.replace('\\"', "\0").replace('"', "").replace("\0", '"')

    def says(self, text: str, times: int = 1) -> bool:
        return self.text.count(text) >= times

    def await_saying(self, text: str, *, times: int = 1, within_s: float = 60.0) -> None:
        await_progress(
            lambda: self.says(text, times) or not self.is_running, lambda: self.log.stat().st_size, stalled_s=within_s
        )
        assert self.says(text, times), f"{self.name} did not say {text!r} {times} times"


@dataclass
class Flow:
    """A whole flow of one test: its services, its schema on the source, its lake and its state store."""

    stack: EmbeddedStack
    environment: dict[str, str]
    settings: Settings
    directory: Path
    services: dict[str, Service] = field(default_factory=dict)
    stores: dict[tuple[str, int], SqlStateStore] = field(default_factory=dict)

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
            rows = list(cursor.fetchall())
            connection.commit()
            return rows

    @property
    def source_gtid(self) -> str:
        return self.stack.blueprint.warehouse.gtid()

    @property
    def source_moment(self) -> int:
        """How many transactions the source has committed in its life."""
        return int(self.source_gtid.split("-")[-1] or 0)

    @contextlib.contextmanager
    def state(self) -> Iterator[SqlStateStore]:
        """The state store. No connection is kept, because tests damage and delete its file."""
        url = self.settings.state.database.get_secret_value()
        file = Path(url.removeprefix("sqlite:///"))
        key = url, file.stat().st_ino if file.is_file() else 0
        if key not in self.stores:
            self.stores = {key: SqlStateStore(url)}
        with contextlib.closing(self.stores[key]) as store:
            yield store

    def judged_epoch(self) -> StoredEpoch | None:
        """The epoch of the last lake commit that was compared; None before the first."""
        with self.state() as store:
            return store.epoch(store.progress().lake_epoch)

    def judged_gtid(self) -> str:
        """The source's position of the last lake commit that was compared; empty before the first."""
        stored = self.judged_epoch()
        return stored.epoch.position.gtid if stored else ""

    def is_settled(self, gtid: str) -> bool:
        """Whether the lake was compared at this position with every snapshot begun and complete."""
        stored = self.judged_epoch()
        if stored is None or stored.epoch.position.gtid != gtid:
            return False
        epoch = stored.epoch
        return not epoch.awaiting_snapshot and all(
            cursor.complete for name, cursor in epoch.snapshots.items() if name not in epoch.set_aside
        )

    def verdicts(self) -> dict[tuple[str, str], StoredVerdict]:
        with self.state() as store:
            return {(verdict.table, verdict.partition): verdict for verdict in store.verdicts()}

    def mismatches(self) -> dict[tuple[str, str], str]:
        """Partitions that do not match, with the reason."""
        return {
            where: item.verdict.reason
            for where, item in self.verdicts().items()
            if item.verdict.outcome is not Outcome.MATCH
        }

    def await_that(self, what: str, holds: Callable[[], bool], *, within_s: float = SETTLE_WITHIN_S) -> None:
        """Waits for a condition while every started service runs, and while the services make progress.

        Args:
            what: The condition in words.
            holds: The condition.
            within_s: How long nothing may be logged before the wait fails. A slow machine only takes longer.
        """
        await_progress(lambda: bool(self.ended()) or holds(), self.logged_bytes, stalled_s=within_s)
        assert not self.ended(), f"ended by themselves: {self.ended()}"
        assert holds(), f"no progress for {within_s:.0f} s: {what}; mismatches: {self.mismatches()}"

    def logged_bytes(self) -> int:
        """How much all services have logged."""
        return sum(service.log.stat().st_size for service in self.services.values() if service.log.exists())

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
        self.await_that(f"judged at {gtid}", lambda: self.is_settled(gtid))

    def match(self) -> None:
        """Waits until all partitions match there; a table that is read again has several epochs at one position."""
        self.settle()
        self.await_that("all match", lambda: not self.mismatches())

    def source_rows(self, table: str) -> Rows:
        """All rows of a table as a plain client sees them."""
        name = table.replace("`", "``")
        return Counter(self.sql(f"SELECT * FROM `{self.schema}`.`{name}`"))

    def tables(self) -> list[str]:
        return [
            name
            for (name,) in self.sql(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (self.schema,)
            )
        ]

    def catalog(self) -> SqlCatalog | RestCatalog | GlueCatalog:
        """The lake as any Iceberg engine opens it."""
        s3, lake = self.settings.s3, self.settings.lake
        kinds: dict[str, type[SqlCatalog | RestCatalog | GlueCatalog]] = {"rest": RestCatalog, "glue": GlueCatalog}
        return kinds.get(lake.catalog_kind, SqlCatalog)(
            "datafingerprint",
            **{
                **lake.options,
                "client.region": s3.region,
                "client.access-key-id": s3.access_key,
                "client.secret-access-key": s3.secret_key.get_secret_value(),
                "uri": lake.database.get_secret_value(),
                "s3.endpoint": s3.endpoint,
                "s3.region": s3.region,
                "s3.access-key-id": s3.access_key,
                "s3.secret-access-key": s3.secret_key.get_secret_value(),
            },
        )

    def live_files(self, table: str) -> list[str]:
        """Paths of a table's live files, by a scan's plan."""
        with contextlib.closing(self.catalog()) as catalog:
            identifier = (encoded_name(self.schema), encoded_name(table))
            if not catalog.table_exists(identifier):
                return []
            return sorted(task.file.file_path for task in catalog.load_table(identifier).scan().plan_files())

    def s3(self) -> S3Client:
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
                file = connection.read_parquet(str(local), hive_partitioning=False)
                types = {name: str(kind) for name, kind in zip(file.columns, file.types, strict=True)}
                rows.update(file.project(", ".join(_read_as(name, types) for name in columns)).fetchall())
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
        assert judged == {table_name(self.schema, table) for table in self.tables() if self.source_rows(table)}

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


def _read_as(name: str, types: dict[str, str]) -> str:
    """A column of a lake file as the source's client shows it: a TIMESTAMP as a time of UTC that names no zone."""
    if name not in types:
        return "NULL"
    column = '"' + name.replace('"', '""') + '"'
    return f"make_timestamp(epoch_us({column}))" if types[name] == "TIMESTAMP WITH TIME ZONE" else column


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
            f'[tables."{name}"]\n' + "".join(f"{setting} = {json.dumps(words)}\n" for setting, words in item.items())
            for name, item in tables.items()
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
    players = [
        (
            100 * league + number,
            league,
            f"player {100 * league + number}",
            (100 * league + number) / 7,
            f"20{number:02}-01-31",
        )
        for league in LEAGUES
        for number in range(PLAYERS_PER_LEAGUE)
    ]
    made.sql(f"INSERT INTO {made.schema}.players VALUES " + ", ".join(["%s"] * len(players)), players)
    for league in LEAGUES:
        made.sql(f"INSERT INTO {made.schema}.notes VALUES (%s, 'again'), (%s, 'again'), (NULL, NULL)", (league, league))
