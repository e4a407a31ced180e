"""Reads the rows of a running SELECT as Arrow columns, in native code where that is there.

The native code takes whole packets out of a large buffer. The client library reads every other packet: the end of the
result set, an error, a row in several packets, and damaged ones. So all errors are the library's own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pymysql
from pymysql.constants import CR
from pymysql.cursors import SSCursor

from datafingerprint.adapters.mysql.rows import arrow_rows, native_columns, require_keys
from datafingerprint.native.rows import CELL, Bytes, FoundRows, Rows, native_rows
from datafingerprint.schema import TableSchema

BUFFER_BYTES = 1 << 22
_CELLS_MAX = 1 << 20
_SEQUENCE_NUMBERS = 256


class PacketBuffer:
    """Receives the bytes of a connection, in place of the client library's own stream.

    Args:
        stream: The library's own stream.
        size_bytes: How many bytes it holds. The library reads a longer packet.
    """

    def __init__(self, stream: io.BufferedReader, size_bytes: int) -> None:
        self._stream = stream
        self.data: Bytes = np.empty(size_bytes, np.uint8)
        self._view = memoryview(self.data)  # type: ignore[arg-type]  # numpy's types lack the buffer protocol of Python 3.11
        self.begin = self.end = 0
        # What the stream holds must be taken first: it would wait for more bytes before it returns them.
        self._rest = stream.read(len(stream.peek()))

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end of the connection."""
        parts = []
        while size:
            if self.begin == self.end:
                self.begin = self.end = 0
                if not self.receive():
                    break
            taken = min(size, self.end - self.begin)
            parts.append(bytes(self._view[self.begin : self.begin + taken]))
            self.begin += taken
            size -= taken
        return b"".join(parts)

    def close(self) -> None:
        """Closes the stream."""
        self._stream.close()

    def align(self) -> None:
        """Moves the bytes that are left to the beginning."""
        left = self.end - self.begin
        self._view[:left] = bytes(self._view[self.begin : self.end])
        self.begin, self.end = 0, left

    def receive(self) -> bool:
        """Waits for more bytes behind those that are there.

        Returns:
            False at the end of the connection, or if there is no room.
        """
        room = self._view[self.end :]
        if not room:
            return False
        if self._rest:
            received = min(len(self._rest), len(room))
            room[:received], self._rest = self._rest[:received], self._rest[received:]
        else:
            received = self._stream.raw.readinto(room) or 0
        self.end += received
        return received > 0


class RowReader:
    """Reads the rows of a SELECT that was just executed.

    Args:
        connection: The connection on which it runs.
        cursor: The cursor that executed it.
        table: The table, whose columns were selected by `rows.select_list`.
        size_bytes: Size of the buffer.
    """

    def __init__(
        self, connection: pymysql.Connection, cursor: SSCursor, table: TableSchema, size_bytes: int = BUFFER_BYTES
    ) -> None:
        self._connection: Any = connection
        self._cursor = cursor
        self._table = table
        self._native = native_rows()
        self._size_bytes = size_bytes

    def fetch(self, rows_max: int) -> pa.Table:
        """The next rows, in the table's Arrow schema: fewer than `rows_max` only at the end.

        Raises:
            SourceError: a key holds an impossible date.
            pymysql.MySQLError: the server ended the statement, or the connection broke.
        """
        # Only the connection refers to the buffer, so that closing the connection closes its socket at once.
        if self._native is None or not self._has_buffer():
            return arrow_rows(self._table, self._cursor.fetchmany(rows_max))
        parts: list[pa.Table] = []
        left = rows_max
        while left:
            part = self._next_rows(self._native, left)
            if part is None:
                part = self._next_row()
            if part is None:
                break
            left -= part.num_rows
            parts.append(part)
        rows = pa.concat_tables(parts).combine_chunks() if parts else self._table.arrow.empty_table()
        require_keys(self._table, rows)
        return rows

    def _has_buffer(self) -> bool:
        """Puts a buffer in place of the library's stream, unless it is there.

        Returns:
            False if the connection is closed.
        """
        stream = getattr(self._connection, "_rfile", None)
        if stream is not None and not isinstance(stream, PacketBuffer):
            with self._closing_if_lost():
                self._connection._rfile = PacketBuffer(stream, self._size_bytes)  # noqa: SLF001 - the library has no public name for it
        return stream is not None

    def _next_row(self) -> pa.Table | None:
        """One row, which the library reads; None at the end."""
        row = self._cursor.fetchone()
        return None if row is None else arrow_rows(self._table, [row])

    def _next_rows(self, native: Rows, rows_max: int) -> pa.Table | None:
        """As many ordinary rows as the buffer holds.

        Returns:
            None if the next packet is not an ordinary row, or longer than the buffer.
        """
        result = self._cursor._result  # type: ignore[attr-defined]  # noqa: SLF001 - the library has no public name for it
        if result is None or not result.unbuffered_active:
            return None
        buffer: PacketBuffer = self._connection._rfile  # noqa: SLF001 - as above
        columns = len(self._table.columns)
        rows_max = max(min(rows_max, _CELLS_MAX // columns), 1)
        buffer.align()
        rows = FoundRows(columns, np.empty(rows_max * columns, CELL))
        while True:
            native.find(buffer.data, buffer.end, self._connection._next_seq_id, rows)  # noqa: SLF001 - as above
            if rows.count == rows_max or not rows.wanted or not self._receive(buffer):
                break
        if not rows.count:
            return None
        buffer.begin = rows.end
        self._connection._next_seq_id = (self._connection._next_seq_id + rows.count) % _SEQUENCE_NUMBERS  # noqa: SLF001 - as above
        return native_columns(self._table, native, buffer.data, rows)

    def _receive(self, buffer: PacketBuffer) -> bool:
        with self._closing_if_lost():
            return buffer.receive()

    @contextmanager
    def _closing_if_lost(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._connection._force_close()  # noqa: SLF001 - as the library does it
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, f"Lost connection to the server ({error})") from error
