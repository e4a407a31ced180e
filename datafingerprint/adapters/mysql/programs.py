"""Reads the programs and cascades that a statement may run, from `information_schema`."""

from __future__ import annotations

from collections.abc import Sequence

import pymysql

from datafingerprint.adapters.mysql.server import quoted
from datafingerprint.stored_programs import ProgramKind, StoredProgram

_MODES = {"ANSI_QUOTES": 1 << 2, "NO_BACKSLASH_ESCAPES": 1 << 20}
"""Bits of sql_mode that change how a text is parsed; the same in both servers."""

_SYSTEM = "('information_schema', 'mysql', 'performance_schema', 'sys')"
_TRIGGERS = f"""
SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, ACTION_STATEMENT, SQL_MODE
FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA NOT IN {_SYSTEM}
"""
_VIEWS = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, NULLIF(VIEW_DEFINITION, ''), ''
FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN {_SYSTEM}
"""
"""The text of a view is empty if the account may not see it."""

_ROUTINES = f"""
SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE
FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA NOT IN {_SYSTEM}
"""
_CASCADES = """
SELECT UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME, CONSTRAINT_SCHEMA, TABLE_NAME
FROM information_schema.REFERENTIAL_CONSTRAINTS
WHERE UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION')
"""
_PROGRAMS = ((ProgramKind.TRIGGER, _TRIGGERS), (ProgramKind.VIEW, _VIEWS), (ProgramKind.ROUTINE, _ROUTINES))


def stored_programs(connection: pymysql.Connection) -> Sequence[StoredProgram]:
    """The triggers, views, routines and cascades that the account may see."""
    programs = []
    with connection.cursor() as cursor:
        for kind, statement in _PROGRAMS:
            cursor.execute(statement)
            programs += [
                StoredProgram(kind, str(schema), str(name), None if text is None else str(text), _mode(str(mode)))
                for schema, name, text, mode in cursor.fetchall()
            ]
        cursor.execute(_CASCADES)
        for schema, parent, child_schema, child in cursor.fetchall():
            text = f"{quoted(str(child_schema))}.{quoted(str(child))}"
            programs.append(StoredProgram(ProgramKind.CASCADE, str(schema), str(parent), text))
    return programs


def _mode(text: str) -> int:
    return sum(_MODES.get(mode, 0) for mode in set(text.split(",")))
