"""Names of tables with any characters map to the lake and back."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from commands.name.__main__ import main
from datafingerprint.column_types import column
from datafingerprint.errors import ConfigError
from datafingerprint.names import name_at_source, names_in_lake
from datafingerprint.schema import TableSchema
from datafingerprint.sql.lake import lake_name

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(NAMES, NAMES)
@example("shop", "t-1")
@example("a.b", "c.d")
@example("größe", "t-2D1")
def test_a_name_comes_back_and_is_the_one_that_the_lake_has(schema: str, name: str) -> None:
    table = TableSchema(schema, name, (column("id", "int", nullable=False, charset=None),), ("id",))
    in_lake = ".".join(lake_name(table))
    assert name_at_source(in_lake) == f"{schema}.{name}"
    assert in_lake in names_in_lake(f"{schema}.{name}")


@pytest.mark.parametrize("wrong", ["t", "", ".", "s.", ".t"])
def test_what_is_no_table_has_no_name_in_the_lake(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is not a table name"):
        list(names_in_lake(wrong))


@pytest.mark.parametrize("wrong", ["t", "s.t.u", "s.", ".t", "s.t-1", "s.t-2d", "s.-FF", "s.größe", "s.t-41"])
def test_what_the_lake_cannot_have_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="is not a table name of the lake"):
        name_at_source(wrong)


def test_the_command_prints_a_line_for_each_and_refuses_with_one() -> None:
    told = CliRunner().invoke(main, ["shop.t-1", "a.b.c"])
    assert (told.exit_code, told.output) == (0, "shop.t-2D1\na.b-2Ec\na-2Eb.c\n")
    assert list(names_in_lake("s.größe")) == ["s.gr-C3-B6-C3-9Fe"]
    told = CliRunner().invoke(main, ["--from-lake", "shop.t-2D1"])
    assert (told.exit_code, told.output) == (0, "shop.t-1\n")
    told = CliRunner().invoke(main, ["shop"])
    assert (told.exit_code, told.output) == (2, "datafingerprint: shop is not a table name: write it as schema.table\n")
