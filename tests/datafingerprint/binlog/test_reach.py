"""A change that is logged as text concerns the tables that it may reach, and no others."""

from __future__ import annotations

import pytest

from datafingerprint.binlog.queries import ANSI_QUOTES, Query
from datafingerprint.binlog.reach import Reach
from datafingerprint.binlog.statements import classify
from datafingerprint.stored_programs import ProgramKind, StoredProgram

PROGRAMS = [
    StoredProgram(ProgramKind.VIEW, "other", "v", "select `db`.`t`.`id` AS `id` from `db`.`t`"),
    StoredProgram(ProgramKind.VIEW, "other", "over_v", "select * from `other`.`v`"),
    StoredProgram(ProgramKind.VIEW, "other", "calling", "select `other`.`f`() AS `a`, `id` from `db`.`u`"),
    StoredProgram(ProgramKind.TRIGGER, "other", "watched", "INSERT INTO db.t VALUES (NEW.id, 'x, db.u')"),
    StoredProgram(ProgramKind.TRIGGER, "other", "ansi", 'INSERT INTO "db"."t" VALUES (1)', ANSI_QUOTES),
    StoredProgram(ProgramKind.ROUTINE, "other", "F", "BEGIN DELETE FROM db.t; RETURN g(); END"),
    StoredProgram(ProgramKind.ROUTINE, "other", "g", "BEGIN UPDATE watched SET a = 1; RETURN 1; END"),
    StoredProgram(ProgramKind.ROUTINE, "other", "loop", "RETURN loop()"),
    StoredProgram(ProgramKind.ROUTINE, "other", "hidden", None),
    StoredProgram(ProgramKind.CASCADE, "other", "parent", "`db`.`child`"),
    StoredProgram(ProgramKind.CASCADE, "db", "child", "`db`.`t`"),
]
CAPTURED = {"db.t", "db.u", "db.child"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO plain VALUES (1)", ""),
        ("REPLACE INTO sums (tbl, crc) SELECT 'db.t', COUNT(*) FROM `db`.`t` FORCE INDEX (`PRIMARY`)", ""),
        ("INSERT INTO plain SELECT id FROM v", ""),
        ("UPDATE plain SET a = (SELECT MAX(id) FROM db.t)", ""),
        ("DELETE FROM plain WHERE id IN (SELECT id FROM db.u)", ""),
        ("INSERT INTO db.t VALUES (1)", "db.t"),
        ("INSERT INTO v VALUES (1)", "db.t"),
        ("DELETE FROM over_v", "db.t"),
        ("UPDATE plain JOIN db.u USING (id) SET u.a = plain.a", "db.u"),
        ("DELETE p, t FROM plain p JOIN db.t t USING (id)", "db.t"),
        ("DELETE FROM p USING plain p, db.t", "db.t"),
        ("WITH c AS (SELECT 1 FROM db.u) UPDATE db.t SET a = 1", "db.t"),
        ("WITH c AS (SELECT 1 FROM db.u) DELETE FROM plain", ""),
        ("LOAD DATA INFILE 'db.u' INTO TABLE db.t", "db.t"),
        ("LOAD DATA INFILE 'db.t' INTO TABLE plain", ""),
        ("INSERT INTO watched VALUES (1)", "db.t"),
        ("INSERT INTO ansi VALUES (1)", "db.t"),
        ("INSERT INTO plain VALUES (f())", "db.t"),
        ("SELECT `other`.`F`(1)", "db.t"),
        ("DO g()", "db.t"),
        ("DO loop()", ""),
        ("INSERT INTO plain SELECT * FROM calling", "db.t"),
        ("DELETE FROM parent", "db.child db.t"),
        ("ANALYZE FORMAT=JSON UPDATE db.t SET a = 1", "db.t"),
        ("INSERT INTO `db`.`t``` VALUES (1)", ""),
    ],
)
def test_tables_are_reached_through_views_triggers_routines_and_cascades(text: str, expected: str) -> None:
    result, hidden = Reach(PROGRAMS).of(classify(Query("other", text)))
    assert sorted(result & CAPTURED) == expected.split()
    assert not hidden


def test_a_program_whose_text_is_hidden_is_named() -> None:
    assert Reach(PROGRAMS).of(classify(Query("other", "SELECT hidden()")))[1] == "other.hidden"
