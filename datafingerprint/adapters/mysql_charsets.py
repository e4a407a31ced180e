"""Whether the source converts texts as the tables of character sets say; asked once, before a table is watched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datafingerprint.charsets import TABLES, table_of
from datafingerprint.errors import SourceError
from datafingerprint.schema import TableSchema


def require_same_conversion(cursor: Any, tables: Iterable[TableSchema], where: str) -> None:  # noqa: ANN401 - a pymysql cursor
    """Has the server convert every code of every character set that the tables use.

    Raises:
        SourceError: a character set is another one there, so that its own sums would never be the stream's.
    """
    used = {(column.charset, table.table, column.name) for table in tables for column in table.columns}
    for charset in sorted({charset for charset, _, _ in used} & TABLES):
        if not _converts_alike(cursor, charset):
            table, name = min((table, name) for found, table, name in used if found == charset)
            raise SourceError(
                f"the source converts {charset} otherwise than is known here, so that column {name} of {table} "
                "cannot be carried exactly",
                where=where,
                remedy=f"leave the column out: leave_out = ['{name}'] in [tables.'{table}'], or watch it as bytes: "
                f"as_bytes = ['{name}']",
            )


def _converts_alike(cursor: Any, charset: str) -> bool:  # noqa: ANN401 - likewise
    table = table_of(charset)
    octets, text = b"".join(table), "".join(table.values())
    cursor.execute(
        f"SELECT HEX(CONVERT(CAST(x'{octets.hex()}' AS CHAR CHARACTER SET {charset}) USING utf8mb4)) = %s AS same",
        (text.encode().hex().upper(),),
    )
    row = cursor.fetchone()
    return bool(row and row["same"])
