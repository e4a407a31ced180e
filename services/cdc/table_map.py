"""The table map: what the binlog says of a table before its row events (MySQL Internals manual, "Table_map event")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from datafingerprint.errors import DecodeError
from datafingerprint.remedies import READ_ALL_AGAIN
from services.cdc.binlog import Cursor, Event


@dataclass(frozen=True, slots=True)
class LoggedColumn:
    """A column as the table map describes it: name, type code, the type's metadata, signedness, labels.

    Labels are those of an ENUM or SET, in the column's character set; other types have none. The collation is the
    server's number of it, 0 where the log does not say.
    """

    name: str
    type: int
    metadata: int
    unsigned: bool
    labels: tuple[bytes, ...] = ()
    collation: int = 0


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
_TEXTS_COLLATION, _TEXTS_COLLATIONS, _LABELS_COLLATION, _LABELS_COLLATIONS = 2, 3, 10, 11
_STRING, _ENUM, _SET = 254, 247, 248
_GEOMETRY = 255
_TEXTS = frozenset({15, 140, 141, 242, 252, 253, _STRING})
"""Types of columns whose collations are logged: VARCHAR, BLOB, VAR_STRING and STRING, octets among them, MariaDB's
compressed ones and MySQL's VECTOR. MariaDB counts a GEOMETRY among them, and MySQL does not."""

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
            remedy=f"SET GLOBAL binlog_row_metadata = FULL on the source, then {READ_ALL_AGAIN}",
        )
    names = _names(Cursor(options[_COLUMN_NAME]))
    unsigned = _signedness(types, options.get(_SIGNEDNESS, b""))
    labels = _labels(types, metadata, options)
    collations = _collations(types, metadata, options)
    described = zip(names, types, metadata, unsigned, labels, collations, strict=True)
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


def _collations(types: bytes, metadata: list[int], options: dict[int, bytes]) -> list[int]:
    """The collation of each column; the log counts texts and octets by themselves, and ENUM and SET."""
    is_label = [kind == _STRING and about & 0xFF in (_ENUM, _SET) for kind, about in zip(types, metadata, strict=True)]
    is_text = [kind in _TEXTS and not label for kind, label in zip(types, is_label, strict=True)]
    common, each = options.get(_TEXTS_COLLATION), options.get(_TEXTS_COLLATIONS)
    if _GEOMETRY in types:
        # Only where every column is listed does their number tell which server counted.
        common = None
        if each is not None and len(_lenencs(Cursor(each))) > sum(is_text):
            is_text = [text or kind == _GEOMETRY for kind, text in zip(types, is_text, strict=True)]
    texts = iter(_of_each(sum(is_text), common, each))
    labels = iter(_of_each(sum(is_label), options.get(_LABELS_COLLATION), options.get(_LABELS_COLLATIONS)))
    return [
        next(texts) if text else next(labels) if label else 0 for text, label in zip(is_text, is_label, strict=True)
    ]


def _lenencs(cursor: Cursor) -> list[int]:
    found = []
    while cursor.left:
        found.append(cursor.lenenc())
    return found


def _of_each(count: int, common: bytes | None, each: bytes | None) -> list[int]:
    """Either all of them, or the most frequent one and those that differ from it; 0 where they are not so many."""
    unknown = [0] * count
    if each is not None:
        found = _lenencs(Cursor(each))
        return found if len(found) == count else unknown
    if common is None:
        return unknown
    cursor = Cursor(common)
    found = [cursor.lenenc()] * count
    while cursor.left:
        index, collation = cursor.lenenc(), cursor.lenenc()
        if index >= count:
            return unknown
        found[index] = collation
    return found


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
