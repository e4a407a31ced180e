"""Reads a snapshot in a thread, so that other tables are followed at the same time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Self

from datafingerprint.ports.source import SourceSnapshot
from services.cdc.snapshot_groups import Steps, grouped

_JOIN_S = 5.0

PublishSteps = Callable[[Steps], None]


class BackgroundSnapshot(contextlib.AbstractContextManager["BackgroundSnapshot"]):
    """A thread that publishes the steps of a snapshot.

    Leaving the context ends the thread, also in the middle of a table.

    Args:
        snapshot: The snapshot to read. Its opener closes it.
        publish: Publishes one group of steps.
        hold: Lock held while a group is published, so that the stream does not change.
    """

    def __init__(self, snapshot: SourceSnapshot, publish: PublishSteps, hold: threading.RLock) -> None:
        self._snapshot = snapshot
        self._publish = publish
        self._hold = hold
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(_JOIN_S)  # A thread that still waits for the source then will publish no more.

    @property
    def is_over(self) -> bool:
        """Whether every step was published.

        Raises:
            DataFingerprintError: the snapshot failed.
        """
        if self._thread.is_alive():
            return False
        if self._failure is not None:
            raise self._failure
        return True

    def _run(self) -> None:
        try:
            for steps in grouped(self._snapshot.read()):
                with self._hold:
                    if self._ended.is_set():
                        return
                    self._publish(steps)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that calls `is_over`
            self._failure = error
