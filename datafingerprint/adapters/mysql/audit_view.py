"""A consistent view of the source for audits: sums by the server, or of fetched rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from datafingerprint.adapters.mysql.errors import translated
from datafingerprint.adapters.mysql.row_reader import RowReader
from datafingerprint.adapters.mysql.rows import select_list
from datafingerprint.adapters.mysql.server import quoted_table, warnings_of
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

_FETCH_ROWS = 20_000
_ENDED_BY_SERVER = frozenset({1317, 1969, 3024})
_ALTERED = frozenset({1054, 1146, 1412})


class SourceView:
    """A consistent view of some tables, valid until its connection is closed.

    Args:
        connection: The connection on which the view is open.
        dialect: The dialect of the server.
        position: The exact position of the view.
        where: The server's address, for errors.
        connect: Opens another connection to the same server.
        fetch: Whether to fetch the rows and digest them in this process.
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
        """Seconds since the view was opened."""
        return time.monotonic() - self._opened

    def abort(self) -> None:
        """Ends the running statement from another thread. The statement raises `UnmeasuredError`.

        Raises:
            Unavailable: the server is away.
        """
        with translated(self._where), self._connect() as killer, killer.cursor() as cursor:
            number = self._connection.thread_id()
            cursor.execute(f"KILL QUERY {number}")

    def rows(self, table: TableSchema) -> dict[str, int]:
        """The number of rows of every partition that has rows.

        Raises:
            UnmeasuredError: the server ended the statement or warned, or the table was altered.
        """
        counts = self._query(sql.rows_by_partition(table, partitioning(table), self._dialect))
        return {str(name): int(rows) for name, rows in counts}

    def bound(self, table: TableSchema, partitions: Sequence[str] | None, after: str | None, rows: int) -> str | None:
        """The key at which the next range of `rows` rows ends, as a literal.

        Returns:
            None when fewer rows are left.

        Raises:
            UnmeasuredError: as for `rows`, or no key of the table can be split into ranges.
        """
        column = ranges.range_column(table)
        if column is None:
            raise UnmeasuredError(
                f"no key of {table.table} can be split into ranges",
                where=self._where,
                remedy="raise audit.range_rows above the rows of its largest partition",
            )
        bounds = self._query(ranges.bound(table, column, self._condition(table, partitions), after, rows))
        return ranges.bound_literal(column, _text(bounds[0][0])) if bounds else None

    def sums(
        self, table: TableSchema, partitions: Sequence[str] | None = None, bounds: KeyRange | None = None
    ) -> dict[str, Fingerprint]:
        """The sums of all partitions with rows, of some partitions, or of a range of their key.

        Raises:
            UnmeasuredError: as for `rows`, or the server cannot render a row because it is too long.
        """
        conditions = [self._condition(table, partitions)]
        column = ranges.range_column(table)
        if bounds is not None and column is not None:
            conditions.append(ranges.in_range(column, bounds))
        where = " AND ".join(f"({condition})" for condition in conditions if condition)
        return self._fetched(table, where) if self._fetch else self._pushed_down(table, where)

    def count(self, table: TableSchema, partition: str | None) -> int:
        """The number of rows of a table or of one partition."""
        where = self._condition(table, None if partition is None else [partition])
        counts = self._query(f"SELECT COUNT(*) FROM {quoted_table(table)}{' WHERE ' if where else ''}{where}")
        return int(counts[0][0])

    def _condition(self, table: TableSchema, partitions: Sequence[str] | None) -> str:
        fields = partitioning(table)
        if partitions is None:
            return ""
        if len(partitions) > 1:
            return sql.in_partitions(fields, partitions, self._dialect)
        return ranges.within_partition(fields, partitions[0], self._dialect)

    def _pushed_down(self, table: TableSchema, where: str) -> dict[str, Fingerprint]:
        rows = self._query(sql.sums_by_partition(table, partitioning(table), self._dialect, where))
        unrendered = sum(int(row[6]) for row in rows)
        if unrendered:
            raise UnmeasuredError(
                f"{unrendered} rows of {table.table} are too long for the source to render",
                where=self._where,
                remedy="raise max_allowed_packet on the source",
            )
        sums: dict[str, Fingerprint] = {}
        for row in rows:
            # A partition name longer than `max_sort_length` may appear more than once.
            part = of_words(int(row[1]), [int(word) for word in row[2:6]])
            sums[str(row[0])] = sums.get(str(row[0]), ZERO) + part
        return sums

    def _fetched(self, table: TableSchema, where: str) -> dict[str, Fingerprint]:
        fields, sums = partitioning(table), dict[str, Fingerprint]()
        statement = f"SELECT {select_list(table)} FROM {quoted_table(table)}{' WHERE ' if where else ''}{where}"
        with self._measuring(table.table), self._connection.cursor(SSCursor) as cursor:
            cursor.execute(statement)
            reader, is_last = RowReader(self._connection, cursor, table), False
            while not is_last:
                rows = reader.fetch(_FETCH_ROWS)
                is_last = rows.num_rows < _FETCH_ROWS
                parts = sums_by_partition(rows, table.columns, fields)
                for name, part in parts.items():
                    sums[name] = sums.get(name, ZERO) + part
        self._require_no_warning()
        return sums

    def _query(self, statement: str) -> Sequence[Any]:
        with self._measuring("the audit"), self._connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall()
        self._require_no_warning()
        return rows

    def _require_no_warning(self) -> None:
        """Checks for warnings: a value that the server cannot render becomes NULL with a warning.

        A NULL is not part of a row's digest, so the sum would be wrong.
        """
        with translated(self._where):
            warnings = warnings_of(self._connection)
        if warnings:
            raise UnmeasuredError(
                f"the source gave {warnings}",
                where=self._where,
                remedy="fix the rows or the setting that it names, or audit with --fetch",
            )

    @contextmanager
    def _measuring(self, what: str) -> Iterator[None]:
        with translated(self._where):
            try:
                yield
            except pymysql.MySQLError as error:
                raise _unmeasured(error, what, self._where) from error


def _unmeasured(error: pymysql.MySQLError, what: str, where: str) -> Exception:
    """The error for a sum that is inconclusive; any other error unchanged."""
    code = error.args[0] if error.args else None
    if code in _ENDED_BY_SERVER:
        return UnmeasuredError(
            "the source ended the statement", where=where, remedy="raise audit.statement_s, or lower audit.range_rows"
        )
    if code in _ALTERED:
        return UnmeasuredError(
            f"{what}: the table was changed or replaced on the source ({error.args[1]})",
            where=where,
            remedy="audit it again: datafingerprint audit TABLE",
        )
    return error


def _text(value: object) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
