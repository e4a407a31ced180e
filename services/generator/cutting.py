"""Splits an SQL file into statements. It knows quotes, escapes and comments only.

One regular expression skips each ordinary stretch, and no part of a line is read twice. So a line of any length takes
time in proportion to it: an export may have all rows of a table in one.

A comment that servers execute (`/*!40101 ... */`, `/*M!100100 ... */`) belongs to its statement, with its marks: the
server decides by its version. A comment that no version executes (999999) is an ordinary one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from datafingerprint.errors import ConfigError

REMEDY = "an export holds CREATE TABLE and INSERT INTO ... VALUES; fix the file and start again"
QUOTED = r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+"|`[^`]*+`"""
"""A quoted text or name. A doubled quote (`'it''s'`) reads as two texts, which end at the same place."""

_NO_COMMENT = r"-(?!-(?:[\x00-\x20\x7f]|$))|/(?!\*)"
_STRETCH = re.compile(rf"(?:[^'\"`;#/\-]++|{QUOTED}|{_NO_COMMENT})*+", re.DOTALL)
_EXECUTED_STRETCH = re.compile(rf"(?:[^'\"`#/\-*]++|{QUOTED}|{_NO_COMMENT}|\*(?!/))*+", re.DOTALL)
_REST_OF_QUOTED = {
    "'": re.compile(r"(?:[^'\\]++|\\.)*+'", re.DOTALL),
    '"': re.compile(r'(?:[^"\\]++|\\.)*+"', re.DOTALL),
    "`": re.compile(r"[^`]*+`"),
}
_EXECUTED = re.compile(r"/\*M?!(?!999999)\d*")
_COMMENT = "/*"
_END_OF_COMMENT = "*/"


@dataclass
class Cutter:
    """Reads one file, and keeps its position.

    Attributes:
        where: The file's name, for errors.
        number: The present line, from 1.
    """

    where: str
    number: int = 0
    _open: str = ""
    _opened: int = 0
    _executed: int = 0
    _start: int = 0
    _pieces: list[str] = field(default_factory=list)

    def statements(self, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Each statement's first line and text, without comments and semicolon.

        Empty statements are skipped.

        Raises:
            ConfigError: a text, a comment or a statement does not end.
        """
        for self.number, line in enumerate(lines, start=1):
            index = 0
            while index < len(line):
                index, ended = self._step(line, index)
                if ended and (text := self._taken()):
                    yield self._start, text
        self._require_end()

    def _step(self, line: str, index: int) -> tuple[int, bool]:
        """Reads one stretch. Returns its end, and whether a statement ends there."""
        if self._open:
            return self._continue_open(line, index), False
        stretch = _EXECUTED_STRETCH if self._executed else _STRETCH
        match = stretch.match(line, index)
        end = match.end() if match else index
        self._keep(line[index:end])
        if end == len(line):
            return end, False
        return self._mark(line, end)

    def _mark(self, line: str, index: int) -> tuple[int, bool]:
        """Reads the mark after a stretch: a semicolon, a comment, or a quote that stays open."""
        mark = line[index]
        if mark == ";":
            return index + 1, True
        if mark in "#-":
            self._keep("\n")
            return len(line), False
        if mark == "*":
            self._keep(_END_OF_COMMENT)
            self._executed = 0
            return index + len(_END_OF_COMMENT), False
        if mark != "/":
            self._keep(line[index:])
            self._open, self._opened = mark, self.number
            return len(line), False
        executed = None if self._executed else _EXECUTED.match(line, index)
        if executed:
            self._keep(executed.group())
            self._executed = self.number
            return executed.end(), False
        self._open, self._opened = _COMMENT, self.number
        return index + len(_COMMENT), False

    def _continue_open(self, line: str, index: int) -> int:
        if self._open == _COMMENT:
            end = line.find(_END_OF_COMMENT, index)
            if end < 0:
                return len(line)
            self._open = ""
            self._keep(" ")
            return end + len(_END_OF_COMMENT)
        match = _REST_OF_QUOTED[self._open].match(line, index)
        end = match.end() if match else len(line)
        self._keep(line[index:end])
        self._open = "" if match else self._open
        return end

    def _keep(self, piece: str) -> None:
        if not self._pieces:
            if not piece or piece.isspace():
                return
            self._start = self.number
        self._pieces.append(piece)

    def _taken(self) -> str:
        text, self._pieces = "".join(self._pieces).strip(), []
        return text

    def _require_end(self) -> None:
        if self._open or self._executed:
            what = f"a text in {self._open}" if self._open in _REST_OF_QUOTED else "a comment"
            line = self._opened if self._open else self._executed
            raise ConfigError(f"{what} is not closed", where=f"{self.where} line {line}", remedy=REMEDY)
        if self._pieces:
            where = f"{self.where} line {self._start}"
            raise ConfigError("a statement is not ended by a semicolon", where=where, remedy=REMEDY)
