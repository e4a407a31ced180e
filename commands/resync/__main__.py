"""`datafingerprint resync`: re-snapshots a table or partition, and waits for the verdict."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from functools import partial

import click

from commands.resync.resync import await_verdicts, read_again, require_partition
from datafingerprint.adapters.kafka.epoch_records import KafkaEpochRecords
from datafingerprint.adapters.kafka.requests import ask
from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.captured import captured_table
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus, exit_status_of
from datafingerprint.resync import ResyncRequest
from datafingerprint.verdict import Outcome, overall
from services.auditor.__main__ import echo, rendered
from services.auditor.__main__ import run as run_audit

HEARTBEATS = 6
"""Heartbeats without an epoch after which capture counts as down."""


@click.command(help="Reads a table or one partition again from the source, while everything runs.")
@click.argument("table")
@click.option("--partition", metavar="NAME", help="Only this partition of the table, such as date_year=2031.")
@click.option("--dry-run", is_flag=True, help="Only print how many rows would be read.")
@click.option("--no-wait", is_flag=True, help="Send the request and end, without waiting for the result.")
@click.option("--no-audit", is_flag=True, help="Do not audit the source afterwards.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(
    table: str, partition: str | None, config: str | None, *, dry_run: bool, no_wait: bool, no_audit: bool
) -> None:
    """Exits with 0 when lake and source agree, 1 when they differ, 2 when that is not known."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    request = ResyncRequest(table, partition, time.time())
    try:
        settings = read_settings(config)
        if dry_run:
            sys.exit(_would_read(settings, request))
        sys.exit(run(settings, request, stop, no_wait=no_wait, no_audit=no_audit))
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)


def _would_read(settings: Settings, request: ResyncRequest) -> int:
    with contextlib.closing(SqlStateStore(settings.state.database.get_secret_value())) as store:
        rows = _check(settings, store, request, is_counted=True)
    click.echo(f"{_named(request)}: {rows} rows would be read")
    return 0


def run(
    settings: Settings, request: ResyncRequest, stop: threading.Event, *, no_wait: bool = False, no_audit: bool = False
) -> int:
    """Re-snapshots, prints the progress, and audits the result.

    Returns:
        The exit status.
    """
    with (
        contextlib.closing(SqlStateStore(settings.state.database.get_secret_value())) as store,
        contextlib.closing(KafkaEpochRecords(settings.kafka)) as records,
    ):
        _check(settings, store, request, is_counted=False)
        if no_wait:
            click.echo(f"{_named(request)}: request {ask(settings.kafka, request)} is sent")
            return 0
        epoch = 0
        patience_s = HEARTBEATS * settings.cdc.heartbeat_s
        for step in read_again(records, partial(ask, settings.kafka), request, stop, patience_s):
            click.echo(f"{_named(request)}: {step.rows} rows read, {step.percent} %, epoch {step.epoch}")
            epoch = step.epoch if step.complete else 0
        if not epoch:
            click.echo(f"{_named(request)}: waiting stopped; capture continues with the request")
            return ExitStatus.REFUSED
        verdicts = await_verdicts(store, request, epoch, stop)
        if stop.is_set():
            return ExitStatus.REFUSED
    for stored in verdicts:
        reason = f": {stored.verdict.reason}" if stored.verdict.reason else ""
        click.echo(f"{stored.table} {stored.partition}: {stored.verdict.outcome.value} at epoch {stored.epoch}{reason}")
    outcome = overall(stored.verdict.outcome for stored in verdicts)
    if no_audit:
        return exit_status_of(outcome)
    return exit_status_of(overall((outcome, _audit(settings, request, stop))))


def _audit(settings: Settings, request: ResyncRequest, stop: threading.Event) -> Outcome:
    """Audits the rows that were read, and prints the findings."""
    try:
        # From the start: the findings of an interrupted audit are older than the re-snapshot.
        findings = run_audit(settings, request.table, request.partition, stop, from_start=True, echo=echo)
    except DataFingerprintError as error:
        click.echo(f"{_named(request)}: the audit failed, so the source may differ: {error}", err=True)
        return Outcome.INCONCLUSIVE
    click.echo(rendered(findings), nl=False)
    return Outcome.INCONCLUSIVE if stop.is_set() else overall(finding.outcome for finding in findings)


def _check(settings: Settings, store: SqlStateStore, request: ResyncRequest, *, is_counted: bool) -> int:
    """Checks that table and partition exist.

    Returns:
        The number of rows to read, or 0 where `is_counted` is False.
    """
    table = captured_table(store.definitions(), request.table)

    def count() -> int:
        with AuditSource(settings, settings.source).view([table]) as view:
            return view.count(table, request.partition)

    if request.partition is not None:
        require_partition(store, request.table, request.partition, count)
    return count() if is_counted else 0


def _named(request: ResyncRequest) -> str:
    return f"{request.table} {request.partition}" if request.partition is not None else request.table


if __name__ == "__main__":
    main()
