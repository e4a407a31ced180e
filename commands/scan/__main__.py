"""`datafingerprint scan`: another engine counts a table of the lake."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from datafingerprint.adapters.engines.drivers import engine_opener
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.scans import SqlScanStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus, exit_status_of
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.scanner import Scanner
from datafingerprint.scans import Scan, ScanState

PIPE_WIDTH = 160


@click.command(help="Lets another engine count a lake table, and compares the count with the running sums.")
@click.argument("table")
@click.option("--engine", required=True, metavar="NAME", help="An engine of the settings, [engines.NAME].")
@click.option("--partition", metavar="NAME", help="Only this partition, such as date_year=2031.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(table: str, engine: str, partition: str | None, config: str | None, *, as_json: bool) -> None:
    """Exits with 0 when count and running sums are equal, 1 when they differ, 2 when unknown."""
    stop = threading.Event()
    try:
        with signals_set(stop):
            scan = run(read_settings(config), engine, table, partition, stop)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    if scan.state is ScanState.CANCELLED:
        how = f"cancelled, but {scan.error}" if scan.error else "cancelled, at the engine too"
        click.echo(f"datafingerprint: {how}; no result is stored", err=True)
        sys.exit(ExitStatus.CANCELLED)
    if as_json:
        click.echo(json.dumps(document(scan), indent=2))
    else:
        console = Console()
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(scan_table(scan))
    sys.exit(exit_status_of(scan.outcome))


@contextlib.contextmanager
def signals_set(stop: threading.Event) -> Iterator[None]:
    """Sets `stop` at the first SIGINT or SIGTERM, and ends the process at the second.

    A thread handles the signals, because the main thread may wait inside a library for a store that does not answer.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)

    def handle_signals() -> None:
        while os.read(read_end, 1):
            if stop.is_set():
                click.echo("datafingerprint: ended at once; the engine may continue, and no result is stored", err=True)
                os._exit(ExitStatus.CANCELLED)
            stop.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    previous = [(number, signal.signal(number, lambda *_: None)) for number in signals]
    fd = signal.set_wakeup_fd(write_end)
    thread = threading.Thread(target=handle_signals, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd)
        for number, handler in previous:
            signal.signal(number, handler)
        os.close(write_end)
        thread.join()
        os.close(read_end)


def run(settings: Settings, engine: str, table: str, partition: str | None, stop: threading.Event) -> Scan:
    """Runs a scan to its end. The engine's progress goes to standard error.

    Raises:
        DataFingerprintError: The scan is refused or fails. Only that is stored.
    """
    url = settings.state.database.get_secret_value()
    with (
        contextlib.closing(SqlStateStore(url)) as sums,
        contextlib.closing(SqlScanStore(url)) as store,
        contextlib.closing(IcebergLakeView(settings)) as lake,
    ):
        scanner = Scanner(settings.engines, store, sums, lake, engine_opener(settings), time.time)
        return scanner.run(scanner.begin(engine, table, partition), stop, _ProgressPrinter())


class _ProgressPrinter:
    """Prints the progress of a scan when it changes."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        if text and text != self._last:
            self._last = text
            click.echo(text, err=True)


def scan_table(scan: Scan) -> Table:
    """A table with one row for every partition."""
    table = Table("table", "partition", "verdict", "running sums", scan.engine, "reason", box=None, pad_edge=False)
    for name, verdict in (scan.verdicts or {}).items():
        table.add_row(
            scan.table, name, verdict.outcome.value, _rows(verdict.source), _rows(verdict.lake), verdict.reason
        )
    return table


def _rows(part: Fingerprint | None) -> str:
    return f"{part.rows} rows {part.value}" if part else ""


def document(scan: Scan) -> dict[str, Any]:
    """A scan as a JSON document."""
    return {
        "id": scan.number,
        "engine": scan.engine,
        "table": scan.table,
        "partition": scan.partition,
        "state": scan.state.value,
        "verdict": scan.outcome.value,
        "epoch": scan.epoch,
        "snapshot": str(scan.snapshot_id) if scan.snapshot_id is not None else None,
        "partitions": [
            {
                "partition": name,
                "verdict": verdict.outcome.value,
                "reason": verdict.reason or None,
                "running": _sum(verdict.source),
                "counted": _sum(verdict.lake),
            }
            for name, verdict in (scan.verdicts or {}).items()
        ],
    }


def _sum(part: Fingerprint | None) -> dict[str, Any] | None:
    return {"rows": part.rows, "fingerprint": part.value, "digest": part.digest} if part else None


if __name__ == "__main__":
    main()
