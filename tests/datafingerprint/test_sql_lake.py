"""The statements over lake tables: held to the plain definition where the engine runs in this process."""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from datafingerprint.canonical import canonical, digest
from datafingerprint.charsets import KNOWN
from datafingerprint.column_types import column
from datafingerprint.errors import ConfigError
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.partitions import partitioning, required_values
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql import lake
from datafingerprint.sql.comparison import PrestoSource
from datafingerprint.sql.duckdb_files import DuckDB
from datafingerprint.sql.lake import LakeDialect, TableLocation, partition_name
from datafingerprint.sql.redshift import Redshift
from datafingerprint.sql.trino import Presto, Trino
from tests.datafingerprint.drawn import Row, arrow, slow_sums, tables_with_rows


@given(tables_with_rows())
@settings(max_examples=60, deadline=None)
def test_duckdb_sums_files_as_the_plain_definition_does(drawn: tuple[TableSchema, list[Row]]) -> None:
    table, rows = drawn
    parts = partitioning(table)
    expected = slow_sums(table, rows)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        # Two files, as a table has several; the empty one only counts for its columns.
        for number, piece in enumerate((rows[:3], rows[3:])):
            pq.write_table(arrow(table, piece), f"{folder}/{number}.parquet", store_decimal_as_integer=True)
        place = TableLocation(files=tuple(str(path) for path in sorted(Path(folder).glob("*.parquet"))))
        statement = lake.sums_by_partition(DuckDB(), table, parts, place)
        result = connection.execute(statement).fetchall()
        listed = connection.execute(lake.digests(DuckDB(), table, parts, place)).fetchall()
        alone = {
            name: connection.execute(lake.sums_by_partition(DuckDB(), table, parts, place, name)).fetchall()
            for name in expected
        }
    assert {name: Fingerprint(*sums) for name, *sums in result} == expected
    assert alone == {name: [(name, part.rows, part.hi, part.lo)] for name, part in expected.items()}
    assert sorted(listed) == sorted(
        (parts.name(row), canonical(row, table.identity).decode(), digest(row, table.columns).hex()) for row in rows
    )


@given(tables_with_rows())
@settings(max_examples=100, deadline=None)
def test_a_partitions_name_tells_its_values(drawn: tuple[TableSchema, list[Row]]) -> None:
    table, rows = drawn
    parts = partitioning(table)
    for row in rows:
        known = [(row[field.column.name], field.text(row[field.column.name])) for field in parts.fields]
        # A text is told as it is; of everything else the text in the name.
        expected = [value if value is None or isinstance(value, str) else text for value, text in known]
        assert list(parts.values(parts.name(row))) == expected


COLUMNS = (
    Column("id", "int(11)", Kind.INTEGER, width_bytes=4),
    Column("day", "date", Kind.DATE),
    Column("at", "timestamp(6)", Kind.TIMESTAMP, scale=6),
    Column("big", "bigint(20) unsigned", Kind.INTEGER, width_bytes=8, unsigned=True),
    Column("note", "longtext", Kind.TEXT),
)


def table_of(*names: str, partition: tuple[str, ...] = (), table: str = "t") -> TableSchema:
    return TableSchema("s", table, tuple(item for item in COLUMNS if item.name in names), (), partition)


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        (("month(day)",), "day_month=2031-12", "\"day\" >= DATE '2031-12-01' AND \"day\" < DATE '2032-01-01'"),
        (("year(day)",), "day_year=9999", "\"day\" >= DATE '9999-01-01'"),
        (("day",), "day=2031-04-02", "\"day\" = DATE '2031-04-02'"),
        (("day",), "day=null", '"day" IS NULL'),
        (("big",), "big=18446744073709551615", "\"big\" = CAST('18446744073709551615' AS DECIMAL(20, 0))"),
        (("note",), "note=%6Eull", "\"note\" = 'null'"),
        (("note",), "note=it's%2F", "\"note\" = 'it''s/'"),
    ],
)
def test_the_condition_of_a_partition_is_on_the_columns_as_they_are(
    fields: tuple[str, ...], name: str, expected: str
) -> None:
    table = table_of("day", "big", "note", partition=fields)
    assert f"WHERE {expected}\n" in lake.sums_by_partition(Trino(), table, partitioning(table), TableLocation(), name)


@pytest.mark.parametrize(
    "name", ["", "-", "day_year", "day_year=31", "day_year=2031-04", "day_year=2031/x=1", "x=2031", "day_year="]
)
def test_a_name_that_no_partition_has_is_refused(name: str) -> None:
    table = table_of("day", partition=("year(day)",))
    with pytest.raises(ConfigError, match=r"s\.t has no partition .*: its partitions are named day_year=\.\.\."):
        lake.sums_by_partition(Trino(), table, partitioning(table), TableLocation(), name)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("id", "0100"), ("id", "+1"), ("id", "1_0"), ("id", "-0"), ("id", " 1"), ("id", "x"), ("id", ""), ("id", "%31"),
        ("day", "20310402"), ("day", "2031-W01-1"), ("day", "2031-02-29"), ("day", "2031-04-02T00"), ("day", "2031"),
        ("year(day)", "31"), ("year(day)", "2031-04"), ("month(day)", "2031-13"), ("month(day)", "2031"),
        ("day(at)", "2031-04"), ("note", "%41"), ("note", "a=b"), ("note", "%zz"), ("note", "100%"), ("note", "%0a"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_written_as_the_partition_is_named_is_none(field: str, text: str) -> None:
    table = table_of("id", "day", "at", "note", partition=(field,))
    parts = partitioning(table)
    with pytest.raises(ConfigError, match=r"s\.t has no partition .*: its partitions are named"):
        required_values(table, parts, f"{parts.fields[0].name}={text}")


@pytest.mark.parametrize(
    ("dialect", "table", "complaint"),
    [
        (
            Presto(),
            table_of("id", "at"),
            r"presto cannot render column of s\.t exactly: at \(timestamp\(6\)\): its Iceberg",
        ),
        (
            Redshift(),
            table_of("id", "note"),
            r"redshift cannot render column of s\.t exactly: note \(longtext\): it may be",
        ),
        (Trino(), table_of("id", table="T"), r"trino cannot read s\.T: it writes names in lower case only"),
    ],
)
def test_what_an_engine_cannot_render_exactly_is_refused_by_column(
    dialect: LakeDialect, table: TableSchema, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        lake.sums_by_partition(dialect, table, partitioning(table), TableLocation())


@pytest.mark.parametrize("words", ["char(9)", "enum('a','b')", "set('a','b')"])
def test_presto_names_partitions_of_the_source_without_the_spaces_that_it_pads_with(words: str) -> None:
    table = TableSchema("s", "t", (column("c", words, nullable=True, charset="utf8mb4"),), (), ("c",))
    name = partition_name(PrestoSource("source"), partitioning(table))
    assert name.count('"c"') == name.count("""regexp_replace(CAST("c" AS varchar), ' +\\z', '')""") == 2
    asked = lake.sums_by_partition(PrestoSource("source"), table, partitioning(table), TableLocation(), "c=a")
    assert """WHERE regexp_replace(CAST("c" AS varchar), ' +\\z', '') = 'a'\n""" in asked


@pytest.mark.parametrize("words", ["char(9)", "varchar(9)", "tinytext", "text", "LONGTEXT"])
def test_presto_is_not_asked_for_the_octets_of_a_text_of_the_source(words: str) -> None:
    octets = column("c", words, nullable=True, charset="latin1", as_bytes=True)
    assert PrestoSource("source").refusal(octets) == "the connector passes its characters on, not its bytes"
    # The lake holds them as octets.
    assert Presto().refusal(octets) == ""
    assert PrestoSource("source").refusal(column("c", "blob", nullable=True, charset=None)) == ""


@pytest.mark.parametrize("words", ["char(9)", "varchar(9)", "text", "enum('a','b')", "set('a','b')"])
@pytest.mark.parametrize("charset", sorted(KNOWN))
def test_presto_is_not_asked_for_texts_that_its_driver_decodes_by_itself(words: str, charset: str) -> None:
    reason = PrestoSource("source").refusal(column("c", words, nullable=True, charset=charset))
    exact = charset in ("ascii", "utf8", "utf8mb3", "utf8mb4")
    assert reason == ("" if exact else f"the driver decodes {charset} by its own table")


@pytest.mark.parametrize(
    ("words", "as_bytes", "is_refused"),
    [
        ("varbinary(32767)", False, False),
        ("varbinary(32768)", False, True),
        ("binary(255)", False, False),
        ("tinyblob", False, False),
        ("blob", False, True),
        ("point", False, True),
        ("vector(8191)", False, False),
        ("vector(8192)", False, True),
        ("char(255)", True, False),
        ("tinytext", True, False),
        ("varchar(8191)", True, False),
        ("varchar(8192)", True, True),
        ("text", True, True),
        ("longtext", True, True),
    ],
)
def test_redshift_is_not_asked_for_octets_whose_digits_no_varchar_holds(
    words: str,
    as_bytes: bool,
    is_refused: bool,
) -> None:
    result = Redshift().refusal(column("c", words, nullable=True, charset="latin1", as_bytes=as_bytes))
    assert ("digits in hexadecimal" in result) == is_refused
    assert bool(result) == is_refused


def test_redshift_does_not_split_by_a_text() -> None:
    text = TableSchema("s", "t", (Column("c", "varchar(9)", Kind.TEXT),), (), ("c",))
    with pytest.raises(ConfigError, match="it ignores spaces at the end of a text"):
        lake.sums_by_partition(Redshift(), text, partitioning(text), TableLocation())


def test_a_table_without_files_has_no_partition() -> None:
    table = table_of("id", "day", "at", "big", "note", partition=("year(day)",))
    with duckdb.connect() as connection:
        statement = lake.sums_by_partition(DuckDB(), table, partitioning(table), TableLocation())
        assert connection.execute(statement).fetchall() == []


def test_a_column_that_no_file_has_yet_is_null_in_duckdb(tmp_path: Path) -> None:
    old = table_of("id", "day", partition=("year(day)",))
    rows: list[Row] = [{"id": number, "day": dt.date(2029 + number, 4, 1)} for number in (1, 2)]
    pq.write_table(arrow(old, rows), tmp_path / "old.parquet")
    new = table_of("id", "day", "at", "big", "note", partition=("year(day)",))
    with duckdb.connect() as connection:
        place = TableLocation(files=(str(tmp_path / "old.parquet"),))
        statement = lake.sums_by_partition(DuckDB(), new, partitioning(new), place, "day_year=2031")
        result = connection.execute(statement).fetchall()
        plan = str(connection.execute(f"EXPLAIN {statement}").fetchall())
    assert {name: Fingerprint(*sums) for name, *sums in result} == slow_sums(old, rows[1:])
    # The condition reaches the files, so that whole row groups are passed over.
    assert re.search(r"READ_PARQUET.*Filters:.*day", plan, re.DOTALL)


def test_a_partition_named_by_a_character_0_is_asked_for_in_duckdb() -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {DuckDB().literal(chr(0))} = chr(0)").fetchall() == [(True,)]
