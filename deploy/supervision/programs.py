"""The supervised programs, and the supervisor's configuration file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datafingerprint.exit_statuses import ExitStatus
from deploy.embedded.blueprint import Blueprint
from deploy.embedded.process import end_with_parent

SERVICES: dict[str, str] = {
    "cdc": "services.cdc",
    "lake_writer": "services.lake_writer",
    "fingerprinter": "services.fingerprinter",
    "auditor": "services.auditor",
    "notifier": "services.notifier",
    "api": "api",
    "generator": "services.generator",
}
SERVICE_ARGUMENTS: dict[str, tuple[str, ...]] = {"auditor": ("--serve",)}
LOG_BYTES_MAX = 20 * 1024 * 1024
LOG_BACKUPS = 3


@dataclass(frozen=True)
class Program:
    """One program of the system.

    Attributes:
        name: Its name in the supervisor, in tables and log files.
        command: The program and its arguments.
        log: The file of both its outputs.
        port: Its port; None for a client.
        expected_statuses: The exit statuses after which it is not restarted.
        stop_timeout_s: Seconds between SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    port: int | None
    expected_statuses: tuple[int, ...]
    stop_timeout_s: int = 30


def list_programs(blueprint: Blueprint, generator_arguments: Sequence[str] = ()) -> list[Program]:
    """All programs, in the order in which they start."""
    parts = [
        Program(
            name=part.name,
            command=tuple(part.command()),
            log=blueprint.log(part.name),
            port=part.port,
            expected_statuses=(0,),
            # A database that is killed while it writes its pages has to recover at the next start.
            stop_timeout_s=60,
        )
        for part in blueprint.parts
    ]
    arguments = {**SERVICE_ARGUMENTS, "generator": tuple(generator_arguments)}
    services = [
        Program(
            name=name,
            command=(sys.executable, "-m", module, *arguments.get(name, ())),
            log=blueprint.log(name),
            port=blueprint.ports["api"] if name == "api" else None,
            # A service that refuses to continue cannot be helped by a restart.
            expected_statuses=(ExitStatus.OK, ExitStatus.REFUSED),
        )
        for name, module in SERVICES.items()
    ]
    return parts + services


def render_configuration(programs: Sequence[Program], *, checkout: Path, data: Path, sockets: Path) -> str:
    """The supervisor's configuration file."""
    sections = [
        _section("unix_http_server", {"file": str(sockets / "supervisor.sock"), "chmod": "0600"}),
        _section(
            "supervisord",
            {
                "nodaemon": "true",
                "directory": str(checkout),
                "logfile": str(data / "logs" / "supervisor.log"),
                "pidfile": str(data / "supervisor.pid"),
                "childlogdir": str(data / "logs"),
                "minfds": "1024",
            },
        ),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
        *(_program_section(program, order) for order, program in enumerate(programs, start=1)),
    ]
    return "\n".join(sections)


def _program_section(program: Program, order: int) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": shlex.join([*end_with_parent("TERM"), *program.command]),
            # The supervisor stops in the reverse of this order, one program after the other.
            "priority": str(order),
            "autostart": "false",
            "autorestart": "unexpected",
            "exitcodes": ",".join(str(int(status)) for status in program.expected_statuses),
            # With a second of grace a service that refuses at once would be restarted three times.
            "startsecs": "0",
            "stopsignal": "TERM",
            "stopwaitsecs": str(program.stop_timeout_s),
            "redirect_stderr": "true",
            "stdout_logfile": str(program.log),
            "stdout_logfile_maxbytes": str(LOG_BYTES_MAX),
            "stdout_logfile_backups": str(LOG_BACKUPS),
        },
    )


def _section(name: str, settings: dict[str, str]) -> str:
    # The supervisor expands %(name)s in every value.
    lines = [f"{key}={value.replace('%', '%%')}" for key, value in settings.items()]
    return "\n".join([f"[{name}]", *lines, ""])
