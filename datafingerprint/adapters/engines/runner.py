"""Runs scans in threads of a long-running process, the REST service."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

from datafingerprint.adapters.state.scans import SqlScanStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.errors import DataFingerprintError
from datafingerprint.scanner import Scanner
from datafingerprint.scans import Scan, ScanStart

if TYPE_CHECKING:
    from datafingerprint.adapters.iceberg.view import IcebergLakeView

END_WITHIN_S = 30.0


class ScanRunner:
    """Starts scans, and reads the scans of every process.

    Args:
        settings: The locations of state store, lake and engines.
        sums: The running sums.
        log: Gets a line when a scan ends.

    Raises:
        ConfigError: the URL of the state store is invalid.
    """

    def __init__(self, settings: Settings, sums: SqlStateStore, log: structlog.stdlib.BoundLogger) -> None:
        self._settings = settings
        self._sums = sums
        self._log = log
        self._store = SqlScanStore(settings.state.database.get_secret_value())
        self._lock = threading.Lock()
        self._lake: IcebergLakeView | None = None
        self._running: dict[int, tuple[threading.Thread, threading.Event]] = {}

    def ask(self, engine: str, table: str, partition: str | None) -> Scan:
        """Starts a scan, which continues after this returns.

        Raises:
            ConfigError: the scan is impossible, or not possible now.
            Unavailable: state store or lake is away.
        """
        scanner = self._scanner()
        start = scanner.begin(engine, table, partition)
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(scanner, start, stop), daemon=True)
        with self._lock:
            self._running[start.scan.number] = (thread, stop)
        thread.start()
        return start.scan

    def cancel(self, number: int) -> None:
        """Cancels a scan, also at the engine. A scan of another process ends within seconds.

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
        """One scan of any process."""
        return self._store.scan(number)

    def scans(self, *, limit: int) -> list[Scan]:
        """The last scans, the newest first."""
        return self._store.scans(limit=limit)

    def last_of(self, table: str) -> list[Scan]:
        """The last scan of a table on every engine, and its last full scan, the newest first."""
        return self._store.last_of(table)

    def close(self) -> None:
        """Cancels running scans, also at the engines, and closes the connections."""
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
        # Imported at the first scan: the REST service itself needs no lake, and starts a second earlier without these.
        from datafingerprint.adapters.engines.drivers import engine_opener  # noqa: PLC0415
        from datafingerprint.adapters.iceberg.view import IcebergLakeView  # noqa: PLC0415

        with self._lock:
            if self._lake is None:
                self._lake = IcebergLakeView(self._settings)
            lake = self._lake
        return Scanner(self._settings.engines, self._store, self._sums, lake, engine_opener(self._settings), time.time)

    def _run(self, scanner: Scanner, start: ScanStart, stop: threading.Event) -> None:
        scan = start.scan
        log = self._log.bind(scan=scan.number, engine=scan.engine, table=scan.table, epoch=scan.epoch)
        try:
            ended = scanner.run(start, stop, lambda _text: None)
            log.info("scan ended", state=ended.state.value, verdict=ended.outcome.value, error=ended.error or None)
        except DataFingerprintError as error:
            log.warning("scan failed", error=str(error))
        except Exception:
            log.exception("scan failed")
        finally:
            with self._lock:
                self._running.pop(scan.number, None)
