"""Runs one statement in a thread beside, so that it can be watched, ended in time, and ended when that is asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.scans import Cancelled

LOOK_S = 0.5
GONE_WITHIN_S = 30.0


def watched(
    work: Callable[[], list[Sequence[Any]]],
    *,
    stop: threading.Event,
    cancel: Callable[[], None],
    told: Callable[[], str],
    progress: Callable[[str], None],
    timeout_s: float,
    translate: Callable[[Exception], DataFingerprintError | None],
) -> list[Sequence[Any]]:
    """The rows that `work` gives. However this ends, the statement does not go on: it was told to end, at least.

    Args:
        work: Runs the statement; blocks.
        stop: Set when the statement is not wanted any more.
        cancel: Ends the statement at the engine, and raises what kept it from that; called from this thread while
            `work` runs, and again until that is over: the engine may not have had the statement yet.
        told: How far the engine says it is.
        progress: Gets that, about twice a second.
        timeout_s: Seconds after which the statement is ended.
        translate: An error of the driver as one of ours; None for what is no error of the engine.

    Raises:
        Cancelled: `stop` was set.
        ConfigError: the time is up.
        DataFingerprintError: what `translate` makes of the driver's error.
    """
    rows: list[Sequence[Any]] = []
    failed: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            rows.extend(work())
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            failed.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ends_at = time.monotonic() + timeout_s
    try:
        while not done.wait(LOOK_S):
            if stop.is_set() or time.monotonic() >= ends_at:
                break
            progress(_said(told))
    except BaseException:
        # Nobody waits for the rows any more.
        _ended(cancel, done)
        raise
    if not done.is_set():
        goes_on = _ended(cancel, done)
        if not stop.is_set():
            raise ConfigError(
                f"the engine was not done after {timeout_s:g} s" + (f", and {goes_on}" if goes_on else ""),
                remedy="raise its timeout_s",
            )
        raise Cancelled(goes_on)
    if stop.is_set():
        raise Cancelled
    if failed:
        raise translate(failed[0]) or failed[0]
    return rows


def _said(told: Callable[[], str]) -> str:
    try:
        return told()
    except Exception:  # noqa: BLE001 - an engine that cannot tell how far it is may be at work all the same
        return ""


def _ended(cancel: Callable[[], None], done: threading.Event) -> str:
    """Ends the statement; gives why the engine may work on, empty when it does not."""
    ends_at = time.monotonic() + GONE_WITHIN_S
    while True:
        try:
            cancel()
            refused = ""
        except Exception as error:  # noqa: BLE001 - told to whoever cancels
            refused = f" ({first_line(error)})"
        if done.wait(LOOK_S) and not refused:
            return ""
        if done.is_set() or time.monotonic() >= ends_at:
            return f"the engine may work on{refused}"


def first_line(error: BaseException) -> str:
    """What an engine says, as one line."""
    said = str(getattr(error, "message", "") or error).strip()
    return (said.splitlines() or [type(error).__name__])[0][:500]
