"""Reads table definitions from `information_schema`, one query per schema."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datafingerprint.table_names import split_table_name, table_name

_SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")
_OTHER_KINDS = ("VIEW", "SYSTEM VIEW", "SEQUENCE")
"""Kinds that `information_schema.TABLES` lists and that hold no rows to replicate."""

_TABLES = "SELECT TABLE_SCHEMA s, TABLE_NAME n, ENGINE e, TABLE_TYPE t FROM information_schema.TABLES"
_COLUMNS = (
    "SELECT TABLE_NAME n, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME FROM information_schema.COLUMNS "
    "WHERE TABLE_SCHEMA = %s{0} ORDER BY TABLE_NAME, ORDINAL_POSITION"
)
_KEYS = (
    "SELECT TABLE_NAME n, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s{0} "
    "AND INDEX_NAME = 'PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX"
)
_TABLE_CONDITION = " AND TABLE_NAME = %s"

TableColumns = tuple[Sequence[Mapping[str, Any]], tuple[str, ...]]
"""Rows of `information_schema.COLUMNS` in the order of the columns, and the names of the primary key's columns."""


@dataclass(frozen=True, slots=True)
class DescribedTable:
    """A table as the server lists it."""

    schema: str
    name: str
    engine: str
    kind: str

    @property
    def table(self) -> str:
        """The table's name with its schema."""
        return table_name(self.schema, self.name)

    @property
    def is_exact(self) -> bool:
        """Whether its logged changes are exactly the changes of its rows."""
        return (self.engine, self.kind) == ("InnoDB", "BASE TABLE")


def described_tables(cursor: Any, names: Collection[str] | None = None) -> list[DescribedTable]:  # noqa: ANN401 - a pymysql cursor
    """The tables that the account can see, sorted by name.

    Args:
        cursor: A cursor that returns rows as dictionaries.
        names: Names as in `table_names`, to return only these tables; None returns all.
    """
    if names is None:
        cursor.execute(f"{_TABLES} WHERE TABLE_SCHEMA NOT IN %s", (_SYSTEM_SCHEMAS,))
        rows = list(cursor.fetchall())
    else:
        rows = []
        # MariaDB opens every table of every schema unless the query names one schema.
        for schema in sorted({split_table_name(name)[0] for name in names}):
            cursor.execute(f"{_TABLES} WHERE TABLE_SCHEMA = %s", (schema,))
            rows += cursor.fetchall()
    tables = [
        DescribedTable(row["s"], row["n"], str(row["e"]), row["t"]) for row in rows if row["t"] not in _OTHER_KINDS
    ]
    return sorted(
        (table for table in tables if names is None or table.table in names),
        key=lambda table: (table.schema, table.name),
    )


def described_columns(cursor: Any, tables: Sequence[DescribedTable]) -> dict[str, TableColumns]:  # noqa: ANN401 - as above
    """The columns of tables, by table name. A table that was dropped meanwhile has none."""
    by_schema: dict[str, set[str]] = {}
    for table in tables:
        by_schema.setdefault(table.schema, set()).add(table.name)
    columns: dict[str, TableColumns] = {}
    for schema, names in by_schema.items():
        only = next(iter(names)) if len(names) == 1 else None
        columns |= _columns(cursor, schema, names, only)
    return columns


def columns_of(cursor: Any, schema: str, name: str) -> TableColumns:  # noqa: ANN401 - as above
    """The columns of one table."""
    return _columns(cursor, schema, {name}, name).get(table_name(schema, name), ([], ()))


def _columns(cursor: Any, schema: str, names: set[str], only: str | None) -> dict[str, TableColumns]:  # noqa: ANN401
    values = (schema,) if only is None else (schema, only)
    condition = "" if only is None else _TABLE_CONDITION
    cursor.execute(_COLUMNS.format(condition), values)
    described: dict[str, list[Mapping[str, Any]]] = {}
    for row in cursor.fetchall():
        described.setdefault(row["n"], []).append(row)
    cursor.execute(_KEYS.format(condition), values)
    keys: dict[str, list[str]] = {}
    for row in cursor.fetchall():
        keys.setdefault(row["n"], []).append(row["COLUMN_NAME"])
    return {table_name(schema, name): (described.get(name, []), tuple(keys.get(name, ()))) for name in names}
