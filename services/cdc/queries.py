"""A statement in the binlog: its text, decoded as the session wrote it, and what else its meaning depends on.

Layouts are those of the MySQL Internals manual, "Query Event", and of both servers' `Query_log_event::write`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from datafingerprint.charsets import TABLES, charset_of
from datafingerprint.charsets.decoding import decoder
from services.cdc.binlog import Cursor, Event, EventType, inflated

ANSI_QUOTES, NO_BACKSLASH_ESCAPES = 1 << 2, 1 << 20
"""Bits of sql_mode that both servers have alike."""

UNREADABLE = "\ufffd"
"""Stands for octets that are no character of the session's character set."""

_ABOUT_TEMPORARY = 4
"""Bit of an event's flags: the statement is about what only its session has."""

_SQL_MODE, _CHARSETS = 1, 4
_WIDTHS = {0: 4, _SQL_MODE: 8, 3: 4, _CHARSETS: 6}
_COUNTED = frozenset({5, 6})
"""Status variables that may stand before these two, and the two; all others come behind them."""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement in the binlog.

    Attributes:
        schema: The schema that it ran in.
        text: What was written; octets that are no character are U+FFFD.
        sql_mode: The session's; it says what quotation marks and backslashes mean.
        is_about_temporary: Whether a temporary table has a part in it, or whoever logged it left that open.
        as_utf8: The text taken for UTF-8, where the session's character set is another one and gives another text:
            a server writes the statements that it makes itself in UTF-8, whatever it says of them.
    """

    schema: str
    text: str
    sql_mode: int = 0
    is_about_temporary: bool = False
    as_utf8: str = ""


def parse_query(event: Event) -> Query:
    """The statement in a query event."""
    cursor = Cursor(event.body, 8)
    schema_length = cursor.integer(1)
    cursor.take(2)
    sql_mode, charset = _session(cursor.take(cursor.integer(2)))
    schema = cursor.take(schema_length).decode("utf-8", "replace")
    cursor.take(1)
    octets = cursor.take(cursor.left)
    if event.type is EventType.QUERY_COMPRESSED:
        octets = inflated(octets)
    text = _decoded(octets, charset)
    as_utf8 = "" if charset not in TABLES or octets.isascii() else octets.decode("utf-8", "replace")
    if UNREADABLE in as_utf8 or as_utf8 == text:
        as_utf8 = ""
    return Query(schema, text, sql_mode, bool(event.flags & _ABOUT_TEMPORARY), as_utf8)


@lru_cache(256)
def _session(variables: bytes) -> tuple[int, str]:
    """The session's sql_mode, and the character set that it wrote in; empty when that is not told."""
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


def _decoded(octets: bytes, charset: str) -> str:
    # In swe7 letters stand where ASCII has brackets and quotation marks.
    if charset not in TABLES or (octets.isascii() and charset != "swe7"):
        return octets.decode("utf-8", "replace")
    try:
        return decoder(charset)(octets)
    except KeyError:
        return octets.decode("ascii", "replace")
