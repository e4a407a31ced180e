"""The statements of an export: those that are run, skipped, or refused.

An export is UTF-8 text of `CREATE TABLE` and `INSERT INTO ... VALUES`, as programs like mysqldump write it. Its session
settings count (`session`). Other statements that prepare a client (`LOCK TABLES`, `ALTER TABLE ... DISABLE KEYS`) and
views are skipped. Anything else is refused with its line, because a file runs with the rights of its loader.
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
    """An expression for the start of a statement.

    A blank stands for a gap; with `?` the gap may be empty.
    """
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
        line: The line of its start, from 1.
        kind: What it does.
        sql: Its text, without comments and semicolon. Of a SET, the assignments that count.
        table: The table that it makes, fills or drops. Empty for a SET.
        head: Everything before the rows of an insert. Otherwise empty.
        unless_there: Whether it skips a table that exists.
    """

    line: int
    kind: Kind
    sql: str
    table: str = ""
    head: str = ""
    unless_there: bool = False


def parts(lines: Iterable[str], where: str) -> Iterator[Part]:
    """The statements of a file that count. A DROP of several tables gives one part per table.

    Args:
        lines: The file's lines.
        where: Its name, for errors.

    Raises:
        ConfigError: a statement does not belong into an export, or does not end. The error has file and line.
    """
    for line, text in Cutter(where).statements(lines):
        if match := _INSERT.match(text):
            yield Part(line, Kind.INSERT, text, _bare(match["table"]), match[0])
        elif match := _CREATE.match(text):
            yield Part(line, Kind.CREATE, text, _bare(match["table"]), unless_there=bool(match["unless"]))
        elif match := _DROP.match(text):
            for name in re.findall(_NAME, match["tables"]):
                yield Part(line, Kind.DROP, text, _bare(name))
        elif _SET.match(text):
            sql = honoured(text, f"{where} line {line}")
            if sql:
                yield Part(line, Kind.SET, sql)
        elif not _PASSED_OVER.match(text):
            _refuse(text, f"{where} line {line}")


def _refuse(text: str, where: str) -> None:
    beginning = " ".join(text[:200].split())[:30]
    raise ConfigError(f"not a statement of an export: {beginning!r}", where=where, remedy=REMEDY)


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name
