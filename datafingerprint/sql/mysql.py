"""The fingerprint in the SQL of MySQL and MariaDB: what the source itself says that it holds.

The statements expect a session that `SESSION` has set up; they return, per partition, the number of rows, the sums
of the digest's four 32-bit words (no server sums 64-bit unsigned integers modulo 2^64), and how many rows could not
be rendered, because they, or a value of theirs, exceed `max_allowed_packet`: any but 0 makes a result worthless.
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

SESSION: tuple[str, ...] = (
    "SET SESSION sql_mode = ''",
    "SET SESSION time_zone = '+00:00'",
    "SET NAMES utf8mb4",
)
"""What changes how a server renders values is set by name."""


class Dialect(StrEnum):
    """Which of the two servers is asked."""

    MYSQL = "mysql"
    MARIADB = "mariadb"

    @property
    def collation(self) -> str:
        """One that tells all texts apart: neither case nor spaces at the end are passed over."""
        return "utf8mb4_0900_bin" if self is Dialect.MYSQL else "utf8mb4_nopad_bin"


def identifier(name: str) -> str:
    """A name, quoted."""
    doubled = name.replace("`", "``")
    return f"`{doubled}`"


def literal(text: str) -> str:
    """A text, quoted; by its octets when a quotation mark or a backslash is in it, whatever the session's mode."""
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
    # `_utf8` of JSON, UUID and addresses, which are no strings.
    return f"CONCAT(LENGTH(CAST({quoted} AS CHAR CHARACTER SET utf8mb4)), ':', CAST({quoted} AS CHAR))"


def _number(quoted: str) -> str:
    # The sum has the value, but not the ZEROFILL, of the column.
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
    # The parts have no sign; of -00:00:00.5 not even TIME_TO_SEC has one.
    us = f"((HOUR({quoted}) * 60 + MINUTE({quoted})) * 60 + SECOND({quoted})) * 1000000 + MICROSECOND({quoted})"
    return f"IF(CAST({quoted} AS CHAR) LIKE '-%', -1, 1) * ({us})"


def _octets(quoted: str) -> str:
    return f"LOWER(HEX({quoted}))"


def _double(quoted: str) -> str:
    """The bits of a double by scaling with powers of two, which is exact; 0 for both zeros."""
    size = f"ABS({quoted})"
    exponent = f"LEAST(GREATEST(FLOOR(LOG2({size})), -1022), 1023)"
    # LOG2 may round up or down next to a power of two: then the significand is not within [1, 2).
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
_OCTETS_AN_OCTET_MAX = 8
"""Twice what rendering makes of an octet: two digits, three octets of UTF-8, or four where a charset's two are one."""

_SHORT_MAX = 200
"""Characters or octets that are rendered in less than the smallest packet, 1,024 octets, leaves beside the name."""

_RENDERERS: dict[Kind, Callable[[str], str]] = {
    **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.DECIMAL), _number),
    Kind.FLOAT: lambda quoted: _double(f"CAST({quoted} AS DOUBLE)"),
    Kind.DOUBLE: _double,
    Kind.DATE: _date,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    Kind.TIME: _time,
    **dict.fromkeys((Kind.TEXT, Kind.ENUM, Kind.SET), _text),
    **dict.fromkeys((Kind.JSON, Kind.UUID, Kind.INET4, Kind.INET6), _printed),
    **dict.fromkeys(BYTES_KINDS, _octets),
}


def _canonical_field(column: Column) -> str:
    return f"CONCAT({literal(field_name(column.name) + '=')}, {_RENDERERS[column.kind](identifier(column.name))})"


def canonical_row(columns: tuple[Column, ...]) -> str:
    """The expression of a row's canonical form; `CONCAT_WS` leaves the NULL fields out.

    It leaves out a field that is NULL because it is longer than `max_allowed_packet`, too: see `_rendered`.
    """
    fields = ",\n      ".join(map(_canonical_field, field_order(columns)))
    return f"CONCAT_WS('|',\n      {fields})"


def _may_be_long(column: Column) -> bool:
    """Whether a value may be rendered longer than the smallest packet is."""
    base, _, arguments = column.type.lower().partition("(")
    digits = arguments.split(")")[0]
    if column.kind in (Kind.ENUM, Kind.SET):
        return len(column.type) > _SHORT_MAX
    if column.kind not in _OF_ANY_LENGTH or base.startswith("tiny"):
        return False
    # A number of a VECTOR has four octets.
    return column.kind is Kind.VECTOR or not digits.isdigit() or int(digits) > _SHORT_MAX


def _field_text(field: PartitionField, dialect: Dialect) -> str:
    quoted = identifier(field.column.name)
    if field.transform is not Transform.IDENTITY:
        form = {Transform.YEAR: "%Y", Transform.MONTH: "%Y-%m", Transform.DAY: "%Y-%m-%d"}[field.transform]
        return _if_a_day(quoted, f"DATE_FORMAT({quoted}, '{form}')")
    if field.column.kind is Kind.DATE:
        return _date(quoted)
    if field.column.kind not in (Kind.TEXT, Kind.ENUM, Kind.SET):
        return _number(quoted)
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
    """The SELECT of `partition` and `digest` (32 hexadecimal digits) of every row.

    Args:
        table: Whose rows.
        partitioning: How it is split.
        dialect: Which server is asked.
        where: A condition on its columns; empty for all rows.
        key: Whether to give `key` between the two, the canonical form of what tells a row from others.

    A key or digest that the server cannot render is NULL.
    """
    keys = f"    {_rendered(table.identity, canonical_row(table.identity))} AS `key`,\n" if key else ""
    names = ((field.column, _field_text(field, dialect)) for field in partitioning.fields)
    digest = _rendered(table.columns, f"MD5({canonical_row(table.columns)})", *names)
    condition = f"\n    WHERE {where}" if where else ""
    name = f"CONVERT({partition_name(partitioning, dialect)} USING utf8mb4) COLLATE {dialect.collation}"
    return f"SELECT {name} AS `partition`,\n{keys}    {digest} AS `digest`\n    FROM {table_name(table)}{condition}"


def _rendered(columns: tuple[Column, ...], expression: str, *more: tuple[Column, str]) -> str:
    """The expression, NULL where a field, or one of `more`, is longer than what the server's functions give.

    Only long values are rendered for that: no rendering has more than four octets for one that is stored, and a name
    is short beside half the smallest packet.
    """
    too_long = "\n      OR ".join(
        f"LENGTH({identifier(column.name)}) * {_OCTETS_AN_OCTET_MAX} >= @@max_allowed_packet AND {rendering} IS NULL"
        for column, rendering in (*((one, _canonical_field(one)) for one in field_order(columns)), *more)
        if _may_be_long(column)
    )
    return f"IF({too_long},\n    NULL, {expression})" if too_long else expression


def sums_by_partition(table: TableSchema, partitioning: Partitioning, dialect: Dialect, where: str = "") -> str:
    """The statement that gives (partition, rows, sums of the digest's four words from the first, unrendered rows)."""
    words = ",\n  ".join(
        f"COALESCE(SUM(CAST(CONV(SUBSTR(`digest`, {start}, 8), 16, 10) AS UNSIGNED)), 0) AS `w{number}`"
        for number, start in enumerate((1, 9, 17, 25))
    )
    return (
        f"SELECT `partition`, COUNT(*) AS `rows`,\n  {words},\n  SUM(`digest` IS NULL) AS `unrendered`\n"
        f"FROM (\n    {digests(table, partitioning, dialect, where)}\n) AS `digests`\n"
        f"GROUP BY `partition` ORDER BY `partition`"
    )


def in_partition(partitioning: Partitioning, name: str, dialect: Dialect) -> str:
    """The condition that a row lies in the partition of that name."""
    return f"{partition_name(partitioning, dialect)} COLLATE {dialect.collation} = {literal(name)}"


def in_partitions(partitioning: Partitioning, names: Sequence[str], dialect: Dialect) -> str:
    """The condition that a row lies in one of these partitions."""
    listed = ", ".join(literal(name) for name in names)
    return f"{partition_name(partitioning, dialect)} COLLATE {dialect.collation} IN ({listed})"


def rows_by_partition(table: TableSchema, partitioning: Partitioning, dialect: Dialect) -> str:
    """The statement that gives (partition, rows) of every partition that has any."""
    name = f"CONVERT({partition_name(partitioning, dialect)} USING utf8mb4) COLLATE {dialect.collation}"
    return (
        f"SELECT `partition`, COUNT(*) AS `rows`\n"
        f"FROM (\n    SELECT {name} AS `partition`\n    FROM {table_name(table)}\n) AS `names`\n"
        f"GROUP BY `partition` ORDER BY `partition`"
    )
