"""Measures many small tables: time to match, idle CPU, latency, memory, restarts.

`./run bench tables [--tables N] [--partitions P] [--idle-s S] [--steps NAME,NAME]`

The parts are real and private to the run: MariaDB, Kafka and S3 on free ports. A database of N tables is there before
the services start; each table has P partitions with a row each, or three rows and no partition field. The steps:

* `match`: from the start of the services until every partition of every table matches.
* `idle`: CPU of each process over some seconds without a change.
* `new`: from CREATE TABLE of one more table to its match.
* `answers`: latency of `/v1/status`, one partition and `/metrics`, while 1,000 rows a second are updated.
* `restart`: from kill -9 of each service to its own work again.
* `drop`: DROP DATABASE of half of the tables until they are forgotten, and its recreation until all match.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Service, cpu_s, peak_mib, resident_mib
from deploy.embedded.stack import EmbeddedStack

MODULES = {
    "cdc": "services.cdc",
    "lake_writer": "services.lake_writer",
    "fingerprinter": "services.fingerprinter",
    "api": "api",
}
STEPS = ("match", "idle", "new", "answers", "restart", "drop")

DATABASES = ("bench_a", "bench_b")
"""Half of the tables is in each; the second one is dropped."""

ROWS = 3
WRITTEN_ROWS = 100
"""Rows of one UPDATE while answers are timed; ten of them a second."""

QUIET_S = 12.0
"""Seconds that the services have to come to rest before idle CPU is measured."""

_LOOK_S = 0.1


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="./run bench tables", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=200, help="tables to capture")
    parser.add_argument("--partitions", type=int, default=1, help="partitions of each table")
    parser.add_argument("--idle-s", type=float, default=30.0, help="seconds over which idle CPU is measured")
    parser.add_argument("--requests", type=int, default=200, help="requests per path")
    parser.add_argument("--within-s", type=float, default=900.0, help="most seconds that a step may take")
    parser.add_argument("--steps", default=",".join(STEPS), help="steps to run after `match`")
    parser.add_argument("--keep", metavar="DIR", help="copy the services' logs there")
    return parser.parse_args()


@dataclass
class Run:
    """The parts, the services over them, and the tables."""

    stack: EmbeddedStack
    directory: Path
    options: argparse.Namespace
    services: dict[str, Service] = field(default_factory=dict)

    def __post_init__(self) -> None:
        variables = {
            **self.stack.environment(),
            "DFP_SOURCE_TABLES": ",".join(f"{name}.*" for name in DATABASES),
            "DFP_LAKE_CATALOG": f"sqlite:///{self.directory}/catalog.db",
            "DFP_STATE_URL": f"sqlite:///{self.directory}/state.db",
        }
        self.services = {
            name: Service(name, variables, self.directory, module=module) for name, module in MODULES.items()
        }

    # --- the source --------------------------------------------------------------------------------------------

    def execute(self, statements: Sequence[str]) -> None:
        """Runs statements as the administrator, and commits."""
        warehouse = self.stack.blueprint.warehouse
        with contextlib.closing(warehouse.connect_as_administrator()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def prepare(self) -> None:
        """Makes the tables, and the settings that name their partition fields."""
        lines = [f'[tables."{name}"]\npartition = ["part"]\n' for name in [*self.tables, *EXTRA]]
        is_partitioned = self.options.partitions > 1
        (self.directory / "datafingerprint.toml").write_text("\n".join(lines) if is_partitioned else "")
        self.execute([f"CREATE DATABASE {name}" for name in DATABASES])
        for name in self.tables:
            self.execute(self.making(name))

    def making(self, name: str) -> list[str]:
        """The statements that make a table with its rows."""
        rows = self.options.partitions if self.options.partitions > 1 else ROWS
        values = ", ".join(f"({part}, {part}, 'row {part}', 0)" for part in range(rows))
        columns = "id INT PRIMARY KEY, part INT NOT NULL, name VARCHAR(50), changed INT NOT NULL"
        return [f"CREATE TABLE {name} ({columns})", f"INSERT INTO {name} VALUES {values}"]

    @property
    def tables(self) -> list[str]:
        """The tables' names; every other one is in the second database."""
        return [f"{DATABASES[number % 2]}.t{number:05}" for number in range(self.options.tables)]

    # --- waiting -----------------------------------------------------------------------------------------------

    def await_that(self, holds: Callable[[], bool], what: str) -> float:
        """Looks again and again while the services run; returns how many seconds it took."""
        began = time.monotonic()
        while not holds():
            for service in self.services.values():
                _ = service.pid  # demands that it runs
            if time.monotonic() - began > self.options.within_s:
                raise SystemExit(f"{what}: not within {self.options.within_s:.0f} s; {self.outcomes()}")
            time.sleep(_LOOK_S)
        return time.monotonic() - began

    def query(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """What the state store has; nothing while it has no tables."""
        path = self.directory / "state.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
            try:
                return connection.execute(statement, values).fetchall()
            except sqlite3.OperationalError:
                return []

    def outcomes(self) -> dict[str, int]:
        """Partitions by verdict."""
        return {str(name): int(str(n)) for name, n in self.query("SELECT outcome, count(*) FROM verdicts GROUP BY 1")}

    def matching(self, table: str) -> bool:
        """Whether a table has verdicts, and all of them are matches."""
        rows = self.query("SELECT min(outcome), max(outcome) FROM verdicts WHERE table_name = ?", table)
        return rows == [("match", "match")]

    def await_match(self, tables: int) -> float:
        """Waits until every partition of so many tables matches."""
        wanted = {"match": tables * self.options.partitions}
        return self.await_that(lambda: self.outcomes() == wanted, f"{tables} tables to match")

    # --- answers -----------------------------------------------------------------------------------------------

    def get(self, connection: http.client.HTTPConnection, path: str) -> tuple[float, int]:
        """Asks the REST service; returns the seconds it took, and the bytes of the answer."""
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        size_bytes = len(answer.read())
        if answer.status != http.client.OK:
            raise SystemExit(f"{path}: status {answer.status}")
        return time.perf_counter() - began, size_bytes

    @contextlib.contextmanager
    def connected(self) -> Iterator[http.client.HTTPConnection]:
        """A connection to the REST service."""
        port = int(self.stack.environment()["DFP_API_PORT"])
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
            yield connection

    def is_answering(self) -> bool:
        """Whether the REST service answers."""
        with contextlib.suppress(OSError, http.client.HTTPException), self.connected() as connection:
            self.get(connection, "/healthz")
            return True
        return False

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Updates 1,000 rows a second in tables one after the other, meanwhile."""
        ended = threading.Event()
        thread = threading.Thread(target=self._write, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _write(self, ended: threading.Event) -> None:
        per_table = self.options.partitions if self.options.partitions > 1 else ROWS
        tables, at = self.tables, 0
        warehouse = self.stack.blueprint.warehouse
        with contextlib.closing(warehouse.connect_as_administrator()) as connection, connection.cursor() as cursor:
            while not ended.wait(0.1):
                for _ in range(-(-WRITTEN_ROWS // per_table)):
                    cursor.execute(f"UPDATE {tables[at % len(tables)]} SET changed = changed + 1")
                    at += 1
                connection.commit()

    # --- the steps ---------------------------------------------------------------------------------------------

    def match(self) -> None:
        """From the start of all services to the match of all tables."""
        for service in self.services.values():
            service.start()
        seconds = self.await_match(len(self.tables))
        used = ", ".join(f"{name} {cpu_s(service.pid):.1f}" for name, service in self.services.items())
        tell("match", f"{seconds:.1f} s; CPU s so far: {used}, kafka {cpu_s(self.stack.pid('kafka')):.1f}")

    def idle(self) -> None:
        """CPU of each process while nothing changes, in percent of a core; memory."""
        time.sleep(QUIET_S)
        pids = {name: service.pid for name, service in self.services.items()}
        pids["(kafka)"] = self.stack.pid("kafka")
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        began = time.monotonic()
        time.sleep(self.options.idle_s)
        seconds = time.monotonic() - began
        used = {name: 100 * (cpu_s(pid) - before[name]) / seconds for name, pid in pids.items()}
        ours = sum(percent for name, percent in used.items() if name in self.services)
        text = ", ".join(f"{name} {percent:.1f}" for name, percent in used.items())
        tell("idle", f"{text}; ours together {ours:.1f}, with the broker {ours + used['(kafka)']:.1f} % of a core")
        memory = ", ".join(f"{name} {resident_mib(pid):.0f} (peak {peak_mib(pid):.0f})" for name, pid in pids.items())
        tell("memory", f"{memory} MiB; state store {self.stored_mib():.1f} MiB")

    def stored_mib(self) -> float:
        """MiB of the state store with its write-ahead log."""
        return sum(file.stat().st_size for file in self.directory.glob("state.db*")) / 2**20

    def new(self) -> None:
        """One more table, from its CREATE to its match."""
        self.execute(self.making(EXTRA[0]))
        tell("new", f"{self.await_that(lambda: self.matching(EXTRA[0]), 'a new table'):.1f} s")
        self.execute([f"DROP TABLE {EXTRA[0]}"])
        self.await_match(len(self.tables))

    def answers(self) -> None:
        """Latencies while rows are written."""
        partition = "part=0" if self.options.partitions > 1 else "-"
        paths = {
            "/v1/status": self.options.requests,
            f"/v1/fingerprints/{self.tables[0]}/{partition}": self.options.requests,
            "/metrics": 10,
            "/v1/fingerprints": 3,
        }
        with self.writing(), self.connected() as connection:
            time.sleep(3)
            for path, times in paths.items():
                rows = []
                for _ in range(times):
                    rows.append(self.get(connection, path))
                    time.sleep(0.02)
                seconds = sorted(1000 * part for part, _ in rows)
                p99 = seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))]
                text = f"p50 {statistics.median(seconds):.1f} ms, p99 {p99:.1f} ms, most {seconds[-1]:.1f} ms"
                tell("answers", f"{path}: {text}, {rows[-1][1] / 1024:.0f} KiB")
        self.await_match(len(self.tables))

    def restart(self) -> None:
        """Kills each service, and starts it again at once."""
        for name, service in self.services.items():
            work = self.work(name)
            service.kill()
            done = work()
            began = time.monotonic()
            service.start()
            self.execute([f"UPDATE {self.tables[0]} SET changed = changed + 1"])
            self.await_that(lambda work=work, done=done: work() > done, f"restart of {name}")  # type: ignore[misc]
            tell("restart", f"{name} {time.monotonic() - began:.1f} s, CPU {cpu_s(service.pid):.1f} s")

    def work(self, name: str) -> Callable[[], int]:
        """What counts a service's own work."""
        counts: dict[str, Callable[[], int]] = {
            "cdc": lambda: self.lines("cdc", "epoch published"),
            "lake_writer": lambda: self.lines("lake_writer", "lake committed"),
            "fingerprinter": lambda: int(str((self.query("SELECT max(number) FROM epochs") or [(0,)])[0][0])),
            "api": lambda: int(self.is_answering()),
        }
        return counts[name]

    def lines(self, name: str, text: str) -> int:
        """How often a service has logged something."""
        return self.services[name].log.read_text(encoding="utf-8", errors="replace").count(f"event={text} ") + (
            self.services[name].log.read_text(encoding="utf-8", errors="replace").count(f'event="{text}"')
        )

    def drop(self) -> None:
        """Drops half of the tables in one statement, and makes them again."""
        gone = [name for name in self.tables if name.startswith(DATABASES[1])]
        self.execute([f"DROP DATABASE {DATABASES[1]}"])
        seconds = self.await_match(len(self.tables) - len(gone))
        tell("drop", f"{len(gone)} tables are forgotten after {seconds:.1f} s")
        began = time.monotonic()
        self.execute([f"CREATE DATABASE {DATABASES[1]}"])
        for name in gone:
            self.execute(self.making(name))
        self.await_match(len(self.tables))
        tell("drop", f"they match again {time.monotonic() - began:.1f} s after CREATE DATABASE")


EXTRA = (f"{DATABASES[0]}.one_more",)


def tell(step: str, text: str) -> None:
    """Prints a line with the machine's load."""
    print(f"{step:8} {text}   (load {os.getloadavg()[0]:.1f})", flush=True)


def main() -> None:
    """Runs the steps, and prints a line or more for each."""
    options = arguments()
    steps = [name for name in STEPS if name in options.steps.split(",") or name == "match"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, EmbeddedStack(Path(name)) as stack:
        directory = Path(name) / "services"
        directory.mkdir()
        run = Run(stack, directory, options)
        try:
            run.prepare()
            tell("tables", f"{options.tables} tables of {options.partitions} partitions are made")
            for step in steps:
                getattr(run, step)()
        finally:
            if options.keep:
                Path(options.keep).mkdir(parents=True, exist_ok=True)
                for service in run.services.values():
                    if service.log.exists():
                        (Path(options.keep) / service.log.name).write_bytes(service.log.read_bytes())
            for service in reversed(run.services.values()):
                service.kill()


if __name__ == "__main__":
    main()
