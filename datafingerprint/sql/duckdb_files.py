"""The fingerprint in DuckDB's SQL over the live Parquet files of a lake table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from datafingerprint.partitions import Transform
from datafingerprint.schema import BYTES_KINDS, TEXT_KINDS, Column, Kind, TableSchema
from datafingerprint.sql import duckdb
from datafingerprint.sql.lake import MODULUS, LakeDialect, TableLocation

_FORMS = {Transform.YEAR: "%Y", Transform.MONTH: "%Y-%m", Transform.DAY: "%Y-%m-%d"}


def _plain(quoted: str) -> str:
    return f"{quoted}::VARCHAR"


def _double(quoted: str) -> str:
    # A BIT of 64 digits is the pattern. Both zeros are equal to 0 and have its digest.
    return f"CASE WHEN {quoted} = 0 THEN '0' ELSE {quoted}::DOUBLE::BIT::BIGINT::VARCHAR END"


def _naive(quoted: str) -> str:
    # This works without the extension for time zones.
    return f"make_timestamp(epoch_us({quoted}))"


def _moment(quoted: str) -> str:
    return f"strftime({quoted}, '%Y-%m-%d %H:%M:%S.%f')"


class DuckDB(LakeDialect):
    """DuckDB. It reads a list of files, because a snapshot is nothing else."""

    name = "duckdb"
    needs_files = True
    _RENDERERS: ClassVar[dict[Kind, Callable[[str], str]]] = {
        **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.TIME, Kind.DATE), _plain),
        **dict.fromkeys((Kind.FLOAT, Kind.DOUBLE), _double),
        Kind.DATETIME: _moment,
        Kind.TIMESTAMP: lambda quoted: _moment(_naive(quoted)),
        **dict.fromkeys(TEXT_KINDS, lambda quoted: f"strlen({quoted}) || ':' || {quoted}"),
        **dict.fromkeys(BYTES_KINDS, lambda quoted: f"lower(hex({quoted}))"),
    }

    def identifier(self, name: str) -> str:
        """See `LakeDialect`."""
        return duckdb.identifier(name)

    def literal(self, text: str) -> str:
        """See `LakeDialect`."""
        # DuckDB ends a statement at a character 0.
        parts = " || chr(0) || ".join(duckdb.literal(part) for part in text.split("\0"))
        return f"({parts})" if "\0" in text else parts

    def relation(self, table: TableSchema, place: TableLocation) -> str:
        """See `LakeDialect`."""
        columns = ", ".join(f"NULL::{_type(column)} AS {self.identifier(column.name)}" for column in table.columns)
        nothing = f"SELECT {columns} LIMIT 0"
        if not place.files:
            return f"({nothing})"
        files = ",\n    ".join(self.literal(path) for path in place.files)
        # Files from before a column was added lack it, perhaps all files do. There it is NULL.
        return (
            f"(\n    ({nothing})\n    UNION ALL BY NAME\n    SELECT * FROM read_parquet([\n    {files}\n    ], "
            "hive_partitioning = false, union_by_name = true)\n  )"
        )

    def value(self, column: Column) -> str:
        """See `LakeDialect`."""
        quoted = self.identifier(column.name)
        if column.kind is Kind.DECIMAL:
            return duckdb.decimal_text(quoted, column)
        return self._RENDERERS[column.kind](quoted)

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
        half = "sum(('0x' || substr(digest, {start}, 16))::UBIGINT::HUGEINT)"
        return (("hi", half.format(start=1)), ("lo", half.format(start=17)))

    def halves(self) -> tuple[tuple[str, str], ...]:
        """See `LakeDialect`."""
        return (("hi", f"hi % {MODULUS}::HUGEINT"), ("fingerprint", f"lo % {MODULUS}::HUGEINT"))

    def shortened(self, column: Column, transform: Transform) -> str:
        """See `LakeDialect`."""
        quoted = self.identifier(column.name)
        return f"strftime({_naive(quoted) if column.kind is Kind.TIMESTAMP else quoted}, '{_FORMS[transform]}')"

    def moment(self, column: Column, day: str) -> str:
        """See `LakeDialect`."""
        if column.kind is Kind.DATE:
            return f"DATE '{day}'"
        return f"TIMESTAMPTZ '{day} 00:00:00+00'" if column.kind is Kind.TIMESTAMP else f"TIMESTAMP '{day} 00:00:00'"


def _type(column: Column) -> str:
    """The DuckDB type of a column of the lake."""
    arrow = column.arrow
    names = {
        "int32": "INTEGER",
        "int64": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "date32[day]": "DATE",
        "timestamp[us]": "TIMESTAMP",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
        "string": "VARCHAR",
        "binary": "BLOB",
    }
    return names.get(str(arrow)) or f"DECIMAL({arrow.precision}, {arrow.scale})"
