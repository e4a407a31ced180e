"""Checks that the source converts texts by the same character set tables as this project."""

from __future__ import annotations

from typing import Any

from datafingerprint.charsets import TABLES, table_of
from datafingerprint.errors import SourceError
from datafingerprint.schema import TableSchema


def require_same_conversion(cursor: Any, table: TableSchema, proven: set[str], where: str) -> None:  # noqa: ANN401 - a pymysql cursor
    """Let the server convert every code of every character set of a table, and compare.

    Args:
        cursor: A cursor of the server that returns rows as dictionaries.
        table: The table to capture.
        proven: Character sets that need no check. Those that pass here are added.
        where: The server's address, for errors.

    Raises:
        SourceError: the server converts a character set differently, so its sums would never match the stream's.
    """
    for column in table.columns:
        if column.charset not in TABLES or column.charset in proven:
            continue
        if not _has_same_conversion(cursor, column.charset):
            raise SourceError(
                f"the source converts {column.charset} differently from this project, so column {column.name} "
                f"of {table.table} cannot be captured exactly",
                where=where,
                remedy=f"leave the column out: leave_out = ['{column.name}'] in [tables.'{table.table}'], or capture "
                f"it as bytes: as_bytes = ['{column.name}']",
            )
        proven.add(column.charset)


def _has_same_conversion(cursor: Any, charset: str) -> bool:  # noqa: ANN401 - as above
    table = table_of(charset)
    codes, text = b"".join(table), "".join(table.values())
    cursor.execute(
        f"SELECT HEX(CONVERT(CAST(x'{codes.hex()}' AS CHAR CHARACTER SET {charset}) USING utf8mb4)) = %s AS same",
        (text.encode().hex().upper(),),
    )
    row = cursor.fetchone()
    return bool(row and row["same"])
