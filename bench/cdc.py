"""Rows per second from the binlog into Kafka: capture against the Debezium engine.

`./run bench cdc [--rows N] [--rounds N] [--cases narrow,wide,updates,singles] [--source mysql|mariadb] [--alone]`

Both sides run as processes of their own, in turn, each from the same position of one server, and stay for the
whole backlog: its first sixth warms them up, the rest is measured. Capture publishes into the real Kafka, in
transactions; Debezium's rows are counted in its handler, and go nowhere. On MariaDB capture is measured alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.backlogs import Backlog, make_numbers, narrow, singles, updates, wide
from bench.capture import CaptureSide
from bench.debezium_side import ENVIRONMENT, DebeziumSide
from bench.progress import Run
from deploy.embedded.stack import EmbeddedStack

_MAKERS = {"narrow": narrow, "wide": wide, "updates": updates, "singles": singles}
_SHARES = {"narrow": 1.0, "wide": 0.3, "updates": 0.4, "singles": 0.1}
"""The rows of a case as a share of the first case's."""

Pair = tuple[Run, Run | None]


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench cdc", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the narrow case, besides its warm-up")
    parser.add_argument("--rounds", type=int, default=3, help="number of runs of each side")
    parser.add_argument("--cases", default=",".join(_MAKERS), help="cases, separated by commas")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mysql", help="the server")
    parser.add_argument("--alone", action="store_true", help="capture alone, without Debezium")
    return parser.parse_args()


def compared(stack: EmbeddedStack, directory: Path, backlog: Backlog, rounds: int, *, alone: bool) -> Iterator[Pair]:
    """The runs of both sides over one backlog, in turn; each begins alternately."""
    warehouse = stack.blueprint.warehouse
    ours = CaptureSide(stack.environment(), directory)
    theirs = None if alone else DebeziumSide(warehouse, directory)
    backlog.prepare(warehouse)
    ours.prepare(backlog, rounds)
    if theirs:
        theirs.prepare(backlog)
    backlog.fill(warehouse)
    for number in range(rounds):
        if theirs and number % 2:
            their_run = theirs.run(backlog, number)
            yield ours.run(backlog, number), their_run
        else:
            our_run = ours.run(backlog, number)
            yield our_run, theirs.run(backlog, number) if theirs else None


def report(backlog: Backlog, pairs: list[Pair]) -> float | None:
    """Prints the figures of a case.

    Returns:
        The median of its rounds' ratios.
    """
    debezium_runs = [run for _, run in pairs if run]
    for side, runs in (("capture", [run for run, _ in pairs]), ("debezium", debezium_runs)):
        for run in runs:
            print(
                f"{backlog.name:8} {side:8} {run.rate:10,.0f} rows/s  "
                f"{run.cpu_s_per_million:5.1f} CPU s per million rows  "
                f"{run.seconds:5.1f} s from its start to the last of {backlog.rows:,} rows"
            )
    ratios = [ours.rate / theirs.rate for ours, theirs in pairs if theirs]
    if not ratios:
        return None
    cpu = [theirs.cpu_s_per_million / ours.cpu_s_per_million for ours, theirs in pairs if theirs]
    print(f"{backlog.name:8} ratio    {statistics.median(ratios):.2f}x, of CPU seconds {statistics.median(cpu):.2f}x")
    return statistics.median(ratios)


def main() -> None:
    """Prints the figures of each case, and at the end the ratio of the first."""
    options = arguments()
    alone = options.alone or options.source == "mariadb"
    if not alone and not ENVIRONMENT.exists():
        raise SystemExit("the Debezium engine is not installed: start this by ./run bench cdc")
    names = options.cases.split(",")
    backlogs = [_MAKERS[name](max(20_000, int(options.rows * _SHARES[name]))) for name in names]
    first = None
    with tempfile.TemporaryDirectory() as place, EmbeddedStack(Path(place), options.source) as stack:
        make_numbers(stack.blueprint.warehouse, max(backlog.rows for backlog in backlogs))
        for backlog in backlogs:
            ratio = report(backlog, list(compared(stack, Path(place), backlog, options.rounds, alone=alone)))
            first = first or ratio
    if first is not None:
        print(f"debezium ratio: {first:.2f}x")


if __name__ == "__main__":
    main()
