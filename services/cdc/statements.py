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
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Statement:
    """A classified statement: its meaning, the savepoint or verb it names, and the tables that it changes."""

    meaning: Meaning
    name: str = ""
    tables: tuple[str, ...] = ()


_QUOTED = r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`"""
_COMMENT = re.compile(rf"(?P<quoted>{_QUOTED})|/\*(?![!M]).*?\*/|--[ \t][^\n]*|#[^\n]*", re.DOTALL)
_NAME = r'(?:`(?:[^`]|``)+`|"(?:[^"]|"")+"|[0-9A-Za-z_$\u0080-\uffff]+)'
_TABLE = rf"{_NAME}(?:\s*\.\s*{_NAME})?"
_RENAMED = re.compile(rf"({_TABLE})(?:\s+(?:NOWAIT|WAIT\s+\d+))?\s*\bTO\b\s*({_TABLE})", re.IGNORECASE)
_CONTROL: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (re.compile(r"^(BEGIN|START\s+TRANSACTION)\b", re.IGNORECASE), Meaning.BEGIN),
    (re.compile(r"^COMMIT\b", re.IGNORECASE), Meaning.COMMIT),
    (re.compile(rf"^ROLLBACK\s+TO\s+(?:SAVEPOINT\s+)?(?P<name>{_NAME})", re.IGNORECASE), Meaning.ROLLBACK_TO),
    (re.compile(r"^ROLLBACK\b", re.IGNORECASE), Meaning.ROLLBACK),
    (re.compile(rf"^SAVEPOINT\s+(?P<name>{_NAME})", re.IGNORECASE), Meaning.SAVEPOINT),
)
_HARMLESS = re.compile(
    r"^(?:GRANT|REVOKE|FLUSH|ANALYZE|OPTIMIZE|REPAIR|SET\s+(?:DEFAULT|PASSWORD)|RELEASE\s+SAVEPOINT"
    r"|(?:CREATE|DROP|ALTER|RENAME)(?:\s+OR\s+REPLACE)?\s+(?:USER|ROLE|SERVER)"
    r"|CREATE\s+(?:DATABASE|SCHEMA)"
    r"|(?:CREATE|DROP|ALTER)(?:\s+OR\s+REPLACE)?(?:\s+(?:ALGORITHM|DEFINER|SQL\s+SECURITY)\s*=?\s*\S+)*\s+"
    r"(?:VIEW|PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE)"
    r"|CREATE(?:\s+OR\s+REPLACE)?\s+(?:UNIQUE\s+|FULLTEXT\s+|SPATIAL\s+)?INDEX|DROP\s+INDEX"
    r"|(?:CREATE|DROP)\s+TEMPORARY\s+TABLE)\b",
    re.IGNORECASE,
)
_ON_TABLES = re.compile(
    r"^(?P<verb>CREATE(?:\s+OR\s+REPLACE)?|DROP|ALTER(?:\s+ONLINE)?(?:\s+IGNORE)?|RENAME|TRUNCATE)\s+"
    r"(?:TABLES?\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<rest>.*)$",
    re.IGNORECASE | re.DOTALL,
)
_HAS_TABLE_WORD = re.compile(r"^(?:\S+\s+){1,4}?TABLES?\b|^TRUNCATE\b", re.IGNORECASE)


_KEPT = 64
"""Statements whose meaning is kept: `BEGIN` stands before every transaction of MySQL."""


@lru_cache(_KEPT)
def classify(query: Query) -> Statement:
    """What a statement means; tables are named `schema.table`, the query's schema standing in where none is written."""
    text = _COMMENT.sub(lambda match: match["quoted"] or " ", query.text).strip()
    for pattern, meaning in _CONTROL:
        match = pattern.match(text)
        if match:
            name = _unquoted(match["name"]) if "name" in pattern.groupindex else ""
            return Statement(meaning, name)
    if _HARMLESS.match(text):
        return Statement(Meaning.HARMLESS)
    match = _ON_TABLES.match(text)
    if match and _HAS_TABLE_WORD.match(text):
        return _on_tables(match, query.schema)
    return Statement(Meaning.UNKNOWN)


def _on_tables(match: re.Match[str], schema: str) -> Statement:
    verb = match["verb"].split()[0].upper()
    rest = match["rest"]
    if verb == "DROP":
        found = re.findall(_TABLE, re.sub(r"\b(?:RESTRICT|CASCADE)\s*$", "", rest, flags=re.IGNORECASE))
    elif verb == "RENAME":
        found = [name for pair in _RENAMED.findall(rest) for name in pair]
    else:
        found = re.findall(rf"^{_TABLE}", rest)
        # A COMMENT may speak of renaming; names keep their quotes, which may hold an apostrophe.
        bare = re.sub(_QUOTED, lambda quoted: "''" if quoted[0].startswith("'") else quoted[0], rest, flags=re.DOTALL)
        found += re.findall(rf"\bRENAME\s+(?:TO\s+|AS\s+)?({_TABLE})", bare, re.IGNORECASE) * (verb == "ALTER")
    if not found:
        return Statement(Meaning.UNKNOWN)
    return Statement(Meaning.TABLES, verb, tuple(_qualified(name, schema) for name in found))


def _qualified(name: str, schema: str) -> str:
    parts = [_unquoted(part) for part in re.findall(_NAME, name)]
    return ".".join(parts) if len(parts) > 1 else f"{schema}.{parts[0]}"


def _unquoted(name: str) -> str:
    quote = name[0]
    return name[1:-1].replace(quote * 2, quote) if quote in '`"' else name
