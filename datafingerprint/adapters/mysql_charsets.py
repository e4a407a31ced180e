"""Whether the source converts texts as the tables of character sets say; asked once, before a table is watched."""

from __future__ import annotations

from typing import Any

from datafingerprint.charsets import TABLES, table_of
from datafingerprint.errors import SourceError
from datafingerprint.schema import TableSchema


def require_same_conversion(cursor: Any, table: TableSchema, proven: set[str], where: str) -> None:  # noqa: ANN401 - a pymysql cursor
    """Has the server convert every code of every character set that a table uses.

    Args:
        cursor: Of a connection to the server, giving rows as dictionaries.
        table: What is to be watched.
        proven: Character sets that need not be asked for again; those that are proven here are put into it.
        where: What errors name.

    Raises:
        SourceError: a character set is another one there, so that its own sums would never be the stream's.
    """
    for column in table.columns:
        if column.charset not in TABLES or column.charset in proven:
            continue
        if not _converts_alike(cursor, column.charset):
            raise SourceError(
                f"the source converts {column.charset} otherwise than is known here, so that column {column.name} "
                f"of {table.table} cannot be carried exactly",
                where=where,
                remedy=f"leave the column out: leave_out = ['{column.name}'] in [tables.'{table.table}'], or watch it "
                f"as bytes: as_bytes = ['{column.name}']",
            )
        proven.add(column.charset)


def _converts_alike(cursor: Any, charset: str) -> bool:  # noqa: ANN401 - likewise
    table = table_of(charset)
    octets, text = b"".join(table), "".join(table.values())
    cursor.execute(
        f"SELECT HEX(CONVERT(CAST(x'{octets.hex()}' AS CHAR CHARACTER SET {charset}) USING utf8mb4)) = %s AS same",
        (text.encode().hex().upper(),),
    )
    row = cursor.fetchone()
    return bool(row and row["same"])
