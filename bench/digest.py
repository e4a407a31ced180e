"""Digests rows and sums them by partition, against md5 of the same finished bytes as the limit.

`./run bench digest [ROWS]`: rows a second of both, and the ratio.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from datafingerprint.column_types import column
from datafingerprint.digests import renderable, run, sums_by_partition
from datafingerprint.partitions import partitioning
from datafingerprint.schema import Column, TableSchema
from datafingerprint.sql.duckdb import canonical_row

RUNS = 3


def make_table(columns: int) -> TableSchema:
    """A table of integers, doubles, dates and texts in turn."""
    kinds = ("int(11)", "double", "date", "varchar(50)", "smallint(6)")
    made: list[Column] = [
        column(f"c{number}", kinds[number % len(kinds)], nullable=True, charset="utf8mb4") for number in range(columns)
    ]
    return TableSchema("bench", f"t{columns}", tuple(made), (), ("year(c2)",))


def make_rows(table: TableSchema, rows: int) -> pa.Table:
    """Random rows, one value in ten NULL."""
    chance = np.random.default_rng(1)
    arrays = []
    for one in table.columns:
        mask = chance.random(rows) < 0.1  # noqa: PLR2004 - one in ten
        if one.arrow == pa.float64():
            arrays.append(pa.array(chance.normal(size=rows), mask=mask))
        elif one.arrow == pa.string():
            arrays.append(pa.array(chance.integers(0, 10**9, rows).astype(str), mask=mask))
        else:
            arrays.append(pa.array(chance.integers(0, 20_000, rows), pa.int32(), mask=mask).cast(one.arrow))
    return pa.table(arrays, schema=table.arrow)


def rate(work: Callable[[], object], rows: int) -> float:
    """Rows a second, the best of a few runs after a warm-up."""
    work()
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return rows / min(seconds)


def main() -> None:
    """Prints the rates of a narrow and a wide table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    for columns in (11, 56):
        table = make_table(columns)
        data = make_rows(table, rows)
        finished = run(f"SELECT {canonical_row(table.columns)} AS x FROM input", input=renderable(data, table.columns))
        limit = rate(lambda finished=finished: run("SELECT max(md5(x)) FROM input", input=finished), rows)
        parts = partitioning(table)
        ours = rate(lambda data=data, table=table, parts=parts: sums_by_partition(data, table.columns, parts), rows)
        print(f"{columns} columns: {ours:,.0f} rows/s, md5 alone {limit:,.0f} rows/s, ratio: {ours / limit:.2f}")


if __name__ == "__main__":
    main()
