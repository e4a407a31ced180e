"""What a statement means for the stream, also when the source has gone on since."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from datafingerprint.column_types import column
from datafingerprint.errors import DecodeError
from datafingerprint.schema import Column, TableSchema
from services.cdc.epoch_builder import WatchedTable
from services.cdc.queries import Query
from services.cdc.redefinition import Redefinition, redefinition
from services.cdc.statements import classify


def of(name: str, type_text: str = "int(11)", *, nullable: bool = True) -> Column:
    return column(name, type_text, nullable=nullable, charset="utf8mb4")


A = TableSchema("db", "a", (of("id", nullable=False), of("x"), of("y")), ("id",))
B = TableSchema("db", "b", (of("id"),))
OTHER = TableSchema("other", "a", (of("id"),))
FOLLOWED = {table.table: WatchedTable(table, number) for number, table in enumerate((A, B, OTHER), start=1)}


def come_to(text: str, *present: TableSchema, followed: Mapping[str, WatchedTable] = FOLLOWED) -> Redefinition:
    there = {table.table: table for table in present}
    return redefinition(classify(Query("db", text)), followed, lambda: there, "binlog:4")


def with_columns(*names: str) -> TableSchema:
    return TableSchema("db", "a", tuple(of(name, nullable=name != "id") for name in names), ("id",))


@pytest.mark.parametrize(
    "text", ["CREATE TABLE IF NOT EXISTS a (id INT)", "DROP TABLE c", "DROP DATABASE d", "ALTER TABLE a ADD INDEX (x)"]
)
def test_what_changes_nothing_that_is_followed_is_nothing(text: str) -> None:
    assert come_to(text, A).is_nothing


def test_a_truncated_table_is_emptied_and_dropped_ones_are_gone() -> None:
    assert come_to("TRUNCATE a") == Redefinition(emptied=("db.a",))
    assert come_to("DROP TABLE a, c, b") == Redefinition(gone=("db.a", "db.b"))
    assert come_to("DROP DATABASE db") == Redefinition(gone=("db.a", "db.b"))
    assert come_to("DROP TABLE a", followed={"db.b": FOLLOWED["db.b"]}).is_nothing


def test_a_renamed_table_is_gone_and_one_that_took_its_name_is_to_be_read() -> None:
    assert come_to("RENAME TABLE a TO c", B) == Redefinition(gone=("db.a",))
    assert come_to("RENAME TABLE a TO old, new TO a", A) == Redefinition(replaced=("db.a",))
    assert come_to("RENAME TABLE a TO c, b TO a, c TO b", A, B) == Redefinition(replaced=("db.a", "db.b"))
    assert come_to("CREATE OR REPLACE TABLE a (id INT)", A) == Redefinition(replaced=("db.a",))
    assert come_to("ALTER TABLE a ADD z INT, RENAME TO c", B) == Redefinition(gone=("db.a",))


def test_a_table_that_lost_partitions_is_to_be_read_if_it_is_still_there() -> None:
    assert come_to("ALTER TABLE a DROP PARTITION p, q", A) == Redefinition(replaced=("db.a",))
    assert come_to("ALTER TABLE a TRUNCATE PARTITION ALL", A, B) == Redefinition(replaced=("db.a",))
    assert come_to("ALTER TABLE a TRUNCATE PARTITION p", B) == Redefinition(gone=("db.a",))
    assert come_to("ALTER TABLE c TRUNCATE PARTITION p", A).is_nothing


def test_a_name_that_was_taken_and_given_up_since_is_gone() -> None:
    assert come_to("RENAME TABLE a TO old, new TO a", B) == Redefinition(gone=("db.a",))
    assert come_to("ALTER TABLE a ADD z INT", B) == Redefinition(gone=("db.a",))


@pytest.mark.parametrize(
    ("text", "present", "columns"),
    [
        ("ALTER TABLE a ADD z INT", with_columns("id", "x", "y", "z"), ["id", "x", "y", "z"]),
        ("ALTER TABLE a ADD z INT FIRST", with_columns("z", "id", "x", "y"), ["z", "id", "x", "y"]),
        ("ALTER TABLE a ADD z INT AFTER X, ADD v INT AFTER z", with_columns("id", "x", "z", "v", "y"), "id x z v y"),
        ("ALTER TABLE a ADD z INT AFTER x", with_columns("z", "w", "id", "v"), ["id", "x", "z", "y"]),
        ("ALTER TABLE a ADD COLUMN IF NOT EXISTS X INT, ADD z INT", with_columns("id", "x", "y", "z"), "id x y z"),
    ],
)
def test_a_new_column_is_put_where_the_statement_says_whatever_came_later(
    text: str, present: TableSchema, columns: list[str] | str
) -> None:
    found = come_to(text, present)
    names = columns.split() if isinstance(columns, str) else columns
    assert [one.name for one in found.defined["db.a"].columns] == names
    assert found.defined["db.a"].key == ("id",)


def test_a_new_column_behind_one_that_is_left_out_is_put_where_the_source_has_it() -> None:
    table = TableSchema("db", "a", (of("id"), of("y")), ("id",), left_out=("x",))
    there = TableSchema("db", "a", (of("id"), of("z"), of("y")), ("id",), left_out=("x",))
    found = come_to("ALTER TABLE a ADD z INT AFTER x", there, followed={"db.a": WatchedTable(table, 1)})
    assert [one.name for one in found.defined["db.a"].columns] == ["id", "z", "y"]


def test_a_new_column_that_the_settings_leave_out_is_known_as_such() -> None:
    there = TableSchema("db", "a", A.columns, ("id",), left_out=("z",))
    assert come_to("ALTER TABLE a ADD z INT", there).defined["db.a"] == there


def test_another_definition_of_an_old_column_is_left_to_its_own_statement() -> None:
    later = TableSchema("db", "a", (of("id", "bigint(20)", nullable=False), of("x"), of("y"), of("z")), ("id",))
    assert come_to("ALTER TABLE a ADD z INT", later).defined["db.a"].columns[0] == A.columns[0]


@pytest.mark.parametrize(
    ("text", "present"),
    [
        ("ALTER TABLE a ADD z INT DEFAULT 5", with_columns("id", "x", "y", "z")),
        ("ALTER TABLE a ADD z INT", A),
        ("ALTER TABLE a ADD z INT", TableSchema("db", "a", (*A.columns, of("z", nullable=False)), ("id",))),
        ("ALTER TABLE a DROP x", A),
        ("ALTER TABLE c EXCHANGE PARTITION p WITH TABLE a", A),
        ("ALTER TABLE a CONVERT PARTITION p TO TABLE c", A),
        ("DROP INDEX `PRIMARY` ON a", A),
    ],
)
def test_what_cannot_be_followed_stops_with_the_command_that_reads_the_table_again(
    text: str, present: TableSchema
) -> None:
    with pytest.raises(DecodeError, match=r"\(db\.a\)") as refusal:
        come_to(text, present)
    assert refusal.value.where == "binlog:4"
    assert refusal.value.remedy.endswith("datafingerprint capture --resnapshot db.a --once")


def test_one_statement_that_changes_two_tables_names_both() -> None:
    with pytest.raises(DecodeError) as refusal:
        come_to("ALTER TABLE a EXCHANGE PARTITION p WITH TABLE b", A, B)
    assert refusal.value.remedy.endswith("capture --resnapshot db.a --resnapshot db.b --once")
