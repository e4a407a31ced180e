"""The statements for MySQL and MariaDB: names and texts of any kind are quoted, and stay what they are."""

from __future__ import annotations

import pytest

from datafingerprint.partitions import partitioning
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql import mysql as sql
from datafingerprint.sql.mysql import Dialect

TABLE = TableSchema(
    "sh`op",
    "it's",
    (
        Column("id", "int(11)", Kind.INTEGER, width_bytes=4),
        Column("A", "varchar(9)", Kind.TEXT),
        Column("d", "date", Kind.DATE),
    ),
    ("id",),
    ("year(d)", "A"),
)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("plain é", "'plain é'"), ("it's", "_utf8mb4 x'69742773'"), ("a\\", "_utf8mb4 x'615c'"), ("\n", "_utf8mb4 x'0a'")],
)
def test_a_text_is_quoted_whatever_the_sessions_mode(text: str, quoted: str) -> None:
    assert sql.literal(text) == quoted


def test_a_name_is_quoted() -> None:
    assert sql.table_name(TABLE) == "`sh``op`.`it's`"


def test_fields_stand_in_the_order_of_the_canonical_row() -> None:
    row = sql.canonical_row(TABLE.columns)
    assert row.index("'a='") < row.index("'d='") < row.index("'id='")


@pytest.mark.parametrize("dialect", Dialect)
def test_partitions_are_told_apart_by_every_octet(dialect: Dialect) -> None:
    statement = sql.sums_by_partition(TABLE, partitioning(TABLE), dialect, "id > 7")
    assert f"COLLATE {dialect.collation} AS `partition`" in statement
    assert "FROM `sh``op`.`it's`\n    WHERE id > 7" in statement
    assert statement.endswith("GROUP BY `partition` ORDER BY `partition`")


@pytest.mark.parametrize("dialect", Dialect)
def test_a_row_is_rendered_and_digested_once(dialect: Dialect) -> None:
    # Both servers merge a derived table into the query around it, unless it has a limit.
    statement = sql.sums_by_partition(TABLE, partitioning(TABLE), dialect)
    assert statement.count("MD5(") == 1
    assert "LIMIT 18446744073709551615\n) AS `digests`" in statement


def test_a_table_without_partition_fields_is_one_partition() -> None:
    whole = TableSchema("s", "t", TABLE.columns)
    assert "CONVERT('-' USING utf8mb4)" in sql.sums_by_partition(whole, partitioning(whole), Dialect.MYSQL)
