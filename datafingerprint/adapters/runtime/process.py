"""Runs a service: signals, retries with backoff, one log line and an exit status at the end."""

from __future__ import annotations

import ctypes
import os
import platform
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import structlog

from datafingerprint.adapters.kafka.services import KafkaReportLog
from datafingerprint.adapters.runtime.health_file import HealthFile
from datafingerprint.adapters.runtime.logging import configure_logging
from datafingerprint.adapters.runtime.service_reporter import ReportLog, ServiceReporter
from datafingerprint.adapters.runtime.settings import exposed_files, read_settings, settings_under_old_names
from datafingerprint.config import Kafka, Settings
from datafingerprint.errors import ConfigError, RunAgain, Stop, Unavailable
from datafingerprint.exit_statuses import ExitStatus

EXIT_STOPPED = 2
"""Exit status of a service that needs an operator. A supervisor does not restart it."""

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pause after the first, second, … failure in a row. The last value repeats."""

_RECOVERED_S = 10.0
"""Run time after which the next failure counts as the first one again."""

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_MALLOC = {_ARENA_MAX: 1, _MMAP_THRESHOLD: 1 << 20, _TRIM_THRESHOLD: 1 << 20}
"""Parameters of `mallopt`, by the numbers of glibc's malloc.h."""

Body = Callable[[Settings, structlog.stdlib.BoundLogger, threading.Event], None]


def run_service(
    name: str, body: Body, config: str | None = None, *, open_reports: Callable[[Kafka], ReportLog] = KafkaReportLog
) -> int:
    """Run `body` until it returns or stops. `Unavailable` starts it again after a pause.

    `body` must be restartable at any time: it opens its connections and reads its position. It gets an event that
    SIGTERM and SIGINT set, and returns soon after. A `body` that has finished its work sets the event itself. The state
    of the service is published to `open_reports` while it runs.

    Returns:
        The exit status: 0 when `body` returned, 2 when it stopped.
    """
    try:
        settings, exposed = read_settings(config), exposed_files(config)
        renamed = settings_under_old_names(config)
    except ConfigError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_STOPPED
    _tune_malloc()
    reporter = ServiceReporter(name, open_reports(settings.kafka))
    log = configure_logging(settings.log, name, reporter.doing)
    for file in exposed:
        log.warning("a secret can be read by everybody", file=str(file), remedy=f"chmod o= {shlex.quote(str(file))}")
    for old, new in renamed.items():
        log.warning("a setting has a new name", setting=old, remedy=f"rename it to {new}")
    stop = threading.Event()
    health_file = HealthFile(settings.health.file, reporter.beat)

    def end() -> None:
        stop.set()
        health_file.set()

    def run(current: Settings, bound_log: structlog.stdlib.BoundLogger, _: threading.Event) -> None:
        body(current, bound_log, health_file)
        if health_file.is_set():
            stop.set()

    _on_signals(end)
    with reporter.reporting(log):
        return _run(run, settings, log, stop, reporter)


def _tune_malloc() -> None:
    """Make glibc return large blocks of memory to the system as soon as they are free.

    By default glibc keeps an arena per thread and serves ever larger blocks from it. The rows of a large transaction,
    which many threads touch, then leave tens of MiB in each arena. Nothing is changed if the environment sets a
    variable of glibc's malloc, such as `MALLOC_ARENA_MAX`.
    """
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith("MALLOC_") for name in os.environ):
        library = ctypes.CDLL(None)
        for parameter, value in _MALLOC.items():
            library.mallopt(parameter, value)


def _on_signals(end: Callable[[], None]) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        # In a new thread: the handler runs in the main thread, which may hold the event's lock.
        threading.Thread(target=end, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _log_retry(log: structlog.stdlib.BoundLogger, error: Unavailable, pause_s: float) -> None:
    if isinstance(error, RunAgain):
        log.info("starts again", why=str(error))
    else:
        log.warning("unavailable", what=str(error), retry_in_s=pause_s)


def _run(
    body: Body,
    settings: Settings,
    log: structlog.stdlib.BoundLogger,
    stop: threading.Event,
    reporter: ServiceReporter | None = None,
) -> int:
    failures = 0
    failed_at = 0.0
    while not stop.is_set():
        started_at = time.monotonic()
        try:
            log.info("started")
            body(settings, log.bind(), stop)
        except Unavailable as error:
            failures = 0 if time.monotonic() - started_at > _RECOVERED_S else failures
            pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failed_at = failed_at if failures else time.time()
            failures += 1
            if reporter is not None and not isinstance(error, RunAgain):
                reporter.retrying(failed_at, error)
            _log_retry(log, error, pause)
            stop.wait(pause)
        except Stop as error:
            log.error("stopped", what=error.what, where=error.where, remedy=error.remedy)  # noqa: TRY400 - a traceback adds nothing
            if reporter is not None:
                reporter.stopped(error)
            return ExitStatus.REFUSED
    log.info("ended")
    return 0
