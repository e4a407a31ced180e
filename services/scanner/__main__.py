"""`datafingerprint scan`: another engine counts a table of the lake anew."""

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

from datafingerprint.adapters.lake_view import IcebergLakeView
from datafingerprint.adapters.scan_engines import engine_opener
from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.adapters.state_scans import SqlScanStore
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.scanning import Scanner
from datafingerprint.scans import Scan, ScanState
from datafingerprint.verdict import Outcome

STATUS = {Outcome.MATCH: 0, Outcome.MISMATCH: 1, Outcome.INCONCLUSIVE: 2}
STATUS_REFUSED = 2
STATUS_CANCELLED = 130
PIPE_WIDTH = 160


@click.command(help="Has another engine count a lake table anew, and holds the running sums of that epoch against it.")
@click.argument("table")
@click.option("--engine", required=True, metavar="NAME", help="An engine of the settings, [engines.NAME].")
@click.option("--partition", metavar="NAME", help="Only this partition, such as date_year=2031.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(table: str, engine: str, partition: str | None, config: str | None, *, as_json: bool) -> None:
    """Exit status 0 when the engine's count is the running sums, 1 when not, 2 when that cannot be told."""
    stop = threading.Event()
    try:
        with heard(stop):
            found = run(read_settings(config), engine, table, partition, stop)
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(STATUS_REFUSED)
    if found.state is ScanState.CANCELLED:
        how = f"cancelled, but {found.error}" if found.error else "cancelled, at the engine too"
        click.echo(f"datafingerprint: {how}; no result is stored", err=True)
        sys.exit(STATUS_CANCELLED)
    if as_json:
        click.echo(json.dumps(document(found), indent=2))
    else:
        console = Console()
        Console(width=console.width if console.is_terminal else PIPE_WIDTH).print(shown(found))
    sys.exit(STATUS[found.outcome])


@contextlib.contextmanager
def heard(stop: threading.Event) -> Iterator[None]:
    """Sets `stop` at the first SIGINT or SIGTERM, and ends the process at the second.

    A thread hears them: this one may be waiting within a library, for a store that does not answer.
    """
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)

    def listen() -> None:
        while os.read(ear, 1):
            if stop.is_set():
                click.echo("datafingerprint: ended at once; the engine may work on, and no result is stored", err=True)
                os._exit(STATUS_CANCELLED)
            stop.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [(one, signal.signal(one, lambda *_: None)) for one in signals]
    fd = signal.set_wakeup_fd(mouth)
    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(fd)
        for one, handler in before:
            signal.signal(one, handler)
        os.close(mouth)
        thread.join()
        os.close(ear)


def run(settings: Settings, engine: str, table: str, partition: str | None, stop: threading.Event) -> Scan:
    """One scan, to its end; what the engine says of its progress goes to standard error.

    Raises:
        DataFingerprintError: it cannot be done; nothing but that is stored.
    """
    url = settings.state.url.get_secret_value()
    with (
        contextlib.closing(SqlStateStore(url)) as sums,
        contextlib.closing(SqlScanStore(url)) as store,
        contextlib.closing(IcebergLakeView(settings)) as lake,
    ):
        scanner = Scanner(settings.engines, store, sums, lake, engine_opener(settings), time.time)
        return scanner.run(scanner.begin(engine, table, partition), stop, _Told())


class _Told:
    """Says what is new of a scan's progress."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        if text and text != self._last:
            self._last = text
            click.echo(text, err=True)


def shown(scan: Scan) -> Table:
    """One row for every partition."""
    drawn = Table("table", "partition", "verdict", "running sums", scan.engine, "reason", box=None, pad_edge=False)
    for name, one in (scan.verdicts or {}).items():
        drawn.add_row(scan.table, name, one.outcome.value, _rows(one.source), _rows(one.lake), one.reason)
    return drawn


def _rows(part: Fingerprint | None) -> str:
    return f"{part.rows} rows {part.value}" if part else ""


def document(scan: Scan) -> dict[str, Any]:
    """A scan as JSON has it."""
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
                "verdict": one.outcome.value,
                "reason": one.reason or None,
                "running": _sum(one.source),
                "counted": _sum(one.lake),
            }
            for name, one in (scan.verdicts or {}).items()
        ],
    }


def _sum(part: Fingerprint | None) -> dict[str, Any] | None:
    return {"rows": part.rows, "fingerprint": part.value, "digest": part.digest} if part else None


if __name__ == "__main__":
    main()
