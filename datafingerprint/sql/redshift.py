"""The fingerprint in Redshift's SQL, over an external table of the lake (Spectrum)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from datafingerprint.partitions import PartitionField, Transform
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema
from datafingerprint.sql.double_bits import bits
from datafingerprint.sql.lake import LakeDialect, TableLocation, lake_name, word_sums

_FORMS = {Transform.YEAR: "YYYY", Transform.MONTH: "YYYY-MM", Transform.DAY: "YYYY-MM-DD"}
_LONG_TEXTS = ("mediumtext", "longtext")
_VARCHAR_BYTES_MAX = 65_535
_TINY_BYTES_MAX = 255
_BYTES_PER_UNIT = {"char": 4, "varchar": 4, "vector": 4, "binary": 1, "varbinary": 1}
"""Most bytes per unit of a type's length: characters, numbers, or bytes."""


def _bytes_max(column: Column) -> int:
    """Most bytes of a column's value, as far as it matters to a VARCHAR."""
    base, _, arguments = column.type.lower().partition("(")
    if base.startswith("tiny"):
        return _TINY_BYTES_MAX
    length = arguments.split(")")[0]
    # A BLOB, TEXT or geometry of any length; a type without a length has that of its default.
    if base not in _BYTES_PER_UNIT or not length.isdigit():
        return _VARCHAR_BYTES_MAX
    return _BYTES_PER_UNIT[base] * int(length)


def _plain(quoted: str) -> str:
    return f"CAST({quoted} AS VARCHAR)"


def _double(quoted: str) -> str:
    return f"CAST({bits(quoted, double='DOUBLE PRECISION', exponent='floor(ln({}) / ln(2.0))')} AS VARCHAR)"


def _moment(quoted: str) -> str:
    return f"to_char({quoted}, 'YYYY-MM-DD HH24:MI:SS.US')"


class Redshift(LakeDialect):
    """Amazon Redshift. It returns the words' sums, as its MOD beyond 64 bits may be inexact."""

    name = "redshift"
    gives_halves = False
    travels = False
    # A timestamp with a time zone is converted to the session's zone, and then rendered.
    session = ("SET timezone TO 'UTC'",)
    _RENDERERS: ClassVar[dict[Kind, Callable[[str], str]]] = {
        **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.TIME, Kind.DECIMAL), _plain),
        Kind.FLOAT: lambda quoted: _double(f"CAST({quoted} AS DOUBLE PRECISION)"),
        Kind.DOUBLE: _double,
        Kind.DATE: lambda quoted: f"to_char({quoted}, 'YYYY-MM-DD')",
        Kind.DATETIME: _moment,
        Kind.TIMESTAMP: lambda quoted: _moment(f"{quoted} AT TIME ZONE 'UTC'"),
        **dict.fromkeys(TEXT_KINDS, lambda quoted: f"CAST(octet_length({quoted}) AS VARCHAR) || ':' || {quoted}"),
        **dict.fromkeys(BYTES_KINDS, lambda quoted: f"lower(to_hex({quoted}))"),
    }

    def identifier(self, name: str) -> str:
        """See `LakeDialect`; names are in lower case."""
        doubled = name.lower().replace('"', '""')
        return f'"{doubled}"'

    def literal(self, text: str) -> str:
        """See `LakeDialect`."""
        doubled = text.replace("'", "''")
        return f"'{doubled}'"

    def relation(self, table: TableSchema, place: TableLocation) -> str:
        """See `LakeDialect`; the external schema is named like the source's."""
        del place
        return ".".join(self.identifier(part) for part in lake_name(table))

    def value(self, column: Column) -> str:
        """See `LakeDialect`."""
        quoted = self.identifier(column.name)
        return quoted if column.is_long_decimal else self._RENDERERS[column.kind](quoted)

    def refusal(self, column: Column) -> str:
        """See `LakeDialect`."""
        base = column.type.split("(", maxsplit=1)[0].lower()
        if "\\" in column.name:
            return "a backslash in a text means something else to it"
        if column.kind is Kind.JSON or (column.kind is Kind.TEXT and base in _LONG_TEXTS):
            return "it may be longer than the 65535 bytes of a VARCHAR"
        if column.kind in BYTES_KINDS and 2 * _bytes_max(column) > _VARCHAR_BYTES_MAX:
            return "its digits in hexadecimal may be longer than the 65535 bytes of a VARCHAR"
        return ""

    def split_refusal(self, field: PartitionField) -> str:
        """See `LakeDialect`."""
        if field.column.kind in TEXT_KINDS:
            return "it ignores spaces at the end of a text, so two partitions may become one"
        return ""

    def row(self, fields: Sequence[str]) -> str:
        """See `LakeDialect`."""
        # It has no `concat_ws`: every field has its own separator, and the first one is removed.
        parts = "\n      || ".join(f"coalesce('|' || {field}, '')" for field in fields)
        return f"substring(\n      {parts}, 2)"

    def digest(self, text: str) -> str:
        """See `LakeDialect`."""
        return f"md5({text})"

    def sums(self) -> tuple[tuple[str, str], ...]:
        """See `LakeDialect`."""
        return word_sums("strtol(substring(digest, {start}, 8), 16)")

    def shortened(self, column: Column, transform: Transform) -> str:
        """See `LakeDialect`."""
        quoted = self.identifier(column.name)
        zoned = f"{quoted} AT TIME ZONE 'UTC'" if column.kind is Kind.TIMESTAMP else quoted
        return f"to_char({zoned}, '{_FORMS[transform]}')"

    def moment(self, column: Column, day: str) -> str:
        """See `LakeDialect`."""
        word = {Kind.DATE: "DATE", Kind.DATETIME: "TIMESTAMP", Kind.TIMESTAMP: "TIMESTAMPTZ"}[column.kind]
        time = {Kind.DATE: "", Kind.DATETIME: " 00:00:00", Kind.TIMESTAMP: " 00:00:00+00"}[column.kind]
        return f"{word} '{day}{time}'"
