"""Holds an audit while it runs: signs of life from a thread of its own, and the word when it is no longer ours."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from datafingerprint.audits import HEARTBEAT_S, AuditStore
from datafingerprint.errors import ConflictError, DataFingerprintError

_LOOK_S = 0.2
_INTERRUPT_AGAIN_S = 1.0


class Halt(threading.Event):
    """Set when an audit is to end: it was cancelled or taken over (`is_lost`), or the process is to stop.

    `interrupt` ends the statement at hand, which may have minutes to go.
    """

    is_lost = False

    @staticmethod
    def interrupt() -> None:
        """Nothing is at hand yet."""


@contextmanager
def holding(
    store: AuditStore, number: int, owner: str, stop: threading.Event, clock: Callable[[], float] = time.time
) -> Iterator[Halt]:
    """Gives signs of life until the block ends; one statement may take minutes."""
    halt, ended = Halt(), threading.Event()

    def live() -> None:
        next_at = time.monotonic() + HEARTBEAT_S
        while not ended.wait(_LOOK_S):
            if stop.is_set():
                halt.set()
            if halt.is_set():
                # Again and again: one more statement may just have begun.
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
                continue  # a store that is away stops the audit itself, at its next finding

    thread = threading.Thread(target=live, name=f"audit {number}", daemon=True)
    thread.start()
    try:
        yield halt
    finally:
        ended.set()
        thread.join()
