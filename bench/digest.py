"""Digests and sums up rows by partition, with MD5 of the finished bytes as the limit.

`./run bench digest [ROWS]`: rows per second of processor time, all threads together, and the ratio; of the native code
and of DuckDB's SQL, which is used where that could not be built. Then what sketches cost besides the sums, by the kind
of key.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa

from datafingerprint.column_types import column
from datafingerprint.digests import native_sums, run, sums_in_duckdb, to_renderable
from datafingerprint.native.library import library
from datafingerprint.partitions import partitioning
from datafingerprint.schema import Column, TableSchema
from datafingerprint.sketch_keys import SketchForm
from datafingerprint.sketching import count_rows
from datafingerprint.sql.duckdb import canonical_row

RUNS = 3
CELLS = 40
KEYS = {"whole number": ("c0",), "two whole numbers": ("c0", "c4"), "short text": ("c3",), "none": ()}


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
    for field in table.columns:
        mask = chance.random(rows) < 0.1  # noqa: PLR2004 - one in ten
        if field.arrow == pa.float64():
            arrays.append(pa.array(chance.normal(size=rows), mask=mask))
        elif field.arrow == pa.string():
            arrays.append(pa.array(chance.integers(0, 10**9, rows).astype(str), mask=mask))
        else:
            arrays.append(pa.array(chance.integers(0, 20_000, rows), pa.int32(), mask=mask).cast(field.arrow))
    return pa.table(arrays, schema=table.arrow)


def rate(work: Callable[[], object], rows: int) -> float:
    """Rows per second of processor time, the best of a few runs after a warm-up."""
    work()
    seconds = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return rows / min(seconds)


def print_sketches(drawn: pa.Table, table: TableSchema) -> None:
    """Prints what sketches cost in addition to the sums, for every kind of key without NULL."""
    data = pa.table(
        [column.fill_null(column[0] if column[0].is_valid else column[1]) for column in drawn.columns], table.arrow
    )
    parts = partitioning(table)

    def sums() -> None:
        native_sums(data, table.columns, parts)

    alone = 1 / rate(sums, data.num_rows)
    for name, key in KEYS.items():
        form = SketchForm.of(replace(table, key=key), CELLS)

        def work(form: SketchForm = form) -> None:
            for _ in count_rows(data, table.columns, parts, form).sketches():
                pass

        both = 1 / rate(work, data.num_rows)
        print(f"{len(table.columns)} columns, sketches of {CELLS} cells, key {name}: {both / alone - 1:+.1%} CPU")


def main() -> None:
    """Prints the rates of a narrow and a wide table."""
    if library() is None:
        sys.exit("the native library is not there: install a C compiler, and the project again")
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    for columns in (11, 56):
        table = make_table(columns)
        data = make_rows(table, rows)
        finished = run(
            f"SELECT {canonical_row(table.columns)} AS x FROM input", input=to_renderable(data, table.columns)
        )
        limit = rate(partial(run, "SELECT max(md5(x)) FROM input", input=finished), rows)
        parts = partitioning(table)
        for name, sums in (("native", native_sums), ("DuckDB", sums_in_duckdb)):
            ours = rate(partial(sums, data, table.columns, parts), rows)
            print(
                f"{columns} columns, {name}: {ours:,.0f} rows per CPU second, md5 alone {limit:,.0f}, "
                f"ratio: {ours / limit:.2f}"
            )
        print_sketches(data, table)


if __name__ == "__main__":
    main()
