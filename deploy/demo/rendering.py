"""Renders the verdicts: a table on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from deploy.demo.answers import Comparison, Side, Status

UNKNOWN = "-"
STYLES = {"match": "green", "mismatch": "bold red", "inconclusive": "yellow"}


def status_line(status: Status) -> str:
    """The whole system in one line; verdicts without partitions are left out."""
    verdicts = [
        f"{name} {count}"
        for name, count in (
            ("match", status.match),
            ("mismatch", status.mismatch),
            ("inconclusive", status.inconclusive),
        )
        if count
    ]
    return "  ".join(
        [
            f"epoch {_or_unknown(status.epoch)}",
            f"{status.tables} tables",
            f"{status.partitions} partitions",
            f"{status.rows} rows",
            *verdicts,
            f"lag {lag(status)}",
        ]
    )


def verdict_table(comparisons: Sequence[Comparison], status: Status, rows_max: int) -> Table:
    """The live view. If there are too many lines, matching ones are left out first."""
    table = Table(title=status_line(status), title_justify="left", box=None, pad_edge=False)
    for heading in ("table", "rows", "source", "lake", "verdict", "epoch"):
        table.add_column(heading, justify="right" if heading in {"rows", "epoch"} else "left", no_wrap=True)
    shown = choose_lines(comparisons, rows_max)
    for comparison in shown:
        table.add_row(*_cells(comparison))
    if len(shown) < len(comparisons):
        table.add_row(f"… {len(comparisons) - len(shown)} more", style="dim")
    return table


def choose_lines(comparisons: Sequence[Comparison], rows_max: int) -> list[Comparison]:
    """The lines to show, in their order: what does not match, then tables, then partitions."""
    urgency = sorted(
        range(len(comparisons)),
        key=lambda index: (comparisons[index].verdict == "match", comparisons[index].is_partition, index),
    )
    return [comparisons[index] for index in sorted(urgency[:rows_max])]


def lag(status: Status) -> str:
    """The lake's lag, for people."""
    return UNKNOWN if status.lag_s is None else f"{status.lag_s:.1f} s"


def _cells(comparison: Comparison) -> list[Text]:
    indent = "  " if comparison.is_partition else ""
    verdict = f"{comparison.verdict}: {comparison.reason}" if comparison.reason else comparison.verdict
    rows = comparison.lake or comparison.source
    return [
        Text(indent + comparison.name),
        Text(_or_unknown(rows.rows if rows else None)),
        Text(_fingerprint(comparison.source)),
        Text(_fingerprint(comparison.lake)),
        Text(verdict, style=STYLES.get(comparison.verdict, "")),
        Text(_or_unknown(comparison.epoch)),
    ]


def _fingerprint(side: Side | None) -> str:
    return side.fingerprint if side else UNKNOWN


def _or_unknown(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)
