"""The fingerprint in Spark's SQL, over a table of an Iceberg catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from datafingerprint.partitions import Transform
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema
from datafingerprint.sql.double_bits import bits
from datafingerprint.sql.lake import HALF, MODULUS, LakeDialect, TableLocation, lake_name, word_sums

_FORMS = {Transform.YEAR: "yyyy", Transform.MONTH: "yyyy-MM", Transform.DAY: "yyyy-MM-dd"}
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def _plain(quoted: str) -> str:
    return f"CAST({quoted} AS STRING)"


def _double(quoted: str) -> str:
    return f"CAST({bits(quoted, double='DOUBLE', exponent='floor(log2({}))')} AS STRING)"


def _moment(quoted: str) -> str:
    return f"date_format({quoted}, 'yyyy-MM-dd HH:mm:ss.SSSSSS')"


class Spark(LakeDialect):
    """Spark 3.4 and later."""

    name = "spark"
    # Iceberg's SQL catalog stores tables under Spark's name of it, which is the lake writer's.
    catalog = "datafingerprint"
    # Without ANSI mode a cast prints a small decimal as 1E-18.
    session = ("SET TIME ZONE 'UTC'", "SET spark.sql.ansi.enabled = true")
    _RENDERERS: ClassVar[dict[Kind, Callable[[str], str]]] = {
        **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.TIME, Kind.DECIMAL, Kind.DATE), _plain),
        Kind.FLOAT: lambda quoted: _double(f"CAST({quoted} AS DOUBLE)"),
        Kind.DOUBLE: _double,
        Kind.DATETIME: _moment,
        Kind.TIMESTAMP: _moment,
        **dict.fromkeys(TEXT_KINDS, lambda quoted: f"octet_length({quoted}) || ':' || {quoted}"),
        **dict.fromkeys(BYTES_KINDS, lambda quoted: f"lower(hex({quoted}))"),
    }

    def identifier(self, name: str) -> str:
        """See `LakeDialect`."""
        doubled = name.replace("`", "``")
        return f"`{doubled}`"

    def literal(self, text: str) -> str:
        """See `LakeDialect`."""
        escaped = "".join(_ESCAPES.get(character, character) for character in text)
        return f"'{escaped}'"

    def relation(self, table: TableSchema, place: TableLocation) -> str:
        """See `LakeDialect`."""
        name = ".".join(self.identifier(part) for part in (place.catalog or self.catalog, *lake_name(table)))
        return name if place.snapshot_id is None else f"{name} VERSION AS OF {place.snapshot_id}"

    def value(self, column: Column) -> str:
        """See `LakeDialect`."""
        quoted = self.identifier(column.name)
        return quoted if column.is_long_decimal else self._RENDERERS[column.kind](quoted)

    def refusal(self, column: Column) -> str:
        """See `LakeDialect`."""
        del column
        return ""

    def row(self, fields: Sequence[str]) -> str:
        """See `LakeDialect`."""
        return "concat_ws('|',\n      " + ",\n      ".join(fields) + ")"

    def digest(self, text: str) -> str:
        """See `LakeDialect`."""
        return f"md5({text})"

    def sums(self) -> tuple[tuple[str, str], ...]:
        """See `LakeDialect`."""
        return word_sums("CAST(conv(substr(digest, {start}, 8), 16, 10) AS BIGINT)")

    def halves(self) -> tuple[tuple[str, str], ...]:
        """See `LakeDialect`."""
        return tuple(
            (name, f"pmod(CAST({high} AS DECIMAL(38, 0)) * {HALF} + {low}, {MODULUS})")
            for name, high, low in (("hi", "w0", "w1"), ("fingerprint", "w2", "w3"))
        )

    def shortened(self, column: Column, transform: Transform) -> str:
        """See `LakeDialect`."""
        return f"date_format({self.identifier(column.name)}, '{_FORMS[transform]}')"

    def moment(self, column: Column, day: str) -> str:
        """See `LakeDialect`."""
        word = {Kind.DATE: "DATE", Kind.DATETIME: "TIMESTAMP_NTZ", Kind.TIMESTAMP: "TIMESTAMP"}[column.kind]
        return f"DATE '{day}'" if column.kind is Kind.DATE else f"{word} '{day} 00:00:00'"
