"""The console script `datafingerprint`: every service as a command, and `status`."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console, RenderableType

from api.status_text import services_table, status_text
from datafingerprint.adapters.runtime import rest
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus

COMMANDS = {
    "alerts": "commands.alerts.__main__:main",
    "audit": "services.auditor.__main__:main",
    "capture": "services.cdc.__main__:main",
    "diff": "commands.diff.__main__:main",
    "doctor": "commands.doctor.__main__:main",
    "export-catalog": "commands.export.__main__:export_catalog",
    "export-glue": "commands.export.__main__:export_glue",
    "export-manifest": "commands.export.__main__:export_manifest",
    "fingerprint": "services.fingerprinter.__main__:main",
    "generate": "services.generator.__main__:main",
    "incidents": "commands.incidents.__main__:main",
    "name": "commands.name.__main__:main",
    "notify": "services.notifier.__main__:main",
    "resync": "commands.resync.__main__:main",
    "scan": "commands.scan.__main__:main",
    "serve": "api.__main__:main",
    "sql": "commands.sql.__main__:main",
    "tail": "commands.tail.__main__:main",
    "tokens": "commands.tokens.__main__:main",
    "write-lake": "services.lake_writer.__main__:main",
}
"""The entry point of each command.

A process loads only its own command: all together take 100 MiB more than capture alone.
"""

SUMMARIES = {
    "alerts": "Tries and lists the receivers of alerts.",
    "audit": "Compares the stream with the source's own sums.",
    "capture": "Publishes every change of the source to Kafka.",
    "diff": "Names the rows that differ between source and lake.",
    "doctor": "Checks that everything can work; prints how to fix what cannot.",
    "export-catalog": "Writes the lake's tables into a folder for Presto.",
    "export-glue": "Registers the lake's tables in AWS Glue.",
    "export-manifest": "Lists a table's live files for Redshift.",
    "fingerprint": "Sums both sides up and compares them.",
    "generate": "Plays a simulated baseball league into the warehouse.",
    "incidents": "Lists what is wrong, and since when.",
    "name": "Maps a table's name between source and lake.",
    "notify": "Opens incidents and sends alerts.",
    "resync": "Reads a table or a partition again from the source.",
    "scan": "Lets a query engine count a table of the lake.",
    "serve": "Serves REST, metrics and the dashboard.",
    "sql": "Prints a table's fingerprint as SQL of an engine.",
    "tail": "Prints the changes of a table as they are published.",
    "tokens": "Creates, lists and revokes tokens of the REST service.",
    "write-lake": "Writes the stream into the lake's Iceberg tables.",
}
"""The line of each command in `--help`, which then need not load the commands."""

PIPE_WIDTH = 160


class Commands(click.Group):
    """A group that loads a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names in alphabetical order."""
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name. None when there is none."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists every command with its summary."""
        del ctx
        own = {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**own, **SUMMARIES}.items()))


@click.group(cls=Commands, help="Proves that an S3 data lake holds exactly what a live MySQL warehouse holds.")
@click.version_option(package_name="datafingerprint", message="%(package)s %(version)s")
def main() -> None:
    """The group of all commands."""


@main.command(
    help="Shows verdicts, lag, audits and the state of every service. Exit status 0: every partition matches. 1: a "
    "partition does not, or its last audit found a difference. 2: no answer, or capture, lake writer or fingerprinter "
    "does not work, or no epoch was stored for three heartbeats of capture."
)
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of /v1/status unchanged.")
def status(config: str | None, *, as_json: bool) -> None:
    """Prints the answer of the REST service, or the services' own reports without it."""
    try:
        settings = read_settings(config)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    try:
        answer = rest.get(settings.api, "/v1/status", waiting=_print_slow)
        tables = rest.get(settings.api, "/v1/fingerprints", waiting=_print_slow)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        if not as_json:
            _show_services(settings)
        sys.exit(ExitStatus.REFUSED)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _print(status_text(answer, tables))
    sys.exit(exit_status(answer))


def _print_slow(waited_s: float) -> None:
    click.echo(f"datafingerprint: the REST service has not answered for {waited_s:.0f} s, waiting", err=True)


def _show_services(settings: Settings) -> None:
    """Prints the reports of the services from Kafka, for when the REST service does not answer."""
    from api.services import service_answers  # noqa: PLC0415 - the client and the models take half a second to load
    from datafingerprint.adapters.kafka.services import read_services  # noqa: PLC0415 - as above

    try:
        services = read_services(settings.kafka)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: the reports of the services cannot be read either: {error}", err=True)
        return
    _print(services_table([answer.model_dump(mode="json") for answer in service_answers(services)]))


def _print(shown: RenderableType) -> None:
    console = Console()
    # A pipe has no width, and wrapped lines could not be searched.
    Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(shown)


def exit_status(status: Mapping[str, Any]) -> int:
    """The exit status for an answer of `/v1/status`. A difference outweighs a standstill."""
    if status["verdict"] == "mismatch" or status["audit"]["mismatch"]:
        return ExitStatus.FAILED
    if status["standstill"] is not None:
        return ExitStatus.REFUSED
    return ExitStatus.OK if status["verdict"] == "match" else ExitStatus.FAILED


if __name__ == "__main__":
    main()
