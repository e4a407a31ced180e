"""Passes many rows through the services, and prints the memory and CPU time of each.

`./run bench memory [ROWS] [--backlog]`

The parts are real and private to the run: MariaDB, Kafka and S3 on free ports. An INSERT, an UPDATE and a DELETE of
the rows (each one transaction, 11 columns) go by in turn; each is waited for until every partition matches at it. With
`--backlog` the rows are short transactions instead, an epoch each, that are all in the binlog before capture is
started, and all in Kafka before the others are. Then the peak of each service's resident memory (`VmHWM` of /proc) and
its CPU seconds per million rows are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Service, cpu_s, forget_peak, peak_mib
from datafingerprint.adapters.kafka.epoch_records import end_of_stream
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings, load_settings
from datafingerprint.verdict import Outcome
from deploy.embedded.stack import EmbeddedStack

SERVICES = ("cdc", "lake_writer", "fingerprinter")
WITHIN_S = 3_600.0
BACKLOG_ROWS = 2_000
"""Rows of a transaction, and of an epoch, of a backlog."""

TABLE = """
    CREATE TABLE bench.wide (
        id INT PRIMARY KEY, a INT, b SMALLINT, c BIGINT UNSIGNED, price DECIMAL(12,2), ratio DOUBLE,
        name VARCHAR(50), note VARCHAR(200), born DATE, seen DATETIME(6), story TEXT
    )
"""
FILL = """
    INSERT INTO bench.wide
    SELECT seq, seq * 7 % 1000003, seq % 1000, seq * 1000003, seq / 100, SQRT(seq), CONCAT('player ', seq),
           IF(seq % 5 = 0, NULL, CONCAT('a note on ', seq)), DATE('2031-04-01') + INTERVAL seq % 180 DAY,
           TIMESTAMP('2031-04-01 19:05:00') + INTERVAL seq * 1001 MICROSECOND, REPEAT('x', seq % 60)
    FROM seq_{first}_to_{last}
"""


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench memory", description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=int, nargs="?", default=5_000_000, help="rows of each statement")
    parser.add_argument("--backlog", action="store_true", help="short transactions that wait when services start")
    return parser.parse_args()


@dataclass
class Run:
    """Parts, services, and their use of resources at the start of a measurement."""

    stack: EmbeddedStack
    directory: Path
    rows: int
    variables: dict[str, str]
    services: dict[str, Service] = field(default_factory=dict)
    used_before: dict[str, float] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The services' variables."""
        return load_settings({}, self.variables)

    def start(self, *names: str) -> None:
        """Starts services."""
        for name in names:
            self.services[name] = Service(name, self.variables, self.directory)
            self.services[name].start()

    def stop(self, *names: str) -> None:
        """Stops services."""
        for name in names:
            self.services.pop(name).stop()

    def begin(self) -> None:
        """Starts a new measurement."""
        for name, service in self.services.items():
            forget_peak(service.pid)
            self.used_before[name] = cpu_s(service.pid)

    def report(self, what: str) -> None:
        """Prints the use of each service since the start of the measurement, or its own."""
        for name, service in self.services.items():
            used = (cpu_s(service.pid) - self.used_before.get(name, 0.0)) / (self.rows / 1e6)
            peak = peak_mib(service.pid)
            sys.stdout.write(f"{what:<8} {name:<14} peak {peak:6.0f} MiB, {used:6.1f} CPU s per million rows\n")
        sys.stdout.flush()

    def execute(self, statements: Iterable[str]) -> None:
        """Runs each statement as its own transaction.

        MariaDB's sequences need a chosen database.
        """
        with (
            contextlib.closing(self.stack.blueprint.warehouse.connect_as_administrator()) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("CREATE DATABASE IF NOT EXISTS bench")
            connection.select_db("bench")
            for statement in statements:
                cursor.execute(statement)
                connection.commit()

    def await_that(self, holds: Callable[[], bool]) -> float:
        """Polls while the services run, and returns the seconds."""
        began = time.monotonic()
        while not holds():
            for service in self.services.values():
                _ = service.pid  # demands that it runs
            if time.monotonic() - began > WITHIN_S:
                raise SystemExit("it takes too long")
            time.sleep(0.2)
        return time.monotonic() - began

    def await_match(self) -> float:
        """Waits for verdicts at the source's present position, which must all match."""
        wanted = self.stack.blueprint.warehouse.gtid()
        with contextlib.closing(SqlStateStore(self.settings.state.url.get_secret_value())) as store:

            def is_judged() -> bool:
                stored = store.epoch(store.progress().lake_epoch)
                return stored is not None and stored.epoch.position.gtid == wanted

            took = self.await_that(is_judged)
            wrong = [verdict for verdict in store.verdicts() if verdict.verdict.outcome is not Outcome.MATCH]
        if wrong:
            raise SystemExit(f"not all of it matches: {wrong}")
        return took

    def await_published(self) -> float:
        """Waits until an epoch in Kafka reaches the source's present position."""
        wanted = self.stack.blueprint.warehouse.gtid()

        def is_published() -> bool:
            last = end_of_stream(self.settings.kafka)
            return last is not None and last[1].position.gtid == wanted

        return self.await_that(is_published)


def transactions(run: Run) -> None:
    """Runs one large transaction after another through the services."""
    for verb, statement in (
        ("insert", FILL.format(first=1, last=run.rows)),
        ("update", f"UPDATE bench.wide SET a = a + 1, name = CONCAT(name, '!') WHERE id <= {run.rows}"),
        ("delete", f"DELETE FROM bench.wide WHERE id <= {run.rows}"),
    ):
        run.begin()
        began = time.monotonic()
        run.execute([statement])
        on_source = time.monotonic() - began
        took = run.await_match()
        sys.stdout.write(f"{verb:<8} {run.rows} rows: {on_source:.0f} s on the source, {took:.0f} s until it matches\n")
        run.report(verb)


def backlog(run: Run) -> None:
    """Runs a backlog: in the binlog for capture, then in Kafka for the others."""
    run.stop(*SERVICES)
    run.used_before.clear()
    run.execute(_short_transactions(run.rows))
    run.start("cdc")
    took = run.await_published()
    sys.stdout.write(f"backlog  {run.rows} rows in epochs of {BACKLOG_ROWS}: published within {took:.0f} s\n")
    run.start("lake_writer", "fingerprinter")
    took = run.await_match()
    sys.stdout.write(f"backlog  {run.rows} rows in epochs of {BACKLOG_ROWS}: {took:.0f} s until it matches\n")
    run.report("backlog")


def _short_transactions(rows: int) -> Iterator[str]:
    for first in range(1, rows + 1, BACKLOG_ROWS):
        yield FILL.format(first=first, last=min(rows, first + BACKLOG_ROWS - 1))


def main() -> None:
    """Runs the transactions or the backlog, and prints a line per service for each."""
    options = arguments()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, EmbeddedStack(Path(name)) as stack:
        variables = {
            **stack.environment(),
            "DFP_SOURCE_TABLES": "bench.*",
            "DFP_LAKE_CATALOG": f"sqlite:///{name}/catalog.db",
            "DFP_STATE_URL": f"sqlite:///{name}/state.db",
            **({"DFP_CDC_EPOCH_ROWS": str(BACKLOG_ROWS)} if options.backlog else {}),
        }
        run = Run(stack, Path(name), options.rows, variables)
        run.execute([TABLE, FILL.format(first=options.rows + 1, last=options.rows + 1000)])
        run.start(*SERVICES)
        run.await_match()
        for service in run.services.values():
            sys.stdout.write(f"idle     {service.name:<14} peak {peak_mib(service.pid):6.0f} MiB\n")
        sys.stdout.flush()
        (backlog if options.backlog else transactions)(run)
        run.stop(*reversed(SERVICES))


if __name__ == "__main__":
    main()
