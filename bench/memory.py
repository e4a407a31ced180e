"""Passes one transaction of many rows through capture, lake writer and fingerprinter, and says what each of them took.

The parts are real and private to the run: MariaDB, Kafka and S3 on free ports. An INSERT, an UPDATE and a DELETE of
the rows (each one transaction, 11 columns) go by in turn; each is waited for until every partition matches at it. Then
the peak of each service's resident memory (`VmHWM` of /proc) and its CPU seconds per million rows are printed.
`./run bench memory [ROWS]`, 5,000,000 by default.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.verdict import Outcome
from deploy.embedded.process import end_with_parent
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.warehouse import Warehouse

SERVICES = ("cdc", "lake_writer", "fingerprinter")
TICKS = os.sysconf("SC_CLK_TCK")
WITHIN_S = 3_600.0

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


@dataclass
class Service:
    """A service as a child process, and what it has taken so far."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    cpu_before: float = 0.0

    @property
    def peak_mib(self) -> float:
        """The most memory that was resident since `begin`."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise SystemExit(f"{self.name} has ended:\n{self.log.read_text(encoding='utf-8')[-3000:]}")

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def begin(self) -> None:
        """Forgets the peak so far."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")
        self.cpu_before = self.cpu_s


def started(directory: Path, environment: dict[str, str]) -> list[Service]:
    """The services, each with a log of its own."""
    found = []
    for name in SERVICES:
        log = directory / f"{name}.log"
        with log.open("ab") as output:
            command = [*end_with_parent("KILL"), sys.executable, "-m", f"services.{name}"]
            child = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        found.append(Service(name, child, log))
    return found


def run(mariadb: Warehouse, statement: str) -> None:
    """One statement, one transaction."""
    with contextlib.closing(mariadb.connect_as_administrator()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS bench")
        connection.select_db("bench")
        cursor.execute(statement)
        connection.commit()


def await_match(mariadb: Warehouse, state: str, services: list[Service]) -> None:
    """Waits until the lake has been judged at the source's present position, and demands that all of it matches."""
    with contextlib.closing(SqlStateStore(state)) as store:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            stored = store.epoch(store.progress().lake_epoch)
            if stored is not None and stored.epoch.position.gtid == mariadb.gtid():
                outcomes = {one.verdict.outcome for one in store.verdicts()}
                if outcomes <= {Outcome.MATCH}:
                    return
                raise SystemExit(f"not all of it matches: {list(store.verdicts())}")
            for service in services:
                _ = service.peak_mib
            time.sleep(0.2)
    raise SystemExit("the lake did not come after")


def main() -> None:
    """Runs the three transactions and prints a line per service for each."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, EmbeddedStack(Path(name)) as stack:
        directory, mariadb = Path(name), stack.blueprint.warehouse
        state = f"sqlite:///{directory}/state.db"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("DFP_")},
            **stack.environment(),
            "DFP_SOURCE_TABLES": "bench.*",
            "DFP_LAKE_CATALOG": f"sqlite:///{directory}/catalog.db",
            "DFP_STATE_URL": state,
        }
        run(mariadb, TABLE)
        run(mariadb, FILL.format(first=rows + 1, last=rows + 1000))
        services = started(directory, environment)
        await_match(mariadb, state, services)
        for service in services:
            sys.stdout.write(f"idle    {service.name:<14} peak {service.peak_mib:6.0f} MiB\n")
        for verb, statement in (
            ("insert", FILL.format(first=1, last=rows)),
            ("update", f"UPDATE bench.wide SET a = a + 1, name = CONCAT(name, '!') WHERE id <= {rows}"),
            ("delete", f"DELETE FROM bench.wide WHERE id <= {rows}"),
        ):
            for service in services:
                service.begin()
            began = time.monotonic()
            run(mariadb, statement)
            committed = time.monotonic()
            await_match(mariadb, state, services)
            sys.stdout.write(
                f"{verb}  {rows} rows: {committed - began:.0f} s on the source, "
                f"{time.monotonic() - committed:.0f} s until it matches\n"
            )
            for service in services:
                cpu = (service.cpu_s - service.cpu_before) / (rows / 1e6)
                sys.stdout.write(
                    f"{verb}  {service.name:<14} peak {service.peak_mib:6.0f} MiB, {cpu:6.1f} CPU s per million rows\n"
                )
            sys.stdout.flush()
        for service in services:
            service.process.terminate()
            service.process.wait(60)


if __name__ == "__main__":
    main()
