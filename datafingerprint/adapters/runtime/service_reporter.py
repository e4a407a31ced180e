"""Publishes the state of this process in its own thread, and logs when the broker is away."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from datafingerprint.adapters.runtime.process_names import process_name
from datafingerprint.errors import DataFingerprintError, Stop
from datafingerprint.liveness import HEARTBEAT_S, ServiceReport, ServiceState

PAUSE_S = 1.0
"""Seconds between two attempts to publish while the broker is away."""

TURN_S = 60.0
"""Seconds without a turn of its loop, after which a service reports it: a long step or a hang."""

LAST_REPORT_S = 3.0
"""Longest wait of an ending process for its last report."""

Clock = Callable[[], float]


class ReportLog(Protocol):
    """The destination of reports."""

    def publish(self, report: ServiceReport) -> None:
        """Stores a report, and connects first if necessary.

        Raises:
            DataFingerprintError: the report could not be stored within a few seconds.
        """

    def close(self) -> None:
        """Closes the connection without waiting."""


class ServiceReporter:
    """Publishes the state of one process at every change and as a heartbeat.

    It never disturbs the service. It logs one line when the broker goes away, and one when it is back.

    Args:
        service: The name of the service.
        reports: The destination of reports.
        clock: Unix time in seconds.
        needs_broker: Whether the service needs the broker. Otherwise its absence is logged at level debug.
    """

    def __init__(
        self, service: str, reports: ReportLog, clock: Clock = time.time, *, needs_broker: bool = True
    ) -> None:
        self._needs_broker = needs_broker
        self._service = service
        self._reports = reports
        self._clock = clock
        self._instance = process_name()
        self._started_at = clock()
        self._lock = threading.Condition()
        self._state = ServiceState.STARTING
        self._since = self._started_at
        self._message = ""
        self._remedy = ""
        self._doing = ""
        self._beat_at = self._started_at
        self._is_due = True
        self._is_closing = False
        self._away_since: float | None = None
        self._log: structlog.stdlib.BoundLogger | None = None
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self, log: structlog.stdlib.BoundLogger) -> None:
        """Starts the thread."""
        self._log = log
        self._thread.start()

    def doing(self, what: str) -> None:
        """Records the last log line of the service for the next heartbeat."""
        self._doing = what

    def beat(self) -> None:
        """Records a turn of the service's loop."""
        self._beat_at = self._clock()
        if self._state is not ServiceState.RUNNING:
            self._set_state(ServiceState.RUNNING, self._clock())

    def retrying(self, since: float, error: DataFingerprintError) -> None:
        """Publishes that a run has failed and the service tries again."""
        self._set_state(ServiceState.RETRYING, since, str(error))

    def stopped(self, error: Stop) -> None:
        """Publishes that the service has stopped and needs an operator."""
        where = f" at {error.where}" if error.where else ""
        self._set_state(ServiceState.STOPPED, self._clock(), f"{error.what}{where}", error.remedy)

    def ended(self) -> None:
        """Publishes that the service ends after a signal or at the end of its work."""
        self._set_state(ServiceState.ENDED, self._clock())

    def failed(self, error: BaseException) -> None:
        """Publishes that the process ends by an unexpected error."""
        self._set_state(ServiceState.STOPPED, self._clock(), f"it failed: {type(error).__name__}", "read its log")

    def close(self) -> None:
        """Waits for the last report to be published, unless the broker is away."""
        with self._lock:
            self._is_closing = True
            self._lock.notify()
        if self._thread.is_alive() and self._away_since is None:
            self._thread.join(LAST_REPORT_S)

    @contextlib.contextmanager
    def reporting(self, log: structlog.stdlib.BoundLogger) -> Iterator[None]:
        """Publishes while the block runs, and then how it ended."""
        self.start(log)
        try:
            yield
        except Stop as error:
            self.stopped(error)
            raise
        except Exception as error:
            self.failed(error)
            raise
        else:
            if self._state is not ServiceState.STOPPED:
                self.ended()
        finally:
            self.close()

    def report(self) -> ServiceReport:
        """The current state."""
        now = self._clock()
        message = self._message
        if self._state is ServiceState.RUNNING:
            idle_s = now - self._beat_at
            message = f"no turn of its loop for {idle_s:.0f} s: {self._doing}" if idle_s > TURN_S else self._doing
        return ServiceReport(
            service=self._service,
            instance=self._instance,
            host=platform.node(),
            pid=os.getpid(),
            version=_version(),
            state=self._state,
            started_at=self._started_at,
            since=self._since,
            reported_at=now,
            message=message,
            remedy=self._remedy,
        )

    def _set_state(self, state: ServiceState, since: float, message: str = "", remedy: str = "") -> None:
        with self._lock:
            self._state, self._since, self._message, self._remedy = state, since, message, remedy
            self._is_due = True
            self._lock.notify()

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._is_due or self._is_closing, pause)
                is_last = self._is_closing and not self._is_due
                self._is_due = False
                report = self.report()
            if is_last:
                break
            pause = HEARTBEAT_S if self._publish(report) else PAUSE_S
        self._reports.close()

    def _publish(self, report: ServiceReport) -> bool:
        try:
            self._reports.publish(report)
        except DataFingerprintError as error:
            self._note_away(error)
            return False
        self._note_back()
        return True

    def _note_away(self, error: DataFingerprintError) -> None:
        if self._away_since is None:
            self._away_since = self._clock()
            if self._log is not None:
                (self._log.warning if self._needs_broker else self._log.debug)("broker away", what=str(error))

    def _note_back(self) -> None:
        if self._away_since is not None:
            away_s, self._away_since = round(self._clock() - self._away_since, 1), None
            if self._log is not None:
                (self._log.info if self._needs_broker else self._log.debug)("broker back", away_s=away_s)


def _version() -> str:
    try:
        return importlib.metadata.version("datafingerprint")
    except importlib.metadata.PackageNotFoundError:
        return ""
