"""The fingerprint in DuckDB's SQL, over rows that `datafingerprint.digests` passes in.

Floating point columns are passed as the signed 64-bit integers of their binary64 pattern, TIMESTAMP as naive UTC:
DuckDB neither prints doubles exactly nor has access to their bits.
"""

from __future__ import annotations

from collections.abc import Callable

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
from datafingerprint.schema import ARROW_DIGITS_MAX, BYTES_KINDS, TEXT_KINDS, Column, Kind


def identifier(name: str) -> str:
    """A name, quoted."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def literal(text: str) -> str:
    """A text, quoted."""
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _plain(quoted: str) -> str:
    return f"{quoted}::VARCHAR"


def _moment(quoted: str) -> str:
    return f"strftime({quoted}, '%Y-%m-%d %H:%M:%S.%f')"


def decimal_text(quoted: str, column: Column) -> str:
    """A decimal with all its digits."""
    if column.is_long_decimal or column.precision > column.scale:
        return _plain(quoted)
    if column.precision < ARROW_DIGITS_MAX:
        # A DECIMAL(2,2) prints as `.05`. With one digit more there is a zero before the point.
        return f"{quoted}::DECIMAL({column.precision + 1}, {column.scale})::VARCHAR"
    return f"replace({quoted}::VARCHAR, '.', '0.')"


def _text(quoted: str) -> str:
    return f"strlen({quoted}) || ':' || {quoted}"


def _hex(quoted: str) -> str:
    return f"lower(hex({quoted}))"


_RENDERERS: dict[Kind, Callable[[str], str]] = {
    **dict.fromkeys((Kind.INTEGER, Kind.YEAR, Kind.BIT, Kind.TIME), _plain),
    Kind.FLOAT: _plain,
    Kind.DOUBLE: _plain,
    Kind.DATE: _plain,
    Kind.DATETIME: _moment,
    Kind.TIMESTAMP: _moment,
    **dict.fromkeys(TEXT_KINDS, _text),
    **dict.fromkeys(BYTES_KINDS, _hex),
}


def _rendered(column: Column) -> str:
    quoted = identifier(column.name)
    return decimal_text(quoted, column) if column.kind is Kind.DECIMAL else _RENDERERS[column.kind](quoted)


def canonical_row(columns: tuple[Column, ...]) -> str:
    """The expression of a canonical row; `concat_ws` omits NULL fields."""
    fields = ", ".join(
        f"{literal(field_name(column.name) + '=')} || {_rendered(column)}" for column in field_order(columns)
    )
    return f"concat_ws('|', {fields})"


def _field_text(field: PartitionField) -> str:
    quoted = identifier(field.column.name)
    if field.transform is not Transform.IDENTITY:
        form = {Transform.YEAR: "%Y", Transform.MONTH: "%Y-%m", Transform.DAY: "%Y-%m-%d"}[field.transform]
        return f"strftime({quoted}, '{form}')"
    if field.column.kind not in TEXT_KINDS:
        return _plain(quoted)
    encoded = quoted
    for character, code in ENCODED.items():
        encoded = f"replace({encoded}, chr({ord(character)}), '{code}')"
    return f"CASE WHEN {quoted} = '{NULL_VALUE}' THEN '{NULL_WORD_ENCODED}' ELSE {encoded} END"


def partition_name(partitioning: Partitioning) -> str:
    """The expression of a row's partition name."""
    if not partitioning.fields:
        return literal(WHOLE)
    parts = [
        f"{literal(field.name + '=')} || coalesce({_field_text(field)}, '{NULL_VALUE}')"
        for field in partitioning.fields
    ]
    return " || '/' || ".join(parts)


def sums_by_partition(relation: str, columns: tuple[Column, ...], partitioning: Partitioning) -> str:
    """The statement for (partition, rows, sum of hi, sum of lo) over `relation`.

    Sums are HUGEINT, exact up to 2^63 rows; the caller takes them modulo 2^64.
    """
    return f"""
        WITH digests AS (
            SELECT {partition_name(partitioning)} AS "partition", md5({canonical_row(columns)}) AS d
            FROM {relation}
        )
        SELECT "partition", count(*) AS "rows",
               sum(('0x' || substr(d, 1, 16))::UBIGINT::HUGEINT) AS hi,
               sum(('0x' || substr(d, 17, 16))::UBIGINT::HUGEINT) AS lo
        FROM digests GROUP BY "partition"
    """
