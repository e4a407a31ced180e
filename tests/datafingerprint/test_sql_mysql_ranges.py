"""Which keys are cut into ranges, and that what a partition's name says of its columns never leaves a row of it out."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datafingerprint.column_types import column
from datafingerprint.partitions import partitioning
from datafingerprint.schema import Column, TableSchema
from datafingerprint.sql.mysql import Dialect, in_partition
from datafingerprint.sql.mysql_ranges import (
    KeyRange,
    bound,
    bound_literal,
    in_range,
    near_partition,
    range_column,
    within_partition,
)


def of(kind: str, name: str = "k", charset: str | None = None) -> Column:
    return column(name, kind, nullable=True, charset=charset)


def table(*columns: Column, key: tuple[str, ...] = ("k",), partition: tuple[str, ...] = ()) -> TableSchema:
    return TableSchema("s", "t", columns, key, partition)


@pytest.mark.parametrize(
    ("kind", "charset", "is_fit"),
    [
        ("bigint(20) unsigned", None, True),
        ("decimal(30,2)", None, True),
        ("datetime(6)", None, True),
        ("time", None, True),
        ("binary(16)", None, True),
        ("varbinary(20)", None, True),
        ("double", None, False),
        ("enum('b','a')", "utf8mb4", False),
        ("varchar(20)", "utf8mb4", False),
    ],
)
def test_a_key_is_cut_by_its_first_column_if_that_orders_as_its_values(
    kind: str, charset: str | None, *, is_fit: bool
) -> None:
    first = of(kind, charset=charset)
    assert range_column(table(first, of("int", "other"), key=("k", "other"))) == (first if is_fit else None)
    assert range_column(table(first, key=())) is None


def test_a_text_that_is_watched_as_bytes_still_has_its_collations_order() -> None:
    as_bytes = Column("k", "varchar(20)", of("varbinary(20)").kind)
    assert range_column(table(as_bytes)) is None


def test_a_range_has_its_upper_end_and_not_its_lower() -> None:
    key = of("int")
    assert in_range(key, KeyRange("5", "9")) == "`k` > 5 AND `k` <= 9"
    assert in_range(key, KeyRange(None, "9")) == "`k` <= 9"
    assert in_range(key, KeyRange()) == ""
    assert bound(table(key), key, "`n` = 1", "5", 10) == (
        "SELECT CAST(`k` + 0 AS CHAR) FROM `s`.`t` WHERE (`n` = 1) AND `k` > 5 ORDER BY `k` LIMIT 1 OFFSET 9"
    )


def test_what_is_no_key_never_becomes_sql() -> None:
    assert bound_literal(of("int"), "-5") == "-5"
    assert bound_literal(of("binary(2)"), "00FF") == "x'00FF'"
    assert bound_literal(of("date"), "2031-04-02") == "'2031-04-02'"
    for kind, text in (("int", "5 OR 1=1"), ("int", ""), ("binary(2)", "0")):
        with pytest.raises(ValueError, match="no key"):
            bound_literal(of(kind), text)


days = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))


def holds(condition: str, value: object) -> bool:
    """SQLite as the judge: it compares dates as texts, in the order of time, and knows the same operators."""
    with closing(sqlite3.connect(":memory:")) as connection:
        row = connection.execute(f"SELECT {condition or '1'} FROM (SELECT ? AS `k`) AS x", (value,)).fetchone()
    return bool(row[0])


@given(days, st.sampled_from(["k", "year(k)", "month(k)", "day(k)"]), st.sampled_from(["date", "datetime"]))
@example(dt.date(2032, 12, 31), "year(k)", "date")
@example(dt.date(9999, 12, 31), "month(k)", "datetime")
def test_every_day_meets_what_the_name_of_its_partition_says(day: dt.date, field: str, kind: str) -> None:
    if field == "k" and kind == "datetime":
        return
    parts = partitioning(table(of(kind), partition=(field,)))
    name = parts.name({"k": day})
    shown = day.isoformat() if kind == "date" else f"{day.isoformat()} 23:59:59.999999"
    assert holds(near_partition(parts, name), shown), (name, near_partition(parts, name))


@given(st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)))
def test_every_number_meets_what_the_name_of_its_partition_says(number: int | None) -> None:
    parts = partitioning(table(of("int"), partition=("k",)))
    condition = near_partition(parts, parts.name({"k": number}))
    assert condition
    assert holds(condition, number)


def test_texts_are_compared_as_they_were_before_they_were_encoded_for_the_name() -> None:
    parts = partitioning(table(of("varchar(20)", charset="utf8mb4"), of("int", "n"), partition=("k", "n")))
    assert near_partition(parts, parts.name({"k": "a/b=%c", "n": 3})) == "`k` = 'a/b=%c' AND `n` = 3"
    assert near_partition(parts, parts.name({"k": "null", "n": None})) == "`k` = 'null' AND `n` IS NULL"
    assert near_partition(parts, parts.name({"k": None, "n": 0})) == "`k` IS NULL AND `n` = 0"


@pytest.mark.parametrize("dialect", Dialect)
def test_a_partition_is_looked_for_by_an_index_first_where_one_may_answer(dialect: Dialect) -> None:
    split = partitioning(table(of("date"), partition=("year(k)",)))
    exactly = in_partition(split, "k_year=2031", dialect)
    assert (
        within_partition(split, "k_year=2031", dialect) == f"`k` >= '2031-01-01' AND `k` < '2032-01-01' AND {exactly}"
    )
    assert within_partition(split, "k_year=null", dialect) == in_partition(split, "k_year=null", dialect)


def test_a_name_of_another_table_says_nothing() -> None:
    parts = partitioning(table(of("int"), partition=("k",)))
    assert near_partition(parts, "k=1/n=2") == ""
    assert near_partition(parts, "k=1 OR 1=1") == ""
    assert near_partition(partitioning(table(of("int"))), "-") == ""
