"""Runs one statement in a thread, with progress, a timeout and cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.scans import Cancelled

CHECK_S = 0.5
CANCEL_WITHIN_S = 30.0


def run_cancellable(
    work: Callable[[], list[Sequence[Any]]],
    *,
    stop: threading.Event,
    cancel: Callable[[], None],
    read_progress: Callable[[], str],
    progress: Callable[[str], None],
    timeout_s: float,
    translate: Callable[[Exception], DataFingerprintError | None],
) -> list[Sequence[Any]]:
    """Run a statement, and return its rows. If this raises, the statement has been cancelled.

    Args:
        work: Runs the statement; blocks.
        stop: Set to cancel the statement.
        cancel: Cancels the statement at the engine, or raises the error that prevents it. This thread calls it while
            `work` runs, and repeats it until `work` ends: the engine may not have received the statement yet.
        read_progress: Reads the progress that the engine reports.
        progress: Gets that progress, about twice a second.
        timeout_s: Seconds after which the statement is cancelled.
        translate: A driver error as one of ours; None for any other error.

    Raises:
        Cancelled: `stop` was set.
        ConfigError: the statement has timed out.
        DataFingerprintError: the driver's error, as `translate` returns it.
    """
    rows: list[Sequence[Any]] = []
    failed: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            rows.extend(work())
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            failed.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ends_at = time.monotonic() + timeout_s
    try:
        while not done.wait(CHECK_S):
            if stop.is_set() or time.monotonic() >= ends_at:
                break
            progress(_progress_or_empty(read_progress))
    except BaseException:
        # The caller no longer waits for the rows.
        _cancel_and_wait(cancel, done)
        raise
    if not done.is_set():
        warning = _cancel_and_wait(cancel, done)
        if not stop.is_set():
            raise ConfigError(
                f"the engine was not done after {timeout_s:g} s" + (f", and {warning}" if warning else ""),
                remedy="raise its timeout_s",
            )
        raise Cancelled(warning)
    if stop.is_set():
        raise Cancelled
    if failed:
        raise translate(failed[0]) or failed[0]
    return rows


def _progress_or_empty(read_progress: Callable[[], str]) -> str:
    try:
        return read_progress()
    except Exception:  # noqa: BLE001 - a statement may run well without progress
        return ""


def _cancel_and_wait(cancel: Callable[[], None], done: threading.Event) -> str:
    """Cancels the statement, and waits for its end.

    Returns:
        Why the engine may still work on it; empty when it has ended.
    """
    ends_at = time.monotonic() + CANCEL_WITHIN_S
    while True:
        try:
            cancel()
            refused = ""
        except Exception as error:  # noqa: BLE001 - goes into the message
            refused = f" ({first_line(error)})"
        if done.wait(CHECK_S) and not refused:
            return ""
        if done.is_set() or time.monotonic() >= ends_at:
            return f"the engine may work on{refused}"


def first_line(error: BaseException) -> str:
    """The first line of an engine's error message."""
    message = str(getattr(error, "message", "") or error).strip()
    return (message.splitlines() or [type(error).__name__])[0][:500]
