"""Parses query events: a statement's decoded text, and the session state it depends on.

Layouts are those of the MySQL Internals manual, "Query Event", and of both servers' `Query_log_event::write`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from datafingerprint.binlog.events import Cursor, Event, EventType, inflate
from datafingerprint.charsets import TABLES, charset_of
from datafingerprint.charsets.decoding import decoder

ANSI_QUOTES, NO_BACKSLASH_ESCAPES = 1 << 2, 1 << 20
"""Bits of `sql_mode` that are the same on both servers."""

UNREADABLE = "\ufffd"
"""Replaces bytes that are no character of the session's character set."""

_ABOUT_TEMPORARY = 4
"""Bit of an event's flags: the statement is about a temporary table."""

_SQL_MODE, _CHARSETS = 1, 4
_WIDTHS = {0: 4, _SQL_MODE: 8, 3: 4, _CHARSETS: 6}
_COUNTED = frozenset({5, 6})
"""Status variables whose length is in the log. Only these, and those of `_WIDTHS`, may precede the two above."""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement in the binlog.

    Attributes:
        schema: The schema that it ran in.
        text: The statement, with U+FFFD for bytes that are no character.
        sql_mode: The session's. It defines what quotation marks and backslashes mean.
        is_about_temporary: Whether a temporary table may be involved.
        as_utf8: The text decoded as UTF-8, if the session has another character set in which the text differs. A
            server writes its own statements in UTF-8, even if the event names another character set.
        thread: The session's number, as in SHOW PROCESSLIST.
        is_mariadb: Whether MariaDB logged it, or None if that is not known.
    """

    schema: str
    text: str
    sql_mode: int = 0
    is_about_temporary: bool = False
    as_utf8: str = ""
    thread: int = field(default=0, compare=False)
    is_mariadb: bool | None = None


_FILE_BYTES = 13
"""Bytes about the file in an event that loads one. They precede the session's variables."""


def parse_query(event: Event, *, is_mariadb: bool | None = None) -> Query:
    """The statement in a query event."""
    cursor = Cursor(event.body)
    thread = cursor.integer(4)
    cursor.take(4)
    schema_length = cursor.integer(1)
    cursor.take(2)
    variables = cursor.integer(2)
    if event.type is EventType.EXECUTE_LOAD_QUERY:
        cursor.take(_FILE_BYTES)
    sql_mode, charset = _session(cursor.take(variables))
    schema = cursor.take(schema_length).decode("utf-8", "replace")
    cursor.take(1)
    raw = cursor.take(cursor.left)
    if event.type is EventType.QUERY_COMPRESSED:
        raw = inflate(raw)
    text = _decode(raw, charset)
    as_utf8 = "" if charset not in TABLES or raw.isascii() else raw.decode("utf-8", "replace")
    if UNREADABLE in as_utf8 or as_utf8 == text:
        as_utf8 = ""
    return Query(schema, text, sql_mode, bool(event.flags & _ABOUT_TEMPORARY), as_utf8, thread, is_mariadb)


@lru_cache(256)
def _session(variables: bytes) -> tuple[int, str]:
    """The session's `sql_mode`, and its character set, or an empty text if that is not logged."""
    cursor = Cursor(variables)
    sql_mode, charset = 0, ""
    while cursor.left:
        kind = cursor.integer(1)
        if kind in _COUNTED:
            cursor.take(cursor.integer(1))
            continue
        if kind not in _WIDTHS:
            break
        value = cursor.integer(_WIDTHS[kind])
        if kind == _SQL_MODE:
            sql_mode = value
        elif kind == _CHARSETS:
            charset = charset_of(value & 0xFFFF)
    return sql_mode, charset


def _decode(raw: bytes, charset: str) -> str:
    # swe7 has letters in place of ASCII's brackets and quotation marks.
    if charset not in TABLES or (raw.isascii() and charset != "swe7"):
        return raw.decode("utf-8", "replace")
    try:
        return decoder(charset)(raw)
    except KeyError:
        return raw.decode("ascii", "replace")
