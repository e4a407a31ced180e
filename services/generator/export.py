"""The SQL files of an export, statement by statement: what is loaded, what is passed over, what is refused.

An export is text in UTF-8 of `CREATE TABLE` and `INSERT INTO ... VALUES`. What prepares a client for it (`DROP TABLE`,
`SET`, `LOCK TABLES`, ...) is passed over: the generator makes tables only where there are none. Anything else
is refused with its line, for whoever loads a file lets it do what he may do himself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from datafingerprint.errors import ConfigError

REMEDY = "an export holds CREATE TABLE and INSERT INTO ... VALUES; mend the file and start again"
_NAME = r"(`(?:[^`]|``)+`|[\w$]+)"
_CREATE = re.compile(rf"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}\s*\(", re.IGNORECASE)
_INSERT = re.compile(rf"INSERT\s+INTO\s+{_NAME}\s*(\([^()]*\)\s*)?VALUES?\s*(?=\()", re.IGNORECASE)
_PASSED_OVER = re.compile(
    r"(?:DROP\s+TABLE|SET|LOCK\s+TABLES|UNLOCK\s+TABLES|START\s+TRANSACTION|BEGIN|COMMIT)\b", re.IGNORECASE
)
_INTERESTING = re.compile(r"""['"`;#]|--(?=\s|$)|/\*""")
_END_OF_QUOTED = {quote: re.compile(rf"\\.|{quote}{quote}|{quote}", re.DOTALL) for quote in "'\""}
_END_OF_QUOTED["`"] = re.compile(r"``|`")


@dataclass(frozen=True)
class Part:
    """A statement of a file.

    Attributes:
        line: The line that it begins in, from 1.
        table: The table that it makes or fills.
        sql: Its text, without comments and the semicolon.
        head: Of an insert, everything before its rows; empty for a `CREATE TABLE`.
    """

    line: int
    table: str
    sql: str
    head: str

    @property
    def is_insert(self) -> bool:
        """Whether it brings rows."""
        return bool(self.head)


@dataclass
class _Scanner:
    """Cuts lines into statements; knows quotes, comments and escapes, and nothing of SQL beside."""

    where: str
    number: int = 0
    begun: int = 0
    open: str = ""
    opened: int = 0

    def statements(self, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
        pieces: list[str] = []
        for self.number, line in enumerate(lines, start=1):
            rest = line
            while rest:
                taken, rest, ended = self._take(rest)
                if taken.strip() and not any(piece.strip() for piece in pieces):
                    self.begun, pieces = self.number, []
                pieces.append(taken)
                if ended:
                    text = "".join(pieces).strip()
                    pieces = []
                    if text:
                        yield self.begun, text
        if self.open:
            what = "a comment" if self.open == "/*" else f"a text in {self.open}"
            raise ConfigError(f"{what} is not closed", where=f"{self.where} line {self.opened}", remedy=REMEDY)
        if "".join(pieces).strip():
            raise ConfigError(
                "a statement is not ended by a semicolon", where=f"{self.where} line {self.begun}", remedy=REMEDY
            )

    def _take(self, text: str) -> tuple[str, str, bool]:
        """The next stretch: what of it belongs to the statement, what is left, and whether the statement ends."""
        if self.open == "/*":
            _, closed, rest = text.partition("*/")
            self.open = "" if closed else self.open
            return " ", rest, False
        if self.open:
            return self._take_quoted(text)
        found = _INTERESTING.search(text)
        if found is None:
            return text, "", False
        before, mark, rest = text[: found.start()], found.group(), text[found.end() :]
        if mark == ";":
            return before, rest, True
        if mark in ("#", "--"):
            return before + "\n", "", False
        self.open, self.opened = mark, self.number
        return (before if mark == "/*" else before + mark), rest, False

    def _take_quoted(self, text: str) -> tuple[str, str, bool]:
        for found in _END_OF_QUOTED[self.open].finditer(text):
            if found.group() == self.open:
                self.open = ""
                return text[: found.end()], text[found.end() :], False
        return text, "", False


def parts(lines: Iterable[str], where: str) -> Iterator[Part]:
    """The statements of a file that make and fill tables.

    Args:
        lines: The file's lines.
        where: Its name, for errors.

    Raises:
        ConfigError: a statement is none of an export's, or does not end; with file, line and reason.
    """
    for line, text in _Scanner(where).statements(lines):
        part = _part(line, text)
        if part is not None:
            yield part
        elif not _PASSED_OVER.match(text):
            beginning = " ".join(text.split())[:30]
            raise ConfigError(
                f"a statement that no export has, beginning {beginning!r}",
                where=f"{where} line {line}",
                remedy=REMEDY,
            )


def _part(line: int, text: str) -> Part | None:
    if found := _CREATE.match(text):
        return Part(line, _bare(found[1]), text, "")
    if found := _INSERT.match(text):
        return Part(line, _bare(found[1]), text, found[0])
    return None


def _bare(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def merged(inserts: Iterable[Part], octets_max: int) -> Iterator[Part]:
    """Inserts with the same head as one: many exports have a statement for each row, and a round trip costs 50 rows."""
    held: list[str] = []
    first: Part | None = None
    size = 0
    for part in inserts:
        if first is not None and (part.head != first.head or size + len(part.sql) > octets_max):
            yield Part(first.line, first.table, first.head + ",".join(held), first.head)
            first = None
        if first is None:
            first, held, size = part, [], 0
        held.append(part.sql[len(part.head) :])
        size += len(part.sql)
    if first is not None:
        yield Part(first.line, first.table, first.head + ",".join(held), first.head)
