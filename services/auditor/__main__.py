"""`datafingerprint audit`: compares the stream with the source, once or as a service."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import click
import structlog
from rich.console import Console

from datafingerprint import consumer_groups
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.requests import ask
from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.runtime.logging import configure_logging
from datafingerprint.adapters.runtime.process import run_service
from datafingerprint.adapters.runtime.process_names import process_name
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audit import Finding
from datafingerprint.audits import Scope
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus, exit_status_of
from datafingerprint.verdict import overall
from services.auditor.alignment import StreamSide
from services.auditor.audit_run import tables_in
from services.auditor.cascade_checks import CascadeChecks
from services.auditor.command import run_command
from services.auditor.journal import AuditStep
from services.auditor.rendering import ProgressDisplay, document, findings_table
from services.auditor.service import AuditService

PIPE_WIDTH = 160
OWNER = process_name()
"""The name of this process among those that run audits."""


@click.command(help="Compares the source's own sums with the stream's, at the same position.")
@click.argument("table", required=False)
@click.option("--partition", metavar="NAME", help="Only this partition of the table, such as date_year=2031.")
@click.option("--all", "everything", is_flag=True, help="Every captured table. This is the default without TABLE.")
@click.option("--fetch", is_flag=True, help="Fetch the rows and digest them here, for a server without MD5().")
@click.option(
    "--from-start",
    "--anew",
    "from_start",
    is_flag=True,
    help="Begin a new audit instead of continuing an interrupted one.",
)
@click.option("--serve", is_flag=True, help="Run as a service: requests over REST, and the schedule.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def main(
    table: str | None,
    partition: str | None,
    config: str | None,
    *,
    everything: bool,
    fetch: bool,
    from_start: bool,
    serve: bool,
    as_json: bool,
) -> None:
    """Exits with 0 when all three sums agree, 1 when they differ, 2 when that is not known."""
    if serve and (table or partition or everything or from_start):
        raise click.UsageError("--serve reads requests from the state store: leave out the table")
    if everything and (table or partition):
        raise click.UsageError("--all and a table exclude each other")
    if serve:
        sys.exit(run_service("auditor", lambda *run: body(*run, fetch=fetch), config))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = read_settings(config)
        if fetch:
            settings = fetching(settings)
        with ProgressDisplay(Console(stderr=True)) as progress:
            findings = run(settings, table, partition, stop, watch=progress.show, from_start=from_start, echo=echo)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    if as_json:
        click.echo(json.dumps([document(finding) for finding in findings], indent=2))
    else:
        click.echo(rendered(findings), nl=False)
    sys.exit(ExitStatus.REFUSED if stop.is_set() else exit_status_of(overall(finding.outcome for finding in findings)))


def rendered(findings: list[Finding]) -> str:
    """The findings as lines: as wide as the terminal, or unwrapped for a pipe."""
    console = Console()
    width = console.width if console.is_terminal else PIPE_WIDTH
    printer = Console(width=width, force_terminal=console.is_terminal, file=io.StringIO())
    with printer.capture() as captured:
        printer.print(findings_table(findings))
    return captured.get()


def echo(line: str) -> None:
    """Prints a line about progress to standard error. Standard output has findings only."""
    click.echo(line, err=True)


def fetching(settings: Settings) -> Settings:
    """The settings with `audit.fetch`."""
    return settings.model_copy(update={"audit": settings.audit.model_copy(update={"fetch": True})})


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event, *, fetch: bool = False) -> None:
    """One run of the service."""
    heals = settings.source.cascades == "heal"
    every_s = settings.audit.cascades_s
    checks = CascadeChecks(partial(ask, settings.kafka), every_s, log, heals=heals)
    with open_service(fetching(settings) if fetch else settings, log, checks=checks) as (_, service):
        service.serve(stop)


def run(
    settings: Settings,
    table: str | None,
    partition: str | None,
    stop: threading.Event,
    *,
    watch: Callable[[AuditStep], None] = lambda _: None,
    from_start: bool = False,
    echo: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Audits one partition, one table, or all tables one after another, until `stop` is set.

    Raises:
        DataFingerprintError: The audit is refused, or a part is away.
    """
    quiet = "error" if settings.log.level == "info" else settings.log.level  # findings are printed instead
    log = configure_logging(settings.log.model_copy(update={"level": quiet}), "audit")
    if table is None and partition is not None:
        raise ConfigError("a partition needs its table", remedy="name the table first")
    scope = Scope(table, partition)
    with open_service(settings, log, watch) as (store, service):
        tables_in(scope, store)
        return list(run_command(store, service, scope, OWNER, stop, from_start=from_start, echo=echo))


@contextlib.contextmanager
def open_service(
    settings: Settings,
    log: structlog.stdlib.BoundLogger,
    watch: Callable[[AuditStep], None] = lambda _: None,
    checks: CascadeChecks | None = None,
) -> Iterator[tuple[SqlStateStore, AuditService]]:
    """The state store, and the service that runs audits over it."""
    group = consumer_groups.consumer_group(settings.kafka.prefix, consumer_groups.AUDITOR)
    with (
        contextlib.closing(SqlStateStore(settings.state.database.get_secret_value())) as store,
        contextlib.closing(KafkaEpochReader(settings.kafka, group, passes_holes=True)) as reader,
    ):
        stream = StreamSide(store, reader, settings.audit.align_s)
        yield (
            store,
            AuditService(AuditSource(settings), stream, store, settings.audit, OWNER, log, watch, time.time, checks),
        )


if __name__ == "__main__":
    main()
