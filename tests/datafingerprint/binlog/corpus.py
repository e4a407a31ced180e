"""The statements of `statements.jsonl` and their meanings, from both servers' manuals.

A line has the text, where `{s}` stands for the default schema, and its meaning; `tables` and `made` without their
schema; the savepoint, schema or verb as `name`; the `mode` it is read in; and the `effect` of an ALTER: `nothing`,
`added: a,b` (columns that are NULL in every row), `loses` (rows go with partitions), `renamed`, or `unknown`.
`on` names the only server that takes it, or is `no` where a test runs it on none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datafingerprint.binlog.alterations import parse_alteration
from datafingerprint.binlog.queries import ANSI_QUOTES, NO_BACKSLASH_ESCAPES
from datafingerprint.binlog.statements import Statement

MODES = {"": 0, "ANSI_QUOTES": ANSI_QUOTES, "NO_BACKSLASH_ESCAPES": NO_BACKSLASH_ESCAPES}


@dataclass(frozen=True)
class Case:
    """One line."""

    text: str
    meaning: str
    tables: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    effect: str = ""
    name: str = ""
    mode: str = ""
    on: str = ""

    def within(self, schema: str) -> str:
        """The statement over the tables of a schema."""
        return self.text.replace("{s}", schema)


def cases() -> list[Case]:
    lines = Path(__file__).with_name("statements.jsonl").read_text(encoding="utf-8").splitlines()
    parsed: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [
        Case(**fields | {key: tuple(value) for key, value in fields.items() if isinstance(value, list)})
        for fields in parsed
    ]


def effect_of(statement: Statement) -> str:
    """What an ALTER does to the rows that were there, as capture reads it."""
    if statement.name != "ALTER":
        return ""
    effect = parse_alteration(statement.clauses)
    if statement.made and not effect.loses_rows:
        return "renamed"
    if effect.unknown or statement.loses_duplicates:
        return "unknown"
    if effect.added:
        return f"added: {','.join(column.name for column in effect.added)}"
    return "loses" if effect.loses_rows else "nothing"
