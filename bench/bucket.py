"""Many small commits to the lake: bucket and state store should stay level in size.

`./run bench bucket [--commits N] [--every N] [--grace-s S]`

The parts are real and private to the run. Rows are added and deleted, so their number stays level. What grows is what
no cleanup removes.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Service
from datafingerprint import wire
from datafingerprint.adapters.iceberg.connection import s3_client
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings, load_settings
from datafingerprint.verdict import Outcome
from deploy.embedded.stack import EmbeddedStack

SERVICES = ("cdc", "lake_writer", "fingerprinter")
TABLE = "bench.rounds"
ROWS = 300
PARTITIONS = 3
WITHIN_S = 60.0
COMMITTED = "lake committed"
"""The lake writer's log line for each commit with rows."""


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench bucket", description=__doc__.splitlines()[0])
    parser.add_argument("--commits", type=int, default=500, help="commits to make")
    parser.add_argument("--every", type=int, default=50, help="commits between two lines")
    parser.add_argument("--grace-s", type=float, default=5.0, help="seconds that files stay which nothing refers to")
    return parser.parse_args()


@dataclass
class Rounds:
    """The parts and services, over one table in three partitions."""

    stack: EmbeddedStack
    directory: Path
    variables: dict[str, str]

    @property
    def settings(self) -> Settings:
        """The services' variables."""
        return load_settings({"tables": {TABLE: {"partition": ["league"]}}}, self.variables)

    def prepare(self) -> dict[str, Service]:
        """Creates the table and starts the services."""
        config = f'[tables."{TABLE}"]\npartition = ["league"]\n'
        (self.directory / "datafingerprint.toml").write_text(config, encoding="utf-8")
        self.execute(
            "CREATE DATABASE IF NOT EXISTS bench",
            f"CREATE TABLE {TABLE} (id INT PRIMARY KEY, league INT NOT NULL, name VARCHAR(50))",
            f"INSERT INTO {TABLE} VALUES " + ", ".join(_row(number) for number in range(ROWS)),
        )
        services = {name: Service(name, self.variables, self.directory) for name in SERVICES}
        for service in services.values():
            service.start()
        return services

    def execute(self, *statements: str) -> None:
        """Runs all statements in one transaction."""
        warehouse = self.stack.blueprint.warehouse
        with contextlib.closing(warehouse.connect_as_administrator()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def commit(self, number: int, writer: Service) -> None:
        """Inserts, updates and deletes a row, and waits until the lake has it."""
        before = writer.log.read_text(encoding="utf-8").count(COMMITTED)
        self.execute(
            f"INSERT INTO {TABLE} VALUES {_row(ROWS + number)}",
            f"UPDATE {TABLE} SET name = CONCAT(name, '!') WHERE id = {number + ROWS // 2}",
            f"DELETE FROM {TABLE} WHERE id = {number}",
        )
        deadline = time.monotonic() + WITHIN_S
        while writer.log.read_text(encoding="utf-8").count(COMMITTED) == before:
            _ = writer.pid  # demands that it runs
            if time.monotonic() > deadline:
                raise SystemExit("the lake does not come after")
            time.sleep(0.01)

    def objects(self) -> dict[str, tuple[int, int]]:
        """Number and size in bytes of the objects below the table, by kind."""
        numbers: Counter[str] = Counter()
        size_bytes: Counter[str] = Counter()
        with contextlib.closing(s3_client(self.settings.s3)) as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.settings.s3.bucket):
                for item in page.get("Contents", []):
                    kind = _kind(item["Key"])
                    numbers[kind] += 1
                    size_bytes[kind] += item["Size"]
        return {kind: (numbers[kind], size_bytes[kind]) for kind in sorted(numbers)}

    def stored(self) -> tuple[int, dict[str, int]]:
        """Size in bytes of the state store, and the rows of each of its tables."""
        with contextlib.closing(sqlite3.connect(self.directory / "state.db")) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in sorted(names)}
            (pages,), (size,) = (
                connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
            )
        return pages * size, {name: number for name, number in rows.items() if number}

    def show(self, commits: int, seconds: float) -> None:
        """Prints a line about the bucket and one about the store."""
        objects = self.objects()
        total, size_bytes = (sum(counts[index] for counts in objects.values()) for index in (0, 1))
        kinds = ", ".join(f"{kind} {number}" for kind, (number, _) in objects.items())
        print(
            f"{commits:4} commits, {seconds:4.0f} s  bucket: {total:4} objects, {size_bytes / 1024:6.0f} KiB ({kinds})"
        )
        size, rows = self.stored()
        tables = ", ".join(f"{name} {number}" for name, number in rows.items())
        print(f"{'':20}  state:  {size / 1024:6.0f} KiB ({tables})", flush=True)

    def await_match(self) -> None:
        """Waits for verdicts at the source's present position, which must all match."""
        wanted = self.stack.blueprint.warehouse.gtid()
        deadline = time.monotonic() + WITHIN_S
        with contextlib.closing(SqlStateStore(self.settings.state.url.get_secret_value())) as store:
            while True:
                stored = store.epoch(store.progress().lake_epoch)
                if stored is not None and stored.epoch.position.gtid == wanted:
                    break
                if time.monotonic() > deadline:
                    raise SystemExit("the lake was not judged")
                time.sleep(0.1)
            wrong = [verdict for verdict in store.verdicts() if verdict.verdict.outcome is not Outcome.MATCH]
        if wrong:
            raise SystemExit(f"not all of it matches: {wrong}")


def _row(number: int) -> str:
    return f"({number}, {number % PARTITIONS}, 'player {number}')"


def _kind(key: str) -> str:
    if key.endswith(".metadata.json"):
        return "metadata"
    if key.endswith(".avro"):
        return "lists" if "/snap-" in key else "manifests"
    return "data"


def main() -> None:
    """Makes the commits, and prints the sizes at intervals."""
    options = arguments()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, EmbeddedStack(Path(name)) as stack:
        variables = {
            **stack.environment(),
            "DFP_SOURCE_TABLES": TABLE,
            "DFP_LAKE_CATALOG": f"sqlite:///{name}/catalog.db",
            "DFP_STATE_URL": f"sqlite:///{name}/state.db",
            "DFP_CDC_EPOCH_S": "0.05",
            "DFP_LAKE_FLUSH_S": "0.05",
            "DFP_LAKE_SWEEP_S": "1",
            "DFP_LAKE_GRACE_S": str(options.grace_s),
        }
        rounds = Rounds(stack, Path(name), variables)
        services = rounds.prepare()
        rounds.await_match()
        began = time.monotonic()
        for number in range(options.commits):
            if number % options.every == 0:
                rounds.show(number, time.monotonic() - began)
            rounds.commit(number, services["lake_writer"])
        rounds.await_match()
        time.sleep(options.grace_s + 1)
        rounds.show(options.commits, time.monotonic() - began)
        topics = wire.Topics(rounds.settings.kafka.prefix)
        print(f"the topics {topics.epochs} and {topics.lake_commits} keep a record of each epoch and commit, for ever")
        for service in reversed(services.values()):
            service.stop()


if __name__ == "__main__":
    main()
