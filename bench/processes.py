"""Use of processes, from `/proc`: CPU seconds and peak resident memory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.process import end_with_parent

_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Index of the two times after the command's name in `/proc/PID/stat`."""


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS


def peak_mib(pid: int) -> float:
    """Peak resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def resident_mib(pid: int) -> float:
    """The memory that is resident now, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def forget_peak(pid: int) -> None:
    """Resets the peak memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def environment(variables: dict[str, str]) -> dict[str, str]:
    """This process's variables, with these `DFP_` variables only."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DFP_")} | variables


@dataclass
class Service:
    """One of the project's services as a child process.

    Attributes:
        name: Its module below `services`, unless another one is given.
        variables: The `DFP_` variables that it is given.
        directory: Where it runs, and its log lies.
        nice: How far it stands back behind other processes.
        module: Its module.
    """

    name: str
    variables: dict[str, str]
    directory: Path
    nice: int = 0
    module: str = ""
    child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Its output."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            RuntimeError: it does not run.
        """
        if self.child is None or self.child.poll() is not None:
            raise RuntimeError(f"{self.name} does not run: see {self.log}:\n{self.log.read_text()[-2000:]}")
        return self.child.pid

    def start(self, *arguments: str) -> None:
        """Starts it."""
        command = [*end_with_parent("KILL"), "nice", f"-n{self.nice}", sys.executable, "-m"]
        command.append(self.module or f"services.{self.name}")
        given = environment(self.variables)
        with self.log.open("ab") as log:
            self.child = subprocess.Popen([*command, *arguments], env=given, cwd=self.directory, stdout=log, stderr=log)

    def wait(self) -> None:
        """Waits for its own end, which must be a success."""
        if self.child is None or self.child.wait() != 0:
            raise RuntimeError(f"{self.name} failed:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kills it, as a crash would."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

    def stop(self) -> None:
        """Stops it."""
        if self.child is not None:
            self.child.terminate()
            self.child.wait()
            self.child = None
