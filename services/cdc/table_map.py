"""The table map: what the binlog says of a table before its row events (MySQL Internals manual, "Table_map event")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from datafingerprint.errors import DecodeError
from services.cdc.binlog import Cursor, Event


@dataclass(frozen=True, slots=True)
class LoggedColumn:
    """A column as the table map describes it: name, type code, the type's metadata, signedness, labels.

    Labels are those of an ENUM or SET, in the column's character set; other types have none.
    """

    name: str
    type: int
    metadata: int
    unsigned: bool
    labels: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TableMap:
    """The description of a table that stands before its row events."""

    table_id: int
    schema: str
    name: str
    columns: tuple[LoggedColumn, ...]

    @property
    def table(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.name}"


_METADATA_OCTETS = {
    **dict.fromkeys((4, 5, 17, 18, 19, 140, 242, 245, 252, 255), 1),
    **dict.fromkeys((15, 16, 141, 246, 247, 248, 253, 254), 2),
}
_NUMERIC = frozenset({1, 2, 3, 4, 5, 8, 9, 246, 13})
_SIGNEDNESS, _COLUMN_NAME, _SET_LABELS, _ENUM_LABELS = 1, 4, 5, 6
_STRING, _ENUM, _SET = 254, 247, 248

_KEPT = 256
"""Table maps that are kept: the same one stands before the rows of every transaction."""


def parse_table_map(event: Event, where: str) -> TableMap:
    """The table map in an event; equal bytes give the very same value as before.

    Raises:
        DecodeError: column names are missing, so `binlog_row_metadata` was not FULL when it was logged.
    """
    try:
        return _parsed(event.body)
    except DecodeError as error:
        raise DecodeError(error.what, where=where, remedy=error.remedy) from None


@lru_cache(_KEPT)
def _parsed(octets: bytes) -> TableMap:
    cursor = Cursor(octets)
    table_id = cursor.integer(6)
    cursor.take(2)
    schema = cursor.take(cursor.integer(1)).decode()
    cursor.take(1)
    name = cursor.take(cursor.integer(1)).decode()
    cursor.take(1)
    types = cursor.take(cursor.lenenc())
    metadata = _metadata(types, Cursor(cursor.take(cursor.lenenc())))
    cursor.take((len(types) + 7) // 8)
    options = _options(cursor)
    if _COLUMN_NAME not in options:
        raise DecodeError(
            f"the binlog does not name the columns of {schema}.{name}",
            remedy="SET GLOBAL binlog_row_metadata = FULL on the source, then capture again under another prefix",
        )
    names = _names(Cursor(options[_COLUMN_NAME]))
    unsigned = _signedness(types, options.get(_SIGNEDNESS, b""))
    labels = _labels(types, metadata, options)
    described = zip(names, types, metadata, unsigned, labels, strict=True)
    columns = tuple(LoggedColumn(*column) for column in described)
    return TableMap(table_id, schema, name, columns)


def _metadata(types: bytes, cursor: Cursor) -> list[int]:
    return [cursor.integer(_METADATA_OCTETS.get(kind, 0)) for kind in types]


def _options(cursor: Cursor) -> dict[int, bytes]:
    options = {}
    while cursor.left:
        kind = cursor.integer(1)
        options[kind] = cursor.take(cursor.lenenc())
    return options


def _names(cursor: Cursor) -> list[str]:
    names = []
    while cursor.left:
        names.append(cursor.take(cursor.lenenc()).decode())
    return names


def _labels(types: bytes, metadata: list[int], options: dict[int, bytes]) -> list[tuple[bytes, ...]]:
    """The labels of each column; the log has a list for every SET, and one for every ENUM, in their order."""
    lists = {_ENUM: Cursor(options.get(_ENUM_LABELS, b"")), _SET: Cursor(options.get(_SET_LABELS, b""))}
    labels = []
    for kind, about in zip(types, metadata, strict=True):
        # Both are logged as strings; the octet that follows says what they are.
        cursor = lists.get(about & 0xFF) if kind == _STRING else None
        count = cursor.lenenc() if cursor and cursor.left else 0
        labels.append(tuple(cursor.take(cursor.lenenc()) for _ in range(count)) if cursor else ())
    return labels


def _signedness(types: bytes, bits: bytes) -> list[bool]:
    """One flag per column; the log holds one bit per numeric column, the highest bit first."""
    flags = []
    numeric = 0
    for kind in types:
        if kind in _NUMERIC:
            octet = bits[numeric // 8] if numeric // 8 < len(bits) else 0
            flags.append(bool(octet & (0x80 >> (numeric % 8))))
            numeric += 1
        else:
            flags.append(False)
    return flags
