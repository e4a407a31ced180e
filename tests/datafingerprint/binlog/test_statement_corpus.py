"""Every statement of the corpus is read as its line says."""

from __future__ import annotations

import pytest

from datafingerprint.binlog.queries import Query
from datafingerprint.binlog.statements import Meaning, classify
from datafingerprint.table_names import table_name
from tests.datafingerprint.binlog.corpus import MODES, Case, cases, effect_of

CASES = cases()


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text[:60])
def test_a_statement_is_read_as_its_line_says(case: Case) -> None:
    is_mariadb = {"mariadb": True, "mysql": False}.get(case.on)
    statement = classify(Query("db", case.within("db"), MODES[case.mode], is_mariadb=is_mariadb))
    assert statement.meaning is Meaning[case.meaning]
    assert statement.tables == tuple(table_name("db", name) for name in case.tables)
    assert statement.made == tuple(table_name("db", name) for name in case.made)
    assert effect_of(statement) == case.effect
    if case.name:
        assert statement.name == case.name.replace("{s}", "db")
