"""What a data dictionary's words become, and what is refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given

from datafingerprint.column_types import column
from datafingerprint.errors import SourceError
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql.mysql_ranges import range_column
from tests.datafingerprint.drawn import tables


@pytest.mark.parametrize(
    ("type_text", "kind", "attributes"),
    [
        ("tinyint(1)", Kind.INTEGER, {"width_bytes": 1}),
        ("bigint(20) unsigned zerofill", Kind.INTEGER, {"width_bytes": 8, "unsigned": True}),
        ("decimal(65,30) unsigned", Kind.DECIMAL, {"precision": 65, "scale": 30}),
        ("float(10,2)", Kind.FLOAT, {}),
        ("bit(1)", Kind.BIT, {"precision": 1}),
        ("bit", Kind.BIT, {"precision": 1}),
        ("year(4)", Kind.YEAR, {}),
        ("time(3)", Kind.TIME, {"scale": 3}),
        ("datetime", Kind.DATETIME, {"scale": 0}),
        ("binary(16)", Kind.BINARY, {"length": 16}),
        ("enum('a)','b(''x')", Kind.ENUM, {"charset": "utf8mb4"}),
        ("set('x','compressed \n')", Kind.SET, {"charset": "utf8mb4"}),
        ("geomcollection", Kind.GEOMETRY, {}),
        ("vector(2048)", Kind.VECTOR, {}),
        ("INT(11)", Kind.INTEGER, {"width_bytes": 4}),
        ("json", Kind.JSON, {}),
        ("varbinary(9) /*M!100301 COMPRESSED*/", Kind.BYTES, {}),
    ],
)
def test_a_type_is_read_from_its_words(type_text: str, kind: Kind, attributes: dict[str, Any]) -> None:
    made = column("c", type_text, nullable=False, charset="utf8mb4" if kind in (Kind.ENUM, Kind.SET) else None)
    assert made == Column("c", type_text, kind, nullable=False, **attributes)


@pytest.mark.parametrize(
    ("type_text", "charset"),
    [
        ("varchar(9)", "no_such_charset"),
        ("enum('a')", "no_such_charset"),
        ("datetime /* mariadb-5.3 */", None),
        ("no_such_type", None),
        ("", None),
    ],
)
def test_what_cannot_be_exact_is_refused_by_name(type_text: str, charset: str | None) -> None:
    with pytest.raises(SourceError, match="of column c cannot be carried exactly"):
        column("c", type_text, nullable=True, charset=charset)


@pytest.mark.parametrize("charset", ["binary", None])  # MariaDB's name of it, and MySQL's
def test_labels_in_the_character_set_of_bytes_are_bytes(charset: str | None) -> None:
    for type_text, stored in (("enum('a','?')", Kind.ENUM), ("SET('b')", Kind.SET)):
        made = column("c", type_text, nullable=True, charset=charset)
        assert made == Column("c", type_text, Kind.BYTES, charset="binary")
        assert (made.arrow, made.stored_kind) == (pa.binary(), stored)
        assert Column.from_json(made.to_json()) == made
        assert range_column(TableSchema("s", "t", (made,), ("c",))) is None
    assert column("c", "varbinary(9)", nullable=True, charset=charset).stored_kind is Kind.BYTES


def test_a_text_keeps_the_name_of_its_character_set() -> None:
    for charset in ("latin1", "gbk", "utf16"):
        assert column("c", "char(9)", nullable=True, charset=charset).charset == charset


def test_a_text_in_any_charset_may_be_watched_as_bytes() -> None:
    made = column("c", "varchar(9)", nullable=True, charset="gbk", as_bytes=True)
    assert made == Column("c", "varchar(9)", Kind.BYTES)
    with pytest.raises(SourceError, match="only texts can be carried as bytes"):
        column("c", "enum('a')", nullable=True, charset="gbk", as_bytes=True)


@given(tables())
def test_a_definition_is_read_as_it_was_written(table: TableSchema) -> None:
    assert TableSchema.from_json(table.to_json()) == table
    assert all(Column(**asdict(item)) == item for item in table.columns)
