"""Runs scans in threads of a process that lives on: the REST service."""

from __future__ import annotations

import threading
import time

import structlog

from datafingerprint.adapters.lake_view import IcebergLakeView
from datafingerprint.adapters.scan_engines import engine_opener
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.adapters.state_scans import SqlScanStore
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.scanning import Scanner
from datafingerprint.scans import Begun, Scan

END_WITHIN_S = 30.0


class ScanRunner:
    """Begins scans, and knows those of every process.

    Args:
        settings: Where state store, lake and engines are.
        sums: The running sums.
        log: Says how each scan ended.

    Raises:
        ConfigError: the state store's URL is not fit.
    """

    def __init__(self, settings: Settings, sums: SqlStateStore, log: structlog.stdlib.BoundLogger) -> None:
        self._settings = settings
        self._sums = sums
        self._log = log
        self._store = SqlScanStore(settings.state.url.get_secret_value())
        self._lock = threading.Lock()
        self._lake: IcebergLakeView | None = None
        self._running: dict[int, tuple[threading.Thread, threading.Event]] = {}

    def ask(self, engine: str, table: str, partition: str | None) -> Scan:
        """Begins a scan; it goes on when this has returned.

        Raises:
            ConfigError: it cannot be done, or not now.
            Unavailable: state store or lake are away.
        """
        scanner = self._scanner()
        begun = scanner.begin(engine, table, partition)
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(scanner, begun, stop), daemon=True)
        with self._lock:
            self._running[begun.scan.number] = (thread, stop)
        thread.start()
        return begun.scan

    def cancel(self, number: int) -> None:
        """Asks a scan to end, at the engine too; one that another process runs hears of it within seconds.

        Raises:
            Unavailable: the state store is away.
        """
        with self._lock:
            running = self._running.get(number)
        if running is None:
            self._store.cancel(number)
        else:
            running[1].set()

    def scan(self, number: int) -> Scan | None:
        """One scan, of whatever process."""
        return self._store.scan(number)

    def scans(self, *, limit: int) -> list[Scan]:
        """The last scans, the newest first."""
        return self._store.scans(limit=limit)

    def last_of(self, table: str) -> list[Scan]:
        """A table's last scans on every engine, the newest first: the last one, and the last that counted it all."""
        return self._store.last_of(table)

    def close(self) -> None:
        """Ends what runs, at the engines too, and closes the connections."""
        with self._lock:
            running = list(self._running.values())
        for _, stop in running:
            stop.set()
        for thread, _ in running:
            thread.join(END_WITHIN_S)
        self._store.close()
        if self._lake is not None:
            self._lake.close()

    def _scanner(self) -> Scanner:
        with self._lock:
            # Opened when it is needed first: the REST service itself does without the lake.
            if self._lake is None:
                self._lake = IcebergLakeView(self._settings)
            lake = self._lake
        return Scanner(self._settings.engines, self._store, self._sums, lake, engine_opener(self._settings), time.time)

    def _run(self, scanner: Scanner, begun: Begun, stop: threading.Event) -> None:
        scan = begun.scan
        log = self._log.bind(scan=scan.number, engine=scan.engine, table=scan.table, epoch=scan.epoch)
        try:
            ended = scanner.run(begun, stop, lambda _text: None)
            log.info("scan ended", state=ended.state.value, verdict=ended.outcome.value, error=ended.error or None)
        except DataFingerprintError as error:
            log.warning("scan failed", error=str(error))
        except Exception:
            log.exception("scan failed")
        finally:
            with self._lock:
                self._running.pop(scan.number, None)
