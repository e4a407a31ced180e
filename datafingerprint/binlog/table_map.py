"""Parses table maps, which describe a table before its row events.

The layout is that of the MySQL Internals manual, "Table_map event".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from datafingerprint.binlog.events import Cursor, Event
from datafingerprint.errors import DecodeError
from datafingerprint.recovery import RESNAPSHOT_ALL
from datafingerprint.table_names import table_name


@dataclass(frozen=True, slots=True)
class LoggedColumn:
    """A column as the table map describes it.

    Attributes:
        name: Its name.
        type: The server's code of its type.
        metadata: The type's metadata, such as a length.
        unsigned: Whether a number is unsigned.
        labels: The labels of an ENUM or SET, in the column's character set.
        collation: The server's number of its collation, or 0 if the log does not name it.
    """

    name: str
    type: int
    metadata: int
    unsigned: bool
    labels: tuple[bytes, ...] = ()
    collation: int = 0


@dataclass(frozen=True, slots=True)
class TableMap:
    """The description of a table that precedes its row events."""

    table_id: int
    schema: str
    name: str
    columns: tuple[LoggedColumn, ...]

    @property
    def table(self) -> str:
        """`schema.table`, as `table_names` renders it."""
        return table_name(self.schema, self.name)


_METADATA_BYTES = {
    **dict.fromkeys((4, 5, 17, 18, 19, 140, 242, 245, 252, 255), 1),
    **dict.fromkeys((15, 16, 141, 246, 247, 248, 253, 254), 2),
}
_NUMERIC = frozenset({1, 2, 3, 4, 5, 8, 9, 246, 13})
_SIGNEDNESS, _COLUMN_NAME, _SET_LABELS, _ENUM_LABELS = 1, 4, 5, 6
_TEXTS_COLLATION, _TEXTS_COLLATIONS, _LABELS_COLLATION, _LABELS_COLLATIONS = 2, 3, 10, 11
_STRING, _ENUM, _SET = 254, 247, 248
_GEOMETRY = 255
_TEXTS = frozenset({15, 140, 141, 242, 252, 253, _STRING})
"""Types whose collations are logged: VARCHAR, BLOB, VAR_STRING, STRING and their binary forms, and MySQL's VECTOR.

MariaDB's compressed types belong to them too. MariaDB also logs the collation of a GEOMETRY, and MySQL does not.
"""

_CACHE_SIZE = 256
"""How many parsed table maps are cached. The same one precedes the rows of every transaction."""


def parse_table_map(event: Event, where: str) -> TableMap:
    """The table map in an event. Equal bytes give the identical object while it is in the cache.

    Raises:
        DecodeError: column names are missing, because `binlog_row_metadata` was not FULL when it was logged.
    """
    try:
        return _parse_body(event.body)
    except DecodeError as error:
        raise DecodeError(error.what, where=where, remedy=error.remedy) from None


@lru_cache(_CACHE_SIZE)
def _parse_body(body: bytes) -> TableMap:
    cursor = Cursor(body)
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
            remedy="SET GLOBAL binlog_row_metadata = FULL on the source, and [mysqld] binlog_row_metadata = FULL in "
            f"its option file, then {RESNAPSHOT_ALL}",
        )
    names = _names(Cursor(options[_COLUMN_NAME]))
    unsigned = _signedness(types, options.get(_SIGNEDNESS, b""))
    labels = _labels(types, metadata, options)
    collations = _collations(types, metadata, options)
    descriptions = zip(names, types, metadata, unsigned, labels, collations, strict=True)
    columns = tuple(LoggedColumn(*column) for column in descriptions)
    return TableMap(table_id, schema, name, columns)


def _metadata(types: bytes, cursor: Cursor) -> list[int]:
    return [cursor.integer(_METADATA_BYTES.get(kind, 0)) for kind in types]


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
    """The labels of each column.

    The log has one sequence of lists for the SETs, and one for the ENUMs.
    """
    lists = {_ENUM: Cursor(options.get(_ENUM_LABELS, b"")), _SET: Cursor(options.get(_SET_LABELS, b""))}
    labels = []
    for kind, type_metadata in zip(types, metadata, strict=True):
        # Both are logged as strings. The metadata names the real type.
        cursor = lists.get(type_metadata & 0xFF) if kind == _STRING else None
        count = cursor.lenenc() if cursor and cursor.left else 0
        labels.append(tuple(cursor.take(cursor.lenenc()) for _ in range(count)) if cursor else ())
    return labels


def _collations(types: bytes, metadata: list[int], options: dict[int, bytes]) -> list[int]:
    """The collation of each column.

    The log has one list for strings, and another for ENUM and SET.
    """
    is_label = [kind == _STRING and about & 0xFF in (_ENUM, _SET) for kind, about in zip(types, metadata, strict=True)]
    is_text = [kind in _TEXTS and not label for kind, label in zip(types, is_label, strict=True)]
    common, each = options.get(_TEXTS_COLLATION), options.get(_TEXTS_COLLATIONS)
    if _GEOMETRY in types:
        # Only MariaDB lists a GEOMETRY. The length of a full list shows which server wrote it.
        common = None
        if each is not None and len(_lenencs(Cursor(each))) > sum(is_text):
            is_text = [text or kind == _GEOMETRY for kind, text in zip(types, is_text, strict=True)]
    texts = iter(_collations_of(sum(is_text), common, each))
    labels = iter(_collations_of(sum(is_label), options.get(_LABELS_COLLATION), options.get(_LABELS_COLLATIONS)))
    return [
        next(texts) if text else next(labels) if label else 0 for text, label in zip(is_text, is_label, strict=True)
    ]


def _lenencs(cursor: Cursor) -> list[int]:
    numbers = []
    while cursor.left:
        numbers.append(cursor.lenenc())
    return numbers


def _collations_of(count: int, common: bytes | None, each: bytes | None) -> list[int]:
    """The collations of `count` columns.

    Args:
        count: How many columns there are.
        common: The most frequent collation, and the columns with another one.
        each: The collation of every column, which servers log in place of `common` if that is shorter.

    Returns:
        Zeros if the log has another number of columns, or no list.
    """
    unknown = [0] * count
    if each is not None:
        collations = _lenencs(Cursor(each))
        return collations if len(collations) == count else unknown
    if common is None:
        return unknown
    cursor = Cursor(common)
    collations = [cursor.lenenc()] * count
    while cursor.left:
        index, collation = cursor.lenenc(), cursor.lenenc()
        if index >= count:
            return unknown
        collations[index] = collation
    return collations


def _signedness(types: bytes, bits: bytes) -> list[bool]:
    """One flag per column. The log holds one bit per numeric column, the highest bit first."""
    flags = []
    numeric = 0
    for kind in types:
        if kind in _NUMERIC:
            byte = bits[numeric // 8] if numeric // 8 < len(bits) else 0
            flags.append(bool(byte & (0x80 >> (numeric % 8))))
            numeric += 1
        else:
            flags.append(False)
    return flags
