"""The three services over one table and the real parts, and their verdicts."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from bench.processes import Service, cpu_s, environment, peak_mib
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings, load_settings
from datafingerprint.verdict import Outcome
from deploy.embedded.process import end_with_parent
from deploy.embedded.stack import EmbeddedStack, PartName
from deploy.embedded.warehouse import Warehouse

SERVICES = ("cdc", "lake_writer", "fingerprinter")
_LOOK_S = 0.05
_PATIENCE_S = 900.0


class Written(Protocol):
    """A table, and the rows that are written to it."""

    @property
    def table(self) -> str:
        """The table with its schema."""

    @property
    def rows(self) -> int:
        """The number of rows."""

    def prepare(self, warehouse: Warehouse) -> None:
        """Creates the table."""


@dataclass
class Flow:
    """Capture, lake writer and fingerprinter over one table.

    Attributes:
        stack: Server, Kafka and S3.
        directory: Where the services run, with their stores and logs.
        backlog: The table, and what is written to it first.
        partition: Its partition field; a backlog's table has six months.
    """

    stack: EmbeddedStack
    directory: Path
    backlog: Written
    partition: str = "month(born)"
    services: dict[str, Service] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The services' variables."""
        return load_settings({"tables": {self.backlog.table: {"partition": [self.partition]}}}, self._variables)

    @property
    def _variables(self) -> dict[str, str]:
        return {
            **self.stack.environment(),
            "DFP_SOURCE_TABLES": self.backlog.table,
            "DFP_LAKE_CATALOG": f"sqlite:///{self.directory}/catalog.db",
            "DFP_STATE_URL": f"sqlite:///{self.directory}/state.db",
        }

    def define(self) -> None:
        """Writes the settings of the services."""
        config = f'[tables."{self.backlog.table}"]\npartition = ["{self.partition}"]\n'
        (self.directory / "datafingerprint.toml").write_text(config, encoding="utf-8")
        self.services = {name: Service(name, self._variables, self.directory) for name in SERVICES}

    def prepare(self) -> None:
        """Creates the table, and starts the stream before it has rows."""
        self.define()
        self.backlog.prepare(self.stack.blueprint.warehouse)
        self.services["cdc"].start("--once")
        self.services["cdc"].wait()

    def start(self) -> None:
        """Starts all three services."""
        for service in self.services.values():
            service.start()

    def stop(self) -> None:
        """Stops the services, the last one first."""
        for service in reversed(self.services.values()):
            service.stop()

    @contextlib.contextmanager
    def store(self) -> Iterator[SqlStateStore]:
        """The sums and verdicts."""
        with contextlib.closing(SqlStateStore(self.settings.state.url.get_secret_value())) as store:
            yield store

    def await_that(self, holds: Callable[[], bool]) -> None:
        """Polls while all services run.

        Raises:
            RuntimeError: a service ended, or it took too long.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            self.usage()  # demands that they run
            if time.monotonic() > deadline:
                raise RuntimeError("it takes too long")
            time.sleep(_LOOK_S)

    def require_matches(self) -> None:
        """Checks that every verdict is a match.

        Raises:
            RuntimeError: a verdict is not a match.
        """
        with self.store() as store:
            wrong = [verdict for verdict in store.verdicts() if verdict.verdict.outcome is not Outcome.MATCH]
        if wrong:
            raise RuntimeError(f"not everything matches: {wrong}")

    def usage(self) -> dict[str, tuple[float, float]]:
        """CPU seconds and peak memory in MiB of each process; all services must run."""
        for service in self.services.values():
            _ = service.pid
        return {name: (cpu_s(pid), peak_mib(pid)) for name, pid in self.pids().items()}

    def pids(self) -> dict[str, int]:
        """The running processes, by name."""
        running = {name: service.pid for name, service in self.services.items() if service.child is not None}
        parts: dict[str, PartName] = {"(server)": "source", "(kafka)": "kafka", "(s3)": "s3"}
        return running | {name: self.stack.pid(part) for name, part in parts.items()}

    def moment(self) -> int:
        """The number of transactions that the source has ever committed."""
        return moment_of(self.stack.blueprint.warehouse.gtid())

    def writer(self, *, seconds: float, rows_per_s: int, first: int) -> Writer:
        """Starts the writing program."""
        warehouse = self.stack.blueprint.warehouse
        options: dict[str, Any] = {"host": "127.0.0.1", "port": warehouse.port, "user": warehouse.user}
        options |= {"password": warehouse.password, "table": self.backlog.table, "seconds": seconds}
        options |= {"rows_per_s": rows_per_s, "first": first}
        return Writer.start(options)


@dataclass(frozen=True)
class Writer:
    """The program that writes to the source.

    Its output goes to a file: a pipe that no one reads before the end holds no more than 64 KiB of it.
    """

    process: subprocess.Popen[str]
    output: IO[str]

    @classmethod
    def start(cls, options: dict[str, Any]) -> Writer:
        """Starts the program; `options` is the input of `bench.writer`."""
        output = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - `report` closes it
        command = [*end_with_parent("KILL"), sys.executable, "-m", "bench.writer"]
        child = subprocess.Popen(command, env=environment({}), stdin=subprocess.PIPE, stdout=output, text=True)
        if child.stdin is None:
            raise RuntimeError("no pipe to the writer")
        child.stdin.write(json.dumps(options))
        child.stdin.close()
        return cls(child, output)

    @property
    def has_ended(self) -> bool:
        """Whether all rows are written."""
        return self.process.poll() is not None

    def report(self) -> dict[str, Any]:
        """Waits for its end, and returns its report.

        Raises:
            RuntimeError: it failed.
        """
        if self.process.wait():
            raise RuntimeError("the program that writes failed")
        with self.output:
            self.output.seek(0)
            report: dict[str, Any] = json.load(self.output)
        return report


def moment_of(gtid: str) -> int:
    """The last number in a GTID position of a server with one domain, or one UUID."""
    numbers = re.findall(r"\d+", gtid)
    return int(numbers[-1]) if numbers else 0


def judged_moment(store: SqlStateStore) -> int:
    """The number of source transactions in the last verdicts."""
    with store.reading() as view:
        stored = view.epoch(view.progress().lake_epoch)
    return moment_of(stored.epoch.position.gtid) if stored else 0


def judged_rows(store: SqlStateStore) -> int:
    """Rows of the source at the last compared lake commit."""
    return sum(verdict.verdict.source.rows for verdict in store.verdicts() if verdict.verdict.source)
