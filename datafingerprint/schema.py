"""A table's definition: its columns with their MySQL and Arrow types, and its key."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from datafingerprint.errors import SourceError
from datafingerprint.table_names import table_name

ARROW_DIGITS_MAX = 38
"""Most digits of a decimal in Arrow, Parquet and Iceberg; longer decimals are carried as text."""

_UNSIGNED_LONG = pa.decimal128(20, 0)
_LONG_BYTES, _INT_BYTES = 8, 4
_LONG_BITS = 64


class Kind(StrEnum):
    """How a column's values are rendered, decoded and stored: one kind, one rule everywhere."""

    INTEGER = "integer"
    YEAR = "year"
    BIT = "bit"
    FLOAT = "float"
    DOUBLE = "double"
    DECIMAL = "decimal"
    DATE = "date"
    DATETIME = "datetime"
    TIMESTAMP = "timestamp"
    TIME = "time"
    TEXT = "text"
    ENUM = "enum"
    SET = "set"
    JSON = "json"
    UUID = "uuid"
    INET4 = "inet4"
    INET6 = "inet6"
    BYTES = "bytes"
    BINARY = "binary"
    GEOMETRY = "geometry"
    VECTOR = "vector"


TEXT_KINDS = frozenset({Kind.TEXT, Kind.ENUM, Kind.SET, Kind.JSON, Kind.UUID, Kind.INET4, Kind.INET6})
"""Kinds whose values are texts, in Arrow, in the lake and in the canonical row."""

BYTES_KINDS = frozenset({Kind.BYTES, Kind.BINARY, Kind.GEOMETRY, Kind.VECTOR})
"""Kinds whose values are bytes."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its name in the server's spelling.
        type: The MySQL type as `information_schema` prints it, such as `int(11) unsigned`.
        kind: How its values are treated; see `Kind`.
        width_bytes: Width of an integer, 0 for other kinds.
        unsigned: Whether an integer is unsigned.
        precision: Digits of a decimal, bits of a BIT, or 0.
        scale: Decimals of a decimal, or digits of a second's fraction.
        nullable: Whether NULL is allowed.
        charset: Character set of a text in the source, `binary` for an ENUM or SET of bytes; empty for other kinds.
        length: Width of a BINARY in bytes, to which its values are padded.
    """

    name: str
    type: str
    kind: Kind
    width_bytes: int = 0
    unsigned: bool = False
    precision: int = 0
    scale: int = 0
    nullable: bool = True
    charset: str = ""
    length: int = 0

    @property
    def arrow(self) -> pa.DataType:
        """The type on the wire and in the lake: the smallest Iceberg type that holds every value."""
        if self.kind is Kind.INTEGER:
            return _integer_type(self.width_bytes, unsigned=self.unsigned)
        if self.kind is Kind.BIT:
            return _UNSIGNED_LONG if self.precision == _LONG_BITS else pa.int64()
        if self.kind is Kind.DECIMAL:
            return pa.string() if self.is_long_decimal else pa.decimal128(self.precision, self.scale)
        return _ARROW[self.kind]

    @property
    def is_long_decimal(self) -> bool:
        """Whether it is a DECIMAL with too many digits for Parquet, which is carried as text."""
        return self.kind is Kind.DECIMAL and self.precision > ARROW_DIGITS_MAX

    @property
    def is_short_year(self) -> bool:
        """Whether it is MariaDB's YEAR(2), which shows the last two digits of the stored year."""
        return self.kind is Kind.YEAR and self.type.lower().startswith("year(2)")

    @property
    def stored_kind(self) -> Kind:
        """The kind by storage: an ENUM or SET of bytes is one of `Kind.BYTES` otherwise."""
        return _LABELLED.get(self.type.lower().partition("(")[0], self.kind)

    def to_json(self) -> dict[str, Any]:
        """Renders it for definitions; absent fields have their default."""
        document = {
            _JSON_NAMES.get(name, name): value for name, value in asdict(self).items() if name not in _SPARSE or value
        }
        return {**document, "kind": self.kind.value}

    @staticmethod
    def from_json(document: dict[str, Any]) -> Column:
        """Parses what `to_json` wrote."""
        attributes = {json_name: name for name, json_name in _JSON_NAMES.items()}
        fields = {attributes.get(name, name): value for name, value in document.items()}
        return Column(**{**fields, "kind": Kind(document["kind"])})


_LABELLED = {"enum": Kind.ENUM, "set": Kind.SET}
_SPARSE = frozenset({"charset", "length"})
_JSON_NAMES = {"width_bytes": "octets"}
"""Names in stored definitions that differ from the attributes'."""
_ARROW: dict[Kind, pa.DataType] = {
    Kind.YEAR: pa.int32(),
    Kind.FLOAT: pa.float32(),
    Kind.DOUBLE: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("us"),
    Kind.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    Kind.TIME: pa.int64(),
    **dict.fromkeys(TEXT_KINDS, pa.string()),
    **dict.fromkeys(BYTES_KINDS, pa.binary()),
}


_ORDER_COLUMNS_MAX = 3


def _integer_type(width_bytes: int, *, unsigned: bool) -> pa.DataType:
    if width_bytes == _LONG_BYTES:
        return _UNSIGNED_LONG if unsigned else pa.int64()
    return pa.int64() if unsigned and width_bytes == _INT_BYTES else pa.int32()


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One version of a table's definition.

    Attributes:
        schema: The database that holds it.
        name: Its name in the database.
        columns: In the server's order.
        key: Names of the primary key's columns; empty if there is none, and the rows are a multiset.
        partition: Its partition fields as in the settings, such as `year(date)`.
        left_out: Names of columns that the settings leave out.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """`schema.table`, its name for people and in the API; see `table_names`."""
        return table_name(self.schema, self.name)

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema of its rows. Every column may be null, as the absent side of a change is."""
        return pa.schema([pa.field(column.name, column.arrow) for column in self.columns])

    @property
    def identity(self) -> tuple[Column, ...]:
        """The columns that identify a row: the key, or all columns without a key."""
        if not self.key:
            return self.columns
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    @property
    def file_order(self) -> tuple[str, ...]:
        """The columns by which a file's rows are sorted, so that its bounds are narrow."""
        narrow = (column.name for column in self.columns if column.kind in (Kind.INTEGER, Kind.DATE))
        return self.key or tuple(narrow)[:_ORDER_COLUMNS_MAX]

    def column(self, name: str) -> Column:
        """The column of this name.

        Raises:
            KeyError: there is none.
        """
        return next(column for column in self.columns if column.name == name)

    def to_json(self) -> dict[str, Any]:
        """Renders it for the `schemas` topic and the state store."""
        return {
            "schema": self.schema,
            "name": self.name,
            "key": list(self.key),
            "partition": list(self.partition),
            "columns": [column.to_json() for column in self.columns],
            **({"left_out": list(self.left_out)} if self.left_out else {}),
        }

    @staticmethod
    def from_json(document: dict[str, Any]) -> TableSchema:
        """Parses what `to_json` wrote."""
        columns = tuple(Column.from_json(item) for item in document["columns"])
        return TableSchema(
            document["schema"],
            document["name"],
            columns,
            tuple(document["key"]),
            tuple(document["partition"]),
            tuple(document.get("left_out", ())),
        )


def refuse_ambiguous_names(table: str, names: list[str]) -> None:
    """Refuses columns whose names differ only by case: their fields would have one name.

    Raises:
        SourceError: two lower-cased names are equal.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            raise SourceError(
                f"columns {other} and {name} have the same canonical name",
                where=table,
                remedy="rename one of them, or take the table out of [source] tables",
            )
