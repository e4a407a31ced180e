"""`datafingerprint doctor`: checks every part that the services need, and prints remedies."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datafingerprint.adapters.iceberg.checkup import LakeCheckup
from datafingerprint.adapters.kafka.checkup import PART as BROKER
from datafingerprint.adapters.kafka.checkup import KafkaCheckup, Stream, read_stream
from datafingerprint.adapters.mysql.checkup import SourceCheckup
from datafingerprint.adapters.runtime.checkup import ScratchCheckup
from datafingerprint.adapters.runtime.settings import exposed_files, read_settings, settings_under_old_names
from datafingerprint.adapters.state.checkup import StateCheckup
from datafingerprint.checkup import CheckResult, Component, Severity, worst
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError, WireError
from datafingerprint.exit_statuses import ExitStatus

PIPE_WIDTH = 200

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.PROBLEM: "bold red"}


@click.command(
    help="Checks source, broker, bucket, catalog, state store and temporary files, and prints how to fix problems."
)
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def main(config: str | None, *, as_json: bool) -> None:
    """Exits with 0 without a problem, 1 with one, 2 when the settings cannot be read."""
    try:
        settings = read_settings(config)
    except ConfigError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    results = [*check_secrets(config), *check_names(config)]
    for result in check_parts(settings, time.time()):
        results.append(result)
        if not as_json and sys.stderr.isatty():
            click.echo(f"\r\033[K{result.part}: {result.check}", err=True, nl=False)
    if not as_json and sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    if as_json:
        click.echo(json.dumps([result.to_json() for result in results], indent=2))
    else:
        console = Console()
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(results_table(results))
    sys.exit(ExitStatus.FAILED if worst(results) is Severity.PROBLEM else ExitStatus.OK)


def check_secrets(config: str | None) -> Iterator[CheckResult]:
    """Warns of each file with a secret that every account of the machine may read."""
    for file in exposed_files(config):
        text = f"{file} holds a secret, and every account of this machine may read it"
        yield Component("settings").warning("secrets", text, f"chmod o= {shlex.quote(str(file))}")


def check_names(config: str | None) -> Iterator[CheckResult]:
    """Warns of each setting that is given by its old name."""
    for old, new in settings_under_old_names(config).items():
        yield Component("settings").warning("names", f"{old} is the old name of a setting", f"rename it to {new}")


def check_parts(settings: Settings, now: float) -> Iterator[CheckResult]:
    """Checks one part after the other. A part that is away does not stop the other checks."""
    read, refused = None, None
    try:
        read = read_stream(settings.kafka)
    except DataFingerprintError as error:
        refused = error
    stream = read or Stream()
    yield from SourceCheckup(settings).findings(stream.last, now - stream.last.committed_at if stream.last else None)
    if refused is not None:
        yield BROKER.refused("stream", refused)
    if refused is None or isinstance(refused, WireError):
        yield from KafkaCheckup(settings.kafka).findings(_behind(stream, now))
    yield from LakeCheckup(settings).findings(read)
    yield from StateCheckup(settings.state).findings(read)
    yield from ScratchCheckup(settings.scratch).findings()


def _behind(stream: Stream, now: float) -> float | None:
    """Seconds since the last epoch in the lake. None before the first epoch."""
    if stream.last is None or stream.commit is None:
        return now - stream.last.committed_at if stream.last else None
    is_there = stream.commit.epoch >= stream.last.number
    return 0.0 if is_there else now - stream.commit.committed_at


def results_table(results: list[CheckResult]) -> Table:
    """A table with one row for every result."""
    table = Table("part", "check", "", "found", "how to fix", box=None, pad_edge=False)
    for result in results:
        severity = Text(result.severity.value, style=_STYLES[result.severity])
        text, remedy = Text(result.text, overflow="fold"), Text(result.remedy, overflow="fold")
        table.add_row(result.part, result.check, severity, text, remedy)
    return table


if __name__ == "__main__":
    main()
