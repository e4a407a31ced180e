"""Looks at the settings file while a service runs, and hands on what it chooses otherwise."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import structlog

from datafingerprint.adapters.settings import read_settings, settings_file
from datafingerprint.choice import Choice, choice_of, differing, with_choice
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, Stop

SETTLED_S = 2.0
"""A file is read once it was left alone for so long: of one that is still being written, a part may be valid too."""

_Mark = tuple[int, int, int] | None
"""What tells whether a file is the one that was read: inode, size, when it was written; None where there is none."""


class SettingsFile:
    """Implements the port `Choices` by the file that the settings were read from.

    Args:
        config: The file, as `read_settings` takes it.
        settings: What was read of it when the process began.
        log: For operators.
        clock: Seconds that only go on.

    Attributes:
        settings: Those in force.
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
        # The file may have been changed since the process read it: it is looked at once.
        self._read: _Mark | str = "never"
        self._seen: _Mark | str = "never"
        self._seen_at = 0.0
        self._found = settings
        self._waiting: Choice | None = None

    @property
    def in_force(self) -> Choice:
        """See `ports.Choices.in_force`."""
        return choice_of(self.settings)

    def waiting(self) -> Choice | None:
        """See `ports.Choices.waiting`; while nothing changes it costs a look at the file's time."""
        mark = self._mark()
        if mark != self._read:
            self._waiting = None
            if mark != self._seen:
                self._seen, self._seen_at = mark, self._clock()
            elif self._clock() - self._seen_at >= SETTLED_S:
                self._read = mark
                self._waiting = self._changed()
        return self._waiting

    def take(self, choice: Choice) -> None:
        """See `ports.Choices.take`."""
        self.settings = with_choice(self.settings, choice)
        self._waiting = None
        self._log.info("settings taken up", tables=list(choice.patterns))
        self._tell_others()

    def refuse(self, error: Stop) -> None:
        """See `ports.Choices.refuse`."""
        self._waiting = None
        self._log.warning("changed settings are refused, those of before stay in force", reason=str(error))

    def _mark(self) -> _Mark:
        with contextlib.suppress(OSError):
            found = self._file.stat()
            return found.st_ino, found.st_size, found.st_mtime_ns
        return None

    def _changed(self) -> Choice | None:
        try:
            self._found = read_settings(self._config)
        except ConfigError as error:
            self.refuse(error)
            return None
        choice = choice_of(self._found)
        if choice.patterns != self.in_force.patterns:
            return choice
        self._tell_others()
        return None

    def _tell_others(self) -> None:
        """Names what the file has otherwise than it is in force."""
        others = differing(self.settings, self._found)
        if others:
            self._log.warning("changed settings are taken up when the service starts again", settings=list(others))
