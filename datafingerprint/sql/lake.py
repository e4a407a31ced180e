"""The fingerprint of a lake table in any engine's SQL: the common part of all statements.

A `LakeDialect` has an engine's own syntax. Statements return one line per partition with rows. It has `rows`, `hi` and
`fingerprint` (the two halves modulo 2^64). Where an engine cannot compute these exactly, it has `rows` and the sums of
the digest's four 32-bit words `w0` to `w3`, which the caller combines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from datafingerprint.canonical import field_name, field_order
from datafingerprint.errors import ConfigError
from datafingerprint.partitions import (
    ENCODED,
    NULL_VALUE,
    NULL_WORD_ENCODED,
    WHOLE,
    PartitionField,
    Partitioning,
    Transform,
)
from datafingerprint.schema import TEXT_KINDS, Column, TableSchema
from datafingerprint.sql.lake_partitions import condition
from datafingerprint.wire import lake_identifier

HALF = 1 << 32
MODULUS = 1 << 64


@dataclass(frozen=True, slots=True)
class TableLocation:
    """An engine's location of a lake table.

    Attributes:
        catalog: The engine's name of the lake; empty for its default. Engines without catalogs omit it.
        snapshot_id: The snapshot; None for the present one.
        files: The live files, for engines that read these instead of the table.
    """

    catalog: str = ""
    snapshot_id: int | None = None
    files: tuple[str, ...] = ()


class LakeDialect(ABC):
    """The SQL of one engine."""

    name: ClassVar[str]
    catalog: ClassVar[str] = "lake"
    """The engine's default name of the lake."""

    session: ClassVar[tuple[str, ...]] = ()
    """Statements at the start of the session."""

    gives_halves: ClassVar[bool] = True
    """Whether the statement returns the halves modulo 2^64; otherwise the sums of the four words."""

    travels: ClassVar[bool] = True
    """Whether the engine can read snapshots other than the present one."""

    needs_files: ClassVar[bool] = False
    """Whether the engine reads the live files instead of the table."""

    @abstractmethod
    def identifier(self, name: str) -> str:
        """A name, quoted."""

    @abstractmethod
    def literal(self, text: str) -> str:
        """A text, quoted."""

    @abstractmethod
    def relation(self, table: TableSchema, place: TableLocation) -> str:
        """The expression after FROM."""

    @abstractmethod
    def value(self, column: Column) -> str:
        """The text of a column's value in the canonical row; NULL for NULL."""

    def text(self, column: Column) -> str:
        """A text as the source shows it, for engines that have it otherwise."""
        return self.identifier(column.name)

    @abstractmethod
    def refusal(self, column: Column) -> str:
        """Why the engine cannot render a column exactly; empty if it can."""

    @abstractmethod
    def row(self, fields: Sequence[str]) -> str:
        """The canonical row of fields; NULL fields are omitted."""

    @abstractmethod
    def digest(self, text: str) -> str:
        """The MD5 of a text as 32 lower-case hexadecimal digits."""

    @abstractmethod
    def sums(self) -> tuple[tuple[str, str], ...]:
        """Names and expressions of the sums over `digest`, in one group."""

    def halves(self) -> tuple[tuple[str, str], ...]:
        """Names and expressions of the halves over the sums; empty if the sums are returned."""
        return ()

    @abstractmethod
    def shortened(self, column: Column, transform: Transform) -> str:
        """The year, month or day of a date or timestamp, as in partition names."""

    @abstractmethod
    def moment(self, column: Column, day: str) -> str:
        """The start of a day such as `2031-04-02`, for comparison with a column."""

    def number(self, column: Column, digits: str) -> str:
        """A whole number, for comparison with a column."""
        return f"CAST('{digits}' AS DECIMAL(20, 0))" if _is_decimal(column) else digits

    def character(self, code: int) -> str:
        """A character that a statement should not contain literally."""
        return f"chr({code})"

    def table_refusal(self, table: TableSchema) -> str:
        """Why the engine cannot read a table at all; empty if it can."""
        del table
        return ""

    def require(self, table: TableSchema, partitioning: Partitioning) -> None:
        """Refuses a table if the engine cannot render every column and partition exactly.

        Raises:
            ConfigError: the engine cannot; the error lists every such column with the reason.
        """
        whole = self.table_refusal(table)
        if whole:
            raise ConfigError(f"{self.name} cannot read {table.table}: {whole}", remedy="use another engine")
        reasons = [(column, self.refusal(column)) for column in table.columns]
        reasons += [(field.column, self.split_refusal(field)) for field in partitioning.fields]
        refused: dict[Column, str] = {}
        for column, reason in reasons:
            if reason:
                refused.setdefault(column, reason)
        if refused:
            raise _refused(self.name, table, refused)

    def split_refusal(self, field: PartitionField) -> str:
        """Why the engine cannot distinguish the partitions of a field; empty if it can."""
        del field
        return ""


def _refused(engine: str, table: TableSchema, refused: Mapping[Column, str]) -> ConfigError:
    by_reason: dict[str, list[str]] = {}
    for column in table.columns:
        if column in refused:
            by_reason.setdefault(refused[column], []).append(f"{column.name} ({column.type})")
    what = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
    plural = len(refused) > 1
    return ConfigError(
        f"{engine} cannot render column{'s' * plural} of {table.table} exactly: {what}",
        remedy=f"use another engine (docs/engines.md), or leave the column{'s' * plural} out",
    )


def _is_decimal(column: Column) -> bool:
    return str(column.arrow).startswith("decimal")


def lake_name(table: TableSchema) -> tuple[str, str]:
    """Namespace and name of a table in the lake's catalog."""
    return lake_identifier(table)


def canonical_row(dialect: LakeDialect, columns: tuple[Column, ...]) -> str:
    """The expression of a canonical row."""
    return dialect.row(
        [
            f"{dialect.literal(field_name(column.name) + '=')} || {dialect.value(column)}"
            for column in field_order(columns)
        ]
    )


def _field_text(dialect: LakeDialect, field: PartitionField) -> str:
    if field.transform is not Transform.IDENTITY:
        return dialect.shortened(field.column, field.transform)
    if field.column.kind not in TEXT_KINDS:
        return dialect.value(field.column)
    text = encoded = dialect.text(field.column)
    for character, code in ENCODED.items():
        shown = dialect.literal(character) if character.isprintable() else dialect.character(ord(character))
        encoded = f"replace({encoded}, {shown}, '{code}')"
    return f"CASE WHEN {text} = '{NULL_VALUE}' THEN '{NULL_WORD_ENCODED}' ELSE {encoded} END"


def partition_name(dialect: LakeDialect, partitioning: Partitioning) -> str:
    """The expression of a row's partition name."""
    if not partitioning.fields:
        return dialect.literal(WHOLE)
    parts = [
        f"{dialect.literal(field.name + '=')} || coalesce({_field_text(dialect, field)}, '{NULL_VALUE}')"
        for field in partitioning.fields
    ]
    return " || '/' || ".join(parts)


def _canonical_rows(
    dialect: LakeDialect,
    table: TableSchema,
    parts: Partitioning,
    place: TableLocation,
    partition: str | None,
    *,
    key: bool,
) -> str:
    dialect.require(table, parts)
    where = "" if partition is None else condition(dialect, table, parts, partition)
    keys = f"    {canonical_row(dialect, table.identity)} AS {dialect.identifier('key')},\n" if key else ""
    return (
        f"  SELECT\n    {partition_name(dialect, parts)} AS {dialect.identifier('partition')},\n{keys}"
        f"    {canonical_row(dialect, table.columns)} AS canonical\n"
        f"  FROM {dialect.relation(table, place)}" + (f"\n  WHERE {where}" if where else "")
    )


def digests(
    dialect: LakeDialect, table: TableSchema, parts: Partitioning, place: TableLocation, partition: str | None = None
) -> str:
    """The statement for partition, key (as its canonical row) and digest of every row.

    Raises:
        ConfigError: the engine cannot render a column exactly, or the table cannot have this partition.
    """
    rows = _canonical_rows(dialect, table, parts, place, partition, key=True)
    names = f"{dialect.identifier('partition')}, {dialect.identifier('key')}"
    digest = dialect.digest("canonical")
    return f"WITH canonical_rows AS (\n{rows}\n)\nSELECT {names}, {digest} AS digest\nFROM canonical_rows"


def sums_by_partition(
    dialect: LakeDialect, table: TableSchema, parts: Partitioning, place: TableLocation, partition: str | None = None
) -> str:
    """The statement for (partition, rows, sums) of every partition with rows, sorted by name.

    Raises:
        ConfigError: the engine cannot render a column exactly, or the table cannot have this partition.
    """
    name, count = dialect.identifier("partition"), dialect.identifier("rows")
    rows = _canonical_rows(dialect, table, parts, place, partition, key=False)
    summed = ",\n    ".join(f"{expression} AS {word}" for word, expression in dialect.sums())
    halves = dialect.halves()
    given = ", ".join(word for word, _ in dialect.sums())
    if halves:
        given = ",\n  ".join(f"{expression} AS {word}" for word, expression in halves)
    return (
        f"WITH canonical_rows AS (\n{rows}\n), digests AS (\n"
        f"  SELECT {name}, {dialect.digest('canonical')} AS digest FROM canonical_rows\n), sums AS (\n"
        f"  SELECT {name}, count(*) AS {count},\n    {summed}\n  FROM digests GROUP BY {name}\n)\n"
        f"SELECT {name}, {count},\n  {given}\nFROM sums ORDER BY {name}"
    )


def word_sums(word: str) -> tuple[tuple[str, str], ...]:
    """The sums of the digest's four words; `word` is the form of a word from `{start}` on."""
    return tuple((f"w{number}", f"sum({word.format(start=start)})") for number, start in enumerate((1, 9, 17, 25)))
