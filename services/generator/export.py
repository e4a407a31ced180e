"""The statements of an export: what makes and fills tables, what sets the session, what is passed over or refused.

An export is text in UTF-8 of `CREATE TABLE` and `INSERT INTO ... VALUES`, as programs like mysqldump write it. What it
says of its session counts (`session`); what else prepares a client (`LOCK TABLES`, `ALTER TABLE ... DISABLE KEYS`) and
views are passed over. Anything else is refused with its line, for whoever loads a file lets it do what he may do
himself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from datafingerprint.errors import ConfigError
from services.generator.cutting import REMEDY, Cutter
from services.generator.session import honoured

_GAP = r"(?:\s|/\*M?!\d*|\*/)"  # a blank, or the marks of a comment that servers execute
_NAME = r"(?:`(?:[^`]|``)+`|[\w$]+)"


def _statement(text: str) -> re.Pattern[str]:
    """An expression for the beginning of a statement; a blank in it stands for any gap, `?` behind one for none too."""
    return re.compile(rf"{_GAP}*" + text.replace(" ?", rf"{_GAP}*").replace(" ", rf"{_GAP}+"), re.IGNORECASE)


_CREATE = _statement(rf"CREATE TABLE (?P<unless>IF NOT EXISTS ?)?(?P<table>{_NAME}) ?\(")
_INSERT = _statement(rf"INSERT INTO (?P<table>{_NAME}) ?(?:\([^()]*\) ?)?VALUES? ?(?=\()")
_DROP = _statement(rf"DROP TABLE (?:IF EXISTS ?)?(?P<tables>{_NAME}(?: ?, ?{_NAME})*) ?;?$")
_SET = _statement(r"SET\b")
_VIEW = r"(?:CREATE (?:(?:OR REPLACE|ALGORITHM ?= ?\w+|DEFINER ?= ?\S+|SQL SECURITY \w+) )*|DROP )VIEW\b"
_PASSED_OVER = _statement(
    rf"(?:LOCK TABLES\b|UNLOCK TABLES\b|START TRANSACTION\b|BEGIN\b|COMMIT\b|{_VIEW}"
    rf"|ALTER TABLE {_NAME} (?:DISABLE|ENABLE) KEYS\b)"
)


class Kind(StrEnum):
    """What a statement of an export does."""

    CREATE = "makes a table"
    DROP = "drops tables"
    INSERT = "brings rows"
    SET = "sets the session"


@dataclass(frozen=True)
class Part:
    """A statement of a file.

    Attributes:
        line: The line that it begins in, from 1.
        kind: What it does.
        sql: Its text, without comments and the semicolon; of a SET what is honoured of it.
        table: The table that it makes, fills or drops; empty for a SET.
        head: Of an insert, everything before its rows; else empty.
        unless_there: Whether it leaves a table alone that is there already.
    """

    line: int
    kind: Kind
    sql: str
    table: str = ""
    head: str = ""
    unless_there: bool = False


def parts(lines: Iterable[str], where: str) -> Iterator[Part]:
    """The statements of a file that count; a DROP of several tables is one for each.

    Args:
        lines: The file's lines.
        where: Its name, for errors.

    Raises:
        ConfigError: a statement is none of an export's, or does not end; with file, line and reason.
    """
    for line, text in Cutter(where).statements(lines):
        if found := _INSERT.match(text):
            yield Part(line, Kind.INSERT, text, _bare(found["table"]), found[0])
        elif found := _CREATE.match(text):
            yield Part(line, Kind.CREATE, text, _bare(found["table"]), unless_there=bool(found["unless"]))
        elif found := _DROP.match(text):
            for name in re.findall(_NAME, found["tables"]):
                yield Part(line, Kind.DROP, text, _bare(name))
        elif _SET.match(text):
            sql = honoured(text, f"{where} line {line}")
            if sql:
                yield Part(line, Kind.SET, sql)
        elif not _PASSED_OVER.match(text):
            _refuse(text, f"{where} line {line}")


def _refuse(text: str, where: str) -> None:
    beginning = " ".join(text[:200].split())[:30]
    raise ConfigError(f"a statement that no export has, beginning {beginning!r}", where=where, remedy=REMEDY)


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
