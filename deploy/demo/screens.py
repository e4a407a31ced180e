"""The demo's output: a terminal that is redrawn, or lines in a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from deploy.demo.answers import Comparison, Status
from deploy.demo.rendering import status_line, verdict_table
from deploy.demo.runner import Screen

# The title, the headings, the line about left-out lines, and the cursor's line.
OTHER_LINES = 4


class Lines:
    """Prints one line for each epoch of the lake."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epoch: int | None = None

    def show(self, status: Status, comparisons: list[Comparison]) -> None:
        """See `Screen`."""
        del comparisons
        if status.epoch != self._epoch:
            self._epoch = status.epoch
            self._console.print(status_line(status), soft_wrap=True, highlight=False)


class LiveTable:
    """Redraws one table."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, status: Status, comparisons: list[Comparison]) -> None:
        """See `Screen`."""
        rows_max = max(1, self._live.console.height - OTHER_LINES)
        self._live.update(verdict_table(comparisons, status, rows_max), refresh=True)


@contextmanager
def open_screen(console: Console) -> Iterator[Screen]:
    """The screen for the kind of standard output."""
    if not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveTable(live)
