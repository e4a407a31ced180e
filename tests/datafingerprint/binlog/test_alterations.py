"""Known clauses of an ALTER leave rows as they are, or add a NULL column."""

from __future__ import annotations

import pytest

from datafingerprint.binlog.alterations import AddedColumn, Alteration, parse_alteration
from datafingerprint.binlog.tokens import tokenize


def alteration(clauses: str) -> Alteration:
    tokens = tokenize(clauses)
    assert tokens is not None
    return parse_alteration(tokens)


@pytest.mark.parametrize(
    "clauses",
    [
        "",
        "ADD INDEX i (a)",
        "ADD KEY (a), ADD UNIQUE KEY u (b), ADD FULLTEXT (c), ADD SPATIAL INDEX (d)",
        "ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES primary_table (a) ON DELETE CASCADE",
        "ADD CONSTRAINT CHECK (a > 1), ADD CHECK (b <> ',')",
        "DROP INDEX i, DROP KEY k, DROP FOREIGN KEY f, DROP CONSTRAINT c",
        "RENAME INDEX a TO b",
        "ALTER a SET DEFAULT 5, ALTER COLUMN b DROP DEFAULT, ALTER INDEX i INVISIBLE",
        "ENGINE=InnoDB",
        "engine = `InnoDB`, FORCE, ALGORITHM=INPLACE, LOCK=NONE",
        "AUTO_INCREMENT=5 COMMENT 'ENGINE=MyISAM, DROP a' ROW_FORMAT=DYNAMIC",
        "DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "ADD PARTITION (PARTITION p VALUES LESS THAN (5)), ALGORITHM=INPLACE",
        "REORGANIZE PARTITION p INTO (PARTITION a VALUES LESS THAN (5))",
        "PARTITION BY HASH (a) PARTITIONS 4",
        "ORDER BY a",
        "ORDER BY a, b DESC",
        "ANALYZE PARTITION p, q",
        "REORGANIZE PARTITION p, q INTO (PARTITION r VALUES LESS THAN (5))",
        "DROP INDEX i PARTITION BY HASH (a)",
        "`PAGE_COMPRESSED`=1, ALTER c SET INVISIBLE",
        "DISABLE KEYS",
    ],
)
def test_what_leaves_rows_and_columns_as_they_are_is_known(clauses: str) -> None:
    effect = alteration(clauses)
    assert effect.added == ()
    assert effect.unknown == ""


@pytest.mark.parametrize(
    ("clauses", "added"),
    [
        ("ADD b INT", [("b", None)]),
        ("ADD COLUMN `b c` VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL DEFAULT NULL", [("b c", None)]),
        ("ADD b INT UNSIGNED COMMENT 'NOT NULL, DEFAULT 5' AFTER `x y`", [("b", "x y")]),
        ("ADD b INT FIRST, ADD c DECIMAL(5, 2) AFTER b, ADD INDEX (c)", [("b", ""), ("c", "b")]),
        ("ADD (b ENUM('a,b', 'c''d'), c DOUBLE PRECISION NULL)", [("b", None), ("c", None)]),
        ("ADD COLUMN (b INT)", [("b", None)]),
        ("ADD COLUMN IF NOT EXISTS b INT INVISIBLE", [("b", None)]),
        ("ADD `index` INT", [("index", None)]),
        ("ADD b TIMESTAMP(3) NULL", [("b", None)]),
        ("ADD b INT, ALGORITHM=INSTANT", [("b", None)]),
        ("ADD b INT UNIQUE", [("b", None)]),
        ("ADD b ENUM('new (draft)', 'it''s, (b', '\\\\') COMMENT ')' AFTER a", [("b", "a")]),
        ("ADD b INT /*!80023 INVISIBLE */", [("b", None)]),
        ("ADD b INT PARTITION BY HASH (a)", [("b", None)]),
        ("ADD b NATIONAL VARCHAR(5), ADD c LONG VARBINARY", [("b", None), ("c", None)]),
        (
            "ADD b INT CHECK (b IN ('(', ',')), ADD c INT CONSTRAINT d CHECK (c > 1) ENFORCED",
            [("b", None), ("c", None)],
        ),
        ("ADD b INT REFERENCES d.t (a) ON DELETE SET NULL ON UPDATE CASCADE", [("b", None)]),
        ("ADD b DATETIME NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP(3)", [("b", None)]),
        ("ADD b TIMESTAMP DEFAULT NULL", [("b", None)]),
        ("ADD b INT DEFAULT (NULL)", [("b", None)]),
    ],
)
def test_a_column_that_is_null_in_every_row_is_known(clauses: str, added: list[tuple[str, str | None]]) -> None:
    effect = alteration(clauses)
    assert effect.unknown == ""
    assert list(effect.added) == [AddedColumn(*column) for column in added]


@pytest.mark.parametrize(
    "clauses",
    [
        "ADD b INT DEFAULT 5",
        "ADD b INT DEFAULT (5)",
        "ADD b INT NOT NULL",
        "ADD b INT AS (a + 1)",
        "ADD b INT GENERATED ALWAYS AS (a + 1) VIRTUAL",
        "ADD b BIGINT AUTO_INCREMENT UNIQUE",
        "ADD b INT PRIMARY KEY",
        "ADD b SERIAL",
        "ADD b TIMESTAMP",
        "ADD b INT, DROP c",
        "ADD b INT DEFAULT NULL NOT NULL",
        "ADD (b INT, PRIMARY KEY (b))",
        "ADD PRIMARY KEY (a)",
        "ADD CONSTRAINT PRIMARY KEY (a)",
        "ADD CONSTRAINT p PRIMARY KEY (a)",
        "ADD SYSTEM VERSIONING",
        "DROP PRIMARY KEY",
        "DROP KEY `PRIMARY`",
        "DROP CONSTRAINT `PRIMARY`",
        "DROP a",
        "DROP COLUMN a",
        "MODIFY a BIGINT",
        "CHANGE a b INT",
        "RENAME COLUMN a TO b",
        "CONVERT TO CHARACTER SET utf8mb4",
        "ENGINE=MyISAM",
        "ENGINE='MyISAM'",
        "COMMENT='x' ENGINE=MyISAM",
        "DROP PARTITION p, DROP COLUMN a",
        "DROP `PARTITION` p",
        "TRUNCATE PARTITION",
        "IMPORT TABLESPACE",
        "DISCARD PARTITION p TABLESPACE",
    ],
)
def test_a_clause_that_may_change_a_row_or_the_key_is_unknown(clauses: str) -> None:
    assert alteration(clauses).unknown


@pytest.mark.parametrize(
    "clauses",
    [
        "TRUNCATE PARTITION p",
        "truncate partition ALL",
        "DROP PARTITION `p 0`, p1 , p2",
        "EXCHANGE PARTITION p WITH TABLE x WITHOUT VALIDATION",
        "CONVERT PARTITION p TO TABLE x",
        "CONVERT TABLE x TO PARTITION p VALUES LESS THAN (5)",
        "DROP PARTITION IF EXISTS p",
        "ALGORITHM=INPLACE, LOCK = NONE, DROP PARTITION p;",
    ],
)
def test_rows_go_with_partitions_of_the_source(clauses: str) -> None:
    assert alteration(clauses) == Alteration(loses_rows=True)
