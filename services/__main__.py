"""The console script `datafingerprint`: every service as a command, and what the system knows now."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console

from api.status_text import status_text
from datafingerprint.adapters import rest
from datafingerprint.adapters.settings import read_settings
from datafingerprint.errors import DataFingerprintError

COMMANDS = {
    "audit": "services.auditor.__main__:main",
    "capture": "services.cdc.__main__:main",
    "doctor": "services.doctor.__main__:main",
    "export-catalog": "services.exports.__main__:export_catalog",
    "export-glue": "services.exports.__main__:export_glue",
    "export-manifest": "services.exports.__main__:export_manifest",
    "fingerprint": "services.fingerprinter.__main__:main",
    "generate": "services.generator.__main__:main",
    "resync": "services.resync.__main__:main",
    "scan": "services.scanner.__main__:main",
    "serve": "api.__main__:main",
    "sql": "services.statements.__main__:main",
    "tail": "services.tail.__main__:main",
    "write-lake": "services.lake_writer.__main__:main",
}
"""Where each command is: a process loads its own only, since all of them take 100 MiB more than capture alone."""

STATUS_NOT_MATCHING = 1
STATUS_UNKNOWN = 2
PIPE_WIDTH = 160


class Commands(click.Group):
    """A group whose commands are loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in order."""
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None when there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=Commands, help="Proves that an S3 data lake holds exactly what a live MySQL warehouse holds.")
def main() -> None:
    """The group of all commands."""


@main.command(
    help="Shows verdicts, lag and audits. Exit status 0 when all matches; 1 when a partition does not, or the last "
    "audit of one found the source different; 2 when nobody answers, or no epoch has come in "
    "for three heartbeats of capture."
)
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of /v1/status as it is.")
def status(config: str | None, *, as_json: bool) -> None:
    """Asks the REST service and prints its answer."""
    try:
        settings = read_settings(config)
        found = rest.get(settings.api, "/v1/status")
        tables = rest.get(settings.api, "/v1/fingerprints")
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_UNKNOWN)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        console = Console()
        # A pipe has no width; a table that is wrapped in it could not be searched.
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(status_text(found, tables))
    sys.exit(exit_status(found))


def exit_status(status: Mapping[str, Any]) -> int:
    """What the answer to `/v1/status` comes to: a difference counts most, then that nothing of the present is known."""
    if status["verdict"] == "mismatch" or status["audit"]["mismatch"]:
        return STATUS_NOT_MATCHING
    if status["standstill"] is not None:
        return STATUS_UNKNOWN
    return 0 if status["verdict"] == "match" else STATUS_NOT_MATCHING


if __name__ == "__main__":
    main()
