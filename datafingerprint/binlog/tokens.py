"""Tokenizes logged statements: words, names, texts and signs.

The rules are those of both servers' lexers ("Language Structure" in the manuals). Quotation marks and backslashes
depend on the session's `sql_mode`, and some comments are executed. Tokenizers of SQL libraries do not know the
session's mode, and drop comments that servers execute.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache, lru_cache

from datafingerprint.binlog.queries import ANSI_QUOTES, NO_BACKSLASH_ESCAPES


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    """A keyword, a number, or a name without quotation marks."""
    NAME = auto()
    """A name in quotation marks, or one with letters outside ASCII, which no keyword has."""
    TEXT = auto()
    """A literal in quotation marks."""
    SIGN = auto()
    """One character that belongs to none of the other kinds."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: What it is.
        text: Its characters. Names and texts are without their quotation marks, and long texts are shortened.
    """

    kind: Kind
    text: str

    @property
    def word(self) -> str:
        """The word in capitals, or an empty text for other kinds."""
        return self.text.upper() if self.kind is Kind.WORD else ""

    def is_sign(self, sign: str) -> bool:
        """Whether the token is this character."""
        return self.kind is Kind.SIGN and self.text == sign


Tokens = tuple[Token, ...]

_TEXT_MAX = 256
"""How much of a text is kept. Some sessions log statements with millions of values."""

_token = lru_cache(4096)(Token)
"""Makes a token, or takes an equal one from a cache: most tokens of a long statement repeat."""

_WITH_BODY = frozenset({"FUNCTION", "PROCEDURE", "LIBRARY"})
"""Objects whose body MySQL accepts between `$$`. Elsewhere, and on MariaDB, a dollar sign is part of a name."""

_DOLLARS = re.compile(r"(\$[0-9A-Za-z_\u0080-\U0010ffff]*\$).*?\1", re.DOTALL)


class UnfinishedError(ValueError):
    """A quotation or a comment has no end."""


def tokenize(text: str, sql_mode: int = 0, *, as_mariadb: bool = True) -> Tokens | None:
    """The tokens of a statement, without plain comments, and with those that servers execute.

    Before servers log a statement, they remove the exclamation mark from comments that they do not execute.

    Args:
        text: The statement as it was logged.
        sql_mode: The session's.
        as_mariadb: Whether comments that begin with `/*M!` are executed. MySQL treats them as plain.

    Returns:
        None when a quotation or a comment has no end.
    """
    try:
        return tuple(_scan(text, sql_mode, as_mariadb=as_mariadb))
    except UnfinishedError:
        return None


def _scan(text: str, sql_mode: int, *, as_mariadb: bool) -> Iterator[Token]:
    match_at = _pattern(bool(sql_mode & ANSI_QUOTES), not sql_mode & NO_BACKSLASH_ESCAPES, as_mariadb).match
    at, depth, has_body = 0, 0, False
    while match := match_at(text, at):
        kind, matched, at = match.lastgroup or "", match[0], match.end()
        if kind == "executed" or (kind == "end" and depth):
            depth += 1 if kind == "executed" else -1
        elif kind == "unfinished":
            raise UnfinishedError
        elif kind == "word" and has_body and (body := _DOLLARS.match(text, match.start())):
            at = body.end()
            yield _token(Kind.TEXT, body[0][:_TEXT_MAX])
        else:
            has_body = has_body or matched.upper() in _WITH_BODY
            yield from _tokens_of(kind, matched)
    if depth:
        raise UnfinishedError


def _tokens_of(kind: str, matched: str) -> Iterator[Token]:
    """The tokens of one match: none for a comment, and two for `*/` outside a comment."""
    if kind == "word":
        yield _token(Kind.WORD if matched.isascii() else Kind.NAME, matched)
    elif kind == "name":
        yield _token(Kind.NAME, _without_quotes(matched))
    elif kind == "text":
        yield _token(Kind.TEXT, _without_quotes(matched.lstrip("xXbBnN"))[:_TEXT_MAX])
    elif kind in ("sign", "end"):
        yield from (_token(Kind.SIGN, sign) for sign in matched)


@cache
def _pattern(has_ansi_quotes: bool, has_escapes: bool, as_mariadb: bool) -> re.Pattern[str]:  # noqa: FBT001 - cached
    inside = r"[^{0}\\]++|\\.|{0}{0}" if has_escapes else "[^{0}]++|{0}{0}"
    text = f"[xXbBnN]?'(?:{inside.format(chr(39))})*+'"
    name = "`(?:[^`]++|``)*+`"
    if has_ansi_quotes:
        name += '|"(?:[^"]++|"")*+"'
    else:
        text += f'|"(?:{inside.format(chr(34))})*+"'
    return re.compile(
        r"(?P<blank>[ \t\n\r\v\f]+|(?:\#|--(?=[\x00-\x20]|\Z))[^\n]*)"
        rf"|(?P<text>{text})|(?P<name>{name})"
        r"|(?P<word>[0-9A-Za-z_$\u0080-\U0010ffff]+)"
        rf"|(?P<executed>/\*{'M?' if as_mariadb else ''}!(?:[0-9]{{5,6}})?)|(?P<comment>/\*.*?\*/)|(?P<end>\*/)"
        r"|(?P<unfinished>/\*|['\"`])|(?P<sign>.)",
        re.DOTALL,
    )


def _without_quotes(quoted: str) -> str:
    quote = quoted[0]
    return quoted[1:-1].replace(quote * 2, quote)


class TokenReader:
    """Reads tokens one after another.

    Args:
        tokens: The tokens.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left, except semicolons."""
        return all(token.is_sign(";") for token in self.rest)

    @property
    def rest(self) -> Tokens:
        """The remaining tokens."""
        return self._tokens[self._at :]

    @property
    def word(self) -> str:
        """The next token as a word in capitals, or an empty text for other kinds."""
        return self.word_at(0)

    def word_at(self, index: int) -> str:
        """As `word`, for the token that is `index` after the next one."""
        at = self._at + index
        return self._tokens[at].word if at < len(self._tokens) else ""

    def take(self) -> Token | None:
        """Skips the next token of any kind, and returns it."""
        if self._at >= len(self._tokens):
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def starts_with(self, words: Sequence[str]) -> bool:
        """Whether these words come next, in this order."""
        return all(self.word_at(index) == word for index, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Skips these words, if they come next in this order."""
        if not self.starts_with(words):
            return False
        self._at += len(words)
        return True

    def accept_any(self, *words: str) -> str:
        """Skips the next word if it is one of these, and returns it, or an empty text if not."""
        word = self.word
        if word not in words:
            return ""
        self._at += 1
        return word

    def accept_sign(self, sign: str) -> bool:
        """Skips the next token if it is this sign."""
        if self._at >= len(self._tokens) or not self._tokens[self._at].is_sign(sign):
            return False
        self._at += 1
        return True

    def accept_text(self) -> bool:
        """Skips the next token if it is a text."""
        if self._at >= len(self._tokens) or self._tokens[self._at].kind is not Kind.TEXT:
            return False
        self._at += 1
        return True

    def accept_group(self) -> bool:
        """Skips a group in brackets, if one comes next and is closed."""
        begin, depth = self._at, 0
        while (token := self.take()) is not None:
            depth += token.is_sign("(") - token.is_sign(")")
            if depth <= 0:
                break
        if depth == 0 and self._at > begin + 1:
            return True
        self._at = begin
        return False

    def name(self) -> Token | None:
        """Skips the next token if it can be a name, and returns it."""
        if self._at >= len(self._tokens) or self._tokens[self._at].kind not in (Kind.WORD, Kind.NAME):
            return None
        return self.take()

    def path(self) -> tuple[str, ...]:
        """Skips a name, or two with a dot between them, and returns them.

        Returns:
            An empty tuple if the next token cannot be a table's name.
        """
        begin = self._at
        first = self.name()
        if first is not None and first.word not in RESERVED:
            if not self.accept_sign("."):
                return (first.text,)
            if second := self.name():
                return (first.text, second.text)
        self._at = begin
        return ()


RESERVED = frozenset(
    [
        *("ADD", "ALTER", "AS", "BY", "CREATE", "DROP", "EXISTS", "FOR", "FROM", "IF", "IGNORE", "INTO", "LIKE", "NOT"),
        *("ON", "OR", "RENAME", "SELECT", "SET", "TABLE", "TO", "UPDATE", "WHERE", "WITH"),
    ]
)
"""Words that name no table without quotation marks, on either server. Such a name shows a parsing error."""


def split(tokens: Tokens) -> list[Tokens]:
    """The parts between commas outside brackets, without empty ones."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.is_sign("(") - token.is_sign(")")
        if depth == 0 and token.is_sign(","):
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(part) for part in parts if part]


def words(tokens: Tokens, count: int) -> str:
    """The words among the first tokens, for messages. They never contain a value."""
    return " ".join(token.word for token in tokens[:count] if token.word)
