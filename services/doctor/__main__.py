"""`datafingerprint doctor`: whether all that the services stand on is fit, and what mends it."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datafingerprint.adapters.checkup_kafka import PART as BROKER
from datafingerprint.adapters.checkup_kafka import KafkaCheckup, Stream, read_stream
from datafingerprint.adapters.checkup_lake import LakeCheckup
from datafingerprint.adapters.checkup_scratch import ScratchCheckup
from datafingerprint.adapters.checkup_source import SourceCheckup
from datafingerprint.adapters.checkup_state import StateCheckup
from datafingerprint.adapters.settings import read_settings
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError, WireError
from datafingerprint.findings import Finding, Severity, worst

STATUS_PROBLEM = 1
STATUS_REFUSED = 2
PIPE_WIDTH = 200

_STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.PROBLEM: "bold red"}


@click.command(
    help="Looks whether source, broker, bucket, catalog, state store and temporary files are fit; says what mends them."
)
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def main(config: str | None, *, as_json: bool) -> None:
    """Exit status 0 when there is no problem, 1 when there is one, 2 when the settings cannot be read."""
    try:
        settings = read_settings(config)
    except ConfigError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    findings = []
    for one in examined(settings, time.time()):
        findings.append(one)
        if not as_json and sys.stderr.isatty():
            click.echo(f"\r\033[K{one.part}: {one.check}", err=True, nl=False)
    if not as_json and sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in findings], indent=2))
    else:
        console = Console()
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(shown(findings))
    sys.exit(STATUS_PROBLEM if worst(findings) is Severity.PROBLEM else 0)


def examined(settings: Settings, now: float) -> Iterator[Finding]:
    """Looks at one part after the other; what is away does not keep the others from being looked at."""
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
    """Seconds between now and the last epoch that the lake writer has; None before its first."""
    if stream.last is None or stream.commit is None:
        return now - stream.last.committed_at if stream.last else None
    is_there = stream.commit.epoch >= stream.last.number
    return 0.0 if is_there else now - stream.commit.committed_at


def shown(findings: list[Finding]) -> Table:
    """One row for every finding."""
    drawn = Table("part", "check", "", "found", "what mends it", box=None, pad_edge=False)
    for one in findings:
        severity = Text(one.severity.value, style=_STYLES[one.severity])
        drawn.add_row(one.part, one.check, severity, Text(one.said, overflow="fold"), Text(one.remedy, overflow="fold"))
    return drawn


if __name__ == "__main__":
    main()
