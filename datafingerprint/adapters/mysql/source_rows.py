"""Single rows of the source, found by key, in a consistent view whose position is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pymysql

from datafingerprint.adapters.mysql.audit_source import audited_server
from datafingerprint.adapters.mysql.errors import translated
from datafingerprint.adapters.mysql.rows import arrow_rows, select_list
from datafingerprint.adapters.mysql.server import quoted_table
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from datafingerprint.differences import FoundRow, SideRows, Wanted
from datafingerprint.errors import UnmeasuredError
from datafingerprint.partitions import partitioning
from datafingerprint.schema import BYTES_KINDS, Column, Kind, TableSchema
from datafingerprint.sketch_keys import KEY_BYTES, Shape
from datafingerprint.sql.mysql import Dialect, canonical_row, identifier
from datafingerprint.sql.mysql_ranges import within_partition

KEYS_AT_ONCE = 100
_ENDED_BY_SERVER = frozenset({1317, 1969, 3024})
_LONG_TEXT_DIGITS = 30
"""Hexadecimal digits of a digest that the key of a long text has."""


class SourceRowReader:
    """Reads rows on the server that audits ask.

    Args:
        settings: All settings.
    """

    def __init__(self, settings: Settings) -> None:
        server = audited_server(settings)
        self._source = BinlogSource(settings.model_copy(update={"source": server}))
        self._where = f"{server.host}:{server.port}"
        self._statement_s = settings.audit.statement_s

    def find(self, wanted: Wanted) -> SideRows:
        """The wanted rows, and the position of the view that they were read in.

        By the key's index, one statement for a hundred keys. Where a key is a digest, the server computes it for the
        rows of the partition, which takes as long as an audit of it; `audit.statement_s` bounds it.

        Raises:
            UnmeasuredError: the server ended a statement.
            SourceError: the server refuses it.
            Unavailable: the server is away.
        """
        connection, server = self._source.connect()
        dialect = Dialect.MARIADB if server.is_mariadb else Dialect.MYSQL
        try:
            with translated(self._where):
                self._limit(connection, dialect)
                position = server.open_view(connection, [wanted.table], lambda: self._source.connect()[0], self._where)
                matches = [
                    row
                    for condition in _conditions(wanted, dialect, connection)
                    for row in self._rows(connection, wanted, condition)
                ]
            return SideRows(matches, position)
        finally:
            connection.close()

    def _limit(self, connection: pymysql.Connection, dialect: Dialect) -> None:
        with connection.cursor() as cursor:
            if dialect is Dialect.MARIADB:
                cursor.execute("SET SESSION max_statement_time = %s", (self._statement_s,))
            else:
                cursor.execute("SET SESSION max_execution_time = %s", (int(self._statement_s * 1000),))

    def _rows(self, connection: pymysql.Connection, wanted: Wanted, condition: str) -> list[FoundRow]:
        statement = f"SELECT {select_list(wanted.table)} FROM {quoted_table(wanted.table)} WHERE {condition}"
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return wanted.matching(arrow_rows(wanted.table, cursor.fetchall()))
        except pymysql.MySQLError as error:
            if error.args and error.args[0] in _ENDED_BY_SERVER:
                raise UnmeasuredError(
                    "the source ended the statement", where=self._where, remedy="raise audit.statement_s"
                ) from error
            raise


def _conditions(wanted: Wanted, dialect: Dialect, connection: pymysql.Connection) -> Iterator[str]:
    """Conditions that all wanted rows fulfil, and few others."""
    packed = {key: wanted.form.values(key) for key in sorted(wanted.keys)}
    named = iter([values for values in packed.values() if values is not None])
    while some := list(islice(named, KEYS_AT_ONCE)):
        yield " OR ".join(f"({_is_key(wanted.form.columns, values, connection)})" for values in some)
    digests = [key for key, values in packed.items() if values is None]
    if digests:
        yield _by_digest(wanted, digests, dialect)


def _is_key(columns: Sequence[Column], values: Mapping[str, Any], connection: pymysql.Connection) -> str:
    return " AND ".join(
        f"{identifier(column.name)} = {connection.literal(_value(values[column.name], column))}" for column in columns
    )


def _value(value: Any, column: Column) -> object:  # noqa: ANN401 - a value of any key column
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    if column.kind is Kind.TIME:
        return _time(value)
    return bytes(value) if column.kind in BYTES_KINDS else value


def _time(us: int) -> str:
    seconds, fraction = divmod(abs(us), 1_000_000)
    return f"{'-' * (us < 0)}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:06}"


def _by_digest(wanted: Wanted, keys: Sequence[int], dialect: Dialect) -> str:
    table: TableSchema = wanted.table
    digest = f"MD5({canonical_row(table.identity)})"
    texts = [key.to_bytes(KEY_BYTES).hex() for key in keys]
    if wanted.form.shape is Shape.TEXT:
        digest, texts = f"LEFT({digest}, {_LONG_TEXT_DIGITS})", [text[2:] for text in texts]
    listed = ", ".join(f"'{text}'" for text in texts)
    return f"{within_partition(partitioning(table), wanted.partition, dialect)} AND {digest} IN ({listed})"
