"""The readiness of the service, checked at most once a second: any caller may ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from api.ports import Store
from datafingerprint.errors import DataFingerprintError

FRESH_S = 1.0


class Readiness:
    """The answer of `/readyz`.

    Args:
        store: The state store.
        clock: Monotonic seconds.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._reason = "the first check is running"
        self._checked_at = float("-inf")

    def reason(self) -> str:
        """Why the service is not ready. Empty when it is ready. At most `FRESH_S` old.

        One caller checks and waits for the store. Others get the previous answer until the check is done.
        """
        if self._lock.acquire(blocking=False):
            try:
                if self._clock() - self._checked_at >= FRESH_S:
                    self._reason = self._check()
                    self._checked_at = self._clock()
            finally:
                self._lock.release()
        return self._reason

    def _check(self) -> str:
        """Reads the store. Any error of the store means not ready, also a temporary one."""
        try:
            with self._store.reading() as view:
                is_empty = not view.progress().epoch
        except DataFingerprintError as error:
            return str(error)
        return "no epoch is stored yet: capture and fingerprinter have to run first" if is_empty else ""
