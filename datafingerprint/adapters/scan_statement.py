"""Runs one statement in a thread beside, so that it can be watched, ended in time, and ended when that is asked for."""

from __future__ import annotations

import threading
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
    """The rows that `work` gives.

    Args:
        work: Runs the statement; blocks.
        stop: Set when the statement is not wanted any more.
        cancel: Ends the statement at the engine; called from this thread while `work` runs.
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
    waited = 0.0
    while not done.wait(LOOK_S):
        waited += LOOK_S
        progress(told())
        if stop.is_set() or waited >= timeout_s:
            cancel()
            done.wait(GONE_WITHIN_S)
            if stop.is_set():
                raise Cancelled
            raise ConfigError(f"the engine was not done after {timeout_s:g} s", remedy="raise its timeout_s")
    if failed:
        raise translate(failed[0]) or failed[0]
    if stop.is_set():
        raise Cancelled
    return rows


def first_line(error: Exception) -> str:
    """What an engine says, as one line."""
    said = str(getattr(error, "message", "") or error).strip()
    return (said.splitlines() or [type(error).__name__])[0][:500]
