"""A service's sign of life: a file that is touched as often as its loop turns."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

_EVERY_S = 1.0


class Pulse(threading.Event):
    """The event that tells a service to end; each time that the service asks for it is a sign of life.

    So whoever hangs, or is retrying because a part is away, gives none. A file that cannot be touched keeps nobody
    from working.

    Args:
        file: The file; empty for none.
    """

    def __init__(self, file: str = "") -> None:
        super().__init__()
        self._file = Path(file) if file else None
        self._beaten_at = float("-inf")

    def is_set(self) -> bool:
        """Whether to end."""
        self._beat()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for that; whether to end."""
        self._beat()
        return super().wait(timeout)

    def _beat(self) -> None:
        now = time.monotonic()
        if self._file is not None and now - self._beaten_at >= _EVERY_S:
            self._beaten_at = now
            with contextlib.suppress(OSError):
                self._file.touch()
