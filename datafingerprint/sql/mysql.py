"""The fingerprint in the SQL of MySQL and MariaDB: what the source itself contains.

The statements need a session that `SESSION` has set up. They return, per partition, the number of rows and the sums of
the digest's four 32-bit words, because no server sums 64-bit unsigned integers modulo 2^64. The last column counts the
rows that could not be rendered, because they or one of their values exceed `max_allowed_packet`. Only 0 there makes a
result valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from datafingerprint.canonical import field_name, field_order
from datafingerprint.partitions import (
    ENCODED,
    NULL_VALUE,
    NULL_WORD_ENCODED,
    WHOLE,
    PartitionField,
    Partitioning,
    Transform,
)
from datafingerprint.schema import BYTES_KINDS, Column, Kind, TableSchema
from datafingerprint.sql.mysql_session import NO_LIMIT

SESSION: tuple[str, ...] = (
    "SET SESSION sql_mode = ''",
    "SET SESSION time_zone = '+00:00'",
    f"SET SESSION sql_select_limit = {NO_LIMIT}",
    "SET NAMES utf8mb4",
)
"""Set-up before a statement that is run by hand. Our own sessions are set up by `mysql_session`."""


class Dialect(StrEnum):
    """The kind of the server."""

    MYSQL = "mysql"
    MARIADB = "mariadb"

    @property
    def collation(self) -> str:
        """A collation that distinguishes all texts, also by case and by spaces at the end."""
        return "utf8mb4_0900_bin" if self is Dialect.MYSQL else "utf8mb4_nopad_bin"


def identifier(name: str) -> str:
    """A name, quoted."""
    doubled = name.replace("`", "``")
    return f"`{doubled}`"


def literal(text: str) -> str:
    """A text, quoted; one with quotation marks or backslashes as its bytes, for any SQL mode."""
    if "'" in text or "\\" in text or not text.isprintable():
        return f"_utf8mb4 x'{text.encode().hex()}'"
    return f"'{text}'"


def table_name(table: TableSchema) -> str:
    """Schema and name, quoted."""
    return f"{identifier(table.schema)}.{identifier(table.name)}"


def _utf8(quoted: str) -> str:
    return f"CONVERT({quoted} USING utf8mb4)"


def _text(quoted: str) -> str:
    return f"CONCAT(LENGTH({_utf8(quoted)}), ':', {_utf8(quoted)})"


def _printed(quoted: str) -> str:
    # `_utf8` for JSON, UUID and addresses, which are not strings.
    return f"CONCAT(LENGTH(CAST({quoted} AS CHAR CHARACTER SET utf8mb4)), ':', CAST({quoted} AS CHAR))"


def number(column: Column) -> str:
    """The value of a number without padding such as ZEROFILL's."""
    quoted = identifier(column.name)
    if column.is_short_year:
        # As a number it has two digits, as a date four; a stored 0 is then the year 1900.
        return f"IF(YEAR({quoted}) = 1900, 0, YEAR({quoted}))"
    return f"{quoted} + 0"


def _if_a_day(quoted: str, rendered: str) -> str:
    leap = f"(YEAR({quoted}) % 4 = 0 AND YEAR({quoted}) % 100 <> 0 OR YEAR({quoted}) % 400 = 0)"
    lengths = ", ".join(["31", f"28 + {leap}", *["31", "30", "31", "30", "31", "31", "30", "31", "30", "31"]])
    return (
        f"IF(YEAR({quoted}) >= 1 AND DAYOFMONTH({quoted}) BETWEEN 1 AND ELT(MONTH({quoted}), {lengths}), "
        f"{rendered}, NULL)"
    )


def _date(quoted: str) -> str:
    return _if_a_day(quoted, f"DATE_FORMAT({quoted}, '%Y-%m-%d')")


def _moment(quoted: str) -> str:
    return _if_a_day(quoted, f"DATE_FORMAT({quoted}, '%Y-%m-%d %H:%i:%s.%f')")


def _time(quoted: str) -> str:
    # The parts have no sign; not even TIME_TO_SEC gives -00:00:00.5 one.
    us = f"((HOUR({quoted}) * 60 + MINUTE({quoted})) * 60 + SECOND({quoted})) * 1000000 + MICROSECOND({quoted})"
    return f"IF(CAST({quoted} AS CHAR) LIKE '-%', -1, 1) * ({us})"


def _hex(quoted: str) -> str:
    return f"LOWER(HEX({quoted}))"


def _double(quoted: str) -> str:
    """The bits of a double by exact scaling with powers of two; 0 for both zeros."""
    size = f"ABS({quoted})"
    exponent = f"LEAST(GREATEST(FLOOR(LOG2({size})), -1022), 1023)"
    # LOG2 may round next to a power of two: then the significand is not within [1, 2).
    significand = f"({size} / POW(2, {exponent}))"
    unit = "4503599627370496e0"
    bits = (
        f"CASE WHEN {quoted} = 0 THEN 0 "
        f"WHEN {size} < 2.2250738585072014e-308 THEN CAST({size} * POW(2, 537) * POW(2, 537) AS SIGNED) "
        f"WHEN {significand} < 1 THEN CAST(({exponent} + 1022) * {unit} AS SIGNED) "
        f"+ CAST(({significand} * 2 - 1) * {unit} AS SIGNED) "
        f"WHEN {significand} >= 2 THEN CAST(({exponent} + 1024) * {unit} AS SIGNED) "
        f"+ CAST(({significand} / 2 - 1) * {unit} AS SIGNED) "
        f"ELSE CAST(({exponent} + 1023) * {unit} AS SIGNED) + CAST(({significand} - 1) * {unit} AS SIGNED) END"
    )
    return f"({bits}) + IF({quoted} < 0, -9223372036854775807 - 1, 0)"


_OF_ANY_LENGTH = frozenset({Kind.TEXT, Kind.JSON, *BYTES_KINDS})
_BYTES_PER_BYTE_MAX = 8
"""Twice the most rendered bytes per stored byte: two digits, three bytes of UTF-8, or four for two bytes."""

_SHORT_MAX = 200
"""Characters or bytes whose rendering fits the smallest packet, 1,024 bytes, with the column's name."""

_RENDERERS: dict[Kind, Callable[[str], str]] = {
    Kind.FLOAT: lambda quoted: _double(f"CAST({quoted} AS DOUBLE)"),
    Kind.DOUBLE: _double,
    Kind.DATE: _date,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    Kind.TIME: _time,
    **dict.fromkeys((Kind.TEXT, Kind.ENUM, Kind.SET), _text),
    **dict.fromkeys((Kind.JSON, Kind.UUID, Kind.INET4, Kind.INET6), _printed),
    **dict.fromkeys(BYTES_KINDS, _hex),
}


_NUMBERS = frozenset({Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.DECIMAL})


def _canonical_field(column: Column) -> str:
    is_number = column.kind in _NUMBERS
    rendered = number(column) if is_number else _RENDERERS[column.kind](identifier(column.name))
    return f"CONCAT({literal(field_name(column.name) + '=')}, {rendered})"


def canonical_row(columns: tuple[Column, ...]) -> str:
    """The expression of a canonical row; `CONCAT_WS` omits NULL fields.

    It also omits a field that is NULL because it exceeds `max_allowed_packet`: see `_rendered`.
    """
    fields = ",\n      ".join(map(_canonical_field, field_order(columns)))
    return f"CONCAT_WS('|',\n      {fields})"


def _may_be_long(column: Column) -> bool:
    """Whether a rendered value may exceed the smallest packet."""
    base, _, arguments = column.type.lower().partition("(")
    digits = arguments.split(")")[0]
    if column.stored_kind in (Kind.ENUM, Kind.SET):
        return len(column.type) > _SHORT_MAX
    if column.kind not in _OF_ANY_LENGTH or base.startswith("tiny"):
        return False
    # A number of a VECTOR has four bytes.
    return column.kind is Kind.VECTOR or not digits.isdigit() or int(digits) > _SHORT_MAX


def _field_text(field: PartitionField, dialect: Dialect) -> str:
    quoted = identifier(field.column.name)
    if field.transform is not Transform.IDENTITY:
        form = {Transform.YEAR: "%Y", Transform.MONTH: "%Y-%m", Transform.DAY: "%Y-%m-%d"}[field.transform]
        return _if_a_day(quoted, f"DATE_FORMAT({quoted}, '{form}')")
    if field.column.kind is Kind.DATE:
        return _date(quoted)
    if field.column.kind not in (Kind.TEXT, Kind.ENUM, Kind.SET):
        return number(field.column)
    text = encoded = _utf8(quoted)
    for character, code in ENCODED.items():
        encoded = f"REPLACE({encoded}, {literal(character)}, '{code}')"
    return f"IF({text} COLLATE {dialect.collation} = '{NULL_VALUE}', '{NULL_WORD_ENCODED}', {encoded})"


def partition_name(partitioning: Partitioning, dialect: Dialect) -> str:
    """The expression of the name of the partition that holds a row."""
    if not partitioning.fields:
        return literal(WHOLE)
    parts = [
        f"{literal(field.name + '=')}, COALESCE({_field_text(field, dialect)}, '{NULL_VALUE}')"
        for field in partitioning.fields
    ]
    return "CONCAT(" + ", '/', ".join(parts) + ")"


def digests(
    table: TableSchema, partitioning: Partitioning, dialect: Dialect, where: str = "", *, key: bool = False
) -> str:
    """The SELECT for `partition` and `digest` (32 hexadecimal digits) of every row.

    Args:
        table: The table.
        partitioning: Its partitioning.
        dialect: The kind of the server.
        where: A condition on the columns; empty for all rows.
        key: Whether to return `key` between the two: the canonical row of the identifying columns.

    A key or digest that the server cannot render is NULL.
    """
    keys = f"    {_rendered(table.identity, canonical_row(table.identity))} AS `key`,\n" if key else ""
    names = ((field.column, _field_text(field, dialect)) for field in partitioning.fields)
    digest = _rendered(table.columns, f"MD5({canonical_row(table.columns)})", *names)
    condition = f"\n    WHERE {where}" if where else ""
    name = f"CONVERT({partition_name(partitioning, dialect)} USING utf8mb4) COLLATE {dialect.collation}"
    return f"SELECT {name} AS `partition`,\n{keys}    {digest} AS `digest`\n    FROM {table_name(table)}{condition}"


def _rendered(columns: tuple[Column, ...], expression: str, *more: tuple[Column, str]) -> str:
    """The expression, or NULL where a field or one of `more` exceeds the server's limit.

    Only long values are rendered for this check: no rendering has more than four bytes per stored byte, and a name is
    short against half of the smallest packet.
    """
    too_long = "\n      OR ".join(
        f"LENGTH({identifier(column.name)}) * {_BYTES_PER_BYTE_MAX} >= @@max_allowed_packet AND {rendering} IS NULL"
        for column, rendering in (*((column, _canonical_field(column)) for column in field_order(columns)), *more)
        if _may_be_long(column)
    )
    return f"IF({too_long},\n    NULL, {expression})" if too_long else expression


def sums_by_partition(table: TableSchema, partitioning: Partitioning, dialect: Dialect, where: str = "") -> str:
    """The statement for (partition, rows, sums of the four words, unrendered rows).

    The limit keeps the server from merging the derived table. Merged, a row is rendered and digested five times: once
    for each reference to `digest`. The rows of the derived table are a temporary table of the server instead.
    """
    words = ",\n  ".join(
        f"COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, {start}, 8), 16, 10) AS UNSIGNED)), 0) AS `w{number}`"
        for number, start in enumerate((1, 9, 17, 25))
    )
    return (
        f"SELECT `partition`, COUNT(*) AS `rows`,\n  {words},\n  SUM(`digest` IS NULL) AS `unrendered`\n"
        f"FROM (\n    {digests(table, partitioning, dialect, where)}\n    LIMIT {NO_LIMIT}\n) AS `digests`\n"
        f"GROUP BY `partition` ORDER BY `partition`"
    )


def fingerprints_by_partition(table: TableSchema, partitioning: Partitioning, dialect: Dialect, where: str = "") -> str:
    """The statement for the columns of `sums_by_partition` and the fingerprint as it is shown."""
    sums = sums_by_partition(table, partitioning, dialect, where)
    low = f"CAST((`w2` * {2**32} + `w3`) % {2**64} AS UNSIGNED)"
    return f"SELECT `sums`.*,\n  {low} AS `fingerprint`\nFROM (\n{sums}\n) AS `sums`\nORDER BY `partition`"


def in_partition(partitioning: Partitioning, name: str, dialect: Dialect) -> str:
    """The condition of the partition of this name."""
    return f"{partition_name(partitioning, dialect)} COLLATE {dialect.collation} = {literal(name)}"


def in_partitions(partitioning: Partitioning, names: Sequence[str], dialect: Dialect) -> str:
    """The condition of one of these partitions."""
    listed = ", ".join(literal(name) for name in names)
    return f"{partition_name(partitioning, dialect)} COLLATE {dialect.collation} IN ({listed})"


def rows_by_partition(table: TableSchema, partitioning: Partitioning, dialect: Dialect) -> str:
    """The statement for (partition, rows) of every partition with rows."""
    name = f"CONVERT({partition_name(partitioning, dialect)} USING utf8mb4) COLLATE {dialect.collation}"
    return (
        f"SELECT `partition`, COUNT(*) AS `rows`\n"
        f"FROM (\n    SELECT {name} AS `partition`\n    FROM {table_name(table)}\n) AS `names`\n"
        f"GROUP BY `partition` ORDER BY `partition`"
    )
