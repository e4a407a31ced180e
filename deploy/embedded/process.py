"""One child process of this process, which does not outlive it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from pathlib import Path

STOP_TIMEOUT_S = 30.0


class Process:
    """A started program whose output goes to a log file; only this very process is ever signalled."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.log = log
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
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.poll() is None

    def kill(self) -> None:
        """Ends it by SIGKILL, as a crash would, and waits until it is gone."""
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        """Asks it to end, and ends it by force when it does not in time."""
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()


def end_with_parent(signal_name: str) -> list[str]:
    """What goes before a command so that Linux signals it when its parent ends, by kill -9 as well.

    The command takes the place of this one, so the process id stays. Empty where there is no such program.
    """
    program = shutil.which("setpriv")
    return [program, "--pdeathsig", signal_name, "--"] if program else []


def _end_with_owner(signal_name: str) -> list[str]:
    # Linux means the thread that started the child, not its process: a short-lived thread must not ask for it.
    in_main_thread = threading.current_thread() is threading.main_thread()
    return end_with_parent(signal_name) if in_main_thread else []
