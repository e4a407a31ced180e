"""One statement over both catalogs, the warehouse's and the lake's, that gives only the partitions that differ.

Trino hands the source's own statement down to the source, which renders its values itself. Presto cannot: it reads
the rows through its connector, and what that connector does not hand on exactly is refused by column.
"""

from __future__ import annotations

from datafingerprint.partitions import Partitioning
from datafingerprint.schema import Column, Kind, TableSchema
from datafingerprint.sql import lake, mysql, mysql_ranges
from datafingerprint.sql.lake import Place
from datafingerprint.sql.trino import Presto, Trino

SOURCE = "source"
"""What the warehouse's catalog is called, unless it is told otherwise."""

_NAME_MAX = 16_383
"""Characters of the longest VARCHAR in UTF-8, which a longer name of a partition would be cut to."""

_SESSION = (
    "(@@session.time_zone IN ('+00:00', 'UTC') OR @@session.time_zone = 'SYSTEM' AND @@system_time_zone = 'UTC')",
    "@@session.sql_mode NOT REGEXP 'PAD_CHAR_TO_FULL_LENGTH|ORACLE|EMPTY_STRING_IS_NULL'",
)
"""What the source's session must be, which the catalog's `connection-url` sets and a statement cannot."""

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
_MEDIUM_OCTETS = 3
_SENT_IN_UTF8 = frozenset({"ascii", "utf8", "utf8mb3", "utf8mb4"})
_PADDED = (Kind.ENUM, Kind.SET)


def in_trino(
    table: TableSchema,
    parts: Partitioning,
    place: Place,
    server: mysql.Dialect,
    partition: str | None = None,
    source: str = SOURCE,
) -> str:
    """The statement for Trino.

    Args:
        table: Whose rows.
        parts: How it is split.
        place: Where Trino finds the lake's table.
        server: Which server the source is.
        partition: Only this one.
        source: The catalog of the MySQL or MariaDB connector.

    Raises:
        ConfigError: Trino cannot render a column exactly, or the table has no such partition.
    """
    trino = Trino()
    where = mysql_ranges.within_partition(parts, partition, server) if partition is not None else ""
    pushed = mysql.sums_by_partition(table, parts, server, where)
    # DECIMAL of more than 38 digits, which its sums have, is unknown to Trino.
    words = ", ".join(f"CAST(`{word}` AS UNSIGNED) AS `{word}`" for word in _WORDS)
    # The server tells no length of a text that was composed.
    name = f"CAST(`partition` AS CHAR({_NAME_MAX})) AS `partition`"
    fit = " AND ".join((*_SESSION, f"CHAR_LENGTH(`partition`) <= {_NAME_MAX}"))
    pushed = f"SELECT {name}, `rows`, {words}, `unrendered`,\n  {fit} AS `fit` FROM (\n{pushed}\n) AS `sums`"
    # Rows that the server could not render, or not as it should, make their partition's sums unknown, and so different.
    halves = ",\n  ".join(
        f"CASE WHEN unrendered = 0 AND fit = 1 THEN {expression} END AS {name}" for name, expression in trino.halves()
    )
    quoted = f"{trino.identifier(source)}.system.query(query => {trino.literal(pushed)})"
    asked = f'SELECT "partition", "rows",\n  {halves}\nFROM TABLE({quoted})'
    return _joined(asked, lake.sums_by_partition(trino, table, parts, place, partition))


class PrestoSource(Presto):
    """A table of the source through Presto's MySQL connector."""

    name = "presto's MySQL connector"

    def __init__(self, source: str) -> None:
        self._source = source

    def relation(self, table: TableSchema, place: Place) -> str:
        """See `LakeDialect`."""
        del place
        return ".".join(self.identifier(part) for part in (self._source, table.schema, table.name))

    def table_refusal(self, table: TableSchema) -> str:
        """See `LakeDialect`."""
        name = table.table
        return "" if name == name.lower() else "it looks for all names in lower case"

    def value(self, column: Column) -> str:
        """See `LakeDialect`."""
        if _is_padded(column):
            bare = self.text(column)
            return f"CAST(length(to_utf8({bare})) AS varchar) || ':' || {bare}"
        return super().value(column)

    def text(self, column: Column) -> str:
        """See `LakeDialect`; Presto pads what is declared CHAR, and the server never shows spaces at its end."""
        quoted = self.identifier(column.name)
        return f"regexp_replace(CAST({quoted} AS varchar), ' +\\z', '')" if _is_padded(column) else quoted

    def refusal(self, column: Column) -> str:
        """See `LakeDialect`."""
        if column.unsigned and column.octets != _MEDIUM_OCTETS:
            return "the connector takes it for a signed integer"
        if column.is_long_decimal:
            return "the connector leaves decimals of more than 38 digits out"
        if column.kind is Kind.BYTES and _is_text(column):
            return "the connector hands on its characters, not its octets"
        if column.kind in (Kind.TEXT, *_PADDED) and column.charset not in _SENT_IN_UTF8:
            # Connector/J takes the octets as the server stores them, and its encodings are Java's, not the server's.
            return f"the driver decodes {column.charset} by a table of its own"
        return _NO_CONNECTOR_TYPE.get(column.kind, "") or super().refusal(column)


def _is_text(column: Column) -> bool:
    """Whether the server has a text, even where it is watched as bytes."""
    base = column.type.lower().partition("(")[0].split()[0]
    return base in ("char", "varchar") or base.endswith("text")


def _is_padded(column: Column) -> bool:
    return column.kind in _PADDED or column.type.lower().startswith("char")


def in_presto(
    table: TableSchema, parts: Partitioning, place: Place, partition: str | None = None, source: str = SOURCE
) -> str:
    """The statement for Presto; see `in_trino`.

    Raises:
        ConfigError: Presto cannot render a column exactly, or the table has no such partition.
    """
    asked = lake.sums_by_partition(PrestoSource(source), table, parts, place, partition)
    return _joined(asked, lake.sums_by_partition(Presto(), table, parts, place, partition))


def _joined(source: str, of_lake: str) -> str:
    # The order of what is joined is nobody's, and Presto's client warns of it.
    source, of_lake = (text.removesuffix(' ORDER BY "partition"') for text in (source, of_lake))
    differs = "\n   OR ".join(f"source.{name} IS DISTINCT FROM lake.{name}" for name in ('"rows"', "hi", "fingerprint"))
    return (
        'SELECT coalesce(source."partition", lake."partition") AS "partition",\n'
        '  source."rows" AS source_rows, lake."rows" AS lake_rows,\n'
        "  source.fingerprint AS source_fingerprint, lake.fingerprint AS lake_fingerprint\n"
        # As they are: an end of a line may be in a name, which another indentation would change.
        f"FROM (\n{source}\n) source FULL OUTER JOIN (\n{of_lake}\n) lake\n"
        f'  ON source."partition" = lake."partition"\nWHERE {differs}\nORDER BY 1'
    )
