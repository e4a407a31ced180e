"""Measures the first load of one table, and the ways to read its rows.

`./run bench snapshot [--rows N] [--rounds N] [--source mysql] [--reading-only]`

The parts are real and private to the run. The ways of reading run in turn, each in this process, on the same SELECT:
native code, the client library with a Python object per cell, and a client that only finds the rows of `SELECT *` and
discards them. Then the three services load the table from an empty stream and an empty lake.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymysql.cursors import SSCursor

from bench.backlogs import Backlog, make_numbers, narrow
from bench.flow import Flow, judged_rows
from bench.processes import cpu_s
from datafingerprint.adapters.mysql.row_reader import BUFFER_BYTES, PacketBuffer, RowReader
from datafingerprint.adapters.mysql.rows import arrow_rows, select_list
from datafingerprint.adapters.mysql.server import quoted_table
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.native.rows import CELL, FoundRows, native_rows
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome
from deploy.embedded.stack import EmbeddedStack

_MILLION = 1e6
_SEQUENCE_NUMBERS = 256
_DISCARDED_AT_ONCE = 20_000


def arguments() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="./run bench snapshot", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000, help="rows of the table")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each way of reading")
    parser.add_argument("--source", choices=["mysql", "mariadb"], default="mariadb", help="the server")
    parser.add_argument("--reading-only", action="store_true", help="do not load the table")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows per second, and CPU seconds per million rows of this process and of the server."""

    rate: float
    cpu_s: float
    server_cpu_s: float


@contextlib.contextmanager
def selected(source: BinlogSource, columns: str, table: TableSchema) -> Iterator[SSCursor]:
    """A cursor on a running SELECT of the whole table."""
    connection, _ = source.connect()
    with contextlib.closing(connection):
        cursor = connection.cursor(SSCursor)
        cursor.execute(f"SELECT {columns} FROM {quoted_table(table)}")
        yield cursor


def natively(source: BinlogSource, table: TableSchema, at_once: int) -> int:
    """Reads all rows in native code, and returns their number."""
    count = 0
    with selected(source, select_list(table), table) as cursor:
        reader = RowReader(cursor.connection, cursor, table)
        while read := reader.fetch(at_once).num_rows:
            count += read
    return count


def by_library(source: BinlogSource, table: TableSchema, at_once: int) -> int:
    """Reads all rows by the client library, and returns their number."""
    count = 0
    with selected(source, select_list(table), table) as cursor:
        while fetched := cursor.fetchmany(at_once):
            count += arrow_rows(table, fetched).num_rows
    return count


def discarding(source: BinlogSource, table: TableSchema, _: int) -> int:
    """Finds all rows of `SELECT *`, discards them, and returns their number."""
    native, columns, count, sequence = native_rows(), len(table.columns), 0, 0
    if native is None:
        raise RuntimeError("there is no native code on this machine")
    cells = np.empty(_DISCARDED_AT_ONCE * columns, CELL)
    with selected(source, "*", table) as cursor:
        connection: Any = cursor.connection
        sequence = connection._next_seq_id  # noqa: SLF001 - the library has no public name for it
        buffer = PacketBuffer(connection._rfile, BUFFER_BYTES)  # noqa: SLF001 - as above
        connection._rfile = buffer  # noqa: SLF001 - as above
        while True:
            buffer.align()
            rows = FoundRows(columns, cells)
            native.find(buffer.data, buffer.end, sequence, rows)
            while rows.count < rows.rows_max and rows.wanted and buffer.receive():
                native.find(buffer.data, buffer.end, sequence, rows)
            count, buffer.begin = count + rows.count, rows.end
            sequence = (sequence + rows.count) % _SEQUENCE_NUMBERS
            if not rows.wanted or not rows.count:
                break
        connection._next_seq_id = sequence  # noqa: SLF001 - as above
        if cursor.fetchone() is not None:
            raise RuntimeError("rows are left")
    return count


WAYS: dict[str, Callable[[BinlogSource, TableSchema, int], int]] = {
    "native": natively,
    "library": by_library,
    "discard": discarding,
}


def measured(way: str, source: BinlogSource, table: TableSchema, flow: Flow) -> Reading:
    """Reads the table once.

    Raises:
        RuntimeError: rows are missing.
    """
    server = flow.stack.pid("source")
    before, began, used = cpu_s(server), time.perf_counter(), time.process_time()
    count = WAYS[way](source, table, flow.settings.cdc.snapshot_rows)
    seconds, own = time.perf_counter() - began, time.process_time() - used
    if count != flow.backlog.rows:
        raise RuntimeError(f"{way} read {count} of {flow.backlog.rows} rows")
    millions = count / _MILLION
    return Reading(count / seconds, own / millions, (cpu_s(server) - before) / millions)


def reading(flow: Flow, rounds: int) -> None:
    """Prints the medians of each way of reading."""
    source = BinlogSource(flow.settings)
    (table,) = source.tables()
    measured("discard", source, table, flow)  # the server's cache is warm after it
    readings: dict[str, list[Reading]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, measurements in readings.items():
            measurements.append(measured(way, source, table, flow))
    for way, measurements in readings.items():
        rate, own, server = (
            statistics.median(getattr(measurement, name) for measurement in measurements)
            for name in ("rate", "cpu_s", "server_cpu_s")
        )
        print(
            f"reading: {way:8} {rate:11,.0f} rows/s; CPU s per million rows: {own:.2f} here, {server:.2f} server",
            flush=True,
        )


def _all_match(store: SqlStateStore) -> bool:
    return all(verdict.verdict.outcome is Outcome.MATCH for verdict in store.verdicts())


def load(flow: Flow) -> float:
    """Loads the table into an empty lake.

    Returns:
        Rows per second until every partition matches.
    """
    before = {name: cpu for name, (cpu, _) in Flow(flow.stack, flow.directory, flow.backlog).usage().items()}
    began = time.perf_counter()
    flow.start()
    with flow.store() as store:
        flow.await_that(lambda: judged_rows(store) >= flow.backlog.rows and _all_match(store))
    seconds = time.perf_counter() - began
    flow.require_matches()
    rate = flow.backlog.rows / seconds
    print(f"load: {flow.backlog.rows:,} rows from the services' start to a match: {seconds:.1f} s, {rate:,.0f} rows/s")
    for name, (cpu, peak) in flow.usage().items():
        used = (cpu - before.get(name, 0.0)) * _MILLION / flow.backlog.rows
        print(f"load: {name:14} {used:6.1f} CPU s per million rows, at most {peak:,.0f} MiB")
    return rate


def main() -> None:
    """Prints all figures."""
    options = arguments()
    plain = narrow(options.rows)
    table = Backlog("narrow", options.rows, 0, plain.columns)
    with tempfile.TemporaryDirectory() as place, EmbeddedStack(Path(place), options.source) as stack:
        make_numbers(stack.blueprint.warehouse, table.rows)
        services = Path(place) / "services"
        services.mkdir()
        flow = Flow(stack, services, table)
        table.prepare(stack.blueprint.warehouse)
        table.fill(stack.blueprint.warehouse)
        reading(flow, options.rounds)
        if options.reading_only:
            return
        flow.define()
        try:
            rate = load(flow)
        finally:
            flow.stop()
    print(f"snapshot: {rate:,.0f} rows/s")


if __name__ == "__main__":
    main()
