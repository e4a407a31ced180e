"""What an ALTER TABLE does to the rows that are there: nothing, a column that is NULL in all of them, or more.

Only what is listed here is known. The server's own description of the table cannot tell it: it is later than the log,
and a column that was dropped and added again looks as if nothing had happened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.cdc.statement_text import QUOTED
from services.cdc.statements import NAME, unquoted

_PIECE = re.compile(rf"{QUOTED}|[(),=]|[^\s(),='\"`]+|\s+", re.DOTALL)

_OPTION = (
    r"(?:ENGINE|AUTO_INCREMENT|AVG_ROW_LENGTH|(?:DEFAULT\s+)?(?:CHARACTER\s+SET|CHARSET|COLLATE)|CHECKSUM|COMMENT"
    r"|COMPRESSION|DELAY_KEY_WRITE|ENCRYPTION|ENCRYPTED|ENCRYPTION_KEY_ID|KEY_BLOCK_SIZE|MAX_ROWS|MIN_ROWS|PACK_KEYS"
    r"|PAGE_COMPRESSED|PAGE_COMPRESSION_LEVEL|ROW_FORMAT|STATS_AUTO_RECALC|STATS_PERSISTENT|STATS_SAMPLE_PAGES"
    r"|ALGORITHM|LOCK|TABLESPACE)"
)
_VALUE = rf"(?:{QUOTED}|[^\s,='\"`]+)"
_OPTIONS = re.compile(rf"(?:{_OPTION}(?:\s*=\s*|\s+){_VALUE}\s*)+", re.IGNORECASE | re.DOTALL)
_ENGINE = re.compile(r"\bENGINE(?>\s*=\s*|\s+)(?!['\"`]?InnoDB\b)", re.IGNORECASE)

_PRIMARY = re.compile(r"\bPRIMARY\b", re.IGNORECASE)
_LEAVES_ROWS = re.compile(
    r"(?:ADD\s+(?:(?:UNIQUE|FULLTEXT|SPATIAL|INDEX|KEY|FOREIGN|CHECK|PARTITION)\b"
    rf"|CONSTRAINT\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:(?!UNIQUE\b|FOREIGN\b|CHECK\b){NAME}\s+)?(?:UNIQUE|FOREIGN|CHECK)\b)"
    r"|DROP\s+(?:INDEX|KEY|FOREIGN\s+KEY|CHECK|CONSTRAINT)\b"
    r"|RENAME\s+(?:INDEX|KEY)\b"
    r"|ALTER\s+(?:INDEX|KEY|CHECK|CONSTRAINT)\b"
    rf"|ALTER\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?{NAME}\s+(?:SET\s+(?:DEFAULT|VISIBLE|INVISIBLE)|DROP\s+DEFAULT)\b"
    r"|(?:COALESCE|REORGANIZE|REBUILD|OPTIMIZE|ANALYZE|CHECK)\s+PARTITION\b|REMOVE\s+PARTITIONING\b|PARTITION\s+BY\b"
    r"|(?:ENABLE|DISABLE)\s+KEYS\b|(?:WITH|WITHOUT)\s+VALIDATION\b|FORCE$|ORDER\s+BY\b)",
    re.IGNORECASE,
)

_NO_COLUMN = frozenset(
    [
        *("CHECK", "CONSTRAINT", "FOREIGN", "FULLTEXT", "INDEX", "KEY", "PARTITION", "PERIOD", "PRIMARY", "SPATIAL"),
        *("SYSTEM", "UNIQUE"),
    ]
)
"""Words behind ADD that begin something else than a column; a column of that name is written in quotation marks."""

_SAYS_NOTHING = re.compile(
    rf"\s*(?:\([^()]*\)|UNSIGNED|SIGNED|ZEROFILL|PRECISION|VARYING|BINARY|ASCII|UNICODE|NULL|DEFAULT\s+NULL"
    rf"|INVISIBLE|VISIBLE|UNIQUE(?:\s+KEY)?|(?:CHARACTER\s+SET|CHARSET|COLLATE)\s*=?\s*(?:{QUOTED}|\w+)"
    rf"|COMMENT\s*=?\s*(?:{QUOTED})|COLUMN_FORMAT\s+\w+|STORAGE\s+\w+|SRID\s+\d+)(?=\s|\(|$)",
    re.IGNORECASE | re.DOTALL,
)
"""What may stand behind a new column's type without giving the rows that are there a value."""

_ADDED = re.compile(
    rf"^(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{NAME})\s+(?P<type>\w+)(?P<rest>.*?)"
    rf"(?P<place>\s+FIRST|\s+AFTER\s+(?P<after>{NAME}))?$",
    re.IGNORECASE | re.DOTALL,
)
_WITH_A_VALUE = frozenset({"SERIAL", "TIMESTAMP"})
"""Types that are not NULL unless that is said."""


_WITHOUT_PARTITIONS = re.compile(
    rf"(?:(?:ALGORITHM|LOCK)\s*=?\s*\w+\s*,\s*)*(?:DROP|TRUNCATE)\s+PARTITION\s+(?:IF\s+EXISTS\s+)?"
    rf"{NAME}(?:\s*,\s*{NAME})*\s*;?\s*",
    re.IGNORECASE,
)
"""Servers take nothing else beside it in one statement; `ALL` stands where a name does."""


@dataclass(frozen=True, slots=True)
class Added:
    """A column that is NULL in every row that was there.

    Attributes:
        name: As the statement spells it.
        after: The column that it stands behind; empty when it is the first, None when it is the last.
    """

    name: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Alteration:
    """What an ALTER comes to.

    Attributes:
        added: Columns that are NULL in all rows.
        unknown: The first clause that is not known to leave rows as they are.
        loses_rows: Whether the rows of some partitions of the source's are gone, which the log does not name.
    """

    added: tuple[Added, ...] = ()
    unknown: str = ""
    loses_rows: bool = False


def alteration(clauses: str) -> Alteration:
    """What the clauses of an ALTER TABLE come to, as `Statement.clauses` holds them."""
    if _WITHOUT_PARTITIONS.fullmatch(clauses):
        return Alteration(loses_rows=True)
    added: list[Added] = []
    for clause in _split(clauses):
        columns = _added(clause)
        if columns is not None:
            added += columns
        elif not _leaves_rows(clause):
            return Alteration(unknown=" ".join(clause.split()[:3]))
    return Alteration(tuple(added))


def _leaves_rows(clause: str) -> bool:
    if _OPTIONS.fullmatch(clause):
        return _ENGINE.search(re.sub(r"'(?:[^'\\]|\\.|'')*'", lambda quoted: _bare(quoted[0]), clause)) is None
    # The primary key says which row a row is; it may be dropped by the name of its index, too.
    return bool(_LEAVES_ROWS.match(clause)) and not _PRIMARY.search(clause.partition("(")[0])


def _bare(quoted: str) -> str:
    """A text in quotation marks, unless it is the name of an engine, without what it says."""
    return quoted if quoted.strip("'").isalnum() else "''"


def _added(clause: str) -> list[Added] | None:
    """The columns that a clause adds; None when it does something else, or gives them a value."""
    match = re.match(r"ADD\b\s*(?P<rest>.*)$", clause, re.IGNORECASE | re.DOTALL)
    if match is None:
        return None
    rest = re.sub(r"^COLUMN\b\s*(?=\()", "", match["rest"], flags=re.IGNORECASE)
    if not rest.startswith("("):
        one = _column(rest)
        return None if one is None else [one]
    columns = [_column(part) for part in _split(rest[1:-1])] if rest.endswith(")") else [None]
    return None if None in columns else [one for one in columns if one is not None]


def _column(text: str) -> Added | None:
    match = _ADDED.match(text)
    if match is None or match["name"].upper() in _NO_COLUMN:
        return None
    rest = match["rest"].strip()
    if match["type"].upper() in _WITH_A_VALUE and not re.search(r"(?<!DEFAULT )\bNULL\b", rest, re.IGNORECASE):
        return None
    while rest:
        said = _SAYS_NOTHING.match(rest)
        if said is None:
            return None
        rest = rest[said.end() :].strip()
    after = match["after"]
    place = None if match["place"] is None else unquoted(after) if after else ""
    return Added(unquoted(match["name"]), place)


def _split(text: str) -> list[str]:
    """The parts between commas, but for those inside brackets and quotation marks."""
    parts, depth, part = [], 0, ""
    for piece in _PIECE.findall(text):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += piece
    return [one for one in [*parts, part.strip()] if one]
