"""`datafingerprint resync`: mends a gap by reading a table, or one partition of it, again from the source."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time

import click

from datafingerprint.adapters.audit_source import AuditSource
from datafingerprint.adapters.kafka_epoch_records import KafkaEpochRecords
from datafingerprint.adapters.kafka_requests import ask
from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.requests import Reread
from datafingerprint.verdict import Outcome
from services.resync.resync import await_verdicts, chosen, overall, read_again, require_partition

STATUS = {Outcome.MATCH: 0, Outcome.MISMATCH: 1, Outcome.INCONCLUSIVE: 2}
STATUS_REFUSED = 2
HEARTBEATS = 6
"""Without a single epoch for so many heartbeats capture is taken for dead."""


@click.command(help="Reads a table, or one partition of it, again from the source, while everything goes on.")
@click.argument("table")
@click.option("--partition", metavar="NAME", help="Only this partition of the table, such as date_year=2031.")
@click.option("--dry-run", is_flag=True, help="Only say how many rows would be read.")
@click.option("--no-wait", is_flag=True, help="Place the request and end, without following what becomes of it.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(table: str, partition: str | None, config: str | None, *, dry_run: bool, no_wait: bool) -> None:
    """Exit status 0 when the lake matches afterwards, 1 when it does not, 2 when that cannot be told."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    request = Reread(table, partition, time.time())
    try:
        settings = read_settings(config)
        sys.exit(_would_read(settings, request) if dry_run else run(settings, request, stop, no_wait=no_wait))
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)


def _would_read(settings: Settings, request: Reread) -> int:
    with contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store:
        rows = _checked(settings, store, request, is_counted=True)
    click.echo(f"{_named(request)}: {rows} rows would be read")
    return 0


def run(settings: Settings, request: Reread, stop: threading.Event, *, no_wait: bool = False) -> int:
    """Reads again and reports; returns the exit status."""
    with (
        contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store,
        contextlib.closing(KafkaEpochRecords(settings.kafka)) as records,
    ):
        _checked(settings, store, request, is_counted=False)
        if no_wait:
            click.echo(f"{_named(request)}: request {ask(settings.kafka, request)} is placed")
            return 0
        epoch = 0
        patience_s = HEARTBEATS * settings.cdc.heartbeat_s
        for seen in read_again(records, lambda one: ask(settings.kafka, one), request, stop, patience_s):
            click.echo(f"{_named(request)}: {seen.rows} rows read, {seen.percent} %, epoch {seen.epoch}")
            epoch = seen.epoch if seen.complete else 0
        if not epoch:
            click.echo(f"{_named(request)}: not waited for any longer; capture goes on with it")
            return STATUS[Outcome.INCONCLUSIVE]
        verdicts = await_verdicts(store, request, epoch, stop)
        if stop.is_set():
            return STATUS[Outcome.INCONCLUSIVE]
    for one in verdicts:
        reason = f": {one.verdict.reason}" if one.verdict.reason else ""
        click.echo(f"{one.table} {one.partition}: {one.verdict.outcome.value} at epoch {one.epoch}{reason}")
    return STATUS[overall(verdicts)]


def _checked(settings: Settings, store: SqlStateStore, request: Reread, *, is_counted: bool) -> int:
    table = chosen(store, request.table)

    def count() -> int:
        with AuditSource(settings, settings.source).view([table]) as view:
            return view.count(table, request.partition)

    if request.partition is not None:
        require_partition(store, request.table, request.partition, count)
    return count() if is_counted else 0


def _named(request: Reread) -> str:
    return f"{request.table} {request.partition}" if request.partition is not None else request.table


if __name__ == "__main__":
    main()
