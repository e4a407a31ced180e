"""Limits the load that an audit puts on the server: pauses, rests, and the age of views."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import structlog

from datafingerprint.audit import Load
from datafingerprint.config import Audit
from services.auditor.journal import AuditJournal
from services.auditor.lease import Halt
from services.auditor.pace import reason_to_pause, rest_s
from services.auditor.ports import View

_LOOK_AGAIN_S = 0.5


class ViewTooOld(Exception):  # noqa: N818 - an event that the caller handles, not a failure
    """A view has been open for longer than `audit.view_s_max`.

    Attributes:
        was_paused: Whether the audit paused in the meantime.
    """

    def __init__(self, *, was_paused: bool) -> None:
        super().__init__()
        self.was_paused = was_paused


class Throttle:
    """Decides when an audit may send its next statement.

    Args:
        settings: The limits.
        halt: Ends the audit.
        journal: Stores pauses.
        log: The operators' log.
    """

    def __init__(self, settings: Audit, halt: Halt, journal: AuditJournal, log: structlog.stdlib.BoundLogger) -> None:
        self._settings = settings
        self._halt = halt
        self._journal = journal
        self._log = log
        self._load: Callable[[], Load] = lambda: Load(0)

    @contextmanager
    def measuring(self, gauge: AbstractContextManager[Callable[[], Load]]) -> Iterator[None]:
        """Inside the block, the gauge measures the server's load."""
        with gauge as self._load:
            yield

    def wait_while_busy(self, view: View | None) -> None:
        """Pauses while the server is busy, or the replica too far behind.

        Raises:
            ViewTooOld: The view may not stay open any longer.
            Halted: The audit must end.
        """
        self._journal.require_running()
        was_paused = False
        while reason := reason_to_pause(self._load(), self._settings):
            if not self._journal.pause:
                self._log.warning("the audit pauses", why=reason)
                self._journal.advance(pause=reason)
            was_paused = True
            self._require_young(view, was_paused=True)
            self._halt.wait(_LOOK_AGAIN_S)
            self._journal.require_running()
        if self._journal.pause:
            self._log.info("the audit continues")
            self._journal.advance()
        self._require_young(view, was_paused=was_paused)

    def rest(self, rows: int, start: float) -> None:
        """Waits, so that the server sums up at most `audit.rows_s_max` rows per second.

        Args:
            rows: Rows of the last statement.
            start: Monotonic seconds at which the statement began.
        """
        self._halt.wait(rest_s(rows, time.monotonic() - start, self._settings.rows_s_max))

    def _require_young(self, view: View | None, *, was_paused: bool) -> None:
        if view is not None and view.age_s > self._settings.view_s_max:
            raise ViewTooOld(was_paused=was_paused)
