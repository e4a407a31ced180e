"""A statement's text in one form, whatever comments, blanks, quotation marks and modes it was written with."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.cdc.queries import ANSI_QUOTES, NO_BACKSLASH_ESCAPES

QUOTED = r"""'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`"""
"""Anything in quotation marks in that form, as a pattern; texts and names."""

_WORD = re.compile(r"[0-9A-Za-z_$\u0080-\U0010ffff]+")
_BLANKS = re.compile(r"[ \t\n\r\v\f]+")
_LINE_COMMENT = re.compile(r"(?:#|--(?=[\x00-\x20]|$))[^\n]*")
_EXECUTED = re.compile(r"/\*(?P<maria>M?)!(?:[0-9]{5,6})?")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_BACKTICKED = re.compile(r"`((?:[^`]|``)*)`")
_TEXT = {quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.|{quote}{quote})*){quote}", re.DOTALL) for quote in ("'", '"')}
_PLAIN_TEXT = {quote: re.compile(rf"{quote}((?:[^{quote}]|{quote}{quote})*){quote}") for quote in ("'", '"')}


def normalized(text: str, sql_mode: int = 0, *, as_mariadb: bool = True) -> str | None:
    """The statement with names that are quoted in backticks, texts in apostrophes, and one blank between words.

    Comments are gone, but for what servers execute of them: they take the exclamation mark out of those that they do
    not execute before they log a statement. A word with other letters than ASCII's comes out quoted, for it can be
    nothing but a name.

    Args:
        text: As it was logged.
        sql_mode: The session's.
        as_mariadb: Whether comments that begin with `/*M!` are executed; a MySQL takes them for plain ones.

    Returns:
        None when a quotation or a comment has no end, or octets are no characters of a statement.
    """
    parts = list(_parts(text, sql_mode, as_mariadb=as_mariadb))
    return None if None in parts else "".join(part for part in parts if part is not None).strip()


def _parts(text: str, sql_mode: int, *, as_mariadb: bool) -> Iterator[str | None]:
    at, depth, last = 0, 0, " "
    while at < len(text):
        executed = _EXECUTED.match(text, at)
        if executed and (as_mariadb or not executed["maria"]):
            at, depth, part = executed.end(), depth + 1, " "
        elif depth and text.startswith("*/", at):
            at, depth, part = at + 2, depth - 1, " "
        else:
            at, found = _token(text, at, sql_mode)
            if found is None:
                yield None
                return
            part = found
        if part == " ":
            if last != " ":
                yield part
                last = part
            continue
        if _is_wordlike(last) and _is_wordlike(part):
            yield " "
        yield part
        last = part
    if depth:
        yield None


def _is_wordlike(part: str) -> bool:
    return part[-1] in "'`" or part[-1].isalnum() or part[-1] in "_$"


def _token(text: str, at: int, sql_mode: int) -> tuple[int, str | None]:
    """Where the next one begins, and this one in its form; a blank for comments, None for what has no end."""
    if match := _WORD.match(text, at):
        word = match[0]
        return match.end(), word if word.isascii() else f"`{word}`"
    if match := _BLANKS.match(text, at) or _LINE_COMMENT.match(text, at) or _COMMENT.match(text, at):
        return match.end(), " "
    if text.startswith("/*", at):
        return at, None
    if text[at] == "`" or (text[at] == '"' and sql_mode & ANSI_QUOTES):
        return _name(text, at)
    if text[at] in "'\"":
        return _quoted_text(text, at, has_escapes=not sql_mode & NO_BACKSLASH_ESCAPES)
    return at + 1, text[at]


def _name(text: str, at: int) -> tuple[int, str | None]:
    match = (_BACKTICKED if text[at] == "`" else _PLAIN_TEXT['"']).match(text, at)
    if match is None:
        return at, None
    name = match[1].replace(text[at] * 2, text[at])
    return match.end(), "`" + name.replace("`", "``") + "`"


def _quoted_text(text: str, at: int, *, has_escapes: bool) -> tuple[int, str | None]:
    quote = text[at]
    match = (_TEXT if has_escapes else _PLAIN_TEXT)[quote].match(text, at)
    if match is None:
        return at, None

    def same(piece: re.Match[str]) -> str:
        if piece[0] == quote * 2 or piece[0] == "'":
            return "''" if quote == "'" or piece[0] == "'" else quote
        return piece[0] if has_escapes else "\\\\"

    pieces = rf"\\.|{quote}{quote}|'" if has_escapes else rf"\\|{quote}{quote}|'"
    return match.end(), "'" + re.sub(pieces, same, match[1], flags=re.DOTALL) + "'"
