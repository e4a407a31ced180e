"""What a table is: its columns with their MySQL and Arrow types, and its key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from datafingerprint.errors import SourceError

DECIMAL_DIGITS_MAX = 18
"""Most digits of a DECIMAL that are decoded: what fits a 64-bit integer."""

UTF8_CHARSETS = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii"})
"""Character sets whose stored bytes are UTF-8 as they are."""


class Kind(StrEnum):
    """How a column's values are rendered, decoded and stored; one kind, one rule everywhere."""

    INTEGER = "integer"
    FLOAT = "float"
    DOUBLE = "double"
    DECIMAL = "decimal"
    DATE = "date"
    DATETIME = "datetime"
    TIMESTAMP = "timestamp"
    TEXT = "text"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: As the server spells it.
        type: The MySQL type as `information_schema` prints it, such as `int(11) unsigned`.
        kind: How its values are treated.
        octets: Width of an integer in bytes, 0 for other kinds.
        unsigned: Whether an integer is unsigned.
        precision: Digits of a decimal, or 0.
        scale: Decimals of a decimal, or digits of a second's fraction.
        nullable: Whether NULL may occur.
    """

    name: str
    type: str
    kind: Kind
    octets: int = 0
    unsigned: bool = False
    precision: int = 0
    scale: int = 0
    nullable: bool = True

    @property
    def arrow(self) -> pa.DataType:
        """The type on the wire and in the lake: the smallest that Iceberg has and that holds every value."""
        if self.kind is Kind.INTEGER:
            return _integer_type(self.octets, unsigned=self.unsigned)
        if self.kind is Kind.DECIMAL:
            return pa.decimal128(self.precision, self.scale)
        return _ARROW[self.kind]


_ARROW: dict[Kind, pa.DataType] = {
    Kind.FLOAT: pa.float32(),
    Kind.DOUBLE: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("us"),
    Kind.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    Kind.TEXT: pa.string(),
    Kind.BYTES: pa.binary(),
}

_INTEGER_OCTETS = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
_KINDS: dict[str, Kind] = {
    **{kind.value: kind for kind in (Kind.FLOAT, Kind.DOUBLE, Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP)},
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), Kind.TEXT),
    **dict.fromkeys(("varbinary", "tinyblob", "blob", "mediumblob", "longblob"), Kind.BYTES),
}
_TYPE = re.compile(r"^(?P<base>[a-z]+)(?:\((?P<args>[^)]*)\))?(?P<rest>.*)$")


def _integer_type(octets: int, *, unsigned: bool) -> pa.DataType:
    if octets == 8:  # noqa: PLR2004 - BIGINT
        return pa.decimal128(20, 0) if unsigned else pa.int64()
    return pa.int64() if unsigned and octets == 4 else pa.int32()  # noqa: PLR2004 - INT


def column(name: str, type_text: str, *, nullable: bool, charset: str | None) -> Column:
    """The column that `information_schema.COLUMNS` describes by COLUMN_TYPE and CHARACTER_SET_NAME.

    Raises:
        SourceError: values of this type cannot be carried exactly yet.
    """
    match = _TYPE.match(type_text.lower())
    base, args, rest = (match["base"], match["args"] or "", match["rest"]) if match else ("", "", "")
    unsigned = "unsigned" in rest
    if base in _INTEGER_OCTETS:
        return Column(name, type_text, Kind.INTEGER, octets=_INTEGER_OCTETS[base], unsigned=unsigned, nullable=nullable)
    if base == "decimal":
        return _decimal(name, type_text, args, nullable=nullable)
    kind = _KINDS.get(base)
    if kind is None or "compressed" in rest or (kind is Kind.TEXT and charset not in UTF8_CHARSETS):
        in_charset = f" in {charset}" if charset else ""
        raise SourceError(f"type {type_text}{in_charset} of column {name} cannot be carried exactly yet")
    fraction = int(args or 0) if kind in (Kind.DATETIME, Kind.TIMESTAMP) else 0
    return Column(name, type_text, kind, scale=fraction, nullable=nullable)


def _decimal(name: str, type_text: str, args: str, *, nullable: bool) -> Column:
    precision, scale = (int(part) for part in args.split(","))
    if precision > DECIMAL_DIGITS_MAX:
        raise SourceError(
            f"type {type_text} of column {name} has more than {DECIMAL_DIGITS_MAX} digits, "
            "which cannot be carried exactly yet"
        )
    return Column(name, type_text, Kind.DECIMAL, precision=precision, scale=scale, nullable=nullable)


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One version of a table's definition.

    Attributes:
        schema: The database that holds it.
        name: Its name there.
        columns: In the server's order.
        key: Names of the primary key's columns; empty when there is none, and rows are a multiset.
        partition: Its partition fields as the settings write them, such as `year(date)`.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """`schema.table`, the name that people and the API use."""
        return f"{self.schema}.{self.name}"

    @property
    def arrow(self) -> pa.Schema:
        """The rows as Arrow columns; every column may be null, as the absent side of a change is."""
        return pa.schema([pa.field(column.name, column.arrow) for column in self.columns])

    @property
    def identity(self) -> tuple[Column, ...]:
        """The columns that say which row a row is: the key's, or all of them where there is none."""
        if not self.key:
            return self.columns
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            KeyError: there is none.
        """
        return next(column for column in self.columns if column.name == name)

    def to_json(self) -> dict[str, Any]:
        """The definition as the `schemas` topic and the state store hold it."""
        return {
            "schema": self.schema,
            "name": self.name,
            "key": list(self.key),
            "partition": list(self.partition),
            "columns": [
                {
                    "name": column.name,
                    "type": column.type,
                    "kind": column.kind.value,
                    "octets": column.octets,
                    "unsigned": column.unsigned,
                    "precision": column.precision,
                    "scale": column.scale,
                    "nullable": column.nullable,
                }
                for column in self.columns
            ],
        }

    @staticmethod
    def from_json(document: dict[str, Any]) -> TableSchema:
        """The definition that `to_json` wrote."""
        columns = tuple(Column(**{**item, "kind": Kind(item["kind"])}) for item in document["columns"])
        return TableSchema(
            document["schema"],
            document["name"],
            columns,
            tuple(document["key"]),
            tuple(document["partition"]),
        )


def refuse_ambiguous_names(table: str, names: list[str]) -> None:
    """Refuses columns that differ only in a way lower-casing takes away: their fields would have one name.

    Raises:
        SourceError: two names lower-case alike.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise SourceError(
                f"columns {other} and {name} have one canonical name",
                where=table,
                remedy="rename one of them, or take the table out of [source] tables",
            )
