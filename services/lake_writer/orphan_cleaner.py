"""Deletes files that no snapshot refers to: of expired snapshots and of failed commits.

A file is deleted if all of this holds:

1. Its name has the form that this project uses.
2. The bucket was listed before the metadata was read, and the metadata does not refer to the file.
3. That was so `grace_s` ago too, by this process's own clock. So a reader of an expired snapshot can finish.
4. It was written more than `grace_s` before the table's last commit. So a writer that has yet to commit it has read
   metadata that is outdated now. Commits are never rebased, so its commit will be refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from datafingerprint.config import Lake
from datafingerprint.errors import DataFingerprintError, LakeError
from datafingerprint.ports.lake import LakeObjects, ObjectInfo, References

SHARE = 0.03
"""Share of the time that a round may take beyond its first seconds."""

FIRST_S = 2.0


@dataclass(frozen=True, slots=True)
class CleanupResult:
    """Result for one table: files and bytes deleted, and unreferenced files that have to wait."""

    files: int
    size_bytes: int
    waiting: int


class OrphanCleaner:
    """Cleans up all tables of the lake every `sweep_s`.

    Args:
        objects: Bucket and catalog.
        settings: How often, and how long files are kept.
        log: For operators.
        clock: A clock in seconds that only goes forward.
    """

    def __init__(
        self,
        objects: LakeObjects,
        settings: Lake,
        log: structlog.stdlib.BoundLogger,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._settings = settings
        self._log = log
        self._clock = clock
        self._unreferenced: dict[tuple[str, str], dict[str, float]] = {}
        self._clean: dict[tuple[str, str], str] = {}

    def run(self, stop: threading.Event) -> None:
        """Cleans up until stopped. An error is logged, and the next round tries again."""
        while not stop.wait(self._settings.sweep_s):
            try:
                self._clean_all(stop)
            except DataFingerprintError as error:
                self._log.warning("old files were not removed", reason=str(error))

    def _clean_all(self, stop: threading.Event) -> None:
        """Cleans up the tables that may have files to delete.

        A table is skipped if it has had no commit since a round that left no file waiting. With many tables the round
        pauses after each, so that it takes a small share of the time. Tables whose metadata cannot be read are skipped
        too, and logged in one line.
        """
        failed: dict[str, str] = {}
        versions = self._objects.versions()
        self._clean = {table: version for table, version in self._clean.items() if table in versions}
        used_s = pause_s = 0.0
        for table, version in versions.items():
            if self._clean.get(table) == version:
                continue
            if stop.is_set() or (used_s > FIRST_S and stop.wait(pause_s)):
                break
            started_at = self._clock()
            try:
                if not self.sweep(table).waiting:
                    self._clean[table] = version
            except LakeError as error:
                failed[".".join(table)] = str(error)
            took_s = self._clock() - started_at
            used_s += took_s
            pause_s = took_s / SHARE
        if failed:
            reason = "; ".join(failed.values())
            self._log.warning("old files were not removed", tables=sorted(failed), reason=reason)

    def sweep(self, table: tuple[str, str]) -> CleanupResult:
        """Cleans up one table.

        Raises:
            DataFingerprintError: the bucket or the catalog refuses or is away. No referenced file was deleted.
        """
        stored = self._objects.stored(table)
        references = self._objects.references(table)
        now = self._clock()
        before = self._unreferenced.get(table, {})
        since = {path: before.get(path, now) for path in stored.keys() - references.paths}
        orphans = sorted(_orphans(since, stored, references, now, self._settings.grace_s))
        self._objects.delete(orphans)
        self._unreferenced[table] = {path: first for path, first in since.items() if path not in set(orphans)}
        size_bytes = sum(stored[path].size_bytes for path in orphans)
        result = CleanupResult(len(orphans), size_bytes, len(since) - len(orphans))
        if orphans:
            self._log.info("old files removed", table=".".join(table), files=result.files, bytes=size_bytes)
        return result


def _orphans(
    since: Mapping[str, float], stored: Mapping[str, ObjectInfo], references: References, now: float, grace_s: float
) -> list[str]:
    return [
        path
        for path, first in since.items()
        if now - first >= grace_s and stored[path].modified_at + grace_s < references.committed_at
    ]
