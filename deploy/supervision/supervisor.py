"""The supervisor process of a data directory: start, queries and end."""

from __future__ import annotations

import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import Faults, SupervisorTransport

from deploy.embedded.part import LogPart, PartError, describe_failure
from deploy.embedded.starting import Patience, work_of
from deploy.embedded.waiting import await_condition

DO_NOT_WAIT = False
# Every program may take its own time to stop, one after the other.
STOP_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class ProgramState:
    """The supervisor's state of one program.

    Attributes:
        name: The program.
        state: In capitals, as the supervisor names it: RUNNING, EXITED, STOPPED, …
        pid: Its process id; 0 if it does not run.
        started: Unix time of its last start; 0 when it was never started.
        exit_status: Its last exit status; -1 if a signal ended it.
    """

    name: str
    state: str
    pid: int
    started: int
    exit_status: int

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self.state in {"RUNNING", "STARTING", "STOPPING"}

    @property
    def is_over(self) -> bool:
        """Whether it ended and is not restarted automatically."""
        return self.state in {"EXITED", "FATAL", "UNKNOWN"}


@dataclass(frozen=True)
class Supervisor:
    """A client of the supervisor process on a socket.

    Attributes:
        socket: Its unix socket, for the owner of the data directory only.
    """

    socket: Path

    @property
    def is_up(self) -> bool:
        """Whether the process answers."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def launch(
        self,
        configuration: Path,
        log: Path,
        environment: Mapping[str, str],
        directory: Path,
        patience: Patience,
    ) -> None:
        """Starts the process in the background without programs, and waits for its answer.

        Raises:
            PartError: the process did not start.
        """
        written = LogPart.from_now(log)
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
                cwd=directory,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the command at the terminal, which then stops everything in order.
                start_new_session=True,
            )

        def require_alive() -> None:
            if process.poll() is not None:
                what = f"the supervisor ended with status {process.returncode}"
                raise PartError(describe_failure(what, written))

        try:
            patience.await_start(
                "the supervisor",
                lambda: self.is_up,
                require_alive=require_alive,
                work=lambda: work_of(process.pid, written),
                log=written,
            )
        except BaseException:
            # A process that does not answer cannot be asked to end.
            process.terminate()
            raise

    def start(self, name: str) -> None:
        """Starts one program, without waiting for it.

        Raises:
            PartError: the program cannot be run at all.
        """
        try:
            self._call("startProcess", name, DO_NOT_WAIT)
        except xmlrpc.client.Fault as fault:
            raise PartError(f"{name} cannot be started: {fault.faultString}") from None

    def restart(self, name: str) -> None:
        """Restarts one program, and returns before it is ready.

        Raises:
            PartError: there is no such program, or it cannot be run at all.
        """
        try:
            self._call("stopProcess", name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != Faults.NOT_RUNNING:
                raise PartError(f"{name} cannot be stopped: {fault.faultString}") from None
        self.start(name)

    def states(self) -> dict[str, ProgramState]:
        """All programs, by name."""
        answer = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return {
            info["name"]: ProgramState(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"],
                started=info["start"],
                exit_status=info["exitstatus"],
            )
            for info in answer
        }

    def shut_down(self) -> None:
        """Stops all programs, the last started first, then the supervisor, and waits for it.

        Raises:
            PartError: the supervisor still runs after the longest time of a stop.
        """
        pid = cast("int", self._call("getPID"))
        self._call("shutdown")
        if not await_condition(lambda: not _is_alive(pid), timeout_s=STOP_TIMEOUT_S):
            raise PartError(f"the supervisor (process {pid}) is still stopping its programs")

    def _call(self, method: str, *arguments: object) -> object:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        try:
            server = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
            return getattr(server.supervisor, method)(*arguments)
        finally:
            transport.close()


def _is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        ended, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return Path(f"/proc/{pid}").exists() if Path("/proc/self").exists() else _answers_signals(pid)
    return ended == 0


def _answers_signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
