"""The lease of a running audit: heartbeats from a thread of its own, and the signal to end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from datafingerprint.audits import HEARTBEAT_S, AuditStore
from datafingerprint.errors import ConflictError, DataFingerprintError

_POLL_S = 0.2
_INTERRUPT_AGAIN_S = 1.0


def _nothing_to_interrupt() -> None:
    """No statement is running."""


class Halt(threading.Event):
    """Set when an audit must end: it was cancelled or taken over, or the process stops.

    Attributes:
        is_lost: Whether the audit was cancelled or taken over.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_lost = False
        self._interrupt = _nothing_to_interrupt

    @contextmanager
    def interrupting(self, abort: Callable[[], None]) -> Iterator[None]:
        """Inside the block, `interrupt` calls `abort`."""
        self._interrupt = abort
        try:
            yield
        finally:
            self._interrupt = _nothing_to_interrupt

    def interrupt(self) -> None:
        """Ends the running statement, which may need minutes otherwise."""
        self._interrupt()


@contextmanager
def lease(
    store: AuditStore, number: int, owner: str, stop: threading.Event, clock: Callable[[], float] = time.time
) -> Iterator[Halt]:
    """Sends heartbeats of an audit until the block ends. One statement may take minutes."""
    halt, ended = Halt(), threading.Event()

    def send_heartbeats() -> None:
        next_at = time.monotonic() + HEARTBEAT_S
        while not ended.wait(_POLL_S):
            if stop.is_set():
                halt.set()
            if halt.is_set():
                # Repeated, because another statement may just have begun.
                with contextlib.suppress(DataFingerprintError):
                    halt.interrupt()
                ended.wait(_INTERRUPT_AGAIN_S)
                continue
            if time.monotonic() < next_at:
                continue
            next_at = time.monotonic() + HEARTBEAT_S
            try:
                store.hold_audit(number, owner, clock())
            except ConflictError:
                halt.is_lost = True
                halt.set()
            except DataFingerprintError:
                continue  # with the store away, the audit itself fails at its next finding

    thread = threading.Thread(target=send_heartbeats, name=f"audit {number}", daemon=True)
    thread.start()
    try:
        yield halt
    finally:
        ended.set()
        thread.join()
