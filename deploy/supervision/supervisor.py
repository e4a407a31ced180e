"""The supervisor process of a data directory: started, asked and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import SupervisorTransport

from deploy.embedded.part import PartError, describe_failure
from deploy.embedded.waiting import await_condition

START_TIMEOUT_S = 15.0
DO_NOT_WAIT = False
# Every program may take its own time to stop, one after the other.
STOP_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class ProgramState:
    """What the supervisor knows of one program.

    Attributes:
        name: The program.
        state: In capitals, as the supervisor names it: RUNNING, EXITED, STOPPED, …
        pid: Its process; 0 when there is none.
        started: Unix time of its last start; 0 when it was never started.
        exit_status: Of its last end; -1 when a signal ended it.
    """

    name: str
    state: str
    pid: int
    started: int
    exit_status: int

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self.state in {"RUNNING", "STARTING", "STOPPING"}

    @property
    def is_over(self) -> bool:
        """Whether it ended and will not be started again by itself."""
        return self.state in {"EXITED", "FATAL", "UNKNOWN"}


@dataclass(frozen=True)
class Supervisor:
    """A handle on the supervisor process that listens on a socket, whoever started it.

    Attributes:
        socket: Its unix socket, for the owner of the data directory only.
    """

    socket: Path

    @property
    def is_up(self) -> bool:
        """Whether the process is there and answers."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def launch(self, configuration: Path, log: Path, environment: Mapping[str, str], directory: Path) -> None:
        """Starts the process, in the background and with no program running yet; returns when it answers.

        Raises:
            PartError: it did not.
        """
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
        await_condition(lambda: process.poll() is not None or self.is_up, timeout_s=START_TIMEOUT_S)
        if process.poll() is not None or not self.is_up:
            raise PartError(describe_failure("the supervisor did not start", log))

    def start(self, name: str) -> None:
        """Starts one program, without waiting for it.

        Raises:
            PartError: the program cannot be run at all.
        """
        try:
            self._call("startProcess", name, DO_NOT_WAIT)
        except xmlrpc.client.Fault as fault:
            raise PartError(f"{name} cannot be started: {fault.faultString}") from None

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
        """Stops all programs, the last first and one at a time, then the supervisor; returns when all are gone.

        Raises:
            PartError: something is still there after the longest time that a stop may take.
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
    """Whether the process is there; one that ended but was not yet taken note of by its parent is not."""
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
