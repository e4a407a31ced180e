"""Publishes epochs in a thread, so that the next one is decoded while the broker answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from datafingerprint.changes import Changes
from datafingerprint.epochs import Epoch
from datafingerprint.errors import Stop
from datafingerprint.ports.stream import EpochDraft, EpochLog

OnPublished = Callable[[Epoch], None]


class PublishQueue(contextlib.AbstractContextManager["PublishQueue"]):
    """Publishes epochs in order. At most one is in flight.

    `publish()` waits for the epoch before, so at most two epochs are in memory: one in flight and one that is built.
    A publish error is raised by the next call, and nothing is published after it. Leaving the context waits and
    raises a publish error too, unless a `Stop` ends the context.

    Args:
        epoch_log: Where epochs are published. Others may use it only between `flush()` and the next epoch.
    """

    def __init__(self, epoch_log: EpochLog) -> None:
        self._epoch_log = epoch_log
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publishing")
        self._in_flight: Future[None] | None = None
        self._rows = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        except BaseException as failure:
            # This may say that another capture has taken over. Lost, the next run would fence that one off.
            if failure is not error and not isinstance(error, Stop):
                raise failure from error
        finally:
            self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    @property
    def rows(self) -> int:
        """Rows of the epochs published so far. After `flush()`, rows of all epochs in the queue."""
        return self._rows

    def publish(self, draft: EpochDraft, on_published: OnPublished | None = None) -> None:
        """Puts an epoch into the queue.

        `on_published` is called in the queue's thread once it is published.

        Raises:
            DataFingerprintError: the epoch before could not be published.
        """

        def publish() -> None:
            epoch = self._epoch_log.publish(draft)
            self._rows += epoch.rows
            if on_published is not None:
                on_published(epoch)

        self._submit(publish)

    def publish_ahead(self, number: int, parts: Sequence[Changes]) -> None:
        """Publishes rows of the coming epoch ahead of its record. See `EpochLog.publish_ahead`.

        Raises:
            DataFingerprintError: the epoch before could not be published.
        """
        self._submit(lambda: self._epoch_log.publish_ahead(number, parts))

    def flush(self) -> None:
        """Waits until everything in the queue is published.

        Raises:
            DataFingerprintError: an epoch could not be published.
        """
        if self._in_flight is not None:
            self._in_flight.result()
            self._in_flight = None

    def raise_if_failed(self) -> None:
        """Raises a publish error, without waiting for an epoch in flight. Any thread may call it.

        Raises:
            DataFingerprintError: an epoch could not be published.
        """
        future = self._in_flight
        if future is not None and future.done():
            future.result()

    def _submit(self, work: Callable[[], None]) -> None:
        self.flush()
        self._in_flight = self._thread.submit(work)
