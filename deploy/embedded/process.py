"""A child process, which ends with its parent."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from pathlib import Path

from deploy.embedded.part import LogPart

STOP_TIMEOUT_S = 30.0


class Process:
    """A started program whose output goes to a log file. Only its own process is signalled.

    Attributes:
        log: Its output.
    """

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = LogPart.from_now(log)
        with log.open("ab") as output:
            self._child = subprocess.Popen(  # noqa: S603 - the parts' own commands
                [*_end_with_owner("KILL"), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C at a terminal goes to the whole group: the owner decides who ends first.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """Its exit status, or minus the signal that ended it; None while it runs."""
        return self._child.poll()

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._child.poll() is None

    def kill(self) -> None:
        """Ends it by SIGKILL, as a crash would, and waits until it is gone."""
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        """Ends it by SIGTERM, or by SIGKILL after a while."""
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


def end_with_parent(signal_name: str) -> list[str]:
    """A prefix of a command with which Linux signals it at its parent's end, also by kill -9.

    The command replaces the prefix program, so the process id stays. Empty if there is no such program.
    """
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", signal_name, "--"] if program else []


def _end_with_owner(signal_name: str) -> list[str]:
    # Linux watches the thread that started the child: a short-lived thread must not use this.
    in_main_thread = threading.current_thread() is threading.main_thread()
    return end_with_parent(signal_name) if in_main_thread else []
