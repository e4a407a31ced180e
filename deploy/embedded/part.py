"""Embedded parts: the common interface for a test's stack and for the supervisor."""

from __future__ import annotations

import shutil
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
LOG_LINES = 15
LOG_BYTES = 64 * 1024
PROBE_TIMEOUT_S = 0.5


class PartError(Exception):
    """A part cannot be prepared or started, or ended unexpectedly; the text is the reason."""


@dataclass(frozen=True)
class Part(ABC):
    """One server process with a private directory and port of its own.

    Attributes:
        directory: The part's files; its data outlives the process.
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
        """Prepares the directory for a start; existing data is kept."""

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments; it runs in the foreground and ends on SIGTERM."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the part serves clients, not only whether its port is open."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The `DFP_` variables that point the services at this part."""


def accepts_connections(port: int) -> bool:
    """Whether the port is open. Checked first, because clients give up slowly and log a lot."""
    with socket.socket() as client:
        client.settimeout(PROBE_TIMEOUT_S)
        return client.connect_ex((HOST, port)) == 0


def find_program(name: str) -> str:
    """The path of an installed program, also from the system folders.

    Raises:
        PartError: the program is not installed.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise PartError(f"{name} is not installed: `./run up` installs it")
    return path


@dataclass(frozen=True)
class LogPart:
    """The part of a log file since a moment, without earlier runs.

    Attributes:
        file: The log file.
        begin: The length of the file at that moment.
    """

    file: Path
    begin: int = 0

    @staticmethod
    def from_now(file: Path) -> LogPart:
        """The part from now on."""
        return LogPart(file, _size(file))

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return max(0, _size(self.file) - self._start)

    def lines(self, count: int = LOG_LINES) -> list[str]:
        """The last lines."""
        if not self.size:
            return []
        with self.file.open("rb") as log:
            log.seek(max(self._start, _size(self.file) - LOG_BYTES))
            return log.read().decode("utf-8", errors="replace").splitlines()[-count:]

    @property
    def _start(self) -> int:
        # A file that was rotated begins again.
        return self.begin if _size(self.file) >= self.begin else 0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def last_lines(log: Path, count: int = LOG_LINES) -> list[str]:
    """The last lines of a log file; none if it does not exist."""
    return LogPart(log).lines(count)


def describe_failure(what: str, log: Path | LogPart) -> str:
    """The sentence, followed by the last lines of the log."""
    part = log if isinstance(log, LogPart) else LogPart(log)
    lines = part.lines()
    if not lines:
        return f"{what}; it has logged nothing ({part.file})"
    return "\n".join([f"{what}; its log {part.file} ends with:", *(f"  {line}" for line in lines)])
