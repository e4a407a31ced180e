"""Every printed statement is valid SQL of its engine, as far as a parser of that SQL can tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from commands.sql.printing import ENGINES

GOLDEN = Path(__file__).parent / "golden"
PRINTED = sorted(file.stem for file in GOLDEN.glob("*.sql"))


@pytest.fixture(autouse=True)
def deep_enough() -> Iterator[None]:
    """The parser recurses for every bracket, and a statement with replaced characters has forty."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(before)


def parsed(engine: str, text: str) -> list[exp.Expr]:
    """The statements of a text; what the parser only passes on as words is none.

    MariaDB is parsed as MySQL, which has all that is said to it.
    """
    result = sqlglot.parse(text, dialect="mysql" if engine == "mariadb" else engine)
    assert result
    assert not [item for item in result if item is None or isinstance(item, exp.Command)], f"{engine}: {text[:200]}"
    return [item for item in result if item is not None]


@pytest.mark.parametrize("name", PRINTED)
def test_a_printed_statement_is_its_engines_sql(name: str) -> None:
    (item,) = parsed(name.split("-", maxsplit=1)[0], (GOLDEN / f"{name}.sql").read_text(encoding="utf-8"))
    if "external" in name:
        assert isinstance(item, exp.Create)
        assert item.find(exp.LocationProperty)
        assert len(list(item.find_all(exp.ColumnDef))) >= 5
    else:
        assert isinstance(item, exp.Select)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_cut_short_is_not(engine: str) -> None:
    text = (GOLDEN / f"{engine}.sql").read_text(encoding="utf-8").rstrip().removesuffix(";")
    with pytest.raises(sqlglot.errors.ParseError):
        parsed(engine, text.rpartition("FROM")[0] + "FROM")
