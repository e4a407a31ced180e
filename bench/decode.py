"""Decodes one backlog twice: by column into Arrow, and by the common Python library.

Both read the same events from the same MariaDB over the network, in turn, after a warm-up each. The figure is the
ratio. `./run bench decode [ROWS]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.binlog.events import parse_event
from datafingerprint.binlog.transactions import Assembler
from datafingerprint.config import Settings, load_settings
from datafingerprint.epochs import SourcePosition
from deploy.embedded.stack import EmbeddedStack
from deploy.embedded.warehouse import Warehouse
from services.cdc.epoch_builder import CapturedTable, EpochBuilder, EpochLimits

ROWS_PER_TRANSACTION = 10_000
RUNS = 3

TABLE = """
    CREATE TABLE ootp.bench (
        id INT PRIMARY KEY, a INT, b SMALLINT, c BIGINT UNSIGNED, price DECIMAL(12,2), ratio DOUBLE,
        name VARCHAR(50), note VARCHAR(200), born DATE, seen DATETIME(6), story TEXT
    )
"""
FILL = """
    INSERT INTO ootp.bench
    SELECT seq, seq * 7, seq % 1000, seq * 1000003, seq / 100, SQRT(seq), CONCAT('player ', seq),
           IF(seq % 5 = 0, NULL, CONCAT('a note on ', seq)), DATE('2031-04-01') + INTERVAL seq % 180 DAY,
           TIMESTAMP('2031-04-01 19:05:00') + INTERVAL seq * 1001 MICROSECOND, REPEAT('x', seq % 60)
    FROM seq_{first}_to_{last}
"""


def fill(mariadb: Warehouse, rows: int) -> SourcePosition:
    """Creates the backlog.

    Returns:
        The position before it.
    """
    with mariadb.connect_as_administrator() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS ootp")
        connection.select_db("ootp")
        cursor.execute(TABLE)
        cursor.execute("SELECT @@gtid_binlog_pos")
        gtid = (cursor.fetchone() or ("",))[0]
        for first in range(1, rows + 1, ROWS_PER_TRANSACTION):
            cursor.execute(FILL.format(first=first, last=min(rows, first + ROWS_PER_TRANSACTION - 1)))
            connection.commit()
    return SourcePosition(str(gtid), "", 0)


def by_column(settings: Settings, position: SourcePosition, rows: int) -> float:
    """Seconds until all rows are Arrow columns, in epochs."""
    source = BinlogSource(settings)
    watched = {table.table: CapturedTable(table, 1) for table in source.tables()}
    assembler = Assembler(position, lambda table: table in watched)
    builder = EpochBuilder(EpochLimits(3600.0, 50_000, 3600.0), watched)
    decoded = 0
    began = time.perf_counter()
    for event in chain.from_iterable(source.events(position)):
        committed = assembler.feed(parse_event(event, "bench"))
        if committed:
            builder.add(committed, 0.0)
        if builder.is_due(0.0, 0.0) or decoded_with(builder, decoded, rows):
            _, changes, _ = builder.take(assembler.position)
            decoded += sum(change.rows.num_rows for change in changes)
        if decoded >= rows:
            return time.perf_counter() - began
    raise RuntimeError("the binlog ended")


def decoded_with(builder: EpochBuilder, decoded: int, rows: int) -> bool:
    """Whether the pending rows may be the rest."""
    return not builder.is_empty and rows - decoded <= 2 * 50_000


def by_library(settings: Settings, position: SourcePosition, rows: int) -> float:
    """Seconds until all rows are the library's dictionaries."""
    source = settings.source
    reader = BinLogStreamReader(
        {
            "host": source.host,
            "port": source.port,
            "user": source.user,
            "passwd": source.password.get_secret_value(),
        },
        server_id=(source.server_id or 4242) + 1,
        is_mariadb=True,
        auto_position=position.gtid,
        blocking=True,
        resume_stream=True,
        only_events=[WriteRowsEvent],
        only_tables=["bench"],
    )
    decoded = 0
    began = time.perf_counter()
    for event in reader:
        decoded += len(event.rows)
        if decoded >= rows:
            break
    seconds = time.perf_counter() - began
    reader.close()
    return seconds


def best(
    run: Callable[[Settings, SourcePosition, int], float], settings: Settings, at: SourcePosition, n: int
) -> float:
    """The best of a few runs, in rows a second."""
    return n / min(run(settings, at, n) for _ in range(RUNS))


def main() -> None:
    """Prints both rates and their ratio."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as directory, EmbeddedStack(Path(directory)) as stack:
        settings = load_settings({"tables": {}}, {**stack.environment(), "DFP_SOURCE_TABLES": "ootp.bench"})
        position = fill(stack.blueprint.warehouse, rows)
        ours = best(by_column, settings, position, rows)
        theirs = best(by_library, settings, position, rows)
    print(f"by column: {ours:,.0f} rows/s")
    print(f"library:   {theirs:,.0f} rows/s")
    print(f"decode ratio: {ours / theirs:.2f}x")


if __name__ == "__main__":
    main()
