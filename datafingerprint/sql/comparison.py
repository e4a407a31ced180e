"""One statement over the catalogs of warehouse and lake, with the partitions that differ.

Trino passes the source's own statement on to the source, which renders its values itself. Presto cannot: it reads the
rows through its connector, and columns whose values the connector alters are refused.
"""

from __future__ import annotations

from datafingerprint.partitions import Partitioning
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql import lake, mysql, mysql_ranges
from datafingerprint.sql.lake import TableLocation
from datafingerprint.sql.trino import Presto, Trino

SOURCE = "source"
"""The default name of the warehouse's catalog."""

_NAME_MAX = 16_383
"""Characters of the longest VARCHAR in UTF-8; longer partition names would be truncated."""

_SESSION = (
    "(@@session.time_zone IN ('+00:00', 'UTC') OR @@session.time_zone = 'SYSTEM' AND @@system_time_zone = 'UTC')",
    "@@session.sql_mode NOT REGEXP 'PAD_CHAR_TO_FULL_LENGTH|ORACLE|EMPTY_STRING_IS_NULL'",
)
"""Conditions on the source's session. The catalog's `connection-url` sets them; a statement cannot."""

_WORDS = ("w0", "w1", "w2", "w3")
_NO_CONNECTOR_TYPE = {
    Kind.FLOAT: "the server prints it to the connector with six digits",
    Kind.TIME: "the connector's TIME ends after a day",
    Kind.YEAR: "the connector makes a date of it",
    Kind.BIT: "the connector makes a truth value of it",
    **dict.fromkeys(
        (Kind.JSON, Kind.UUID, Kind.INET4, Kind.INET6, Kind.GEOMETRY, Kind.VECTOR), "the connector does not know it"
    ),
}
_MEDIUM_BYTES = 3
_SENT_IN_UTF8 = frozenset({"ascii", "utf8", "utf8mb3", "utf8mb4"})
_PADDED = (Kind.ENUM, Kind.SET)


def in_trino(
    table: TableSchema,
    parts: Partitioning,
    place: TableLocation,
    server: mysql.Dialect,
    partition: str | None = None,
    source: str = SOURCE,
) -> str:
    """The statement for Trino.

    Args:
        table: The table.
        parts: Its partitioning.
        place: Trino's location of the lake's table.
        server: The kind of the source.
        partition: Only this partition; None for all.
        source: The catalog of the MySQL or MariaDB connector.

    Raises:
        ConfigError: Trino cannot render a column exactly, or the table cannot have this partition.
    """
    trino = Trino()
    where = mysql_ranges.within_partition(parts, partition, server) if partition is not None else ""
    pushed = mysql.sums_by_partition(table, parts, server, where)
    # Trino has no DECIMAL of more than 38 digits, which the server's sums have.
    words = ", ".join(f"CAST(`{word}` AS UNSIGNED) AS `{word}`" for word in _WORDS)
    # The server reports no length for a composed text.
    name = f"CAST(`partition` AS CHAR({_NAME_MAX})) AS `partition`"
    is_fit = " AND ".join((*_SESSION, f"CHAR_LENGTH(`partition`) <= {_NAME_MAX}"))
    pushed = f"SELECT {name}, `rows`, {words}, `unrendered`,\n  {is_fit} AS `fit` FROM (\n{pushed}\n) AS `sums`"
    # Rows that the server could not render, or not rightly, make their partition's sums unknown, and so different.
    halves = ",\n  ".join(
        f"CASE WHEN unrendered = 0 AND fit = 1 THEN {expression} END AS {name}" for name, expression in trino.halves()
    )
    quoted = f"{trino.identifier(source)}.system.query(query => {trino.literal(pushed)})"
    source_statement = f'SELECT "partition", "rows",\n  {halves}\nFROM TABLE({quoted})'
    return _join(source_statement, lake.sums_by_partition(trino, table, parts, place, partition))


class PrestoSource(Presto):
    """A table of the source through Presto's MySQL connector."""

    name = "presto's MySQL connector"

    def __init__(self, source: str) -> None:
        self._source = source

    def relation(self, table: TableSchema, place: TableLocation) -> str:
        """See `LakeDialect`."""
        del place
        return ".".join(self.identifier(part) for part in (self._source, table.schema, table.name))

    def table_refusal(self, table: TableSchema) -> str:
        """See `LakeDialect`."""
        name = table.table
        return "" if name == name.lower() else "it searches names in lower case only"

    def value(self, column: Column) -> str:
        """See `LakeDialect`."""
        if _is_padded(column):
            bare = self.text(column)
            return f"CAST(length(to_utf8({bare})) AS varchar) || ':' || {bare}"
        return super().value(column)

    def text(self, column: Column) -> str:
        """See `LakeDialect`; Presto pads CHAR, and the server never shows spaces at its end."""
        quoted = self.identifier(column.name)
        return f"regexp_replace(CAST({quoted} AS varchar), ' +\\z', '')" if _is_padded(column) else quoted

    def refusal(self, column: Column) -> str:
        """See `LakeDialect`."""
        if column.unsigned and column.width_bytes != _MEDIUM_BYTES:
            return "the connector reads it as a signed integer"
        if column.kind is Kind.DOUBLE and "(" in column.type:
            return "the server prints it to the connector with the decimals of its definition"
        if column.is_long_decimal:
            return "the connector omits decimals of more than 38 digits"
        if column.kind is Kind.BYTES and _is_text(column):
            return "the connector passes its characters on, not its bytes"
        if column.kind in (Kind.TEXT, *_PADDED) and column.charset not in _SENT_IN_UTF8:
            # Connector/J reads the bytes as the server stores them, and its encodings are Java's, not the server's.
            return f"the driver decodes {column.charset} by its own table"
        return _NO_CONNECTOR_TYPE.get(column.kind, "") or super().refusal(column)


def _is_text(column: Column) -> bool:
    """Whether the connector sees a text, even if it is carried as bytes."""
    base = column.type.lower().partition("(")[0].split()[0]
    return column.stored_kind in _PADDED or base in ("char", "varchar") or base.endswith("text")


def _is_padded(column: Column) -> bool:
    return column.kind in _PADDED or column.type.lower().startswith("char")


def in_presto(
    table: TableSchema, parts: Partitioning, place: TableLocation, partition: str | None = None, source: str = SOURCE
) -> str:
    """The statement for Presto; see `in_trino`.

    Raises:
        ConfigError: Presto cannot render a column exactly, or the table cannot have this partition.
    """
    source_statement = lake.sums_by_partition(PrestoSource(source), table, parts, place, partition)
    return _join(source_statement, lake.sums_by_partition(Presto(), table, parts, place, partition))


def _join(source: str, of_lake: str) -> str:
    # The joined tables need no order, and Presto's client warns of it.
    source, of_lake = (text.removesuffix(' ORDER BY "partition"') for text in (source, of_lake))
    differs = "\n   OR ".join(f"source.{name} IS DISTINCT FROM lake.{name}" for name in ('"rows"', "hi", "fingerprint"))
    return (
        'SELECT coalesce(source."partition", lake."partition") AS "partition",\n'
        '  source."rows" AS source_rows, lake."rows" AS lake_rows,\n'
        "  source.fingerprint AS source_fingerprint, lake.fingerprint AS lake_fingerprint\n"
        # Without indentation: it would change a name that contains a line end.
        f"FROM (\n{source}\n) source FULL OUTER JOIN (\n{of_lake}\n) lake\n"
        f'  ON source."partition" = lake."partition"\nWHERE {differs}\nORDER BY 1'
    )
