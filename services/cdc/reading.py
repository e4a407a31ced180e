"""Reads tables from a consistent view beside the stream, so that the other tables are followed meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Self

from datafingerprint.ports import SnapshotRows, SourceSnapshot

_PATIENCE_S = 5.0

PublishStep = Callable[[SnapshotRows], None]


class Reading(contextlib.AbstractContextManager["Reading"]):
    """A thread that hands the steps of a snapshot on, each while the stream is held still.

    Leaving the context ends the thread, also in the middle of a table.

    Args:
        snapshot: What is read; closed by whoever opened it.
        publish: Takes each step.
        hold: Held while a step is taken.
    """

    def __init__(self, snapshot: SourceSnapshot, publish: PublishStep, hold: threading.RLock) -> None:
        self._snapshot = snapshot
        self._publish = publish
        self._hold = hold
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="reading", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(_PATIENCE_S)  # if it still waits for the source after that, it will publish no more

    @property
    def is_over(self) -> bool:
        """Whether every step was handed on.

        Raises:
            DataFingerprintError: whatever ended the reading.
        """
        if self._thread.is_alive():
            return False
        if self._failure is not None:
            raise self._failure
        return True

    def _run(self) -> None:
        try:
            for step in self._snapshot.read():
                with self._hold:
                    if self._ended.is_set():
                        return
                    self._publish(step)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that asks
            self._failure = error
