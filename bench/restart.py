"""From kill -9 of each service to its own work again, while games are played.

`./run bench restart [--rounds N] [--source mysql] [--only NAME]`

A service is started again at the moment at which it is killed, as a supervisor does. The own work of a service is:

* capture: the next epoch
* lake writer: the next commit
* fingerprinter: the next sums and the next verdict
* auditor: the next finding
* generator: the next game
* REST service: the first answer

Times include what the settings
have them wait for: an epoch of `cdc.epoch_s` (1 s), commits `lake.flush_s` apart (here 1 s).
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import Service, cpu_s
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audits import Origin, Scope
from deploy.embedded.stack import EmbeddedStack

AIM_S = 5.0
_PATIENCE_S = 120.0
_LOOK_S = 0.02
_RATE = "10"
_AUDITED = "ootp.leagues"

MODULES = {
    "cdc": ("services.cdc",),
    "lake_writer": ("services.lake_writer",),
    "fingerprinter": ("services.fingerprinter",),
    "auditor": ("services.auditor", "--serve"),
    "api": ("api",),
    "generator": ("services.generator", "--rate", _RATE),
}


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench restart", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each service is killed")
    parser.add_argument("--only", choices=list(MODULES), help="just this service")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mariadb", help="the server")
    return parser.parse_args()


@dataclass(frozen=True)
class Restart:
    """One restart: seconds to its own work, and its CPU seconds until then."""

    seconds: float
    cpu_s: float


@dataclass
class System:
    """All services over the league, and their work so far."""

    stack: EmbeddedStack
    directory: Path
    services: dict[str, Service] = field(default_factory=dict)
    store: SqlStateStore = field(init=False)

    def __post_init__(self) -> None:
        state = f"sqlite:///{self.directory}/state.db"
        variables = {
            **self.stack.environment(),
            "DFP_LAKE_CATALOG": f"sqlite:///{self.directory}/catalog.db",
            "DFP_STATE_URL": state,
            "DFP_LAKE_FLUSH_S": "1",
            "DFP_AUDIT_EVERY_S": "0",
            "DFP_LOG_LEVEL": "debug",
        }
        self.services = {
            name: Service(name, variables, self.directory, module=module) for name, (module, *_) in MODULES.items()
        }
        self.store = SqlStateStore(state)

    def start(self, name: str) -> None:
        """Starts one service."""
        self.services[name].start(*MODULES[name][1:])

    def stop(self) -> None:
        """Stops all, the last one first."""
        for service in reversed(self.services.values()):
            service.stop()
        self.store.close()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Seeds the league, starts everything, and waits for the first verdict."""
        try:
            seeding = self.services["generator"]
            seeding.start("--seed-only")
            seeding.wait()
            for name in MODULES:
                self.start(name)
            self.await_that(lambda: self.lines("generator", "games played") > 0)
            self.await_that(lambda: self.store.progress().lake_epoch > 0 and self._is_ready())
            self.await_that(self._is_read)
            yield
        finally:
            self.stop()

    def lines(self, name: str, text: str) -> int:
        """How often a service has logged a text."""
        return self.services[name].log.read_text(encoding="utf-8", errors="replace").count(f'event="{text}"')

    def _is_read(self) -> bool:
        """Whether the first snapshot of every table is in the lake."""
        with self.store.reading() as view:
            stored = view.epoch(view.progress().lake_epoch)
        return stored is not None and all(cursor.complete for cursor in stored.epoch.snapshots.values())

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.stack.environment()["DFP_API_PORT"]), timeout=5)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/v1/status")
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False

    def _findings(self) -> int:
        return sum(audit.progress.partitions_done for audit in self.store.audits(limit=1000))

    def work(self, name: str) -> Callable[[], int]:
        """A counter of a service's own work, which only grows."""
        counts: dict[str, Callable[[], int]] = {
            "cdc": lambda: self.lines("cdc", "epoch published"),
            "lake_writer": lambda: self.lines("lake_writer", "lake committed"),
            "fingerprinter": lambda: self.store.progress().epoch,
            "auditor": self._findings,
            "generator": lambda: self.lines("generator", "game played"),
            "api": lambda: int(self._is_ready()),
        }
        return counts[name]

    def await_that(self, holds: Callable[[], bool]) -> None:
        """Polls until a condition holds.

        Raises:
            RuntimeError: it took too long.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise RuntimeError("it takes too long")
            time.sleep(_LOOK_S)

    def restart(self, name: str) -> tuple[Restart, float | None]:
        """Kills and restarts a service, and waits for its work.

        For the fingerprinter it also waits for the next verdict.
        """
        service, work = self.services[name], self.work(name)
        if name == "auditor":
            self.await_that(lambda: self.lines("auditor", "audit started") == self.lines("auditor", "audit done"))
        judged = self.store.progress().lake_epoch
        service.kill()
        began = time.monotonic()
        if name == "auditor":
            self.store.queue_audit(Scope(_AUDITED), Origin.REQUEST, time.time())
        done = 0 if name == "api" else work()
        self.start(name)
        self.await_that(lambda: work() > done)
        measured = Restart(time.monotonic() - began, cpu_s(service.pid))
        if name != "fingerprinter":
            return measured, None
        self.await_that(lambda: self.store.progress().lake_epoch > judged)
        return measured, time.monotonic() - began


def main() -> None:
    """Prints a table, and one line at the end."""
    options = arguments()
    names = [options.only] if options.only else list(MODULES)
    restarts: dict[str, list[Restart]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place, EmbeddedStack(Path(place), options.source) as stack:
        services = Path(place) / "services"
        services.mkdir()
        system = System(stack, services)
        with system.running():
            for _ in range(options.rounds):
                for name in names:
                    measured, judged_s = system.restart(name)
                    restarts[name].append(measured)
                    if judged_s is not None:
                        restarts.setdefault("fingerprinter, verdict", []).append(Restart(judged_s, measured.cpu_s))
    heads = f"{'service':24} {'least s':>8} {'median s':>9} {'most s':>8} {'CPU s':>7}"
    print(f"{heads}   ({options.rounds} rounds, load {os.getloadavg()[0]:.1f})")
    for name, these in restarts.items():
        seconds = [restart.seconds for restart in these]
        cpu = statistics.median(restart.cpu_s for restart in these)
        print(f"{name:24} {min(seconds):8.2f} {statistics.median(seconds):9.2f} {max(seconds):8.2f} {cpu:7.2f}")
    least = {name: min(restart.seconds for restart in these) for name, these in restarts.items()}
    slowest = max(least, key=lambda name: least[name])
    print(f"restart: own work again within {least[slowest]:.2f} s ({slowest}, its least), aim {AIM_S} s")


if __name__ == "__main__":
    main()
