"""Sends messages, with one thread per receiver, so that a slow one delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from datafingerprint.alerts import Content
from datafingerprint.ports.incidents import Message
from datafingerprint.ports.receivers import DeliveryError, Receiver

ABANDONED_MAX = 3
"""Attempts of a receiver that may hang at once. With as many, nothing more is sent to it until one ends."""


@dataclass(slots=True)
class Attempt:
    """One attempt to send a message, in a thread of its own.

    Attributes:
        message: The message.
        began_at: Monotonic seconds.
        error: Why it failed. Empty after a success, None while it runs.
    """

    message: Message
    began_at: float
    error: str | None = None
    thread: threading.Thread | None = field(default=None, repr=False)


class Courier:
    """Sends to one receiver.

    Args:
        receiver: The receiver.
        timeout_s: Seconds that an attempt may take.
        clock: Monotonic seconds.
    """

    def __init__(self, receiver: Receiver, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.receiver = receiver
        self._timeout_s = timeout_s
        self._clock = clock
        self._attempt: Attempt | None = None
        self._abandoned: list[Attempt] = []

    @property
    def is_free(self) -> bool:
        """Whether another attempt may begin."""
        self._abandoned = [attempt for attempt in self._abandoned if attempt.error is None]
        return self._attempt is None and len(self._abandoned) < ABANDONED_MAX

    def start(self, message: Message, content: Content) -> None:
        """Begins an attempt, and returns at once."""
        attempt = Attempt(message, self._clock())
        name = f"alert {self.receiver.key}"
        attempt.thread = threading.Thread(target=self._run, args=(attempt, content), name=name, daemon=True)
        self._attempt = attempt
        attempt.thread.start()

    def ended(self) -> Attempt | None:
        """The attempt, once it has ended or its time is up. None otherwise."""
        attempt = self._attempt
        if attempt is None:
            return None
        if attempt.error is not None:
            self._attempt = None
            return attempt
        if self._clock() - attempt.began_at <= self._timeout_s:
            return None
        self._attempt = None
        self._abandoned.append(attempt)
        return Attempt(attempt.message, attempt.began_at, f"no answer within {self._timeout_s:g} s")

    def wait(self, within_s: float) -> None:
        """Waits for the running attempt, at most so many seconds."""
        if self._attempt is not None and self._attempt.thread is not None:
            self._attempt.thread.join(within_s)

    def _run(self, attempt: Attempt, content: Content) -> None:
        try:
            self.receiver.send(content)
        except DeliveryError as error:
            attempt.error = str(error) or "the receiver did not take the message"
        except Exception as error:  # noqa: BLE001 - of a receiver's library, which must not end this thread unseen
            attempt.error = f"the receiver's client failed ({type(error).__name__})"
        else:
            attempt.error = ""


def couriers(receivers: Sequence[Receiver], timeout_s: float) -> dict[str, Courier]:
    """A courier for each receiver, by the receiver's key."""
    return {receiver.key: Courier(receiver, timeout_s) for receiver in receivers}
