"""Waits for a starting part as long as its process makes progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.part import LogPart, PartError, describe_failure

START_WITHIN_S = 600.0
"""The default limit of a start in seconds."""

STALLED_S = 120.0
"""Seconds without CPU time and log lines after which a process counts as stuck."""

REPORT_EVERY_S = 5.0
PAUSE_S = 0.1
_LINE_MAX = 120

Report = Callable[[str], None]


def _silent(_line: str) -> None:
    """Reports nothing."""


@dataclass(frozen=True)
class Patience:
    """The time limits of a start, and the receiver of its progress.

    Attributes:
        within_s: The most seconds that a start may take.
        report: Receives a line every few seconds.
        clock: Monotonic seconds.
        pause: Waits for a number of seconds.
    """

    within_s: float = START_WITHIN_S
    report: Report = _silent
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep

    def await_start(
        self,
        name: str,
        is_ready: Callable[[], bool],
        *,
        require_alive: Callable[[], None],
        work: Callable[[], object],
        log: LogPart,
    ) -> None:
        """Returns when the part is ready.

        Args:
            name: The part.
            is_ready: Whether the part is ready.
            require_alive: Raises `PartError` if this or another part of the start has ended.
            work: A value that changes while the process works; None if it cannot be measured.
            log: Its log since it was started.

        Raises:
            PartError: the part has ended, is stuck, or the time is up.
        """
        began = worked_at = reported_at = self.clock()
        before: object = None
        while True:
            require_alive()
            if is_ready():
                return
            now, done = self.clock(), work()
            if done is None or done != before:
                before, worked_at = done, now
            if now - began >= self.within_s:
                raise PartError(describe_failure(f"{name} is not ready after {self.within_s:.0f} s", log))
            if now - worked_at >= STALLED_S:
                what = f"{name} is not ready, and has neither computed nor logged anything for {STALLED_S:.0f} s"
                raise PartError(describe_failure(what, log))
            if now - reported_at >= REPORT_EVERY_S:
                reported_at = now
                self.report(_progress(name, now - began, log))
            self.pause(PAUSE_S)


def _progress(name: str, seconds: float, log: LogPart) -> str:
    lines = [line.strip() for line in log.lines() if line.strip()]
    last = f": {lines[-1][:_LINE_MAX]}" if lines else ""
    return f"{name} is starting, {seconds:.0f} s so far{last}"


def work_of(pid: int, log: LogPart) -> object:
    """The CPU time and log length of a process; None if the system has no such data."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    user, system, children_user, children_system = fields[11:15]
    return user, system, children_user, children_system, log.size
