"""The whole system of one data directory: start, stop and states."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datafingerprint.config import ENVIRONMENT_PREFIX
from deploy.embedded.blueprint import Blueprint, SourceName, draw_blueprint
from deploy.embedded.part import HOST, LogPart, PartError, describe_failure
from deploy.embedded.private import make_socket_folder, socket_folder, write_private
from deploy.embedded.process import end_with_parent
from deploy.embedded.stack import in_parallel
from deploy.embedded.starting import START_WITHIN_S, Patience, Report
from deploy.embedded.waiting import await_condition
from deploy.supervision.programs import SERVICES, Program, list_programs, render_configuration
from deploy.supervision.start_up import SUPERVISOR, StartUp, ending, has_failed
from deploy.supervision.supervisor import ProgramState, Supervisor

CHECKOUT = Path(__file__).resolve().parents[2]
LOCAL = CHECKOUT / ".local"
DATA: dict[SourceName, Path] = {"mariadb": LOCAL / "data", "mysql": LOCAL / "data-mysql"}
"""Each kind of warehouse has its own system; only one should be up at a time."""

HTTP_TIMEOUT_S = 5.0
# Time in which a service reports a wrong setting.
SETTLE_S = 1.0


@dataclass(frozen=True)
class System:
    """The parts and services of one data directory.

    Attributes:
        directory: The data directory.
        source: The kind of the warehouse.
    """

    directory: Path = DATA["mariadb"]
    source: SourceName = "mariadb"

    @property
    def supervisor(self) -> Supervisor:
        """A client of the supervisor process."""
        return Supervisor(socket_folder(self.directory) / "supervisor.sock")

    @property
    def is_up(self) -> bool:
        """Whether the supervisor runs, with or without its programs."""
        return self.supervisor.is_up

    @property
    def environment_file(self) -> Path:
        """The file with the `DFP_` variables for a shell, while the system is up."""
        return self.directory / "environment"

    def programs(self) -> list[dict[str, str]]:
        """Name, port and log of each program of the last start."""
        if not self._programs_file.exists():
            return []
        programs: list[dict[str, str]] = json.loads(self._programs_file.read_text(encoding="utf-8"))
        return programs

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.directory / "logs" / f"{name}.log"

    def start(
        self,
        report: Report,
        *,
        generator: Sequence[str] | None = (),
        rate: float | None = None,
        within_s: float = START_WITHIN_S,
    ) -> Blueprint:
        """Starts everything in order, and waits until it is ready.

        Args:
            report: Receives the progress, line by line.
            generator: Arguments of the generator; None starts none.
            rate: Games per second; None: the setting.
            within_s: The limit for the start of each program, in seconds.

        Raises:
            PartError: the system is up already, or a program did not start; all are stopped again.
        """
        if self.is_up:
            raise PartError("the system is up already: `./run down` stops it")
        blueprint = draw_blueprint(self.directory, source=self.source)
        in_parallel(lambda part: part.prepare(), blueprint.parts)
        try:
            programs = list_programs(blueprint, generator or ())
            start_up = self._start_up(programs, Patience(within_s, report))
            self._launch(blueprint, programs, rate, start_up.patience)
            self._start_parts(blueprint, start_up)
            if generator is not None:
                self._seed(blueprint, start_up)
            names = [name for name in SERVICES if name != "generator" or generator is not None]
            self._start_services(blueprint, names, start_up)
        except BaseException:
            self.stop()
            raise
        return blueprint

    def stop(self) -> bool:
        """Stops everything, the last started first; False if nothing ran."""
        self.environment_file.unlink(missing_ok=True)
        if not self.is_up:
            return False
        self.supervisor.shut_down()
        return True

    def restart(self, name: str) -> ProgramState:
        """Restarts one part or service.

        Returns:
            Its state a moment later.

        Raises:
            PartError: the system is down, has no such program, or the program ended again at once.
        """
        if not self.is_up:
            raise PartError("the system is down: `./run up` starts it")
        known = [program["name"] for program in self.programs()]
        if name not in known:
            raise PartError(f"there is no {name}: use one of {', '.join(known)}")
        log = LogPart.from_now(self.log(name))
        self.supervisor.restart(name)
        await_condition(lambda: self.states()[name].is_over, timeout_s=SETTLE_S)
        state = self.states()[name]
        if has_failed(state):
            raise PartError(describe_failure(f"{name} {ending(state)}", log))
        return state

    def states(self) -> dict[str, ProgramState]:
        """The states of all programs; none if the system is down."""
        return self.supervisor.states() if self.is_up else {}

    @property
    def _programs_file(self) -> Path:
        return self.directory / "programs.json"

    def _start_up(self, programs: Sequence[Program], patience: Patience) -> StartUp:
        logs = {program.name: LogPart.from_now(program.log) for program in programs}
        logs[SUPERVISOR] = LogPart.from_now(self._supervisor_output)
        return StartUp(self.supervisor.states, logs, patience)

    @property
    def _supervisor_output(self) -> Path:
        return self.directory / "logs" / "supervisor.out"

    def _launch(
        self, blueprint: Blueprint, programs: Sequence[Program], rate: float | None, patience: Patience
    ) -> None:
        sockets = socket_folder(self.directory)
        make_socket_folder(sockets)
        configuration = self.directory / "supervisord.conf"
        text = render_configuration(programs, checkout=CHECKOUT, data=self.directory, sockets=sockets)
        configuration.write_text(text, encoding="utf-8")
        facts = [{"name": p.name, "port": str(p.port or ""), "log": str(p.log)} for p in programs]
        self._programs_file.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        environment = blueprint.environment()
        write_private(self.environment_file, render_environment(environment, settings_in(os.environ)))
        if rate is not None:
            environment["DFP_GENERATOR_RATE"] = str(rate)
        self.supervisor.launch(configuration, self._supervisor_output, environment, CHECKOUT, patience)

    def _start_parts(self, blueprint: Blueprint, start_up: StartUp) -> None:
        start_up.patience.report("starting " + ", ".join(f"{part.name} (port {part.port})" for part in blueprint.parts))
        for part in blueprint.parts:
            self.supervisor.start(part.name)
        in_parallel(lambda part: start_up.await_ready(part.name, part.is_ready), blueprint.parts, start_up.cancelled)

    def _seed(self, blueprint: Blueprint, start_up: StartUp) -> None:
        """Loads the league before capture starts, so that the stream begins with its tables."""
        start_up.patience.report("seeding the league, unless it is there")
        with self.log("generator").open("ab") as log:
            seeding = subprocess.Popen(  # noqa: S603 - our own interpreter
                [*end_with_parent("TERM"), sys.executable, "-m", "services.generator", "--seed-only"],
                cwd=CHECKOUT,
                env={**os.environ, **blueprint.environment()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            # The supervisor does not keep this process: it ends when the league is there.
            start_up.await_ready("generator", lambda: seeding.poll() is not None)
        finally:
            if seeding.poll() is None:
                seeding.terminate()
                seeding.wait()
        if seeding.returncode != 0:
            raise PartError(describe_failure("the league could not be seeded", start_up.logs["generator"]))

    def _start_services(self, blueprint: Blueprint, names: Sequence[str], start_up: StartUp) -> None:
        start_up.patience.report("starting " + ", ".join(names))
        port = blueprint.ports["api"]
        for name in names:
            self.supervisor.start(name)
            if name == "api":
                start_up.await_ready(name, lambda: answers_health(port))
        await_condition(lambda: any(state.is_over for state in self.states().values()), timeout_s=SETTLE_S)
        start_up.require_alive()
        start_up.patience.report(f"up: http://{HOST}:{port}/")


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings among the variables of a process."""
    return {name: value for name, value in environment.items() if name.startswith(ENVIRONMENT_PREFIX)}


def render_environment(parts: Mapping[str, str], chosen: Mapping[str, str]) -> str:
    """Lines that a shell can read to export variables.

    Args:
        parts: Those that connect a program to the system.
        chosen: The settings that the system was started with. A shell that has such a variable keeps its own value.
    """
    kept = {name: value for name, value in chosen.items() if name not in parts}
    return "".join(
        [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(parts.items())]
        + [f'[ -n "${{{name}+set}}" ] || export {name}={shlex.quote(value)}\n' for name, value in sorted(kept.items())]
    )


def answers_health(port: int) -> bool:
    """Whether the REST service answers its health check."""
    connection = http.client.HTTPConnection(HOST, port, timeout=HTTP_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def system_of(source: SourceName | None) -> System:
    """The system with this warehouse; for None the running one, else that of MariaDB."""
    every: list[SourceName] = [*DATA]
    running = [name for name in every if System(DATA[name], name).is_up]
    chosen = source or (running[0] if running else every[0])
    return System(DATA[chosen], chosen)
