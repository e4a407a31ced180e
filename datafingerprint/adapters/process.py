"""Runs a service: signals, retries with backoff, one line and a status when it stops for good."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from types import FrameType

import structlog

from datafingerprint.adapters.logging import configure_logging
from datafingerprint.adapters.pulse import Pulse
from datafingerprint.adapters.settings import read_settings
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, Stop, Unavailable

EXIT_STOPPED = 2
"""Status of a service that must not go on by itself; a supervisor leaves it as it is."""

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds waited after the first, second, … failure in a row; the last one from then on."""

_LONG_S = 10.0
"""A service that ran this long has worked; its next failure is a first one again."""

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_MALLOC = {_ARENA_MAX: 1, _MMAP_THRESHOLD: 1 << 20, _TRIM_THRESHOLD: 1 << 20}
"""Parameters of `mallopt`, by the numbers of glibc's malloc.h."""

Body = Callable[[Settings, structlog.stdlib.BoundLogger, threading.Event], None]


def process_name() -> str:
    """A name that no other process has or had, for people too: the machine, the process id, and a few random digits."""
    return f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def run_service(name: str, body: Body, config: str | None = None) -> int:
    """Runs `body` until it returns (status 0) or stops (status 2); `Unavailable` starts it again after a pause.

    `body` must be able to begin anew at any time: it opens what it needs and reads where it stands. It gets an
    event that SIGTERM and SIGINT set, and returns soon after; one that is done sets it itself.
    """
    try:
        settings = read_settings(config)
    except ConfigError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return EXIT_STOPPED
    _give_memory_back()
    log = configure_logging(settings.log, name)
    stop = threading.Event()
    pulse = Pulse(settings.health.file)

    def end() -> None:
        stop.set()
        pulse.set()

    def run(given: Settings, bound: structlog.stdlib.BoundLogger, _: threading.Event) -> None:
        body(given, bound, pulse)
        if pulse.is_set():
            stop.set()

    _on_signals(end)
    return _run(run, settings, log, stop)


def _give_memory_back() -> None:
    """Has the C library give large pieces of memory back as soon as they are free, where it is glibc.

    Its own way is to keep an arena for every thread, and to take ever larger pieces from them instead of the system:
    the rows of a large transaction, which many threads touch, then leave tens of MiB behind in each. Whoever sets one
    of its variables, such as `MALLOC_ARENA_MAX`, has chosen otherwise.
    """
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith("MALLOC_") for name in os.environ):
        library = ctypes.CDLL(None)
        for parameter, value in _MALLOC.items():
            library.mallopt(parameter, value)


def _on_signals(end: Callable[[], None]) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        # From a thread of its own: the handler runs inside the main one, which may hold the event's lock.
        threading.Thread(target=end, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _run(body: Body, settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> int:
    failures = 0
    while not stop.is_set():
        began = time.monotonic()
        try:
            log.info("started")
            body(settings, log.bind(), stop)
        except Unavailable as error:
            failures = 0 if time.monotonic() - began > _LONG_S else failures
            pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failures += 1
            log.warning("unavailable", what=str(error), retry_in_s=pause)
            stop.wait(pause)
        except Stop as error:
            log.error("stopped", what=error.what, where=error.where, remedy=error.remedy)  # noqa: TRY400 - the line says all
            return EXIT_STOPPED
    log.info("ended")
    return 0
