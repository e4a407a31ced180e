"""What every embedded part can do, whoever starts its process: a test's stack or the supervisor."""

from __future__ import annotations

import shutil
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
LOG_LINES = 15
PROBE_TIMEOUT_S = 0.5


class PartError(Exception):
    """A part cannot be prepared or started, or ended when it should not; the text says why."""


@dataclass(frozen=True)
class Part(ABC):
    """One server process with a private directory and port of its own.

    Attributes:
        directory: Holds everything that the part keeps; its data outlives the process.
        port: The TCP port that it listens on, on the loopback address only.
    """

    directory: Path
    port: int

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in tables, settings and log files."""

    @abstractmethod
    def prepare(self) -> None:
        """Makes the directory fit to start from; does nothing to data that is there."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments; it runs in the foreground and ends on SIGTERM."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the part does its work for a client, not only whether its port is open."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The `DFP_` variables that point the services at this part."""


def accepts_connections(port: int) -> bool:
    """Whether anybody listens on the port; asked first, for clients are slow to give up and log a lot."""
    with socket.socket() as client:
        client.settimeout(PROBE_TIMEOUT_S)
        return client.connect_ex((HOST, port)) == 0


def find_program(name: str) -> str:
    """The path of an installed program; servers are looked for in the system folders as well.

    Raises:
        PartError: it is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise PartError(f"{name} is not installed: `./run up` installs it")
    return found


def last_lines(log: Path, count: int = LOG_LINES) -> list[str]:
    """The end of a log file; empty when there is none."""
    if not log.exists():
        return []
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]


def describe_failure(what: str, log: Path) -> str:
    """The sentence and, below it, the last lines of the log that may explain it."""
    return "\n".join([f"{what}; its log {log} ends with:", *(f"  {line}" for line in last_lines(log))])
