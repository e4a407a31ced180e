"""A consistent view of the source, as an audit reads it: sums by the server itself, or of rows that are fetched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from datafingerprint.adapters.mysql_errors import translated
from datafingerprint.adapters.mysql_rows import arrow_rows, select_list
from datafingerprint.adapters.server import quoted_table
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import UnmeasuredError
from datafingerprint.fingerprint import ZERO, Fingerprint, of_words
from datafingerprint.partitions import partitioning
from datafingerprint.schema import TableSchema
from datafingerprint.sql import mysql as sql
from datafingerprint.sql import mysql_ranges as ranges
from datafingerprint.sql.mysql import Dialect
from datafingerprint.sql.mysql_ranges import KeyRange

_FETCHED_AT_ONCE = 20_000
_ENDED_BY_SERVER = frozenset({1317, 1969, 3024})
_ALTERED = frozenset({1054, 1146, 1412})
_NOTE = "Note"


class SourceView:
    """A consistent view of some tables; good until its connection is closed.

    Args:
        connection: On which the view was opened.
        dialect: Which server it is.
        position: Everything up to it is in the view, and nothing else.
        where: What errors name.
        connect: Makes another connection to the same server.
        fetch: Whether rows are fetched and digested here.
    """

    def __init__(
        self,
        connection: pymysql.Connection,
        dialect: Dialect,
        position: SourcePosition,
        where: str,
        connect: Callable[[], pymysql.Connection],
        *,
        fetch: bool = False,
    ) -> None:
        self._connect = connect
        self._connection = connection
        self._dialect = dialect
        self._where = where
        self._fetch = fetch
        self._opened = time.monotonic()
        self.position = position

    @property
    def age_s(self) -> float:
        """For how many seconds it has been open."""
        return time.monotonic() - self._opened

    def abort(self) -> None:
        """Ends the statement at hand, if there is one, from another thread; it raises `UnmeasuredError` there.

        Raises:
            Unavailable: the server is away.
        """
        with translated(self._where), self._connect() as killer, killer.cursor() as cursor:
            number = self._connection.thread_id()  # type: ignore[no-untyped-call]
            cursor.execute(f"KILL QUERY {number}")

    def rows(self, table: TableSchema) -> dict[str, int]:
        """The rows of every partition that has any.

        Raises:
            UnmeasuredError: the server ended the statement, warned, or the table is another one now.
        """
        found = self._all(sql.rows_by_partition(table, partitioning(table), self._dialect))
        return {str(name): int(rows) for name, rows in found}

    def bound(self, table: TableSchema, partitions: Sequence[str] | None, after: str | None, rows: int) -> str | None:
        """The key at which the next range of so many rows ends, as a literal; None when fewer are left.

        Raises:
            UnmeasuredError: as of `rows`; or no key of the table can be cut into ranges.
        """
        column = ranges.range_column(table)
        if column is None:
            raise UnmeasuredError(f"no key of {table.table} can be cut into ranges", where=self._where)
        found = self._all(ranges.bound(table, column, self._condition(table, partitions), after, rows))
        return ranges.bound_literal(column, _text(found[0][0])) if found else None

    def sums(
        self, table: TableSchema, partitions: Sequence[str] | None = None, bounds: KeyRange | None = None
    ) -> dict[str, Fingerprint]:
        """The sums of every partition that has rows, of some of them, or of a range of their key.

        Raises:
            UnmeasuredError: as of `rows`; or a row is too long for the server to render.
        """
        conditions = [self._condition(table, partitions)]
        column = ranges.range_column(table)
        if bounds is not None and column is not None:
            conditions.append(ranges.in_range(column, bounds))
        where = " AND ".join(f"({one})" for one in conditions if one)
        return self._fetched(table, where) if self._fetch else self._pushed_down(table, where)

    def count(self, table: TableSchema, partition: str | None) -> int:
        """How many rows a table, or one partition of it, has."""
        where = self._condition(table, None if partition is None else [partition])
        found = self._all(f"SELECT COUNT(*) FROM {quoted_table(table)}{' WHERE ' if where else ''}{where}")
        return int(found[0][0])

    def _condition(self, table: TableSchema, partitions: Sequence[str] | None) -> str:
        fields = partitioning(table)
        if partitions is None:
            return ""
        if len(partitions) > 1:
            return sql.in_partitions(fields, partitions, self._dialect)
        return ranges.within_partition(fields, partitions[0], self._dialect)

    def _pushed_down(self, table: TableSchema, where: str) -> dict[str, Fingerprint]:
        found = self._all(sql.sums_by_partition(table, partitioning(table), self._dialect, where))
        unrendered = sum(int(row[6]) for row in found)
        if unrendered:
            raise UnmeasuredError(
                f"{unrendered} rows of {table.table} are longer than the source can render",
                where=self._where,
                remedy="raise max_allowed_packet on the source",
            )
        return {str(row[0]): of_words(int(row[1]), [int(word) for word in row[2:6]]) for row in found}

    def _fetched(self, table: TableSchema, where: str) -> dict[str, Fingerprint]:
        fields, sums = partitioning(table), dict[str, Fingerprint]()
        statement = f"SELECT {select_list(table)} FROM {quoted_table(table)}{' WHERE ' if where else ''}{where}"
        with self._measuring(table.table), self._connection.cursor(SSCursor) as cursor:
            cursor.execute(statement)
            while fetched := cursor.fetchmany(_FETCHED_AT_ONCE):
                found = sums_by_partition(arrow_rows(table, fetched), table.columns, fields)
                for name, part in found.items():
                    sums[name] = sums.get(name, ZERO) + part
        self._require_no_warning()
        return sums

    def _all(self, statement: str) -> Sequence[Any]:
        with self._measuring("the audit"), self._connection.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchall()
        self._require_no_warning()
        return found

    def _require_no_warning(self) -> None:
        """A value that the server could not render is NULL with a warning, and a NULL is left out of a row's digest."""
        with translated(self._where), self._connection.cursor() as cursor:
            cursor.execute("SHOW WARNINGS")
            warned = [row for row in cursor.fetchall() if row[0] != _NOTE]
        if warned:
            level, code, text = warned[0]
            raise UnmeasuredError(
                f"the source gave {len(warned)} warnings, first {str(level).lower()} {code}: {str(text)[:200]}",
                where=self._where,
            )

    @contextmanager
    def _measuring(self, what: str) -> Iterator[None]:
        with translated(self._where):
            try:
                yield
            except pymysql.MySQLError as error:
                raise _unmeasured(error, what, self._where) from error


def _unmeasured(error: pymysql.MySQLError, what: str, where: str) -> Exception:
    """What makes one sum inconclusive; any other error as it is."""
    code = error.args[0] if error.args else None
    if code in _ENDED_BY_SERVER:
        return UnmeasuredError(
            "the source ended the statement", where=where, remedy="raise audit.statement_s, or lower audit.range_rows"
        )
    if code in _ALTERED:
        return UnmeasuredError(
            f"{what}: the table was changed or replaced on the source ({error.args[1]})", where=where
        )
    return error


def _text(value: object) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
