"""Waits for a condition with a deadline: the one place of this package that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_S = 0.05


def await_condition(holds: Callable[[], bool], *, timeout_s: float, pause_s: float = PAUSE_S) -> bool:
    """Polls until the condition holds; False if the time is up first."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
    return True
