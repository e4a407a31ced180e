"""What docs/install.md says to type, and a machine's directories in which it can be typed by a test."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded.part import last_lines
from deploy.embedded.process import Process

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
UNITS = ROOT / "deploy" / "systemd"

_BLOCK = re.compile(r"^```(\w+) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SYSTEM = re.compile(r"(?<![\w.])/(?=(?:opt|etc|var/lib|var/backups)/)")
"""Where a path begins that the machine has, and a test has below a directory of its own."""


def block(kind: str, name: str) -> str:
    """The text of one marked block of the page."""
    (result,) = [text for first, other, text in _BLOCK.findall(PAGE) if (first, other) == (kind, name)]
    return str(result)


def unit_values(text: str, key: str) -> list[str]:
    """All values of a key in a unit of systemd."""
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@dataclass
class Machine:
    """A directory in the place of `/`, and what `systemctl` would have started.

    Attributes:
        root: The directory.
        environment: What commands and services get; nothing of the project's own.
        services: Running ones, by unit.
    """

    root: Path
    environment: dict[str, str]
    services: dict[str, Process] = field(default_factory=dict)

    def at(self, text: str) -> str:
        """A text whose paths of the system are below the root."""
        return _SYSTEM.sub(f"{self.root}/", text)

    def path(self, path: str) -> Path:
        return Path(self.at(path))

    def filled(self, text: str, values: Mapping[str, str]) -> str:
        """A text with a reader's own values in the place of the page's; each of them must be there."""
        for given, meant in values.items():
            assert given in text, f"the page does not say {given}"
            text = text.replace(given, meant)
        return self.at(text)

    def type(self, lines: str, folder: Path | None = None) -> str:
        """Types lines one after the other; what the last one printed. The first that fails ends the test."""
        printed = ""
        for line in self.at(lines).strip().splitlines():
            if line.startswith("systemctl "):
                self._systemctl(shlex.split(line)[1:])
                continue
            done = self.run(line, folder)
            assert done.returncode == 0, f"{line}\nends with {done.returncode}:\n{done.stdout}{done.stderr}"
            printed = done.stdout
        return printed

    def run(self, line: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Types one line, which may fail."""
        return subprocess.run(
            ["/bin/bash", "-c", line],
            cwd=folder or self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _systemctl(self, words: list[str]) -> None:
        verb, units = words[0], [word for word in words[1:] if not word.startswith("-")]
        assert verb in {"daemon-reload", "enable", "start", "stop"}
        for unit in [member for name in units for member in self._members(name)]:
            if verb == "stop":
                self._stop(unit)
            elif unit not in self.services:
                self._start(unit)

    def _unit(self, unit: str) -> tuple[str, str]:
        """A unit's file, and its instance."""
        template, _, instance = unit.removesuffix(".service").removesuffix(".target").partition("@")
        suffix = ".target" if unit.endswith(".target") else ".service"
        text = self.path(f"/etc/systemd/system/{template}@{suffix}").read_text(encoding="utf-8")
        return self.at(text.replace("%i", instance)), instance

    def _members(self, name: str) -> list[str]:
        if not name.endswith(".target"):
            return [name]
        text, _ = self._unit(name)
        return [unit.removesuffix(".service") for line in unit_values(text, "Wants") for unit in line.split()]

    def _start(self, unit: str) -> None:
        text, _ = self._unit(unit)
        for name in unit_values(text, "StateDirectory"):
            self.path(f"/var/lib/{name}").mkdir(parents=True, exist_ok=True)
        (command,) = unit_values(text, "ExecStart")
        (folder,) = unit_values(text, "WorkingDirectory")
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        as_systemd = ["/usr/bin/env", "-i", f"--chdir={folder}", *variables]
        self.services[unit] = Process([*as_systemd, *shlex.split(command)], self.root / f"{unit}.log")

    def _stop(self, unit: str) -> None:
        process = self.services.pop(unit)
        process.stop()
        assert process.exit_status == 0, f"{unit} ended with {process.exit_status}:\n{self.log(unit)}"

    def ended(self) -> dict[str, str]:
        """Services that ended although they should run, with their last words."""
        return {unit: self.log(unit) for unit, process in self.services.items() if not process.is_running}

    def log(self, unit: str) -> str:
        return "\n".join(last_lines(self.root / f"{unit}.log"))

    def close(self) -> None:
        """Ends what still runs."""
        for process in self.services.values():
            if process.is_running:
                process.kill()
