"""What a logged statement means to capture: transaction control, harmless, about certain tables, or unknown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from services.cdc.binlog import Query


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


QUOTED = r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`"""
"""Anything in quotation marks, as a pattern; names and texts."""

NAME = r'(?:`(?:[^`]|``)+`|"(?:[^"]|"")+"|[0-9A-Za-z_$\u0080-\uffff]+)'
"""A name, as a pattern."""

_COMMENT = re.compile(rf"(?P<quoted>{QUOTED})|/\*(?![!M]).*?\*/|--[ \t][^\n]*|#[^\n]*", re.DOTALL)
_TABLE = rf"{NAME}(?:\s*\.\s*{NAME})?"
_RENAMED = re.compile(rf"({_TABLE})(?:\s+(?:NOWAIT|WAIT\s+\d+))?\s*\bTO\b\s*({_TABLE})", re.IGNORECASE)
_CONTROL: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (re.compile(r"^(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE), Meaning.BEGIN),
    (re.compile(r"^COMMIT\b", re.IGNORECASE), Meaning.COMMIT),
    (re.compile(rf"^ROLLBACK\s+TO\s+(?:SAVEPOINT\s+)?(?P<name>{NAME})", re.IGNORECASE), Meaning.ROLLBACK_TO),
    (re.compile(r"^ROLLBACK\b", re.IGNORECASE), Meaning.ROLLBACK),
    (re.compile(rf"^SAVEPOINT\s+(?P<name>{NAME})", re.IGNORECASE), Meaning.SAVEPOINT),
    (
        re.compile(rf"^DROP\s+(?:DATABASE|SCHEMA)\s+(?:IF\s+EXISTS\s+)?(?P<name>{NAME})", re.IGNORECASE),
        Meaning.DROP_SCHEMA,
    ),
)
_HARMLESS = re.compile(
    r"^(?:GRANT|REVOKE|FLUSH|ANALYZE|OPTIMIZE|REPAIR|SET\s+(?:DEFAULT|PASSWORD|ROLE)|RELEASE\s+SAVEPOINT"
    r"|(?:CREATE|DROP|ALTER|RENAME)(?:\s+OR\s+REPLACE)?\s+(?:USER|ROLE|SERVER|RESOURCE\s+GROUP)"
    r"|(?:CREATE(?:\s+OR\s+REPLACE)?|ALTER)\s+(?:DATABASE|SCHEMA)"
    r"|(?:CREATE|DROP|ALTER)(?:\s+OR\s+REPLACE)?(?:\s+TEMPORARY)?\s+SEQUENCE"
    r"|(?:CREATE|DROP|ALTER)(?:\s+UNDO)?\s+(?:TABLESPACE|LOGFILE\s+GROUP)"
    r"|(?:CREATE|DROP)(?:\s+OR\s+REPLACE)?\s+SPATIAL\s+REFERENCE\s+SYSTEM"
    r"|(?:UN)?INSTALL\s+(?:PLUGIN|SONAME|COMPONENT)|ALTER\s+INSTANCE"
    r"|(?:CREATE|DROP|ALTER)(?:\s+OR\s+REPLACE)?(?:\s+AGGREGATE)?"
    r"(?:\s+(?:ALGORITHM|DEFINER|SQL\s+SECURITY)\s*=?\s*\S+)*\s+"
    r"(?:VIEW|PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE)"
    r"|CREATE(?:\s+OR\s+REPLACE)?\s+(?:UNIQUE\s+|FULLTEXT\s+|SPATIAL\s+)?INDEX"
    r"|(?:CREATE|DROP)(?:\s+OR\s+REPLACE)?\s+TEMPORARY\s+TABLE)\b",
    re.IGNORECASE,
)
_DROP_INDEX = re.compile(
    rf"^DROP\s+INDEX\s+(?:IF\s+EXISTS\s+)?(?P<index>{NAME})\s+ON\s+(?P<table>{_TABLE})", re.IGNORECASE
)
_ON_TABLES = re.compile(
    r"^(?P<verb>CREATE(?:\s+OR\s+REPLACE)?|DROP|ALTER(?P<options>(?:\s+(?:ONLINE|IGNORE))*)|RENAME|TRUNCATE)\s+"
    r"(?:TABLES?\s+)?(?P<exists>IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_HAS_TABLE_WORD = re.compile(r"^(?:\S+\s+){1,4}?TABLES?\b|^TRUNCATE\b", re.IGNORECASE)
_ALTERED = re.compile(rf"^(?P<table>{_TABLE})\s*(?:NOWAIT\b|WAIT\s+\d+)?(?P<clauses>.*)$", re.IGNORECASE | re.DOTALL)
_NEW_NAME = re.compile(
    rf"\bRENAME\s+(?!(?:COLUMN|INDEX|KEY)\b)(?:TO\s+|AS\s+|=\s*)?({_TABLE})|\bPARTITION\s+{NAME}\s+TO\s+TABLE\s+({_TABLE})",
    re.IGNORECASE,
)
_OTHER_TABLE = re.compile(
    rf"\bEXCHANGE\s+PARTITION\s+{NAME}\s+WITH\s+TABLE\s+({_TABLE})|\bCONVERT\s+TABLE\s+({_TABLE})", re.IGNORECASE
)


_KEPT = 64
"""Statements whose meaning is kept: `BEGIN` stands before every transaction of MySQL."""


@lru_cache(_KEPT)
def classify(query: Query) -> Statement:
    """What a statement means; tables are named `schema.table`, the query's schema standing in where none is written."""
    text = _COMMENT.sub(lambda match: match["quoted"] or " ", query.text).strip()
    for pattern, meaning in _CONTROL:
        match = pattern.match(text)
        if match:
            return Statement(meaning, unquoted(match["name"]) if "name" in pattern.groupindex else "")
    match = _DROP_INDEX.match(text)
    if match:
        return _index_dropped(unquoted(match["index"]), _qualified(match["table"], query.schema))
    if _HARMLESS.match(text):
        return Statement(Meaning.HARMLESS)
    match = _ON_TABLES.match(text)
    if match and _HAS_TABLE_WORD.match(text):
        return _on_tables(match, query.schema)
    return Statement(Meaning.UNKNOWN)


def _index_dropped(index: str, table: str) -> Statement:
    """The primary key may be dropped by the name of its index."""
    if index.upper() != "PRIMARY":
        return Statement(Meaning.HARMLESS)
    return Statement(Meaning.TABLES, "ALTER", (table,), clauses="DROP PRIMARY KEY")


def _on_tables(match: re.Match[str], schema: str) -> Statement:
    verb = match["verb"].split()[0].upper()
    rest = match["rest"]
    clauses = ""
    made: list[str] = []
    if verb == "DROP":
        found = re.findall(_TABLE, re.sub(r"\b(?:RESTRICT|CASCADE)\s*$", "", rest, flags=re.IGNORECASE))
    elif verb == "RENAME":
        pairs = _RENAMED.findall(rest)
        found, made = [old for old, _ in pairs], [new for _, new in pairs]
    elif verb == "ALTER":
        altered = _ALTERED.match(rest)
        ignore = "IGNORE " if "IGNORE" in match["options"].upper() else ""
        clauses = f"{ignore}{altered['clauses'].strip()}" if altered else ""
        found, made = _altered(altered) if altered else ([], [])
    else:
        found = re.findall(rf"^{_TABLE}", rest)
        if verb == "CREATE":
            # What is there already is left alone by IF NOT EXISTS, and is in the log nevertheless.
            found, made = ([], found) if match["exists"] else (found, found)
    if not found and not made:
        return Statement(Meaning.UNKNOWN)
    before, after = (tuple(_qualified(name, schema) for name in names) for names in (found, made))
    return Statement(Meaning.TABLES, verb, before, after, clauses)


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
    quote = name[0]
    return name[1:-1].replace(quote * 2, quote) if quote in '`"' else name
