"""The whole system of one data directory: up, down, and what it is doing."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.blueprint import Blueprint, SourceName, draw_blueprint
from deploy.embedded.part import HOST, Part, PartError, describe_failure
from deploy.embedded.private import make_socket_folder, socket_folder, write_private
from deploy.embedded.stack import READY_TIMEOUT_S, in_parallel
from deploy.embedded.waiting import await_condition
from deploy.supervision.programs import SERVICES, Program, list_programs, render_configuration
from deploy.supervision.supervisor import ProgramState, Supervisor

CHECKOUT = Path(__file__).resolve().parents[2]
LOCAL = CHECKOUT / ".local"
DATA: dict[SourceName, Path] = {"mariadb": LOCAL / "data", "mysql": LOCAL / "data-mysql"}
"""Each warehouse has a system of its own; only one of them should be up at a time."""

HTTP_TIMEOUT_S = 5.0
# A service that finds a wrong setting has said so by then.
SETTLE_S = 1.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class System:
    """The parts and services of one data directory.

    Attributes:
        directory: Below it lies all that the system keeps.
        source: Which server its warehouse is.
    """

    directory: Path = DATA["mariadb"]
    source: SourceName = "mariadb"

    @property
    def supervisor(self) -> Supervisor:
        """The process that keeps the programs, if it runs."""
        return Supervisor(socket_folder(self.directory) / "supervisor.sock")

    @property
    def is_up(self) -> bool:
        """Whether the supervisor runs; its programs may be another matter."""
        return self.supervisor.is_up

    @property
    def environment_file(self) -> Path:
        """Holds the `DFP_` variables as a shell reads them, while the system is up."""
        return self.directory / "environment"

    def programs(self) -> list[dict[str, str]]:
        """Name, port and log of each program, as the last start wrote them down."""
        if not self._programs_file.exists():
            return []
        listed: list[dict[str, str]] = json.loads(self._programs_file.read_text(encoding="utf-8"))
        return listed

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.directory / "logs" / f"{name}.log"

    def start(self, report: Report, *, generator: Sequence[str] | None = (), rate: float | None = None) -> Blueprint:
        """Starts everything in order, and returns when all of it works.

        Args:
            report: Is told, line by line, what is being started.
            generator: Arguments of the generator; None leaves it out.
            rate: Games a second, when not the setting's.

        Raises:
            PartError: the system is up already, or something did not start; what had started is stopped again.
        """
        if self.is_up:
            raise PartError("the system is up already: `./run down` stops it")
        blueprint = draw_blueprint(self.directory, source=self.source)
        in_parallel(lambda part: part.prepare(), blueprint.parts)
        try:
            self._launch(blueprint, list_programs(blueprint, generator or ()), rate)
            self._start_parts(blueprint, report)
            if generator is not None:
                self._seed(blueprint, report)
            names = [name for name in SERVICES if name != "generator" or generator is not None]
            self._start_services(blueprint, names, report)
        except BaseException:
            self.stop()
            raise
        return blueprint

    def stop(self) -> bool:
        """Stops everything, the last started first; False when nothing ran."""
        self.environment_file.unlink(missing_ok=True)
        if not self.is_up:
            return False
        self.supervisor.shut_down()
        return True

    def states(self) -> dict[str, ProgramState]:
        """What each program does; nothing when the system is down."""
        return self.supervisor.states() if self.is_up else {}

    @property
    def _programs_file(self) -> Path:
        return self.directory / "programs.json"

    def _launch(self, blueprint: Blueprint, programs: Sequence[Program], rate: float | None) -> None:
        sockets = socket_folder(self.directory)
        make_socket_folder(sockets)
        configuration = self.directory / "supervisord.conf"
        logs = self.directory / "logs"
        text = render_configuration(programs, checkout=CHECKOUT, data=self.directory, sockets=sockets)
        configuration.write_text(text, encoding="utf-8")
        facts = [{"name": p.name, "port": str(p.port or ""), "log": str(p.log)} for p in programs]
        self._programs_file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        environment = blueprint.environment()
        write_private(self.environment_file, render_environment(environment))
        if rate is not None:
            environment["DFP_GENERATOR_RATE"] = str(rate)
        self.supervisor.launch(configuration, logs / "supervisor.out", environment, CHECKOUT)

    def _start_parts(self, blueprint: Blueprint, report: Report) -> None:
        report("starting " + ", ".join(f"{part.name} (port {part.port})" for part in blueprint.parts))
        for part in blueprint.parts:
            self.supervisor.start(part.name)
        in_parallel(self._await_part, blueprint.parts)

    def _seed(self, blueprint: Blueprint, report: Report) -> None:
        """Founds the league before capture starts: a stream begins with the tables that are there."""
        report("seeding the league, unless it is there")
        done = subprocess.run(
            [sys.executable, "-m", "services.generator", "--seed-only"],
            cwd=CHECKOUT,
            env={**os.environ, **blueprint.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        with self.log("generator").open("a", encoding="utf-8") as log:
            log.write(done.stderr)
        if done.returncode != 0:
            raise PartError(describe_failure("the league could not be seeded", self.log("generator")))

    def _start_services(self, blueprint: Blueprint, names: Sequence[str], report: Report) -> None:
        report("starting " + ", ".join(names))
        port = blueprint.ports["api"]
        for name in names:
            self.supervisor.start(name)
            if name == "api":
                self._await(name, lambda: answers_health(port))
        await_condition(lambda: any(state.is_over for state in self.states().values()), timeout_s=SETTLE_S)
        for name in names:
            self._check_alive(name)
        report(f"up: http://{HOST}:{port}/")

    def _await_part(self, part: Part) -> None:
        self._await(part.name, part.is_ready)

    def _await(self, name: str, is_ready: Callable[[], bool]) -> None:
        def decided() -> bool:
            return self.states()[name].is_over or is_ready()

        in_time = await_condition(decided, timeout_s=READY_TIMEOUT_S)
        self._check_alive(name)
        if not in_time:
            raise PartError(describe_failure(f"{name} is not ready after {READY_TIMEOUT_S:.0f} s", self.log(name)))

    def _check_alive(self, name: str) -> None:
        state = self.states()[name]
        if has_failed(state):
            raise PartError(describe_failure(f"{name} ended with status {state.exit_status}", self.log(name)))


def has_failed(state: ProgramState) -> bool:
    """Whether it ended for good and not because its work was done; only the generator's ever is."""
    return state.is_over and not (state.name == "generator" and state.exit_status == 0)


def render_environment(variables: dict[str, str]) -> str:
    """Lines that a shell can read to export the variables."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))


def answers_health(port: int) -> bool:
    """Whether the REST service says that it lives."""
    connection = http.client.HTTPConnection(HOST, port, timeout=HTTP_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def system_of(source: SourceName | None) -> System:
    """The system with that warehouse; of none named, the one that is up, else the one with MariaDB."""
    every: list[SourceName] = [*DATA]
    running = [name for name in every if System(DATA[name], name).is_up]
    chosen = source or (running[0] if running else every[0])
    return System(DATA[chosen], chosen)
