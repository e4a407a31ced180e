"""Which SET statements of an export apply to the session that loads it.

Three variables change the meaning of the file and apply: `sql_mode` (which values are accepted), `time_zone`
(TIMESTAMPs) and `foreign_key_checks` (tables in any order). Values that a file saves and restores (`SET
@OLD_SQL_MODE=@@SQL_MODE`) are saved and restored. Variables that a load does not need are skipped: it commits by
itself, keeps its checks, and uses UTF-8. Any other variable is refused by name.
"""

from __future__ import annotations

import re

from datafingerprint.errors import ConfigError

HONOURED = ("sql_mode", "time_zone", "foreign_key_checks")
PASSED_OVER = ("autocommit", "unique_checks", "sql_notes", "note_verbosity")
CHARACTER_SETS = (
    "names",
    "character set",
    "charset",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
)
_UNLOGGED = ("sql_log_bin", "gtid_purged", "gtid_next")
_OTHER_QUOTES = {"ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI", "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL"}
_MARKS = re.compile(r"/\*M?!\d*|\*/")
_ASSIGNMENT = re.compile(
    r"\s*(?:(?:(?P<scope>GLOBAL|PERSIST(?:_ONLY)?|SESSION|LOCAL)\s+"
    r"|@@(?:(?P<dotted>GLOBAL|PERSIST(?:_ONLY)?|SESSION|LOCAL)\s*\.\s*)?)?`?(?P<name>\w+)`?|(?P<kept>@[\w$.]+))\s*:?=\s*"
    r"(?P<value>'[^'\\]*'|\"[^\"\\]*\"|@@(?:(?:SESSION|LOCAL)\.)?\w+|@[\w$.]+|[+-]?\w+)\s*(?:,|$)",
    re.IGNORECASE,
)
_CHARACTER_SET = re.compile(
    r"\s*(?P<name>NAMES|CHARACTER\s+SET|CHARSET)\s+(?P<value>'\w+'|\"\w+\"|\w+)(?:\s+COLLATE\s+['\"]?\w+['\"]?)?\s*(?:,|$)",
    re.IGNORECASE,
)
_UTF8 = re.compile(r"['\"]?(?:utf8(?:mb3|mb4)?(?:_\w+)?|default)['\"]?|@.*", re.IGNORECASE)
_KEPT_FROM = re.compile(r"@@(?:(?:session|local)\.)?(\w+)", re.IGNORECASE)


def honoured(text: str, where: str) -> str:
    """The part of a SET statement that applies. Empty if none does.

    Args:
        text: The statement. The marks of a comment that servers execute stay.
        where: File and line, for errors.

    Raises:
        ConfigError: it sets a variable that a load must not set, or to an unsupported value.
    """
    opening = re.match(r"/\*M?!\d*", text)
    rest = re.sub(r"^\s*SET\b", "", _MARKS.sub(" ", text), flags=re.IGNORECASE)
    applied = []
    while rest.strip():
        match = _CHARACTER_SET.match(rest) or _ASSIGNMENT.match(rest)
        if match is None:
            beginning = " ".join(rest.split())[:30]
            raise _refusal(f"SET {beginning!r}", where)
        if _applies(match.groupdict(), where):
            applied.append(match[0].strip().rstrip(",").strip())
        rest = rest[match.end() :]
    sql = f"SET {', '.join(applied)}" if applied else ""
    return f"{opening[0]} {sql} */" if sql and opening else sql


def _applies(assignment: dict[str, str | None], where: str) -> bool:
    """Whether one assignment applies to the session."""
    value = assignment["value"] or ""
    if assignment.get("kept"):
        source = _KEPT_FROM.fullmatch(value)
        if source is None:
            raise _refusal(f"SET {assignment['kept']} = {value}", where)
        return source[1].lower() in HONOURED
    name = " ".join((assignment["name"] or "").lower().split())
    scope = (assignment.get("scope") or assignment.get("dotted") or "session").lower()
    if name in CHARACTER_SETS:
        _require_utf8(name, value, where)
        return False
    if name in _UNLOGGED:
        raise _refusal(f"SET {name}", where, "rows that are not logged never reach the lake; with mysqldump: ")
    if scope not in ("session", "local") or name not in (*HONOURED, *PASSED_OVER):
        raise _refusal(f"SET {'' if scope in ('session', 'local') else scope.upper() + ' '}{name}", where)
    if name == "sql_mode":
        _require_usual_quotes(value, where)
    return name in HONOURED


def _require_utf8(name: str, value: str, where: str) -> None:
    if not _UTF8.fullmatch(value):
        raise ConfigError(
            f"SET {name} {value}: an export is read as UTF-8",
            where=where,
            remedy="write it again in UTF-8, with SET NAMES utf8mb4 or none",
        )


def _require_usual_quotes(value: str, where: str) -> None:
    """Refuses modes with other quotes and escapes than those by which the file was split."""
    odd = sorted(_OTHER_QUOTES & {mode.strip().upper() for mode in value.strip("'\"").split(",")})
    if odd:
        raise ConfigError(
            f"SET sql_mode with {', '.join(odd)}: it changes how texts and names are quoted",
            where=where,
            remedy="write the export again without it",
        )


def _refusal(what: str, where: str, why: str = "") -> ConfigError:
    remedy = f"{why}--set-gtid-purged=OFF" if why else f"it may set {', '.join(HONOURED)}; take the statement out"
    return ConfigError(f"{what} is not allowed in an export", where=where, remedy=remedy)
