"""`datafingerprint audit`: holds the stream's sums against the source's own, once or as a service."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import click
import structlog
from rich.console import Console

from datafingerprint.adapters.audit_source import AuditSource
from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.adapters.logging import configure_logging
from datafingerprint.adapters.process import process_name, run_service
from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.audit import Finding, overall
from datafingerprint.audits import Scope
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.verdict import Outcome
from services.auditor.alignment import StreamSide
from services.auditor.audit_run import Seen, chosen
from services.auditor.command import run_command
from services.auditor.rendering import ProgressShown, document, shown
from services.auditor.service import AuditService

GROUP = "dfp-auditor"
STATUS = {Outcome.MATCH: 0, Outcome.MISMATCH: 1, Outcome.INCONCLUSIVE: 2}
STATUS_REFUSED = 2
PIPE_WIDTH = 160
OWNER = process_name()
"""This process among those that run audits."""


@click.command(help="Asks the source itself for its sums, and compares them with the stream's at the same position.")
@click.argument("table", required=False)
@click.option("--partition", metavar="NAME", help="Only this partition of the table, such as date_year=2031.")
@click.option("--all", "everything", is_flag=True, help="Every table under watch; so it is without a TABLE too.")
@click.option("--fetch", is_flag=True, help="Fetch the rows and digest them here, where the server has no MD5().")
@click.option("--anew", is_flag=True, help="Begin anew where the same audit was interrupted, rather than go on.")
@click.option("--serve", is_flag=True, help="Run as a service: the schedule, and what is asked for over REST.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def main(
    table: str | None,
    partition: str | None,
    config: str | None,
    *,
    everything: bool,
    fetch: bool,
    anew: bool,
    serve: bool,
    as_json: bool,
) -> None:
    """Exit status 0 when all three sums agree, 1 when they do not, 2 when that cannot be told."""
    if serve and (table or partition or everything or anew):
        raise click.UsageError("--serve takes what is asked for from the state store; name no table")
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
        with ProgressShown(Console(stderr=True)) as progress:
            findings = run(settings, table, partition, stop, watch=progress.show, anew=anew, say=say)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    if as_json:
        click.echo(json.dumps([document(one) for one in findings], indent=2))
    else:
        console = Console()
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(shown(findings))
    sys.exit(STATUS_REFUSED if stop.is_set() else STATUS[overall(findings)])


def say(line: str) -> None:
    """A line about progress: standard output is kept for findings."""
    click.echo(line, err=True)


def fetching(settings: Settings) -> Settings:
    """The settings with `audit.fetch`."""
    return settings.model_copy(update={"audit": settings.audit.model_copy(update={"fetch": True})})


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event, *, fetch: bool = False) -> None:
    """One run of the service."""
    with opened(fetching(settings) if fetch else settings, log) as (_, service):
        service.serve(stop)


def run(
    settings: Settings,
    table: str | None,
    partition: str | None,
    stop: threading.Event,
    *,
    watch: Callable[[Seen], None] = lambda _: None,
    anew: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Finding]:
    """Audits one partition, one table, or all of them one after another; ends early when it is told to stop.

    Raises:
        DataFingerprintError: it is refused, or a part is away.
    """
    quiet = "error" if settings.log.level == "info" else settings.log.level  # what is found is printed
    log = configure_logging(settings.log.model_copy(update={"level": quiet}), "audit")
    if table is None and partition is not None:
        raise ConfigError("a partition needs its table", remedy="name the table first")
    with opened(settings, log, watch) as (store, service):
        chosen(store, table, partition)
        return list(run_command(store, service, Scope(table, partition), OWNER, stop, anew=anew, say=say))


@contextlib.contextmanager
def opened(
    settings: Settings, log: structlog.stdlib.BoundLogger, watch: Callable[[Seen], None] = lambda _: None
) -> Iterator[tuple[SqlStateStore, AuditService]]:
    """The store, and what runs audits over it."""
    with (
        contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store,
        contextlib.closing(KafkaEpochReader(settings.kafka, GROUP)) as reader,
    ):
        stream = StreamSide(store, reader, settings.audit.align_s)
        yield (
            store,
            AuditService(AuditSource(settings), stream, store, settings.audit, OWNER, log, watch, time.time),
        )


if __name__ == "__main__":
    main()
