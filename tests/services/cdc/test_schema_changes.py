"""What a statement means for the stream, also when the source has gone on since."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from datafingerprint.binlog.queries import Query
from datafingerprint.binlog.statements import classify
from datafingerprint.column_types import column
from datafingerprint.errors import DecodeError, SourceError, Stop
from datafingerprint.ports.source import Survey
from datafingerprint.schema import Column, TableSchema
from services.cdc.epoch_builder import CapturedTable
from services.cdc.schema_changes import (
    SchemaChange,
    followed_redefinition,
    passed_over,
    refuse_alteration,
    schema_change,
)


def of(name: str, type_text: str = "int(11)", *, nullable: bool = True) -> Column:
    return column(name, type_text, nullable=nullable, charset="utf8mb4")


A = TableSchema("db", "a", (of("id", nullable=False), of("x"), of("y")), ("id",))
B = TableSchema("db", "b", (of("id"),))
OTHER = TableSchema("other", "a", (of("id"),))
FOLLOWED = {table.table: CapturedTable(table, number) for number, table in enumerate((A, B, OTHER), start=1)}


def effect_of(
    text: str,
    *present: TableSchema,
    followed: Mapping[str, CapturedTable] = FOLLOWED,
    unfit: Mapping[str, Stop] | None = None,
) -> SchemaChange:
    survey = Survey({table.table: table for table in present}, unfit or {})
    return schema_change(classify(Query("db", text)), followed, lambda _: survey, "binlog:4")


def with_columns(*names: str) -> TableSchema:
    return TableSchema("db", "a", tuple(of(name, nullable=name != "id") for name in names), ("id",))


@pytest.mark.parametrize(
    "text", ["CREATE TABLE IF NOT EXISTS a (id INT)", "DROP TABLE c", "DROP DATABASE d", "ALTER TABLE a ADD INDEX (x)"]
)
def test_what_changes_nothing_that_is_followed_is_nothing(text: str) -> None:
    assert effect_of(text, A).is_empty


def test_a_truncated_table_is_emptied_and_dropped_ones_are_gone() -> None:
    assert effect_of("TRUNCATE a") == SchemaChange(truncated=("db.a",))
    assert effect_of("DROP TABLE a, c, b") == SchemaChange(dropped=("db.a", "db.b"))
    assert effect_of("DROP DATABASE db") == SchemaChange(dropped=("db.a", "db.b"))
    assert effect_of("DROP TABLE a", followed={"db.b": FOLLOWED["db.b"]}).is_empty


def test_a_renamed_table_is_gone_and_one_that_took_its_name_is_to_be_read() -> None:
    assert effect_of("RENAME TABLE a TO c", B) == SchemaChange(dropped=("db.a",))
    assert effect_of("RENAME TABLE a TO old, new TO a", A) == SchemaChange(replaced=("db.a",))
    assert effect_of("RENAME TABLE a TO c, b TO a, c TO b", A, B) == SchemaChange(replaced=("db.a", "db.b"))
    assert effect_of("CREATE OR REPLACE TABLE a (id INT)", A) == SchemaChange(replaced=("db.a",))
    assert effect_of("ALTER TABLE a ADD z INT, RENAME TO c", B) == SchemaChange(dropped=("db.a",))


def test_a_table_that_lost_partitions_is_to_be_read_if_it_is_still_there() -> None:
    assert effect_of("ALTER TABLE a DROP PARTITION p, q", A) == SchemaChange(replaced=("db.a",))
    assert effect_of("ALTER TABLE a TRUNCATE PARTITION ALL", A, B) == SchemaChange(replaced=("db.a",))
    assert effect_of("ALTER TABLE a TRUNCATE PARTITION p", B) == SchemaChange(dropped=("db.a",))
    assert effect_of("ALTER TABLE c TRUNCATE PARTITION p", A).is_empty


def test_a_name_that_was_taken_and_given_up_since_is_gone() -> None:
    assert effect_of("RENAME TABLE a TO old, new TO a", B) == SchemaChange(dropped=("db.a",))
    assert effect_of("ALTER TABLE a ADD z INT", B) == SchemaChange(dropped=("db.a",))


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
    change = effect_of(text, present)
    names = columns.split() if isinstance(columns, str) else columns
    assert [item.name for item in change.altered["db.a"].columns] == names
    assert change.altered["db.a"].key == ("id",)


def test_a_new_column_behind_one_that_is_left_out_is_put_where_the_source_has_it() -> None:
    table = TableSchema("db", "a", (of("id"), of("y")), ("id",), left_out=("x",))
    survey = TableSchema("db", "a", (of("id"), of("z"), of("y")), ("id",), left_out=("x",))
    change = effect_of("ALTER TABLE a ADD z INT AFTER x", survey, followed={"db.a": CapturedTable(table, 1)})
    assert [item.name for item in change.altered["db.a"].columns] == ["id", "z", "y"]


def test_a_new_column_that_the_settings_leave_out_is_known_as_such() -> None:
    survey = TableSchema("db", "a", A.columns, ("id",), left_out=("z",))
    assert effect_of("ALTER TABLE a ADD z INT", survey).altered["db.a"] == survey


def test_another_definition_of_an_old_column_is_left_to_its_own_statement() -> None:
    later = TableSchema("db", "a", (of("id", "bigint(20)", nullable=False), of("x"), of("y"), of("z")), ("id",))
    assert effect_of("ALTER TABLE a ADD z INT", later).altered["db.a"].columns[0] == A.columns[0]


@pytest.mark.parametrize(
    ("text", "present"),
    [
        ("ALTER TABLE a ADD z INT DEFAULT 5", with_columns("id", "x", "y", "z")),
        ("ALTER TABLE a ADD z INT", A),
        ("ALTER TABLE a ADD z INT", TableSchema("db", "a", (*A.columns, of("z", nullable=False)), ("id",))),
        ("ALTER TABLE a DROP x", A),
        ("ALTER IGNORE TABLE a ADD UNIQUE (x)", A),
        ("DROP INDEX `PRIMARY` ON a", A),
    ],
)
def test_what_cannot_be_followed_is_to_be_read_again_and_why_is_known(text: str, present: TableSchema) -> None:
    survey = Survey({present.table: present})
    change, refusal = followed_redefinition(classify(Query("db", text)), FOLLOWED, lambda _: survey, "binlog:4")
    assert change == SchemaChange(replaced=("db.a",))
    assert refusal is not None
    assert "(db.a)" in refusal.what
    assert refusal.where == "binlog:4"


def refusal_of(text: str, *present: TableSchema) -> DecodeError | None:
    survey, statement = Survey({table.table: table for table in present}), classify(Query("db", text))
    change, _ = followed_redefinition(statement, FOLLOWED, lambda _: survey, "binlog:4")
    try:
        refuse_alteration(statement, change, "binlog:4")
    except DecodeError as error:
        return error
    return None


@pytest.mark.parametrize(
    "text",
    [
        *("ALTER TABLE a ADD INDEX (x), COMMENT 'c'", "ALTER TABLE a ALTER x SET DEFAULT 3, ENGINE=InnoDB"),
        *("ALTER TABLE c DROP x", "DROP INDEX x ON a", "TRUNCATE a", "DROP TABLE a", "RENAME TABLE a TO old, new TO a"),
    ],
)
def test_what_is_neutral_or_no_alter_is_not_refused(text: str) -> None:
    assert refusal_of(text, A) is None


@pytest.mark.parametrize(
    "text",
    [
        *("ALTER TABLE a DROP x", "ALTER TABLE a ADD z INT", "ALTER TABLE a DROP PARTITION p"),
        *("ALTER TABLE a MODIFY x BIGINT", "DROP INDEX `PRIMARY` ON a"),
    ],
)
def test_an_alter_that_changes_rows_or_columns_is_refused_with_the_command_that_goes_on(text: str) -> None:
    refusal = refusal_of(text, with_columns("id", "x", "y", "z"))
    assert refusal is not None
    assert "(db.a)" in refusal.what
    assert refusal.remedy.endswith("datafingerprint capture --resnapshot db.a --once")


def test_an_alter_that_takes_a_captured_name_away_is_refused_and_there_is_nothing_to_re_snapshot() -> None:
    refusal = refusal_of("ALTER TABLE a RENAME TO c")
    assert refusal is not None
    assert "(db.a)" in refusal.what
    assert "--resnapshot" not in refusal.remedy
    assert 'on_alter = "follow"' in refusal.remedy


def test_one_statement_that_changes_two_tables_has_both_read_again() -> None:
    statement = classify(Query("db", "ALTER TABLE a EXCHANGE PARTITION p WITH TABLE b"))
    survey = Survey({A.table: A, B.table: B})
    change, _ = followed_redefinition(statement, FOLLOWED, lambda _: survey, "binlog:4")
    assert change == SchemaChange(replaced=("db.a", "db.b"))


def test_a_table_whose_new_definition_cannot_be_carried_is_to_be_read_and_has_not_left() -> None:
    unfit = {"db.a": SourceError("it is a base table in MyISAM")}
    assert effect_of("ALTER TABLE a ADD z INT", unfit=unfit) == SchemaChange(replaced=("db.a",))
    assert effect_of("RENAME TABLE a TO old, new TO a", unfit=unfit) == SchemaChange(replaced=("db.a",))


@pytest.mark.parametrize(
    ("text", "dropped", "changed"),
    [
        ("DROP TABLE a, c", ("db.a",), ()),
        ("DROP DATABASE db", ("db.`x.y`", "db.a", "db.b"), ()),
        ("DROP DATABASE `db.x`", (), ()),
        ("RENAME TABLE a TO c, b TO a", ("db.b",), ("db.a",)),
        ("ALTER TABLE a RENAME TO b", ("db.a",), ("db.b",)),
        ("ALTER TABLE a ENGINE=InnoDB", (), ("db.a",)),
        ("ALTER TABLE `x.y` DROP x", (), ("db.`x.y`",)),
        ("TRUNCATE b", (), ("db.b",)),
        ("CREATE TABLE a (i INT)", (), ("db.a",)),
        ("DROP TABLE c", (), ()),
    ],
)
def test_what_a_statement_does_to_tables_that_are_left_out(
    text: str, dropped: tuple[str, ...], changed: tuple[str, ...]
) -> None:
    left_out = {"db.a", "db.b", "db.`x.y`", "other.a"}
    assert passed_over(classify(Query("db", text)), left_out) == (dropped, changed)


def test_partitions_that_go_from_table_to_table_have_both_read() -> None:
    exchanged = "ALTER TABLE a EXCHANGE PARTITION p WITH TABLE b"
    assert effect_of(exchanged, A, B) == SchemaChange(replaced=("db.a", "db.b"))
    assert effect_of("ALTER TABLE c EXCHANGE PARTITION p WITH TABLE a", A) == SchemaChange(replaced=("db.a",))
    assert effect_of("ALTER TABLE a CONVERT PARTITION p TO TABLE c", A) == SchemaChange(replaced=("db.a",))
    joined = "ALTER TABLE a CONVERT TABLE b TO PARTITION p VALUES LESS THAN (5)"
    assert effect_of(joined, A) == SchemaChange(dropped=("db.b",), replaced=("db.a",))
