"""Renders audits for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from datafingerprint.audit import Finding
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.verdict import overall
from services.auditor.journal import AuditStep


def findings_table(findings: Sequence[Finding]) -> Table:
    """A table with one row for every finding."""
    table = Table("table", "partition", "verdict", "hop", "source", "stream", "reason", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(
            finding.table,
            finding.partition or "",
            finding.outcome.value,
            ", ".join(finding.hops),
            _rows(finding.source),
            _rows(finding.stream),
            finding.reason,
        )
    return table


def _rows(part: Fingerprint | None) -> str:
    return f"{part.rows} rows {part.value}" if part else ""


def document(finding: Finding) -> dict[str, Any]:
    """A finding as a JSON document."""
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


class ProgressDisplay:
    """Shows the progress of an audit: a bar on a terminal, a line for every step elsewhere."""

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

    def show(self, step: AuditStep) -> None:
        """Shows a step."""
        progress = step.progress
        what = f"paused: {step.pause}" if step.pause else f"{progress.rows} rows {step.table}"
        if not self._console.is_terminal:
            self._print(step, f"{progress.partitions_done} of {progress.partitions} partitions, {progress.rows} rows")
            return
        if self._task is None:
            self._task = self._bar.add_task(f"audit {step.number}", total=progress.partitions, what=what)
        self._bar.update(self._task, completed=progress.partitions_done, total=progress.partitions, what=what)

    def _print(self, step: AuditStep, progress: str) -> None:
        if step.pause:
            self._console.print(f"paused: {step.pause}", soft_wrap=True, highlight=False)
        elif step.findings:
            outcome = overall(finding.outcome for finding in step.findings).value
            self._console.print(f"{step.table}: {outcome} ({progress})", soft_wrap=True, highlight=False)
