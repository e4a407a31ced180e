"""The fingerprint in the SQL of Trino and Presto, over a table of their Iceberg connectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from datafingerprint.partitions import Transform
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema
from datafingerprint.sql.lake import HALF, MODULUS, LakeDialect, TableLocation, lake_name, word_sums

ELEMENTS_MAX = 100
"""Elements of one ARRAY constructor: its compiled code allows 254 arguments."""

MILLISECOND_DIGITS = 3


def _plain(quoted: str) -> str:
    return f"CAST({quoted} AS varchar)"


def _double(quoted: str) -> str:
    # Both zeros are equal to 0 and have its digest.
    return f"CAST(CASE WHEN {quoted} = 0 THEN 0 ELSE from_big_endian_64(to_ieee754_64({quoted})) END AS varchar)"


def _float(quoted: str) -> str:
    return _double(f"CAST({quoted} AS double)")


def _text(quoted: str) -> str:
    return f"CAST(length(to_utf8({quoted})) AS varchar) || ':' || {quoted}"


def _hex(quoted: str) -> str:
    return f"lower(to_hex({quoted}))"


def _moment(quoted: str) -> str:
    return f"CAST(CAST({quoted} AS timestamp(6)) AS varchar)"


def _instant(quoted: str) -> str:
    return f"CAST(CAST({quoted} AT TIME ZONE 'UTC' AS timestamp(6)) AS varchar)"


class Trino(LakeDialect):
    """Trino."""

    name = "trino"
    _RENDERERS: ClassVar[dict[Kind, Callable[[str], str]]] = {
        **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.TIME, Kind.DECIMAL, Kind.DATE), _plain),
        Kind.FLOAT: _float,
        Kind.DOUBLE: _double,
        Kind.DATETIME: _moment,
        Kind.TIMESTAMP: _instant,
        **dict.fromkeys(TEXT_KINDS, _text),
        **dict.fromkeys(BYTES_KINDS, _hex),
    }

    def identifier(self, name: str) -> str:
        """See `LakeDialect`."""
        doubled = name.replace('"', '""')
        return f'"{doubled}"'

    def literal(self, text: str) -> str:
        """See `LakeDialect`."""
        doubled = text.replace("'", "''")
        return f"'{doubled}'"

    def relation(self, table: TableSchema, place: TableLocation) -> str:
        """See `LakeDialect`."""
        name = ".".join(self.identifier(part) for part in (place.catalog or self.catalog, *lake_name(table)))
        return name if place.snapshot_id is None else f"{name} FOR VERSION AS OF {place.snapshot_id}"

    def value(self, column: Column) -> str:
        """See `LakeDialect`."""
        quoted = self.identifier(column.name)
        return quoted if column.is_long_decimal else self._RENDERERS[column.kind](quoted)

    def refusal(self, column: Column) -> str:
        """See `LakeDialect`."""
        del column
        return ""

    def table_refusal(self, table: TableSchema) -> str:
        """See `LakeDialect`."""
        name = ".".join(lake_name(table))
        return "" if name == name.lower() else f"it writes names in lower case only, and the lake's is {name}"

    def row(self, fields: Sequence[str]) -> str:
        """See `LakeDialect`."""
        arrays = [
            "ARRAY[\n      " + ",\n      ".join(fields[start : start + ELEMENTS_MAX]) + "\n    ]"
            for start in range(0, len(fields), ELEMENTS_MAX)
        ]
        # Presto has no `concat_ws`, and its `array_join` writes a separator for a NULL at the end.
        return f"array_join(filter({' || '.join(arrays)}, field -> field IS NOT NULL), '|')"

    def digest(self, text: str) -> str:
        """See `LakeDialect`."""
        return f"lower(to_hex(md5(to_utf8({text}))))"

    def sums(self) -> tuple[tuple[str, str], ...]:
        """See `LakeDialect`."""
        return word_sums("from_base(substr(digest, {start}, 8), 16)")

    def halves(self) -> tuple[tuple[str, str], ...]:
        """See `LakeDialect`."""
        return tuple(
            (name, f"mod(CAST({high} AS decimal(38, 0)) * {HALF} + {low}, DECIMAL '{MODULUS}')")
            for name, high, low in (("hi", "w0", "w1"), ("fingerprint", "w2", "w3"))
        )

    def shortened(self, column: Column, transform: Transform) -> str:
        """See `LakeDialect`."""
        length = {Transform.YEAR: 4, Transform.MONTH: 7, Transform.DAY: 10}[transform]
        return f"substr({self.value(column)}, 1, {length})"

    def moment(self, column: Column, day: str) -> str:
        """See `LakeDialect`."""
        if column.kind is Kind.DATE:
            return f"DATE '{day}'"
        zone = " UTC" if column.kind is Kind.TIMESTAMP else ""
        return f"TIMESTAMP '{day} 00:00:00{zone}'"


class Presto(Trino):
    """PrestoDB; the session's time zone must be UTC."""

    name = "presto"
    _RENDERERS: ClassVar[dict[Kind, Callable[[str], str]]] = {
        **Trino._RENDERERS,  # noqa: SLF001 - of the class that this one is
        # Its timestamps have milliseconds only.
        Kind.DATETIME: lambda quoted: f"CAST({quoted} AS varchar) || '000'",
    }

    def refusal(self, column: Column) -> str:
        """See `LakeDialect`."""
        if column.kind is Kind.TIMESTAMP:
            return "its Iceberg connector reads no table that has a timestamp with a time zone"
        if column.kind is Kind.DATETIME and column.scale > MILLISECOND_DIGITS:
            return "it reads no more than the milliseconds of a timestamp"
        return ""
