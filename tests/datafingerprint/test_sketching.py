"""Rows to sketches: keys packed and read again, and whole columns counted as one row after another is."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from datafingerprint import digests, sketch_keys, sketching
from datafingerprint.canonical import digest
from datafingerprint.digests import sums_by_partition
from datafingerprint.partitions import partitioning
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sketch import Entries, Sketch, of_entries
from datafingerprint.sketch_keys import Shape, SketchForm
from tests.datafingerprint.drawn import Row, arrow, tables_with_rows

NUMBER = Column("n", "bigint", Kind.INTEGER, width_bytes=8, nullable=False)
SMALL = Column("s", "smallint", Kind.INTEGER, width_bytes=2, nullable=False)
TEXT = Column("t", "varchar(50)", Kind.TEXT, nullable=False)


def table_of(*key: Column) -> TableSchema:
    return TableSchema(
        "s", "t", (*key, Column("v", "int", Kind.INTEGER, width_bytes=4)), tuple(item.name for item in key)
    )


def keys_of(table: TableSchema, rows: list[Row]) -> list[int]:
    form = SketchForm.of(table, 40)
    digested = np.array([[0, 0] for _ in rows], np.uint64).reshape(-1)
    hi, lo = form.keys(arrow(table, rows), digested)
    return [(int(high) << 64) + int(low) for high, low in zip(hi, lo, strict=True)]


@pytest.fixture(params=["native code", "DuckDB"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "DuckDB":
        for module in (digests, sketching, sketch_keys):
            monkeypatch.setattr(module, "library", lambda: None)


KEYS: list[tuple[tuple[Column, ...], list[tuple[Any, ...]]]] = [
    ((NUMBER,), [(0,), (-1,), (2**63 - 1,), (-(2**63),)]),
    ((Column("u", "bigint unsigned", Kind.INTEGER, width_bytes=8, unsigned=True),), [(0,), (2**64 - 1,), (2**63,)]),
    ((SMALL, NUMBER), [(-32768, 5), (32767, -5), (-1, -1), (0, 0)]),
    ((NUMBER, SMALL), [(-5, -32768), (5, 32767), (-1, -1)]),
    ((NUMBER, Column("m", "bigint", Kind.INTEGER, width_bytes=8)), [(-1, 1), (1, -1), (2**62, 3)]),
    ((Column("d", "date", Kind.DATE), SMALL), [(dt.date(2031, 4, 2), 1), (dt.date(1, 1, 1), -1)]),
    ((Column("m", "datetime(6)", Kind.DATETIME),), [(dt.datetime(1969, 1, 1, 3, 4, 5, 6),)]),  # noqa: DTZ001
    ((Column("z", "timestamp(6)", Kind.TIMESTAMP),), [(dt.datetime(2031, 1, 1, 3, 4, 5, 6, dt.UTC),)]),
    ((Column("y", "year", Kind.YEAR), Column("b", "bit(7)", Kind.BIT, precision=7)), [(2031, 127), (0, 0)]),
    ((Column("c", "decimal(18,3)", Kind.DECIMAL, precision=18, scale=3),), [(Decimal("-1.005"),), (Decimal(0),)]),
    ((TEXT,), [("",), ("a",), ("exactly fifteen",), ("é|🏈",)]),
    ((Column("o", "varbinary(9)", Kind.BYTES),), [(b"",), (b"\0\0",), (b"\xff" * 15,)]),
]


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize(("columns", "values"), KEYS, ids=[str([c.type for c in key[0]]) for key in KEYS])
def test_a_packed_key_is_read_as_its_values(columns: tuple[Column, ...], values: list[tuple[Any, ...]]) -> None:
    table = table_of(*columns)
    rows = [dict(zip(table.key, value, strict=True)) | {"v": 1} for value in values]
    packed = keys_of(table, rows)
    assert len(set(packed)) == len(rows)
    form = SketchForm.of(table, 40)
    assert [form.values(key) for key in packed] == [{name: row[name] for name in table.key} for row in rows]


@pytest.mark.usefixtures("_both_ways")
def test_a_long_text_has_its_digest_for_a_key_and_short_ones_beside_it_do_not() -> None:
    table = table_of(TEXT)
    rows: list[Row] = [{"t": text, "v": 1} for text in ("short", "x" * 16, "y" * 300, "")]
    short, long, longer, empty = keys_of(table, rows)
    form = SketchForm.of(table, 40)
    assert form.values(short) == {"t": "short"}
    assert form.values(empty) == {"t": ""}
    assert form.values(long) is form.values(longer) is None
    assert long.to_bytes(16) == b"\xff" + digest(rows[1], table.identity)[:15]


def test_keys_that_do_not_fit_are_digests_and_rows_without_a_key_their_own() -> None:
    assert SketchForm.of(table_of(NUMBER, SMALL, SMALL), 40).shape is Shape.NUMBERS
    assert SketchForm.of(table_of(NUMBER, NUMBER, SMALL), 40).shape is Shape.DIGEST
    assert SketchForm.of(table_of(NUMBER, TEXT), 40).shape is Shape.DIGEST
    assert SketchForm.of(table_of(), 40).shape is Shape.ROW
    table = table_of(NUMBER, TEXT)
    (key,) = keys_of(table, [{"n": 1, "t": "a", "v": 2}])
    assert key.to_bytes(16) == digest({"n": 1, "t": "a"}, (NUMBER, TEXT))
    assert SketchForm.of(table, 40).values(key) is None


def test_forms_that_cannot_be_compared_have_different_texts() -> None:
    forms = [
        SketchForm.of(table_of(*columns), 40).text for columns in ((NUMBER,), (SMALL,), (TEXT,), (NUMBER, TEXT), ())
    ]
    assert len({*forms, SketchForm.of(table_of(NUMBER), 44).text}) == len(forms) + 1


def slow_sketches(table: TableSchema, rows: list[Row], form: SketchForm) -> dict[str, Sketch]:
    """By partition, one row after another, its key by whatever packs it."""
    groups: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    for row in rows:
        octets = digest(row, table.columns)
        halves = int.from_bytes(octets[:8]), int.from_bytes(octets[8:])
        hi, lo = form.keys(arrow(table, [row]), np.array(halves, np.uint64))
        groups[partitioning(table).name(row)].append((int(hi[0]), int(lo[0]), *halves))
    return {
        name: of_entries(Entries(*np.array(result, np.uint64).T.copy()), form.cells) for name, result in groups.items()
    }


@pytest.mark.usefixtures("_both_ways")
@given(tables_with_rows())
@settings(max_examples=60, deadline=None)
def test_whole_columns_are_counted_as_one_row_after_another(drawn: tuple[TableSchema, list[Row]]) -> None:
    table, rows = drawn
    form = SketchForm.of(table, 24)
    columns = arrow(table, rows)
    counted = sketching.count_rows(columns, table.columns, partitioning(table), form)
    assert counted.sums == sums_by_partition(columns, table.columns, partitioning(table))
    assert dict(counted.sketches()) == slow_sketches(table, rows, form)


def test_more_partitions_than_fit_at_once_are_counted_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    table = TableSchema("s", "t", (NUMBER, SMALL), ("n",), ("s",))
    rows: list[Row] = [{"n": number, "s": number * number % 11} for number in range(60)]
    form = SketchForm.of(table, 40)
    counted = sketching.count_rows(arrow(table, rows), table.columns, partitioning(table), form)
    at_once = dict(counted.sketches())
    monkeypatch.setattr(sketching, "CELLS_AT_ONCE", 0)
    assert dict(counted.sketches()) == at_once == slow_sketches(table, rows, form)


def test_rows_in_many_batches_and_partitions_are_counted_once_each() -> None:
    table = TableSchema("s", "t", (NUMBER, SMALL, TEXT), ("n",), ("s",))
    count = 3 * digests.ROWS_AT_ONCE + 7
    numbers = np.arange(count)
    whole = pa.table(
        {"n": numbers, "s": pa.array(numbers % 9, pa.int32()), "t": pa.array(numbers.astype(str))}, table.arrow
    )
    pieces = pa.concat_tables(
        [whole.slice(0, 5), whole.slice(5, digests.ROWS_AT_ONCE), whole.slice(digests.ROWS_AT_ONCE + 5)]
    )
    form = SketchForm.of(table, 40)
    counted = sketching.count_rows(pieces, table.columns, partitioning(table), form)
    alone = [
        dict(
            sketching.count_rows(
                pieces.filter(pa.compute.equal(pieces["s"], part)), table.columns, partitioning(table), form
            ).sketches()
        )
        for part in range(9)
    ]
    assert dict(counted.sketches()) == {name: item for result in alone for name, item in result.items()}
    assert sum(int(item.cells[:, 0].sum()) for _, item in counted.sketches()) == 4 * count
