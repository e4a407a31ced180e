"""Cuts the lines of an SQL file into statements: knows quotes, escapes and comments, and nothing of SQL beside.

What is ordinary is passed over by one expression a stretch, and no piece of a line is looked at twice: a line of any
length (an export may have all rows of a table in one) takes time in proportion to it.

A comment that servers execute (`/*!40101 ... */`, `/*M!100100 ... */`) belongs to its statement, marks and all: which
version executes it is the server's to decide. What no version executes (999999) is a comment as any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from datafingerprint.errors import ConfigError

REMEDY = "an export holds CREATE TABLE and INSERT INTO ... VALUES; mend the file and start again"
QUOTED = r"""'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+"|`[^`]*+`"""
"""A quoted text or name. One with a quote doubled in it (`'it''s'`) reads as two that touch, which ends alike."""

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
    """Where in a file the reading stands.

    Attributes:
        where: The file's name, for errors.
        number: The line that is read, from 1.
    """

    where: str
    number: int = 0
    _open: str = ""
    _opened: int = 0
    _executed: int = 0
    _begun: int = 0
    _pieces: list[str] = field(default_factory=list)

    def statements(self, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Each statement's first line and text, without comments and its semicolon; empty ones are left out.

        Raises:
            ConfigError: a text, a comment or a statement does not end.
        """
        for self.number, line in enumerate(lines, start=1):
            place = 0
            while place < len(line):
                place, ended = self._step(line, place)
                if ended and (text := self._taken()):
                    yield self._begun, text
        self._require_end()

    def _step(self, line: str, place: int) -> tuple[int, bool]:
        """Reads one stretch on; answers where it ends, and whether a statement does."""
        if self._open:
            return self._go_on_in_what_is_open(line, place), False
        stretch = _EXECUTED_STRETCH if self._executed else _STRETCH
        found = stretch.match(line, place)
        end = found.end() if found else place
        self._keep(line[place:end])
        if end == len(line):
            return end, False
        return self._mark(line, end)

    def _mark(self, line: str, place: int) -> tuple[int, bool]:
        """What ends a stretch: a semicolon, a comment, or a quote that this line does not close."""
        mark = line[place]
        if mark == ";":
            return place + 1, True
        if mark in "#-":
            self._keep("\n")
            return len(line), False
        if mark == "*":
            self._keep(_END_OF_COMMENT)
            self._executed = 0
            return place + len(_END_OF_COMMENT), False
        if mark != "/":
            self._keep(line[place:])
            self._open, self._opened = mark, self.number
            return len(line), False
        executed = None if self._executed else _EXECUTED.match(line, place)
        if executed:
            self._keep(executed.group())
            self._executed = self.number
            return executed.end(), False
        self._open, self._opened = _COMMENT, self.number
        return place + len(_COMMENT), False

    def _go_on_in_what_is_open(self, line: str, place: int) -> int:
        if self._open == _COMMENT:
            end = line.find(_END_OF_COMMENT, place)
            if end < 0:
                return len(line)
            self._open = ""
            self._keep(" ")
            return end + len(_END_OF_COMMENT)
        found = _REST_OF_QUOTED[self._open].match(line, place)
        end = found.end() if found else len(line)
        self._keep(line[place:end])
        self._open = "" if found else self._open
        return end

    def _keep(self, piece: str) -> None:
        if not self._pieces:
            if not piece or piece.isspace():
                return
            self._begun = self.number
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
            where = f"{self.where} line {self._begun}"
            raise ConfigError("a statement is not ended by a semicolon", where=where, remedy=REMEDY)
