"""Removes files that no snapshot kept refers to: those of expired snapshots, and those of commits that never were.

A file goes when all of this holds:

1. Its name is one that this project gives.
2. The bucket was listed first and the metadata read afterwards, and the metadata does not lead to it.
3. That was so already `grace_s` ago, by this process's own clock: who began to read an expired snapshot may end.
4. It was written more than `grace_s` before the table's last commit. So a writer that is yet to commit it has read
   metadata that is no longer the present one; commits are never rebased, so its commit will be refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from datafingerprint.config import Lake
from datafingerprint.errors import DataFingerprintError, LakeError
from datafingerprint.ports import Garbage, References, Stored


@dataclass(frozen=True, slots=True)
class Swept:
    """What one search of a table came to: files and octets removed, and files that are waited for."""

    files: int
    octets: int
    waiting: int


class Sweeper:
    """Searches all tables of the lake from time to time.

    Args:
        garbage: Bucket and catalog.
        settings: How often, and how long files stay.
        log: For operators.
        clock: A clock in seconds that only goes forward.
    """

    def __init__(
        self,
        garbage: Garbage,
        settings: Lake,
        log: structlog.stdlib.BoundLogger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._garbage = garbage
        self._settings = settings
        self._log = log
        self._clock = clock
        self._unreferenced: dict[tuple[str, str], dict[str, float]] = {}

    def run(self, stop: threading.Event) -> None:
        """Searches until told to stop. What goes wrong is logged, and tried again at the next search."""
        while not stop.wait(self._settings.sweep_s):
            try:
                self._search(stop)
            except DataFingerprintError as error:
                self._log.warning("old files were not removed", reason=str(error))

    def _search(self, stop: threading.Event) -> None:
        """Searches every table; those whose metadata cannot be read keep no other from it, and are told in one line."""
        failed: dict[str, str] = {}
        for table in self._garbage.tables():
            if stop.is_set():
                break
            try:
                self.sweep(table)
            except LakeError as error:
                failed[".".join(table)] = str(error)
        if failed:
            reason = "; ".join(failed.values())
            self._log.warning("old files were not removed", tables=sorted(failed), reason=reason)

    def sweep(self, table: tuple[str, str]) -> Swept:
        """Searches one table.

        Raises:
            DataFingerprintError: bucket or catalog refuses, or is away; nothing that matters was removed.
        """
        stored = self._garbage.stored(table)
        references = self._garbage.references(table)
        now = self._clock()
        before = self._unreferenced.get(table, {})
        since = {path: before.get(path, now) for path in stored.keys() - references.paths}
        dead = sorted(_dead(since, stored, references, now, self._settings.grace_s))
        self._garbage.delete(dead)
        self._unreferenced[table] = {path: first for path, first in since.items() if path not in set(dead)}
        swept = Swept(len(dead), sum(stored[path].octets for path in dead), len(since) - len(dead))
        if dead:
            self._log.info("old files removed", table=".".join(table), files=swept.files, octets=swept.octets)
        return swept


def _dead(
    since: Mapping[str, float], stored: Mapping[str, Stored], references: References, now: float, grace_s: float
) -> list[str]:
    return [
        path
        for path, first in since.items()
        if now - first >= grace_s and stored[path].modified_at + grace_s < references.committed_at
    ]
