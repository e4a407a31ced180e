"""Watches the settings file while a service runs, and offers a changed table filter."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import structlog

from datafingerprint.adapters.runtime.settings import read_settings, settings_file
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, Stop
from datafingerprint.table_filter import TableFilter, changed_settings, table_filter_of, with_table_filter

SETTLED_S = 2.0
"""A file is read when it has not changed for so long, since a half-written file may be valid too."""

_FileVersion = tuple[int, int, int] | None
"""Inode, size and write time, which identify the version of a file; None if it does not exist."""


class SettingsFile:
    """Implements the port `TableFilters` with the settings file.

    Args:
        config: The file, as `read_settings` takes it.
        settings: The settings that the process read at its start.
        log: For operators.
        clock: A monotonic clock, in seconds.

    Attributes:
        settings: The settings in force.
    """

    def __init__(
        self,
        config: str | None,
        settings: Settings,
        log: structlog.stdlib.BoundLogger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._file = settings_file(config)
        self.settings = settings
        self._log = log
        self._clock = clock
        # The file may have changed since the process read it, so it is read once more.
        self._read: _FileVersion | str = "never"
        self._seen: _FileVersion | str = "never"
        self._seen_at = 0.0
        self._file_settings = settings
        self._waiting: TableFilter | None = None

    @property
    def in_force(self) -> TableFilter:
        """See `ports.TableFilters.in_force`."""
        return table_filter_of(self.settings)

    def waiting(self) -> TableFilter | None:
        """See `ports.TableFilters.waiting`. It costs one `stat` while the file does not change."""
        version = self._file_version()
        if version != self._read:
            self._waiting = None
            if version != self._seen:
                self._seen, self._seen_at = version, self._clock()
            elif self._clock() - self._seen_at >= SETTLED_S:
                self._read = version
                self._waiting = self._changed()
        return self._waiting

    def take(self, table_filter: TableFilter) -> None:
        """See `ports.TableFilters.take`."""
        self.settings = with_table_filter(self.settings, table_filter)
        self._waiting = None
        self._log.info("table filter applied", tables=list(table_filter.patterns))
        self._warn_of_others()

    def refuse(self, error: Stop) -> None:
        """See `ports.TableFilters.refuse`."""
        self._waiting = None
        self._log.warning("changed settings are refused, the previous ones stay in force", reason=str(error))

    def _file_version(self) -> _FileVersion:
        with contextlib.suppress(OSError):
            status = self._file.stat()
            return status.st_ino, status.st_size, status.st_mtime_ns
        return None

    def _changed(self) -> TableFilter | None:
        try:
            self._file_settings = read_settings(self._config)
        except ConfigError as error:
            self.refuse(error)
            return None
        table_filter = table_filter_of(self._file_settings)
        if table_filter.patterns != self.in_force.patterns:
            return table_filter
        self._warn_of_others()
        return None

    def _warn_of_others(self) -> None:
        """Warns of changed settings other than the table filter."""
        others = changed_settings(self.settings, self._file_settings)
        if others:
            self._log.warning("changed settings take effect when the service restarts", settings=list(others))
