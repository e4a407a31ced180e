"""What a logged statement means to capture: transaction control, harmless, about certain tables, or unknown."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache

from services.cdc.queries import UNREADABLE, Query
from services.cdc.statement_text import QUOTED, normalized


class Meaning(Enum):
    """What capture does with a statement."""

    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    SAVEPOINT = auto()
    ROLLBACK_TO = auto()
    HARMLESS = auto()
    TABLES = auto()
    DROP_SCHEMA = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Statement:
    """A classified statement.

    Attributes:
        meaning: What it is.
        name: The savepoint, schema or verb that it names.
        tables: The tables that it changes, as they were named before it.
        made: The tables that there are by these names after it, and perhaps were not before.
        clauses: What an ALTER says behind the table's name, without comments; behind IGNORE, where that is said.
    """

    meaning: Meaning
    name: str = ""
    tables: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    clauses: str = ""


NAME = r"(?:`(?:[^`]|``)+`|[0-9A-Za-z_$]+)"
"""A name, as a pattern; in a text as `normalized` makes it."""

_TABLE = rf"{NAME}(?:\s*\.\s*{NAME})?"
_WAITING = r"(?:\s+(?:NOWAIT|WAIT\s+\d+))?"
_PAIR = rf"({_TABLE}){_WAITING}\s+TO\s+({_TABLE})"
_RENAMED = re.compile(_PAIR, re.IGNORECASE)
_CONTROL: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (re.compile(r"^(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE), Meaning.BEGIN),
    (re.compile(r"^COMMIT\b", re.IGNORECASE), Meaning.COMMIT),
    (re.compile(rf"^ROLLBACK\s+TO\s+(?:SAVEPOINT\s+)?(?P<name>{NAME})", re.IGNORECASE), Meaning.ROLLBACK_TO),
    (re.compile(r"^ROLLBACK\b", re.IGNORECASE), Meaning.ROLLBACK),
    (re.compile(rf"^SAVEPOINT\s+(?P<name>{NAME})", re.IGNORECASE), Meaning.SAVEPOINT),
)
_SCHEMA_DROPPED = re.compile(
    r"^(?:DROP|CREATE\s+OR\s+REPLACE)\s+(?:DATABASE|SCHEMA)\s+(?:IF\s+EXISTS\s+)?" rf"(?P<name>{NAME})",
    re.IGNORECASE,
)
"""MariaDB logs nothing else of a schema that CREATE OR REPLACE empties."""

_ACCOUNT = rf"(?:{QUOTED}|[^\s'`@]+)"
_DEFINED = rf"(?:\s+(?:ALGORITHM\s*=\s*\w+|DEFINER\s*=\s*{_ACCOUNT}(?:\s*@\s*{_ACCOUNT})?|SQL\s+SECURITY\s+\w+))*\s+"
_HARMLESS = re.compile(
    r"^(?:GRANT|REVOKE|FLUSH|(?:ANALYZE|OPTIMIZE|REPAIR)\s+(?:(?:NO_WRITE_TO_BINLOG|LOCAL)\s+)?TABLES?"
    r"|SET\s+(?:DEFAULT|PASSWORD|ROLE)|RELEASE\s+SAVEPOINT"
    r"|(?:CREATE|DROP|ALTER|RENAME)(?:\s+OR\s+REPLACE)?\s+(?:USER|ROLE|SERVER|RESOURCE\s+GROUP)"
    r"|(?:CREATE|ALTER)\s+(?:DATABASE|SCHEMA)"
    r"|(?:CREATE|DROP|ALTER)(?:\s+TEMPORARY)?\s+SEQUENCE|CREATE\s+OR\s+REPLACE\s+TEMPORARY\s+SEQUENCE"
    r"|(?:CREATE|DROP|ALTER)(?:\s+UNDO)?\s+(?:TABLESPACE|LOGFILE\s+GROUP)"
    r"|(?:CREATE|DROP)(?:\s+OR\s+REPLACE)?\s+SPATIAL\s+REFERENCE\s+SYSTEM"
    r"|(?:UN)?INSTALL\s+(?:PLUGIN|SONAME|COMPONENT)|ALTER\s+INSTANCE"
    rf"|(?:CREATE|DROP|ALTER)(?:\s+OR\s+REPLACE)?(?:\s+AGGREGATE)?{_DEFINED}(?:AGGREGATE\s+)?"
    r"(?:(?:JSON\s+(?:RELATIONAL\s+)?DUALITY\s+)?VIEW|PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE|LIBRARY)"
    r"|CREATE(?:\s+OR\s+REPLACE)?\s+(?:UNIQUE\s+|FULLTEXT\s+|SPATIAL\s+|VECTOR\s+)?INDEX"
    r"|(?:CREATE|DROP)(?:\s+OR\s+REPLACE)?\s+TEMPORARY\s+TABLES?)\b",
    re.IGNORECASE,
)
_RENAMES_SCHEMA = re.compile(r"^ALTER\s+(?:DATABASE|SCHEMA)\b.*\bUPGRADE\b", re.IGNORECASE | re.DOTALL)
_SEQUENCE_REPLACED = re.compile(rf"^CREATE\s+OR\s+REPLACE\s+SEQUENCE\s+(?P<table>{_TABLE})", re.IGNORECASE)
"""It may stand where a table was, which is dropped."""

_DROP_INDEX = re.compile(
    rf"^DROP\s+INDEX\s+(?:IF\s+EXISTS\s+)?(?P<index>{NAME})\s+ON\s+(?P<table>{_TABLE})", re.IGNORECASE
)
_ON_TABLES = re.compile(
    r"^(?:(?P<verb>CREATE(?:\s+OR\s+REPLACE)?|ALTER(?P<options>(?:\s+(?:ONLINE|IGNORE))*))\s+TABLE\b"
    r"|(?P<listing>DROP|RENAME)\s+TABLES?\b|(?P<emptying>TRUNCATE)\b(?:\s+TABLE\b)?)"
    r"\s*(?P<exists>IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_DROPPED = re.compile(rf"({_TABLE}(?:\s*,\s*{_TABLE})*?){_WAITING}(?:\s+(?:RESTRICT|CASCADE))?\s*;?", re.IGNORECASE)
_EMPTIED = re.compile(rf"({_TABLE}){_WAITING}(?:\s+(?:DROP|REUSE)\s+STORAGE)?\s*;?", re.IGNORECASE)
_PAIRS = re.compile(rf"{_PAIR}(?:\s*,\s*{_PAIR})*\s*;?", re.IGNORECASE)
_ALTERED = re.compile(rf"^(?P<table>{_TABLE})\s*(?:NOWAIT\b|WAIT\s+\d+)?(?P<clauses>.*)$", re.IGNORECASE | re.DOTALL)
_NEW_NAME = re.compile(
    rf"\bRENAME\s+(?!(?:COLUMN|INDEX|KEY)\b)(?:TO\s+|AS\s+|=\s*)?({_TABLE})|\bPARTITION\s+{NAME}\s+TO\s+TABLE\s+({_TABLE})",
    re.IGNORECASE,
)
_OTHER_TABLE = re.compile(
    rf"\bEXCHANGE\s+PARTITION\s+{NAME}\s+WITH\s+TABLE\s+({_TABLE})|\bCONVERT\s+TABLE\s+({_TABLE})", re.IGNORECASE
)
_RESERVED = frozenset(
    [
        *("ADD", "ALTER", "AS", "BY", "CREATE", "DROP", "EXISTS", "FOR", "FROM", "IF", "IGNORE", "INTO", "LIKE", "NOT"),
        *("ON", "OR", "RENAME", "SELECT", "SET", "TABLE", "TO", "UPDATE", "WHERE", "WITH"),
    ]
)
"""Words that are no name of a table without quotation marks, on either server: whoever finds one has misread."""

_SET = (
    r"(?:ALTER_ALGORITHM|FOREIGN_KEY_CHECKS|INNODB_LOCK_WAIT_TIMEOUT|LOCK_WAIT_TIMEOUT|MAX_STATEMENT_TIME"
    rf"|SORT_BUFFER_SIZE|UNIQUE_CHECKS)\s*=\s*(?:{QUOTED}|[-+]?[0-9A-Za-z_.]+)"
)
_FOR_ONE_STATEMENT = re.compile(
    rf"^SET\s+STATEMENT\s+{_SET}(?:\s*,\s*{_SET})*\s+FOR\s+(?P<rest>.*)$", re.IGNORECASE | re.DOTALL
)
"""Variables of MariaDB that say how long or by what means a statement works, never what it does or how it is read."""

HARMLESS, _UNKNOWN = Statement(Meaning.HARMLESS), Statement(Meaning.UNKNOWN)


_KEPT = 64
"""Statements whose meaning is kept: `BEGIN` stands before every transaction of MySQL."""


@lru_cache(_KEPT)
def classify(query: Query) -> Statement:
    """What a statement means; tables are named `schema.table`, the query's schema standing in where none is written."""
    found = _both_ways(query.text, query)
    if found.name in ("CREATE", "DROP") and query.as_utf8:
        # A server writes a CREATE TABLE … SELECT anew, in UTF-8, under the name of the session's character set.
        as_utf8 = _both_ways(query.as_utf8, query)
        found = replace(found, tables=found.tables + as_utf8.tables, made=found.made + as_utf8.made)
    if found.name in ("ALTER", "TRUNCATE") and query.is_about_temporary:
        return HARMLESS
    return _UNKNOWN if any(UNREADABLE in name for name in (found.name, *found.tables, *found.made)) else found


def _both_ways(text: str, query: Query) -> Statement:
    """The meaning on either server; unknown where they would read a comment otherwise, and something else with it."""
    found = _meaning(normalized(text, query.sql_mode), query.schema)
    if "/*M!" in text and found != _meaning(normalized(text, query.sql_mode, as_mariadb=False), query.schema):
        return _UNKNOWN
    return found


def _meaning(text: str | None, schema: str) -> Statement:
    if text is None or _RENAMES_SCHEMA.match(text):
        return _UNKNOWN
    if match := _FOR_ONE_STATEMENT.match(text):
        return _UNKNOWN if _control(match["rest"]) else _meaning(match["rest"], schema)
    found = _control(text) or _dropped(text, schema)
    if found is not None:
        return found
    if _HARMLESS.match(text):
        return HARMLESS
    match = _ON_TABLES.match(text)
    return _on_tables(match, schema) if match else _UNKNOWN


def _control(text: str) -> Statement | None:
    for pattern, meaning in _CONTROL:
        match = pattern.match(text)
        if match:
            return Statement(meaning, unquoted(match["name"]) if "name" in pattern.groupindex else "")
    return None


def _dropped(text: str, schema: str) -> Statement | None:
    """What drops something else than tables by their names."""
    if match := _SCHEMA_DROPPED.match(text):
        return _UNKNOWN if _is_misread(match["name"]) else Statement(Meaning.DROP_SCHEMA, unquoted(match["name"]))
    if match := _DROP_INDEX.match(text):
        return _index_dropped(unquoted(match["index"]), _qualified(match["table"], schema))
    if match := _SEQUENCE_REPLACED.match(text):
        return _told("DROP", [match["table"]], [], schema)
    return None


def _index_dropped(index: str, table: str) -> Statement:
    """The primary key may be dropped by the name of its index."""
    if index.upper() != "PRIMARY":
        return HARMLESS
    return Statement(Meaning.TABLES, "ALTER", (table,), clauses="DROP PRIMARY KEY")


def _on_tables(match: re.Match[str], schema: str) -> Statement:
    verb = (match["verb"] or match["listing"] or match["emptying"]).split()[0].upper()
    rest = match["rest"]
    if verb == "ALTER":
        altered = _ALTERED.match(rest)
        if altered is None:
            return _UNKNOWN
        ignore = "IGNORE " if "IGNORE" in match["options"].upper() else ""
        return _told(verb, *_altered(altered), schema, clauses=f"{ignore}{altered['clauses'].strip()}")
    if verb == "CREATE":
        found = re.findall(rf"^{_TABLE}", rest)
        # What is there already is left alone by IF NOT EXISTS, and is in the log nevertheless.
        return _told(verb, [] if match["exists"] else found, found, schema)
    if verb == "RENAME":
        pairs = _RENAMED.findall(rest) if _PAIRS.fullmatch(rest) else []
        return _told(verb, [old for old, _ in pairs], [new for _, new in pairs], schema)
    named = (_DROPPED if verb == "DROP" else _EMPTIED).fullmatch(rest)
    return _told(verb, re.findall(_TABLE, named[1]) if named else [], [], schema)


def _told(verb: str, found: list[str], made: list[str], schema: str, clauses: str = "") -> Statement:
    """A statement about these tables; unknown when there are none, or one that cannot be called so."""
    if not (found or made) or any(map(_is_misread, (*found, *made))):
        return _UNKNOWN
    before, after = (tuple(_qualified(name, schema) for name in names) for names in (found, made))
    return Statement(Meaning.TABLES, verb, before, after, clauses)


def _is_misread(name: str) -> bool:
    return name.partition(".")[0].strip().upper() in _RESERVED


def _altered(match: re.Match[str]) -> tuple[list[str], list[str]]:
    """The tables that an ALTER is about, and the names that it gives."""
    # A COMMENT may speak of renaming; names keep their quotes, which may hold an apostrophe.
    bare = re.sub(
        QUOTED, lambda quoted: "''" if quoted[0].startswith("'") else quoted[0], match["clauses"], flags=re.DOTALL
    )
    others = [name for names in _OTHER_TABLE.findall(bare) for name in names if name]
    made = [name for names in _NEW_NAME.findall(bare) for name in names if name]
    return [match["table"], *others], made


def _qualified(name: str, schema: str) -> str:
    parts = [unquoted(part) for part in re.findall(NAME, name)]
    return ".".join(parts) if len(parts) > 1 else f"{schema}.{parts[0]}"


def unquoted(name: str) -> str:
    """A name without its quotation marks."""
    return name[1:-1].replace("``", "`") if name[0] == "`" else name


def first_words(text: str) -> str:
    """The verb of a statement, for people; never a value."""
    words = re.findall(r"[A-Za-z]+|\S", normalized(text) or text)[:2]
    return " ".join(word.upper() for word in words if word.isalpha()) or "empty"
