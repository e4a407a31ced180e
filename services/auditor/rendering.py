"""Audits on a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from datafingerprint.audit import Finding, overall
from datafingerprint.fingerprint import Fingerprint
from services.auditor.audit_run import Seen


def shown(findings: Sequence[Finding]) -> Table:
    """One row for every partition."""
    drawn = Table("table", "partition", "verdict", "hop", "source", "stream", "reason", box=None, pad_edge=False)
    for one in findings:
        drawn.add_row(
            one.table,
            one.partition or "",
            one.outcome.value,
            ", ".join(one.hops),
            _rows(one.source),
            _rows(one.stream),
            one.reason,
        )
    return drawn


def _rows(part: Fingerprint | None) -> str:
    return f"{part.rows} rows {part.value}" if part else ""


def document(finding: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    return {
        "table": finding.table,
        "partition": finding.partition,
        "verdict": finding.outcome.value,
        "hops": [hop.value for hop in finding.hops],
        "reason": finding.reason or None,
        "source": _sum(finding.source),
        "stream": _sum(finding.stream),
        "epoch": finding.at.epoch if finding.at else None,
        "gtid": finding.at.position.gtid if finding.at else None,
    }


def _sum(part: Fingerprint | None) -> dict[str, Any] | None:
    return {"rows": part.rows, "fingerprint": part.value, "digest": part.digest} if part else None


class ProgressShown:
    """Shows how an audit goes on: a bar on a terminal, a line for every step elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[what]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def show(self, seen: Seen) -> None:
        """A step."""
        done = seen.progress
        what = f"paused: {seen.paused}" if seen.paused else f"{done.rows} rows {seen.table}"
        if not self._console.is_terminal:
            self._print(seen, f"{done.partitions_done} of {done.partitions} partitions, {done.rows} rows")
            return
        if self._task is None:
            self._task = self._bar.add_task(f"audit {seen.number}", total=done.partitions, what=what)
        self._bar.update(self._task, completed=done.partitions_done, total=done.partitions, what=what)

    def _print(self, seen: Seen, done: str) -> None:
        if seen.paused:
            self._console.print(f"paused: {seen.paused}", soft_wrap=True, highlight=False)
        elif seen.findings:
            found = overall(seen.findings).value
            self._console.print(f"{seen.table}: {found} ({done})", soft_wrap=True, highlight=False)
