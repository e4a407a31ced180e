"""Counts a whole league table: by each engine, and by other people's comparisons.

`./run bench scan [--rows N] [--table NAME] [--engines source,duckdb,trino,presto,spark] [--source mysql|mariadb]`

The table comes into the lake by the real services, through the real binlog; then they stop, and one after the other
counts. Every engine must come to the running sums of the stream. Rows read are what the server's own counter says;
the running sums themselves read none. What cannot be had here ends in a line `NOT RUN: ...`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.comparisons import Compared, NotRunError, by_pt_table_checksum, by_reladiff, read_by
from bench.flow import Flow, judged_moment, judged_rows
from bench.league import LeagueTable, seed
from bench.scan_engines import LAKE, Table, Timed, at_the_source, in_the_lake
from datafingerprint.errors import DataFingerprintError
from datafingerprint.sql.mysql import Dialect
from deploy.embedded.part import PartError
from deploy.embedded.stack import EmbeddedStack

PARTITIONS = {"games_score": "inning", "players_game_batting": "year", "messages": "message_type"}
SOURCE = "source"
SAID_EVERY_S = 15.0


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench scan", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the table, at least")
    parser.add_argument(
        "--table", choices=list(PARTITIONS), default="games_score", help="the league's table that is copied"
    )
    parser.add_argument("--engines", default=",".join([SOURCE, *LAKE]), help="engines, separated by commas")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mariadb", help="the server")
    return parser.parse_args()


def carried(flow: Flow, backlog: LeagueTable) -> Table:
    """Brings the table into the lake, with all partitions matching and services stopped."""
    began = time.monotonic()
    flow.start()
    rows = backlog.fill(flow.stack.blueprint.warehouse)
    _say(f"{rows:,} rows of {backlog.table} written after {time.monotonic() - began:.0f} s")
    reported_at = time.monotonic()
    with flow.store() as store:

        def is_through() -> bool:
            nonlocal reported_at
            compared = judged_rows(store)
            if time.monotonic() - reported_at > SAID_EVERY_S:
                reported_at = time.monotonic()
                _say(f"{compared:,} of them are in the lake")
            return compared == rows and judged_moment(store) == flow.moment()

        flow.await_that(is_through)
    flow.require_matches()
    flow.stop()
    _say(f"all in the lake and matching after {time.monotonic() - began:.0f} s; the services have stopped")
    return Table.of(flow)


def engines(table: Table, options: argparse.Namespace, directory: Path) -> None:
    """Prints the figures of every engine."""
    warehouse, server = table.flow.stack.blueprint.warehouse, Dialect(options.source)
    for name in options.engines.split(","):
        try:
            if name == SOURCE:
                timed: list[Timed] = []
                read = read_by(warehouse, lambda: timed.append(at_the_source(table, server)))  # noqa: B023 - called here
                _report(table, options.source, timed[0], f", {read:,} rows of the source read by both")
            else:
                _report(table, name, in_the_lake(table, name, directory))
        except (PartError, DataFingerprintError) as error:
            _say(f"NOT RUN: {name}: {error}")


def _report(table: Table, name: str, timed: Timed, more: str = "") -> None:
    _say(
        f"{name:8} {table.rows / timed.fingerprint_s:10,.0f} rows/s  fingerprint {timed.fingerprint_s:6.1f} s, "
        f"count(*) {timed.count_s:6.2f} s, ratio {timed.fingerprint_s / timed.count_s:.1f}{more}"
    )


def comparisons(table: Table, directory: Path) -> None:
    """Prints the figures of the other tools."""
    ways: dict[str, Callable[[], Compared]] = {
        "reladiff": lambda: by_reladiff(table, directory),
        "pt-table-checksum": lambda: by_pt_table_checksum(table),
    }
    for name, way in ways.items():
        try:
            result = way()
        except NotRunError as error:
            _say(f"NOT RUN: {name}: {error}")
        else:
            _say(
                f"{name:18} {result.seconds:6.1f} s, {result.read:,} rows of the source read "
                f"({result.read / table.rows:.2f} times the table)"
            )


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Prints all figures."""
    options = arguments()
    unknown = set(options.engines.split(",")) - {SOURCE, *LAKE}
    if unknown:
        raise SystemExit(f"no such engine: {', '.join(sorted(unknown))}; there are: {', '.join([SOURCE, *LAKE])}")
    backlog = LeagueTable(options.table, options.rows)
    with tempfile.TemporaryDirectory() as place, EmbeddedStack(Path(place) / "stack", options.source) as stack:
        directory = Path(place) / "services"
        directory.mkdir()
        seed(stack, directory)
        flow = Flow(stack, directory, backlog, PARTITIONS[options.table])
        flow.prepare()
        try:
            table = carried(flow, backlog)
        finally:
            flow.stop()
        engines(table, options, directory)
        comparisons(table, directory)
        _say("the running sums read no row of the source: they follow its binlog")


if __name__ == "__main__":
    main()
