"""Finds the foreign keys whose cascades the source does not log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pymysql
from pymysql.cursors import Cursor, DictCursor

from datafingerprint.adapters.mysql.server import Server, quoted
from datafingerprint.cascades import RULES, Cascades, ForeignKey
from datafingerprint.table_names import table_name

NAME = r"`(?:[^`]|``)+`"
_RESTRICT = "RESTRICT"

_CASCADING = """
    SELECT CONSTRAINT_SCHEMA s, CONSTRAINT_NAME n, TABLE_NAME t, DELETE_RULE d, UPDATE_RULE u
    FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE DELETE_RULE IN %s OR UPDATE_RULE IN %s
"""
_COLUMNS = """
    SELECT CONSTRAINT_SCHEMA s, CONSTRAINT_NAME n, TABLE_NAME t, COLUMN_NAME c,
           REFERENCED_TABLE_SCHEMA rs, REFERENCED_TABLE_NAME rt, REFERENCED_COLUMN_NAME rc
    FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 2, 3, ORDINAL_POSITION
"""
"""A query of its own: servers join these tables row by row, without an index."""


_CONSTRAINT = re.compile(
    rf"^\s*CONSTRAINT ({NAME}) FOREIGN KEY \(({NAME}(?:, ?{NAME})*)\) "
    rf"REFERENCES (?:({NAME})\.)?({NAME}) \(({NAME}(?:, ?{NAME})*)\)(.*)$",
    re.MULTILINE,
)
"""A foreign key as SHOW CREATE TABLE prints it."""

_NO_SUCH_TABLE, _DENIED = 1146, frozenset({1142, 1143})


def unlogged_cascades(
    connection: pymysql.Connection, server: Server, captured: Iterable[tuple[str, str]] = ()
) -> Cascades:
    """The cascading keys that the account can see; none if the server logs cascades.

    Args:
        connection: A connection to the source.
        server: The kind of the server.
        captured: Tables (schema, name) whose definitions are read as well. To an account with SELECT only, the
            dictionary does not show all keys.
    """
    with connection.cursor(DictCursor) as cursor:
        if _logs_cascades(cursor, server):
            return Cascades()
        keys = {(key.child, key.name): key for key in _dictionary_keys(cursor)}
    with connection.cursor() as cursor:
        # Names must be in backticks, under any default of the server.
        cursor.execute("SET SESSION sql_mode = '', sql_quote_show_create = 1")
        for schema, name in captured:
            keys |= {(key.child, key.name): key for key in _table_keys(cursor, schema, name)}
    return Cascades(keys.values())


def _dictionary_keys(cursor: DictCursor) -> Iterator[ForeignKey]:
    cursor.execute(_CASCADING, (RULES, RULES))
    rules = {_constraint(row): row for row in cursor.fetchall()}
    if not rules:
        return
    cursor.execute(_COLUMNS)
    columns: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in cursor.fetchall():
        if _constraint(row) in rules:
            columns.setdefault(_constraint(row), []).append(row)
    for constraint, parts in columns.items():
        yield _key(rules[constraint], parts)


def _table_keys(cursor: Cursor, schema: str, name: str) -> list[ForeignKey]:
    try:
        cursor.execute(f"SHOW CREATE TABLE {quoted(schema)}.{quoted(name)}")
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in {_NO_SUCH_TABLE, *_DENIED}:
            return []  # it was dropped, or another check reports the missing privilege
        raise
    row = cursor.fetchone()
    return keys_of(schema, name, str(row[1]) if row else "")


def keys_of(schema: str, name: str, definition: str) -> list[ForeignKey]:
    """The cascading foreign keys in the text of SHOW CREATE TABLE."""
    keys = []
    for constraint, columns, parent_schema, parent, referenced, rules in _CONSTRAINT.findall(definition):
        by_verb = dict(re.findall(rf"ON (DELETE|UPDATE) ({'|'.join(RULES)})\b", rules))
        if by_verb:
            keys.append(
                ForeignKey(
                    name=_unquoted(constraint),
                    child=table_name(schema, name),
                    columns=tuple(map(_unquoted, re.findall(NAME, columns))),
                    parent=table_name(_unquoted(parent_schema) if parent_schema else schema, _unquoted(parent)),
                    referenced=tuple(map(_unquoted, re.findall(NAME, referenced))),
                    on_delete=by_verb.get("DELETE", _RESTRICT),
                    on_update=by_verb.get("UPDATE", _RESTRICT),
                )
            )
    return keys


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`")


def _logs_cascades(cursor: DictCursor, server: Server) -> bool:
    """Whether the server logs cascades: MySQL 9.6 and later do, unless an option turns it off."""
    if server.is_mariadb:
        return False
    cursor.execute("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'")
    row = cursor.fetchone()
    return row is not None and str(row["Value"]).upper() in {"OFF", "0"}


def _constraint(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(row["s"]), str(row["n"]), str(row["t"])


def _key(rule: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> ForeignKey:
    schema, name, table = _constraint(rule)
    return ForeignKey(
        name=name,
        child=table_name(schema, table),
        columns=tuple(str(part["c"]) for part in parts),
        parent=table_name(str(parts[0]["rs"]), str(parts[0]["rt"])),
        referenced=tuple(str(part["rc"]) for part in parts),
        on_delete=_rule(rule["d"]),
        on_update=_rule(rule["u"]),
    )


def _rule(rule: object) -> str:
    """The rule of a key. All rules that do not cascade count as RESTRICT."""
    return str(rule) if rule in RULES else _RESTRICT
