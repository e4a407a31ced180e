"""A service's health file, which every turn of its loop touches."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

_EVERY_S = 1.0


class HealthFile(threading.Event):
    """The stop event of a service. Each time the service reads it, it touches the health file.

    A service that hangs, or retries because a component is away, does not touch the file. A file that cannot be touched
    does not disturb the service.

    Args:
        file: The file; empty for none.
        on_beat: Called when the file is touched, at most once a second.
    """

    def __init__(self, file: str = "", on_beat: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._file = Path(file) if file else None
        self._on_beat = on_beat
        self._beaten_at = float("-inf")

    def is_set(self) -> bool:
        """Whether the service must end. Touches the file."""
        self._beat()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for the event. Touches the file.

        Returns:
            Whether the service must end.
        """
        self._beat()
        return super().wait(timeout)

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten_at < _EVERY_S:
            return
        self._beaten_at = now
        self._on_beat()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.touch()
