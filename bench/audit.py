"""Measures the audit's statement on the source, and pt-table-checksum on the same table.

`./run bench audit [--rows N] [--columns 4|11] [--rounds N] [--source mysql|mariadb]`

Both run in turn, on one server, after each has read the table once. The audit reads a consistent view in ranges of
`audit.range_rows`, as the auditor does, without its limit of rows per second. The last line is the ratio of the
medians of rows per second.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.backlogs import Backlog, make_numbers, narrow
from bench.comparisons import NotRunError, checksums_of
from bench.processes import cpu_s
from datafingerprint.adapters.mysql.audit_source import AuditSource
from datafingerprint.adapters.mysql.audit_view import SourceView
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings, load_settings
from datafingerprint.schema import TableSchema
from datafingerprint.sql.mysql_ranges import KeyRange
from deploy.embedded.stack import EmbeddedStack

_MILLION = 1e6
OURS, THEIRS = "audit", "pt-table-checksum"


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench audit", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the table")
    parser.add_argument(
        "--columns", type=int, choices=[4, 11], default=11, help="columns of the table, the key included"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each tool")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mariadb", help="the server")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows per second, and CPU seconds of the server per million rows."""

    rate: float
    server_cpu_s: float


def audited(settings: Settings, table: TableSchema) -> int:
    """Sums the table up by the statements of an audit, and returns the rows that were summed up."""
    with AuditSource(settings).view([table]) as view:
        return sum(_range_rows(view, table, settings.audit.range_rows))


def _range_rows(view: SourceView, table: TableSchema, rows_max: int) -> list[int]:
    """Rows of each range of keys."""
    counts: list[int] = []
    after: str | None = None
    while True:
        upto = view.bound(table, None, after, rows_max)
        part = view.sums(table, None, KeyRange(after, upto))
        counts.append(sum(summed.rows for summed in part.values()))
        if upto is None:
            return counts
        after = upto


def measured(work: Callable[[], int], server: int, rows: int) -> Reading:
    """Runs one tool once.

    Raises:
        RuntimeError: it did not read every row once.
    """
    before, began = cpu_s(server), time.perf_counter()
    count = work()
    seconds = time.perf_counter() - began
    if count != rows:
        raise RuntimeError(f"{count} of {rows} rows were read")
    return Reading(rows / seconds, (cpu_s(server) - before) * _MILLION / rows)


def compare(stack: EmbeddedStack, table: Backlog, rounds: int) -> None:
    """Prints the medians of both tools, and their ratio."""
    settings = load_settings({}, {**stack.environment(), "DFP_SOURCE_TABLES": table.table})
    (definition,) = BinlogSource(settings).tables()
    warehouse, server = stack.blueprint.warehouse, stack.pid("source")

    def theirs() -> int:
        checksums_of(warehouse, table.table, table.rows)  # it raises unless it reads every row
        return table.rows

    ways: dict[str, Callable[[], int]] = {OURS: lambda: audited(settings, definition), THEIRS: theirs}
    missing = ""
    readings: dict[str, list[Reading]] = {}
    for turn in range(rounds + 1):
        for name, work in list(ways.items()):
            try:
                reading = measured(work, server, table.rows)
            except NotRunError as error:
                missing = str(error)
                del ways[name]
                continue
            if turn:  # the first turn warms the server's cache
                readings.setdefault(name, []).append(reading)
    rates = {name: statistics.median(reading.rate for reading in of_tool) for name, of_tool in readings.items()}
    for name, rate in rates.items():
        cpu = statistics.median(reading.server_cpu_s for reading in readings[name])
        print(f"{name:18} {rate:10,.0f} rows/s, {cpu:6.2f} CPU s of the server per million rows", flush=True)
    print(f"NOT RUN: {THEIRS}: {missing}" if missing else f"{THEIRS} ratio: {rates[OURS] / rates[THEIRS]:.2f}x")


def main() -> None:
    """Prints all figures."""
    options = arguments()
    columns = dict(list(narrow(0).columns.items())[: options.columns - 1])
    table = Backlog("narrow", options.rows, 0, columns)
    with tempfile.TemporaryDirectory() as place, EmbeddedStack(Path(place), options.source) as stack:
        warehouse = stack.blueprint.warehouse
        make_numbers(warehouse, table.rows)
        table.prepare(warehouse)
        table.fill(warehouse)
        print(f"{options.source}: {table.rows:,} rows of {options.columns} columns", flush=True)
        compare(stack, table, options.rounds)


if __name__ == "__main__":
    main()
