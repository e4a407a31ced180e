"""Publishes epochs in a thread of its own, so that the next one is read and decoded while the broker answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from datafingerprint.changes import Changes
from datafingerprint.epochs import Epoch
from datafingerprint.errors import Stop
from datafingerprint.ports import EpochDraft, EpochLog

Told = Callable[[Epoch], None]


class Publishing(contextlib.AbstractContextManager["Publishing"]):
    """One epoch on its way at a time, in the order in which they are handed over.

    Handing over waits for the one before, so no more than two epochs are in memory: the one that is on its way, and
    the one that is put together. What failed is raised by whatever is asked next; nothing is published behind a
    failure. Leaving the context waits, and raises what failed too, unless what ends the context is to stop the service.

    Args:
        epoch_log: Where they go; nobody else may use it meanwhile, except between `settle` and the next epoch.
    """

    def __init__(self, epoch_log: EpochLog) -> None:
        self._epoch_log = epoch_log
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publishing")
        self._on_its_way: Future[None] | None = None
        self._rows = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.settle()
        except BaseException as failure:
            # That another capture has taken over must not be lost: opened again, this one would fence it off.
            if failure is not error and not isinstance(error, Stop):
                raise failure from error
        finally:
            self._thread.shutdown()

    def __enter__(self) -> Self:
        return self

    @property
    def rows(self) -> int:
        """Rows of the epochs that were published so far; asked behind `settle`, of all that were handed over."""
        return self._rows

    def publish(self, draft: EpochDraft, told: Told | None = None) -> None:
        """Hands an epoch over; `told` is called, in the other thread, once it is published.

        Raises:
            DataFingerprintError: what was handed over before could not be published.
        """

        def publish() -> None:
            epoch = self._epoch_log.publish(draft)
            self._rows += epoch.rows
            if told is not None:
                told(epoch)

        self._hand_over(publish)

    def publish_ahead(self, number: int, parts: Sequence[Changes]) -> None:
        """Hands over rows of the epoch that is to come; see `ports.EpochLog.publish_ahead`.

        Raises:
            DataFingerprintError: what was handed over before could not be published.
        """
        self._hand_over(lambda: self._epoch_log.publish_ahead(number, parts))

    def settle(self) -> None:
        """Waits until all that was handed over is published.

        Raises:
            DataFingerprintError: it could not be.
        """
        if self._on_its_way is not None:
            self._on_its_way.result()
            self._on_its_way = None

    def require_well(self) -> None:
        """Raises what failed on its way, without waiting for what is still; any thread may ask.

        Raises:
            DataFingerprintError: what was handed over could not be published.
        """
        one = self._on_its_way
        if one is not None and one.done():
            one.result()

    def _hand_over(self, work: Callable[[], None]) -> None:
        self.settle()
        self._on_its_way = self._thread.submit(work)
